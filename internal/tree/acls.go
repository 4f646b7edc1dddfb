// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"slices"

	"paddock/jute"
	"paddock/proto"
)

// aclID is a znode's access control list in the table of lists.
type aclID uint32

// openACL is the list of the znodes a server makes itself; on disk its key is
// -1, and it allows everyone everything.
const openACL aclID = 0

var openList = []proto.ACL{{Perms: proto.PermAll, Scheme: "world", ID: "anyone"}}

// deniedList stands in for a list that a snapshot lacks: it allows nobody
// anything until a later transaction names the real one.
var deniedList = []proto.ACL{{Perms: 0, Scheme: "world", ID: "anyone"}}

// acls keeps each distinct list once.
type acls struct {
	lists []aclEntry
	byKey map[string]aclID // the list's bytes
	free  []aclID
	last  aclID   // the one taken last: most creates in a row use the same
	held  bool    // a snapshot is being written: do not hand out an id a second time
	later []aclID // ids to free when held ends
}

type aclEntry struct {
	list []proto.ACL
	key  string
	refs int32
}

func newACLs() acls {
	return acls{lists: []aclEntry{{list: openList}}, byKey: map[string]aclID{}}
}

// take returns the id of list and counts a use of it.
func (a *acls) take(list []proto.ACL) aclID {
	if a.last != 0 && a.lists[a.last].refs > 0 && slices.Equal(a.lists[a.last].list, list) {
		a.lists[a.last].refs++
		return a.last
	}
	id := a.intern(list)
	a.last = id
	return id
}

func (a *acls) intern(list []proto.ACL) aclID {
	var room [128]byte
	c := jute.Encoder(room[:0])
	proto.ACLs(&c, &list)
	if id, ok := a.byKey[string(c.Bytes())]; ok {
		a.lists[id].refs++
		return id
	}
	own := make([]proto.ACL, len(list))
	for i, e := range list {
		own[i] = proto.ACL{Perms: e.Perms, Scheme: cloneString(e.Scheme), ID: cloneString(e.ID)}
	}
	e := aclEntry{list: own, key: string(c.Bytes()), refs: 1}
	var id aclID
	if k := len(a.free); k > 0 {
		id, a.free = a.free[k-1], a.free[:k-1]
		a.lists[id] = e
	} else {
		id = aclID(len(a.lists))
		a.lists = append(a.lists, e)
	}
	a.byKey[e.key] = id
	return id
}

// drop ends a use of id.
func (a *acls) drop(id aclID) {
	if id == openACL {
		return
	}
	e := &a.lists[id]
	if e.refs--; e.refs > 0 {
		return
	}
	delete(a.byKey, e.key)
	if a.held {
		a.later = append(a.later, id)
		return
	}
	a.lists[id] = aclEntry{}
	a.free = append(a.free, id)
}

func (a *acls) hold() { a.held = true }

func (a *acls) unhold() {
	a.held = false
	for _, id := range a.later {
		a.lists[id] = aclEntry{}
		a.free = append(a.free, id)
	}
	a.later = nil
}

// diskKey is id as a snapshot names it.
func (id aclID) diskKey() int64 {
	if id == openACL {
		return -1
	}
	return int64(id)
}
