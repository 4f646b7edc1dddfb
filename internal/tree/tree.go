// SPDX-License-Identifier: Apache-2.0

// Package tree holds the znodes of one server, its sessions' timeouts and the
// digest of both.
//
// It has two doors. View shows the tree as of one zxid to many goroutines at
// once; Write lets one goroutine, the applier, move it on by settled
// transactions. A transaction cannot fail: what it finds different from what it
// expects (replay over a fuzzy snapshot) has a defined outcome, the same on
// every server (storage-format.md section 7).
//
//	    View ──┐            ┌── Write
//	           ▼            ▼
//	index: hash of path → Ref         (linear hashing, no pointer)
//	slabs: Ref → node, 128 bytes      (outside the collector's heap)
//	arena: node.block → name ++ data  (likewise)
//
// A znode costs 128 bytes, its name and data rounded up to their block, and 8
// bytes of index; the garbage collector sees none of it.
package tree

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"paddock/proto"
)

// Tree is the state of one server. Use New.
type Tree struct {
	lock shardedLock

	// What follows is guarded by lock.
	zxid       proto.Zxid
	digest     uint64 // sum over the znodes
	dataBytes  int64  // paths and data, as the approximate data size
	mem        memory
	nodes      slabs
	index      index
	arena      arena
	acls       acls
	sessions   map[int64]int32 // timeout in ms
	ephemerals map[int64]map[Ref]struct{}
	ephCount   int
	containers map[Ref]struct{} // containers and TTL znodes
	quotas     map[string]struct{}
	snap       *Snapshot // being written
	sums       Digester

	seed   maphash.Seed
	onQuot func(path, problem string)

	snapMu sync.Mutex   // one snapshot at a time
	size   atomic.Int64 // of nodes, for who has no lock
}

// New returns a tree with the four znodes that every server starts with.
func New() *Tree {
	t := &Tree{lock: newShardedLock(), seed: maphash.MakeSeed()}
	t.clear(0)
	for _, p := range []string{"", proto.ZookeeperPath, proto.QuotaPath} {
		t.put(p, []byte{}, openACL, &proto.StatPersisted{})
	}
	config := t.acls.take([]proto.ACL{{Perms: proto.PermRead, Scheme: "world", ID: "anyone"}})
	t.put(proto.ConfigPath, []byte{}, config, &proto.StatPersisted{Aversion: -1})
	return t
}

// clear forgets everything and makes room for an index of count znodes.
func (t *Tree) clear(count int) {
	t.mem.close()
	t.nodes, t.arena = slabs{mem: &t.mem}, arena{mem: &t.mem}
	t.zxid, t.digest, t.dataBytes, t.ephCount = 0, 0, 0, 0
	t.index, t.acls = newIndex(&t.mem, count), newACLs()
	t.sessions = map[int64]int32{}
	t.ephemerals = map[int64]map[Ref]struct{}{}
	t.containers = map[Ref]struct{}{}
	t.quotas = map[string]struct{}{}
}

// Close gives the memory back. Nothing may use the tree afterwards.
func (t *Tree) Close() {
	t.lock.lock()
	defer t.lock.unlock()
	t.mem.close()
}

// View is the tree as of one zxid. Bytes it returns are valid until Close.
type View struct {
	t    *Tree
	slot uint32
}

// View opens a view. Goroutines that pass different slots do not touch the
// same memory to get in.
func (t *Tree) View(slot uint32) View {
	t.lock.rlock(slot)
	return View{t, slot}
}

// Close ends the view.
func (v View) Close() { v.t.lock.runlock(v.slot) }

// Zxid is that of the last transaction applied.
func (v View) Zxid() proto.Zxid { return v.t.zxid }

// Digest is the tree's.
func (v View) Digest() uint64 { return v.t.digest }

// Find returns the znode at path, or 0. "" and "/" are the root.
func (v View) Find(path string) Ref { return v.t.find(path) }

// Hash is that of a path, the same for as long as there is the tree.
func (v View) Hash(path string) uint32 { return v.t.hash(path) }

// FindHashed is Find where the path's Hash is known.
func (v View) FindHashed(path string, hash uint32) Ref { return v.t.findHashed(path, hash) }

// Stat is what clients see of a znode's numbers.
func (v View) Stat(r Ref) proto.Stat { return v.t.nodes.node(r).stat() }

// Persisted is a znode's numbers as stored.
func (v View) Persisted(r Ref) proto.StatPersisted { return v.t.nodes.node(r).persisted() }

// NumChildren is the number of a znode's children.
func (v View) NumChildren(r Ref) int32 { return v.t.nodes.node(r).children }

// Digests are the part of the znode's digest over path and data, and the
// whole; inDigest is false for a znode that the tree's digest leaves out.
func (v View) Digests(r Ref) (crc, sum uint32, inDigest bool) {
	n := v.t.nodes.node(r)
	return n.crc, n.sum, n.flags&flagNoDigest == 0
}

