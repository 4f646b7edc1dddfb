// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"paddock/proto"
)

// mapTree is the plainest tree there can be: a Sink that applies the rules of
// storage-format.md sections 7 and 8 as they are written there.
type mapTree struct {
	nodes    map[string]*mapNode
	sessions map[int64]int32
	acls     map[int64][]proto.ACL
	digest   uint64
	zxid     proto.Zxid

	// For round trips: what the snapshot held, in its order.
	loaded struct {
		sessions []sessionRow
		acls     []aclRow
		nodes    []string
		digest   *SnapDigest
	}
	calls      []string
	checkFrom  proto.Zxid // digests of transactions after it are compared
	mismatches []string
	failNode   string // LoadNode of it fails
}

type sessionRow struct {
	id      int64
	timeout int32
}

type aclRow struct {
	key  int64
	list []proto.ACL
}

type mapNode struct {
	data     []byte
	aclKey   int64
	acl      []proto.ACL
	st       proto.StatPersisted
	children map[string]bool
}

var openACL = []proto.ACL{{Perms: 31, Scheme: "world", ID: "anyone"}}

func newMapTree() *mapTree {
	t := &mapTree{}
	t.Reset()
	t.calls = nil
	return t
}

// newInitialTree is the database that a server begins with.
func newInitialTree() *mapTree {
	t := newMapTree()
	for _, path := range []string{"", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		n := &mapNode{data: []byte{}, aclKey: -1, acl: openACL, children: map[string]bool{}}
		if path == "/zookeeper/config" {
			n.aclKey, n.st.Aversion = 1, -1
			n.acl = []proto.ACL{{Perms: 1, Scheme: "world", ID: "anyone"}}
			t.acls[1] = n.acl
		}
		t.put(path, n)
	}
	return t
}

func (t *mapTree) Reset() {
	calls := append(t.calls, "reset")
	*t = mapTree{nodes: map[string]*mapNode{}, sessions: map[int64]int32{}, acls: map[int64][]proto.ACL{}, calls: calls, checkFrom: t.checkFrom, failNode: t.failNode}
}

func (t *mapTree) LoadSession(id int64, timeoutMs int32) {
	t.sessions[id] = timeoutMs
	t.loaded.sessions = append(t.loaded.sessions, sessionRow{id, timeoutMs})
}

func (t *mapTree) LoadACL(key int64, acl []proto.ACL) {
	t.acls[key] = acl
	t.loaded.acls = append(t.loaded.acls, aclRow{key, acl})
}

func (t *mapTree) LoadNode(path, data []byte, aclKey int64, st *proto.StatPersisted) error {
	p := string(path)
	if t.failNode != "" && p == t.failNode {
		return fmt.Errorf("asked to fail")
	}
	if p != "" && t.nodes[parentOf(p)] == nil {
		return fmt.Errorf("znode %q has no parent", p)
	}
	acl := openACL
	if aclKey != -1 {
		if acl = t.acls[aclKey]; acl == nil {
			return fmt.Errorf("znode %q has the unknown ACL %d", p, aclKey)
		}
	}
	if data != nil {
		data = append([]byte{}, data...)
	}
	t.put(p, &mapNode{data: data, aclKey: aclKey, acl: acl, st: *st, children: map[string]bool{}})
	t.loaded.nodes = append(t.loaded.nodes, p)
	return nil
}

func (t *mapTree) LoadDone(zxid proto.Zxid, digest *SnapDigest) error {
	t.zxid = zxid
	t.loaded.digest = digest
	t.calls = append(t.calls, "done "+zxid.String())
	return nil
}

func parentOf(path string) string { return path[:strings.LastIndexByte(path, '/')] }

func (t *mapTree) put(path string, n *mapNode) {
	if old := t.nodes[path]; old != nil {
		t.digest -= nodeDigest(path, old)
	}
	t.nodes[path] = n
	t.digest += nodeDigest(path, n)
	if path != "" {
		t.nodes[parentOf(path)].children[path[strings.LastIndexByte(path, '/')+1:]] = true
	}
}

// change lets f change a znode and keeps the digest.
func (t *mapTree) change(path string, f func(n *mapNode)) bool {
	n := t.nodes[path]
	if n == nil {
		return false
	}
	t.digest -= nodeDigest(path, n)
	f(n)
	t.digest += nodeDigest(path, n)
	return true
}

func nodeDigest(path string, n *mapNode) uint64 {
	if strings.HasPrefix(path, "/zookeeper/") {
		return 0
	}
	b := append([]byte(path), n.data...)
	for _, v := range []int64{int64(n.st.Czxid), int64(n.st.Mzxid), int64(n.st.Pzxid), n.st.Ctime, n.st.Mtime} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for _, v := range []int32{n.st.Version, n.st.Cversion, n.st.Aversion} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(n.st.EphemeralOwner))
	return uint64(crc32.ChecksumIEEE(b))
}

func (t *mapTree) Replay(x *proto.Txn) error {
	t.apply(x)
	t.zxid = max(t.zxid, x.Zxid)
	if x.Digest.Version == proto.DigestVersion && x.Zxid > t.checkFrom && x.Digest.Tree != t.digest {
		t.mismatches = append(t.mismatches, fmt.Sprintf("%s %s: %x, want %x", x.Zxid, x.Type, t.digest, x.Digest.Tree))
	}
	return nil
}

