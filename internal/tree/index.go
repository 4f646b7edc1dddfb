// SPDX-License-Identifier: Apache-2.0

package tree

import "unsafe"

// index finds a znode by the hash of its path. It is a linear hash table: it
// grows by splitting one bucket per insertion, so that no insertion is ever
// slow, however large the tree. Chains run through node.hnext.
type index struct {
	chunks [][]Ref
	mem    *memory
	mask   uint32 // buckets at the start of this doubling, minus 1
	split  uint32 // next bucket to split
	count  uint32
}

const (
	bucketShift = 16
	bucketChunk = 1 << bucketShift
)

// newIndex returns an index with room for count znodes before it grows.
func newIndex(mem *memory, count int) index {
	buckets := bucketChunk
	for buckets < 2*count {
		buckets *= 2
	}
	x := index{mem: mem, mask: uint32(buckets - 1)}
	for range buckets / bucketChunk {
		x.addChunk()
	}
	return x
}

func (x *index) addChunk() {
	b := x.mem.get(bucketChunk * int(unsafe.Sizeof(Ref(0))))
	x.chunks = append(x.chunks, unsafe.Slice((*Ref)(unsafe.Pointer(unsafe.SliceData(b))), bucketChunk))
}

func (x *index) bucket(h uint32) *Ref {
	b := h & x.mask
	if b < x.split {
		b = h & (x.mask<<1 | 1)
	}
	return &x.chunks[b>>bucketShift][b&(bucketChunk-1)]
}

func (x *index) insert(s *slabs, r Ref) {
	n := s.node(r)
	b := x.bucket(n.hash)
	n.hnext, *b = *b, r
	// Half full: a chain that a lookup has to follow costs a cache miss a znode.
	if x.count++; x.count > (x.mask+1+x.split)/2 {
		x.grow(s)
	}
}

// grow splits one bucket in two.
func (x *index) grow(s *slabs) {
	to := x.mask + 1 + x.split
	if int(to>>bucketShift) == len(x.chunks) {
		x.addChunk()
	}
	from := &x.chunks[x.split>>bucketShift][x.split&(bucketChunk-1)]
	dest := &x.chunks[to>>bucketShift][to&(bucketChunk-1)]
	var stay, move Ref
	for r := *from; r != 0; {
		n := s.node(r)
		next := n.hnext
		if n.hash&(x.mask<<1|1) == to {
			n.hnext, move = move, r
		} else {
			n.hnext, stay = stay, r
		}
		r = next
	}
	*from, *dest = stay, move
	if x.split++; x.split > x.mask {
		x.mask, x.split = x.mask<<1|1, 0
	}
}

func (x *index) remove(s *slabs, r Ref) {
	n := s.node(r)
	for p := x.bucket(n.hash); *p != 0; p = &s.node(*p).hnext {
		if *p == r {
			*p = n.hnext
			x.count--
			return
		}
	}
	panic("tree: a znode is missing from the index")
}