// Data is a znode's data; nil is null.
func (v View) Data(r Ref) []byte { return v.t.data(v.t.nodes.node(r)) }

// ACL is a znode's access control list.
func (v View) ACL(r Ref) []proto.ACL { return v.t.aclOf(r) }

// OpenACL tells whether everyone may do everything with the znode.
func (v View) OpenACL(r Ref) bool { return v.t.nodes.node(r).acl == openACL }

// Path builds a znode's path.
func (v View) Path(r Ref) string { return v.t.path(r) }

// AppendChildren appends the names of a znode's children as a jute vector of
// strings.
func (v View) AppendChildren(b []byte, r Ref) []byte {
	n := v.t.nodes.node(r)
	b = binary.BigEndian.AppendUint32(b, uint32(n.children))
	for c := n.firstChild; c != 0; {
		k := v.t.nodes.node(c)
		b = binary.BigEndian.AppendUint32(b, k.nameLen)
		b = append(b, v.t.name(k)...)
		c = k.nextSib
	}
	return b
}

// Children calls yield with each child of r.
func (v View) Children(r Ref, yield func(Ref)) {
	for c := v.t.nodes.node(r).firstChild; c != 0; c = v.t.nodes.node(c).nextSib {
		yield(c)
	}
}

// Descendants counts the znodes below r.
func (v View) Descendants(r Ref) int {
	count := 0
	v.t.walk(r, func(Ref) { count++ })
	return count - 1
}

// Nodes is the number of znodes, the root included.
func (v View) Nodes() int { return v.t.nodes.live }

// DataSize is the number of bytes in paths and data.
func (v View) DataSize() int64 { return v.t.dataBytes }

// Ephemerals returns the paths of a session's ephemeral znodes.
func (v View) Ephemerals(session int64) []string {
	set := v.t.ephemerals[session]
	if len(set) == 0 {
		return nil
	}
	paths := make([]string, 0, len(set))
	for r := range set {
		paths = append(paths, v.t.path(r))
	}
	return paths
}

// EphemeralCount is the number of ephemeral znodes of all sessions.
func (v View) EphemeralCount() int { return v.t.ephCount }

// EachEphemeral calls yield with every session that has ephemeral znodes.
func (v View) EachEphemeral(yield func(session int64, paths []string)) {
	for s := range v.t.ephemerals {
		yield(s, v.Ephemerals(s))
	}
}

// Expendable calls yield with the path of each container and TTL znode that
// has no children.
func (v View) Expendable(yield func(path string, st proto.StatPersisted)) {
	for r := range v.t.containers {
		if n := v.t.nodes.node(r); n.children == 0 {
			yield(v.t.path(r), n.persisted())
		}
	}
}

// Sessions returns every session's timeout in milliseconds.
func (v View) Sessions() map[int64]int32 {
	m := make(map[int64]int32, len(v.t.sessions))
	for id, ms := range v.t.sessions {
		m[id] = ms
	}
	return m
}

// HasSession tells whether the session exists, and its timeout.
func (v View) HasSession(id int64) (timeoutMs int32, ok bool) {
	timeoutMs, ok = v.t.sessions[id]
	return
}

// Internals.

func (t *Tree) hash(path string) uint32 {
	return fold(maphash.String(t.seed, path))
}

func fold(h uint64) uint32 { return uint32(h) ^ uint32(h>>32) }

func (t *Tree) find(path string) Ref { return t.findHashed(path, t.hash(path)) }

// findHashed looks a path up by its hash and makes sure by comparing names
// upwards.
func (t *Tree) findHashed(path string, h uint32) Ref {
	if path == "" || path == "/" {
		return rootRef
	}
	if path[0] != '/' {
		return 0
	}
	for r := *t.index.bucket(h); r != 0; {
		n := t.nodes.node(r)
		if n.hash == h && t.isPath(n, path) {
			return r
		}
		r = n.hnext
	}
	return 0
}

func (t *Tree) isPath(n *node, path string) bool {
	end := len(path)
	for {
		start := end - int(n.nameLen)
		if start < 1 || path[start-1] != '/' || path[start:end] != string(t.name(n)) {
			return false
		}
		end = start - 1
		if n.parent == rootRef {
			return end == 0
		}
		n = t.nodes.node(n.parent)
	}
}

func (t *Tree) name(n *node) []byte { return t.arena.bytes(n.block, n.bytes())[:n.nameLen] }

func (t *Tree) data(n *node) []byte {
	if n.dataLen < 0 {
		return nil
	}
	if n.dataLen == 0 {
		return []byte{}
	}
	return t.arena.bytes(n.block, n.bytes())[n.nameLen:]
}

func (t *Tree) aclOf(r Ref) []proto.ACL { return t.acls.lists[t.nodes.node(r).acl].list }

// path builds r's path; the root's is "/".
func (t *Tree) path(r Ref) string {
	if r == rootRef {
		return "/"
	}
	return string(t.appendPath(nil, r))
}

