// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"unsafe"

	"paddock/proto"
)

// Ref names a znode inside one View. Zero is none.
type Ref uint32

const rootRef Ref = 1

// node is a znode without its bytes, and without a pointer. Name and data lie
// together in one block of the arena. It fills two cache lines, the first with
// what a lookup needs: a smaller node would straddle three.
type node struct {
	hash             uint32 // of the path
	hnext            Ref    // next in the index's chain; next free node
	parent           Ref
	nameLen          uint32
	dataLen          int32 // -1: null
	block            ref
	acl              aclID
	flags            uint32
	crc              uint32 // CRC-32 of path and data: what its digest starts from
	sum              uint32 // its digest
	firstChild       Ref
	prevSib, nextSib Ref
	children         int32
	version          int32
	cversion         int32 // creates of children

	aversion            int32
	_                   [3]uint32
	czxid, mzxid, pzxid int64
	ctime, mtime        int64
	owner               int64 // ephemeralOwner as stored
}

const (
	flagLive     uint32 = 1 << iota
	flagNoDigest        // below /zookeeper: not part of the tree's digest
)

func (n *node) bytes() int { return int(n.nameLen) + max(0, int(n.dataLen)) }

const (
	slabShift = 12
	slabNodes = 1 << slabShift
)

// slabs hold the nodes. A node never moves.
type slabs struct {
	chunks [][]node
	mem    *memory
	next   Ref // first node never used
	free   Ref // chain of nodes to use again
	live   int
}

func (s *slabs) node(r Ref) *node { return &s.chunks[r>>slabShift][r&(slabNodes-1)] }

func (s *slabs) alloc() Ref {
	s.live++
	if r := s.free; r != 0 {
		n := s.node(r)
		s.free = n.hnext
		*n = node{}
		return r
	}
	if s.next == 0 {
		s.next = rootRef
	}
	if int(s.next>>slabShift) == len(s.chunks) {
		b := s.mem.get(slabNodes * int(unsafe.Sizeof(node{})))
		s.chunks = append(s.chunks, unsafe.Slice((*node)(unsafe.Pointer(unsafe.SliceData(b))), slabNodes))
	}
	r := s.next
	s.next++
	return r
}

func (s *slabs) release(r Ref) {
	s.live--
	n := s.node(r)
	*n = node{hnext: s.free}
	s.free = r
}

func (n *node) persisted() proto.StatPersisted {
	return proto.StatPersisted{
		Czxid: proto.Zxid(n.czxid), Mzxid: proto.Zxid(n.mzxid), Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: n.cversion, Aversion: n.aversion,
		EphemeralOwner: n.owner, Pzxid: proto.Zxid(n.pzxid),
	}
}

func (n *node) setPersisted(st *proto.StatPersisted) {
	n.czxid, n.mzxid, n.pzxid = int64(st.Czxid), int64(st.Mzxid), int64(st.Pzxid)
	n.ctime, n.mtime, n.owner = st.Ctime, st.Mtime, st.EphemeralOwner
	n.version, n.cversion, n.aversion = st.Version, st.Cversion, st.Aversion
}

func (n *node) stat() proto.Stat {
	owner := n.owner
	if !proto.IsEphemeral(owner) {
		owner = 0
	}
	return proto.Stat{
		Czxid: proto.Zxid(n.czxid), Mzxid: proto.Zxid(n.mzxid), Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: 2*n.cversion - n.children, Aversion: n.aversion,
		EphemeralOwner: owner, DataLength: max(0, n.dataLen), NumChildren: n.children, Pzxid: proto.Zxid(n.pzxid),
	}
}
