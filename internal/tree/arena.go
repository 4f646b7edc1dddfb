// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"encoding/binary"
	"math/bits"
)

// An arena holds the names and data of znodes in memory that the garbage
// collector neither scans nor counts. It is a set of regions of 1 MiB; a block
// is named by a ref: the region in the high bits, the offset in units of 16
// bytes in the low 16. Blocks come in size classes at most 12.5 % apart above
// 256 bytes and 16 bytes apart below; a freed block goes to its class's list
// and is used again for the same class. Larger blocks are the heap's.
//
// All methods belong to the tree's writer, but bytes, which readers may call
// under the read lock.
type arena struct {
	mem     *memory
	regions [][]byte
	free    [classCount]ref // head of each class's list; a free block's first 4 bytes name the next
	run     [classCount]run
	next    int      // bytes handed out of the last region
	large   [][]byte // blocks above maxBlock, by slot
	slots   []uint32 // free slots of large
	used    int64    // bytes in live blocks, rounded to their class
}

// ref names a block. Zero is none.
type ref uint32

type run struct{ at, end ref }

const (
	regionBytes = 1 << 20
	unit        = 16
	unitsShift  = 16 // units per region, as a power of two
	maxBlock    = 64 << 10
	runBytes    = 32 << 10
	largeBit    = ref(1) << 31
	classCount  = 16 + 8*8 // 16..256 by 16, then 8 steps in each doubling up to 64 KiB
)

// class returns the size class of n bytes, 0 < n <= maxBlock.
func class(n int) int {
	if n <= 256 {
		return (n+15)/16 - 1
	}
	p := bits.Len(uint(n-1)) - 1 // 2^p < n <= 2^(p+1), p >= 8
	step := 1 << (p - 3)
	return 16 + (p-8)*8 + (n-1-1<<p)/step
}

// classBytes is the size of class c's blocks, a multiple of 16.
func classBytes(c int) int {
	if c < 16 {
		return (c + 1) * 16
	}
	p := 8 + (c-16)/8
	return 1<<p + ((c-16)%8+1)<<(p-3)
}

// alloc returns a block of at least n bytes.
func (a *arena) alloc(n int) ref {
	if n == 0 {
		return 0
	}
	if n > maxBlock {
		return a.allocLarge(n)
	}
	c := class(n)
	size := classBytes(c)
	a.used += int64(size)
	if r := a.free[c]; r != 0 {
		a.free[c] = ref(binary.LittleEndian.Uint32(a.at(r)))
		return r
	}
	u := &a.run[c]
	if u.at == u.end {
		*u = a.newRun(size)
	}
	r := u.at
	u.at += ref(size / unit)
	return r
}

// newRun takes room for blocks of one size off the last region.
func (a *arena) newRun(size int) run {
	n := max(1, runBytes/size)
	if len(a.regions) == 0 || a.next+n*size > regionBytes {
		if len(a.regions) >= 1<<15 {
			panic("tree: 32 GiB of names and data are in memory, more cannot be addressed")
		}
		a.regions = append(a.regions, a.mem.get(regionBytes))
		a.next = 0
		if len(a.regions) == 1 {
			a.next = unit // ref 0 is none
		}
	}
	at := ref((len(a.regions)-1)<<unitsShift | a.next/unit)
	a.next += n * size
	return run{at, at + ref(n*size/unit)}
}

func (a *arena) allocLarge(n int) ref {
	a.used += int64(n)
	b := make([]byte, n)
	if k := len(a.slots); k > 0 {
		s := a.slots[k-1]
		a.slots = a.slots[:k-1]
		a.large[s] = b
		return largeBit | ref(s)
	}
	a.large = append(a.large, b)
	return largeBit | ref(len(a.large)-1)
}

// release gives back a block of n bytes.
func (a *arena) release(r ref, n int) {
	if r == 0 {
		return
	}
	if r&largeBit != 0 {
		a.used -= int64(n)
		s := uint32(r &^ largeBit)
		a.large[s] = nil
		a.slots = append(a.slots, s)
		return
	}
	c := class(n)
	a.used -= int64(classBytes(c))
	binary.LittleEndian.PutUint32(a.at(r), uint32(a.free[c]))
	a.free[c] = r
}

// at returns the memory from r to the end of its region.
func (a *arena) at(r ref) []byte {
	return a.regions[r>>unitsShift][int(r&(1<<unitsShift-1))*unit:]
}

// bytes returns the n bytes of block r.
func (a *arena) bytes(r ref, n int) []byte {
	switch {
	case r == 0:
		return nil
	case r&largeBit != 0:
		return a.large[r&^largeBit][:n:n]
	}
	return a.at(r)[:n:n]
}

// sameBlock tells whether a block of size old can hold size n as it stands.
func sameBlock(old, n int) bool {
	return old > 0 && n > 0 && old <= maxBlock && n <= maxBlock && class(old) == class(n)
}