func (t *mapTree) apply(x *proto.Txn) {
	switch b := x.Body.(type) {
	case nil:
		t.closeSession(x, nil)
	case *proto.CloseSessionTxn:
		t.closeSession(x, b.Paths)
	case *proto.CreateSessionTxn:
		t.sessions[x.Session] = b.TimeOut
	case *proto.CreateTxn:
		var owner int64
		if b.Ephemeral {
			owner = x.Session
		}
		t.create(x, b.Path, b.Data, b.ACL, owner, b.ParentCversion)
	case *proto.CreateContainerTxn:
		t.create(x, b.Path, b.Data, b.ACL, proto.ContainerOwner, b.ParentCversion)
	case *proto.CreateTTLTxn:
		t.create(x, b.Path, b.Data, b.ACL, proto.TTLOwner(b.TTL), b.ParentCversion)
	case *proto.DeleteTxn:
		t.delete(x.Zxid, b.Path)
	case *proto.SetDataTxn:
		t.change(b.Path, func(n *mapNode) {
			n.data = slices.Clone(b.Data)
			if b.Data != nil && n.data == nil {
				n.data = []byte{}
			}
			n.st.Mzxid, n.st.Mtime, n.st.Version = x.Zxid, x.Time, b.Version
		})
	case *proto.SetACLTxn:
		t.change(b.Path, func(n *mapNode) { n.acl, n.st.Aversion = b.ACL, b.Version })
	case *proto.MultiTxn:
		if b.Failed() {
			return
		}
		for _, sub := range b.Ops {
			step := *x
			step.Type, step.Body = sub.Type, sub.Body
			t.apply(&step)
		}
	}
}

func (t *mapTree) create(x *proto.Txn, path string, data []byte, acl []proto.ACL, owner int64, parentCversion int32) {
	parent := t.nodes[parentOf(path)]
	if parent == nil {
		return
	}
	if parentCversion == -1 {
		parentCversion = parent.st.Cversion + 1
	}
	fixParent := func() {
		t.change(parentOf(path), func(n *mapNode) {
			if parentCversion > n.st.Cversion {
				n.st.Cversion, n.st.Pzxid = parentCversion, x.Zxid
			}
		})
	}
	if n := t.nodes[path]; n != nil {
		n.acl = acl
		if x.Type == proto.OpCreate {
			fixParent()
		}
		return
	}
	if data != nil {
		data = append([]byte{}, data...)
	}
	n := &mapNode{data: data, acl: acl, children: map[string]bool{}}
	n.st = proto.StatPersisted{Czxid: x.Zxid, Mzxid: x.Zxid, Pzxid: x.Zxid, Ctime: x.Time, Mtime: x.Time, EphemeralOwner: owner}
	t.put(path, n)
	fixParent()
}

func (t *mapTree) delete(zxid proto.Zxid, path string) {
	ok := t.change(parentOf(path), func(p *mapNode) {
		delete(p.children, path[strings.LastIndexByte(path, '/')+1:])
		p.st.Pzxid = max(p.st.Pzxid, zxid)
	})
	if n := t.nodes[path]; ok && n != nil {
		t.digest -= nodeDigest(path, n)
		delete(t.nodes, path)
	}
}

func (t *mapTree) closeSession(x *proto.Txn, paths []string) {
	delete(t.sessions, x.Session)
	for _, p := range paths {
		if t.nodes[p] != nil {
			t.delete(x.Zxid, p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(t.nodes)) {
		if n := t.nodes[p]; n.st.EphemeralOwner == x.Session && proto.IsEphemeral(x.Session) {
			t.delete(x.Zxid, p)
		}
	}
}

// treeTaker is a SnapshotWriter or a StreamWriter.
type treeTaker interface {
	Sessions(n int, each func(yield func(id int64, timeoutMs int32)))
	ACLs(n int, each func(yield func(key int64, acl []proto.ACL)))
	Node(path, data []byte, aclKey int64, st *proto.StatPersisted) error
}

// writeTo writes the tree as a snapshot, in the order it was loaded in if it was.
func (t *mapTree) writeTo(w treeTaker) error {
	sessions, acls, nodes := t.loaded.sessions, t.loaded.acls, t.loaded.nodes
	if nodes == nil {
		nodes = slices.Sorted(maps.Keys(t.nodes))
		for id, timeout := range t.sessions {
			sessions = append(sessions, sessionRow{id, timeout})
		}
		for key, list := range t.acls {
			acls = append(acls, aclRow{key, list})
		}
	}
	w.Sessions(len(sessions), func(yield func(int64, int32)) {
		for _, s := range sessions {
			yield(s.id, s.timeout)
		}
	})
	w.ACLs(len(acls), func(yield func(int64, []proto.ACL)) {
		for _, a := range acls {
			yield(a.key, a.list)
		}
	})
	for _, p := range nodes {
		n := t.nodes[p]
		if err := w.Node([]byte(p), n.data, n.aclKey, &n.st); err != nil {
			return err
		}
	}
	return nil
}
