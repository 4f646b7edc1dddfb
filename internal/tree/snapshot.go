// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"paddock/proto"
)

// Snapshot reads the tree for a snapshot file while the applier goes on. It
// holds the znodes that existed at its zxid and still do when their turn
// comes, some of them as they are later than that: replay of the log from its
// zxid on brings all to the same end (storage-format.md section 7). A znode
// created after its zxid is left out, since the log will make it; so no path
// comes twice and no child without its parent.
type Snapshot struct {
	Zxid     proto.Zxid
	Znodes   int // how many there were, the root included
	t        *Tree
	sessions map[int64]int32
	lists    []SnapshotACL
	limit    Ref
	done     []uint64      // bit by Ref: written
	oldACL   map[Ref]aclID // lists replaced since, of znodes that may not be written yet
}

// SnapshotACL is one list and the key znodes name it by.
type SnapshotACL struct {
	Key  int64
	List []proto.ACL
}

// snapshotBatch is how many znodes are copied under one read lock.
const snapshotBatch = 256

// Snapshot begins a snapshot of the tree as it stands. It waits for another
// one to end. Close must be called.
func (t *Tree) Snapshot() *Snapshot {
	t.snapMu.Lock()
	t.lock.lock()
	defer t.lock.unlock()
	s := &Snapshot{Zxid: t.zxid, Znodes: t.nodes.live, t: t, sessions: View{t: t}.Sessions(), limit: t.nodes.next, oldACL: map[Ref]aclID{}}
	s.done = make([]uint64, s.limit/64+1)
	for id, e := range t.acls.lists {
		if e.refs > 0 {
			s.lists = append(s.lists, SnapshotACL{int64(id), e.list})
		}
	}
	t.acls.hold()
	t.snap = s
	return s
}

// Close ends the snapshot.
func (s *Snapshot) Close() {
	s.t.lock.lock()
	s.t.snap = nil
	s.t.acls.unhold()
	s.t.lock.unlock()
	s.t.snapMu.Unlock()
}

// Sessions at the snapshot's beginning, with their timeouts in milliseconds.
func (s *Snapshot) Sessions() map[int64]int32 { return s.sessions }

// ACLs at the snapshot's beginning.
func (s *Snapshot) ACLs() []SnapshotACL { return s.lists }

// End returns the zxid of the last transaction applied and the digest of the
// tree after it.
func (s *Snapshot) End() (proto.Zxid, uint64) {
	v := s.t.View(0)
	defer v.Close()
	return v.Zxid(), v.Digest()
}

// keepACL remembers the list of a znode whose list is about to change: the
// file's table of lists may lack the new one.
func (s *Snapshot) keepACL(r Ref, n *node) {
	if _, ok := s.oldACL[r]; !ok && n.czxid <= int64(s.Zxid) {
		s.oldACL[r] = n.acl
	}
}

type snapNode struct {
	path, data int // lengths in the batch's bytes
	null       bool
	acl        aclID
	st         proto.StatPersisted
}

// Nodes calls yield for each znode, parents first; the root's path is "". The
// bytes are valid during the call. No lock is held while yield runs.
func (s *Snapshot) Nodes(yield func(path, data []byte, aclKey int64, st *proto.StatPersisted) error) error {
	var (
		batch []snapNode
		bytes []byte
		chain []Ref
	)
	t := s.t
	for at := rootRef; at < s.limit; {
		batch, bytes = batch[:0], bytes[:0]
		t.lock.rlock(uint32(at))
		slot := uint32(at)
		for ; at < s.limit && len(batch) < snapshotBatch && len(bytes) < 1<<20; at++ {
			chain = chain[:0]
			for r := at; r != 0 && s.wanted(r); r = t.nodes.node(r).parent {
				chain = append(chain, r)
			}
			for i := len(chain) - 1; i >= 0; i-- {
				r := chain[i]
				n := t.nodes.node(r)
				s.done[r/64] |= 1 << (r % 64)
				k := snapNode{null: n.dataLen < 0, acl: n.acl, st: n.persisted()}
				if old, ok := s.oldACL[r]; ok {
					k.acl = old
				}
				start := len(bytes)
				bytes = t.appendPath(bytes, r)
				k.path = len(bytes) - start
				data := t.data(n)
				bytes = append(bytes, data...)
				k.data = len(data)
				batch = append(batch, k)
			}
		}
		t.lock.runlock(slot)
		rest := bytes
		for i := range batch {
			k := &batch[i]
			data := rest[k.path : k.path+k.data]
			if k.null {
				data = nil
			}
			if err := yield(rest[:k.path], data, k.acl.diskKey(), &k.st); err != nil {
				return err
			}
			rest = rest[k.path+k.data:]
		}
	}
	return nil
}

// wanted tells whether the znode at r is to be written and is not yet.
func (s *Snapshot) wanted(r Ref) bool {
	n := s.t.nodes.node(r)
	return n.flags&flagLive != 0 && n.czxid <= int64(s.Zxid) && r < s.limit && s.done[r/64]&(1<<(r%64)) == 0
}
