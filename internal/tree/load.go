// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"

	"paddock/proto"
)

// Loader fills a tree from a snapshot and the transactions after it. It holds
// the write lock from Load to Close.
type Loader struct {
	Writer
	keys    map[int64]aclID // the snapshot's keys
	lost    aclID           // stands in for lists that the snapshot lacks; 0 until needed
	fresh   bool            // nothing loaded yet: the tree's own first znodes are there
	parent  Ref             // of the znode loaded last
	prefix  string          // its path, with the slash
	expect  int             // znodes that the next snapshot may hold
	Dangled int             // znodes whose list the snapshot lacks
}

// Load opens the tree for loading.
func (t *Tree) Load() *Loader {
	return &Loader{Writer: t.Write(nil), fresh: true, keys: map[int64]aclID{-1: openACL}}
}

// Reset forgets everything loaded, down to an empty tree without a root: the
// next snapshot brings its own.
func (l *Loader) Reset() {
	l.t.clear(l.expect)
	*l = Loader{Writer: l.Writer, keys: map[int64]aclID{-1: openACL}}
}

// Expect says how many bytes the snapshot to come and the logs after it have,
// so that the index need not grow under them.
func (l *Loader) Expect(bytes int64) {
	const bytesPerZnode = 160 // few are much smaller in a file
	l.expect = int(min(bytes/bytesPerZnode, 16<<20))
}

func (l *Loader) begin() {
	if l.fresh {
		l.Reset()
	}
}

// LoadSession adds a session.
func (l *Loader) LoadSession(id int64, timeoutMs int32) {
	l.begin()
	l.t.sessions[id] = timeoutMs
}

// LoadACL adds a list under the snapshot's key for it.
func (l *Loader) LoadACL(key int64, list []proto.ACL) {
	l.begin()
	id := l.t.acls.take(list)
	l.keys[key] = id
}

// LoadNode adds a znode; its parent was loaded before it.
func (l *Loader) LoadNode(path, data []byte, aclKey int64, st *proto.StatPersisted) error {
	l.begin()
	t := l.t
	id, ok := l.keys[aclKey]
	if !ok {
		// A list added while the reference wrote the snapshot. The log names it.
		if l.lost == 0 {
			l.lost = t.acls.take(deniedList)
		}
		id = l.lost
		l.Dangled++
	}
	if id != openACL {
		t.acls.lists[id].refs++
	}
	if len(path) == 0 {
		if t.nodes.live > 0 {
			return fmt.Errorf("the root comes twice")
		}
		t.putChild(0, "", "", data, id, st)
		return nil
	}
	if path[0] != '/' || path[len(path)-1] == '/' {
		return fmt.Errorf("path %q does not begin with a slash, or ends with one", path)
	}
	p := string(path)
	up, name := Split(p)
	if l.parent == 0 || len(up)+1 != len(l.prefix) || up != l.prefix[:len(up)] {
		if l.parent = 0; t.nodes.live > 0 {
			l.parent = t.find(up)
		}
		if l.parent == 0 {
			return fmt.Errorf("znode %q comes before its parent", path)
		}
		l.prefix = p[:len(up)+1]
	}
	if r := t.find(p); r != 0 {
		// A fuzzy snapshot of a znode deleted and made again while it was
		// written: the later copy counts.
		n := t.nodes.node(r)
		if n.children > 0 {
			t.removeBelow(r)
		}
		t.remove(r, len(p))
	}
	t.putChild(l.parent, p, name, data, id, st)
	return nil
}

// LoadDone ends a snapshot: zxid is that of its file's name.
func (l *Loader) LoadDone(zxid proto.Zxid) error {
	l.begin()
	t := l.t
	if t.nodes.live == 0 {
		return fmt.Errorf("the snapshot holds no root")
	}
	for _, p := range []string{proto.ZookeeperPath, proto.QuotaPath} {
		if t.find(p) == 0 {
			t.put(p, []byte{}, openACL, &proto.StatPersisted{})
		}
	}
	if t.find(proto.ConfigPath) == 0 {
		acl := t.acls.take([]proto.ACL{{Perms: proto.PermRead, Scheme: "world", ID: "anyone"}})
		t.put(proto.ConfigPath, []byte{}, acl, &proto.StatPersisted{Aversion: -1})
	}
	for _, id := range l.keys {
		if id != openACL {
			t.acls.drop(id) // the use that LoadACL counted
		}
	}
	l.keys, l.parent = nil, 0
	t.zxid = zxid
	return nil
}

// Close ends the loading and lets readers in.
func (l *Loader) Close() {
	l.RebuildQuotas()
	l.Writer.Close()
}