// appendPath appends r's path; the root's is "".
func (t *Tree) appendPath(b []byte, r Ref) []byte {
	size := 0
	for k := r; k != rootRef; {
		n := t.nodes.node(k)
		size += 1 + int(n.nameLen)
		k = n.parent
	}
	at := len(b) + size
	b = append(b, make([]byte, size)...)
	for k := r; k != rootRef; {
		n := t.nodes.node(k)
		at -= int(n.nameLen)
		copy(b[at:], t.name(n))
		at--
		b[at] = '/'
		k = n.parent
	}
	return b
}

// walk visits r and all below it, parents first.
func (t *Tree) walk(r Ref, visit func(Ref)) {
	visit(r)
	at := r
	for {
		n := t.nodes.node(at)
		if n.firstChild != 0 {
			at = n.firstChild
		} else {
			for at != r && t.nodes.node(at).nextSib == 0 {
				at = t.nodes.node(at).parent
			}
			if at == r {
				return
			}
			at = t.nodes.node(at).nextSib
		}
		visit(at)
	}
}

// Split cuts a path into its parent's path ("" for the root) and its name.
func Split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// put adds a znode that is not there. Its parent is, unless path is the root's.
func (t *Tree) put(path string, data []byte, acl aclID, st *proto.StatPersisted) Ref {
	var parent Ref
	name := ""
	if path != "" {
		var up string
		up, name = Split(path)
		parent = t.find(up)
	}
	return t.putChild(parent, path, name, data, acl, st)
}

func (t *Tree) putChild(parent Ref, path, name string, data []byte, acl aclID, st *proto.StatPersisted) Ref {
	r := t.nodes.alloc()
	n := t.nodes.node(r)
	n.setPersisted(st)
	n.flags = flagLive
	n.acl = acl
	n.nameLen = uint32(len(name))
	n.dataLen = int32(len(data))
	if data == nil {
		n.dataLen = -1
	}
	if size := n.bytes(); size > 0 {
		n.block = t.arena.alloc(size)
		b := t.arena.bytes(n.block, size)
		copy(b, name)
		copy(b[len(name):], data)
	}
	n.crc = t.sums.Path(path, data)
	if parent != 0 {
		p := t.nodes.node(parent)
		if n.parent = parent; p.flags&flagNoDigest != 0 || path[:len(path)-len(name)] == proto.ZookeeperPath+"/" {
			n.flags |= flagNoDigest
		}
		if n.nextSib = p.firstChild; n.nextSib != 0 {
			t.nodes.node(n.nextSib).prevSib = r
		}
		p.firstChild = r
		p.children++
		n.hash = t.hash(path)
		t.index.insert(&t.nodes, r)
	}
	t.count(n)
	t.dataBytes += int64(len(path) + len(data))
	switch {
	case n.owner == 0:
	case proto.IsEphemeral(n.owner):
		set := t.ephemerals[n.owner]
		if set == nil {
			set = map[Ref]struct{}{}
			t.ephemerals[n.owner] = set
		}
		set[r] = struct{}{}
		t.ephCount++
	default:
		t.containers[r] = struct{}{}
	}
	return r
}

// remove takes out a znode that has no children.
func (t *Tree) remove(r Ref, pathLen int) {
	n := t.nodes.node(r)
	t.digest -= uint64(n.sum)
	t.dataBytes -= int64(pathLen) + int64(max(0, n.dataLen))
	p := t.nodes.node(n.parent)
	if n.prevSib != 0 {
		t.nodes.node(n.prevSib).nextSib = n.nextSib
	} else {
		p.firstChild = n.nextSib
	}
	if n.nextSib != 0 {
		t.nodes.node(n.nextSib).prevSib = n.prevSib
	}
	p.children--
	t.index.remove(&t.nodes, r)
	switch {
	case n.owner == 0:
	case proto.IsEphemeral(n.owner):
		set := t.ephemerals[n.owner]
		if delete(set, r); len(set) == 0 {
			delete(t.ephemerals, n.owner)
		}
		t.ephCount--
	default:
		delete(t.containers, r)
	}
	t.acls.drop(n.acl)
	t.arena.release(n.block, n.bytes())
	t.nodes.release(r)
}

// setData replaces a znode's data and leaves its numbers alone.
func (t *Tree) setData(n *node, path string, data []byte) {
	t.dataBytes += int64(len(data)) - int64(max(0, n.dataLen))
	old, size := n.bytes(), int(n.nameLen)+len(data)
	if !sameBlock(old, size) {
		block := t.arena.alloc(size)
		copy(t.arena.bytes(block, size), t.name(n))
		t.arena.release(n.block, old)
		n.block = block
	}
	n.dataLen = int32(len(data))
	if data == nil {
		n.dataLen = -1
	}
	copy(t.arena.bytes(n.block, size)[n.nameLen:], data)
	n.crc = t.sums.Path(path, data)
}

func cloneString(s string) string { return strings.Clone(s) }
