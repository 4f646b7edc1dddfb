// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"reflect"
	"testing"

	"paddock/proto"
)

func ipList(n int) []proto.ACL {
	return []proto.ACL{{Perms: proto.PermRead, Scheme: "ip", ID: fmt.Sprintf("10.0.0.%d", n)}}
}

func TestACLTable(t *testing.T) {
	a := newACLs()
	one, two := a.take(ipList(1)), a.take(ipList(2))
	if one == two || one == openACL || two == openACL {
		t.Fatalf("ids %d and %d", one, two)
	}
	if again := a.take(ipList(1)); again != one {
		t.Errorf("the same list is %d, then %d", one, again)
	}
	if !reflect.DeepEqual(a.lists[one].list, ipList(1)) {
		t.Errorf("list %v, want %v", a.lists[one].list, ipList(1))
	}
	a.drop(one)
	if again := a.take(ipList(1)); again != one {
		t.Errorf("a list in use is %d, then %d", one, again)
	}
	a.drop(one)
	a.drop(one)
	if a.lists[one].list != nil || len(a.byKey) != 1 {
		t.Errorf("an unused list is kept: %v, %d keys", a.lists[one].list, len(a.byKey))
	}
	if three := a.take(ipList(3)); three != one {
		t.Errorf("the next new list is %d, want %d again", three, one)
	}
	if got := a.take(ipList(1)); got == one || got == two {
		t.Errorf("a list that comes back is %d, which another has", got)
	}
	a.drop(openACL)
	if a.lists[openACL].list == nil {
		t.Error("the open list is gone")
	}
}

// TestACLTableHeld: while a snapshot is written no id changes its meaning.
func TestACLTableHeld(t *testing.T) {
	a := newACLs()
	one := a.take(ipList(1))
	a.hold()
	a.drop(one)
	two := a.take(ipList(2))
	if two == one {
		t.Fatal("an id is used again while it is held")
	}
	back := a.take(ipList(1))
	if back == one || back == two {
		t.Fatalf("the list that comes back while ids are held is %d", back)
	}
	if !reflect.DeepEqual(a.lists[one].list, ipList(1)) {
		t.Error("the list of a held id is gone")
	}
	a.unhold()
	if three := a.take(ipList(3)); three != one {
		t.Errorf("then the next new list is %d, want %d again", three, one)
	}
	if again := a.take(ipList(1)); again != back {
		t.Errorf("the list that came back is %d, then %d", back, again)
	}
}

// TestACLsOfTheTree: the lists in use are those of the znodes, whatever
// happened to them.
func TestACLsOfTheTree(t *testing.T) {
	h, tr := newHistory(11, 5, 4), New()
	defer tr.Close()
	for i := range 4000 {
		if i == 2000 {
			write(t, tr, func() { applyAll(tr, h.replayed()) })
		}
		applyAll(tr, h.replayed())
	}
	refs := map[aclID]int32{}
	tr.walk(rootRef, func(r Ref) { refs[tr.nodes.node(r).acl]++ })
	for id, e := range tr.acls.lists {
		if aclID(id) != openACL && e.refs != refs[aclID(id)] {
			t.Errorf("list %d counts %d uses, %d znodes have it", id, e.refs, refs[aclID(id)])
		}
	}
	if len(tr.acls.byKey) != len(refs)-1 { // but the open one of the server's own znodes
		t.Errorf("%d lists are known, %d are used", len(tr.acls.byKey), len(refs))
	}
}
