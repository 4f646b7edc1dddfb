// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestSizeClasses(t *testing.T) {
	last := -1
	for n := 1; n <= maxBlock; n++ {
		c := class(n)
		size := classBytes(c)
		if c != last && c != last+1 {
			t.Fatalf("class(%d) is %d after %d", n, c, last)
		}
		last = c
		if size < n || size%unit != 0 || size-n >= max(16, n/8+1) {
			t.Fatalf("%d bytes go into a block of %d", n, size)
		}
		if n == size && n < maxBlock && class(n+1) != c+1 {
			t.Fatalf("class %d is full at %d bytes, but takes %d", c, n, n+1)
		}
	}
	if last != classCount-1 {
		t.Errorf("the last class is %d, want %d", last, classCount-1)
	}
}

func TestSameBlock(t *testing.T) {
	for _, tc := range []struct {
		old, n int
		want   bool
	}{
		{1, 16, true}, {16, 17, false}, {0, 0, false}, {0, 5, false}, {5, 0, false}, {257, 288, true}, {288, 289, false},
		{maxBlock, maxBlock - 4095, true}, {maxBlock, maxBlock - 4096, false}, {maxBlock, maxBlock + 1, false}, {maxBlock + 1, maxBlock + 1, false},
	} {
		if got := sameBlock(tc.old, tc.n); got != tc.want {
			t.Errorf("sameBlock(%d, %d) = %t", tc.old, tc.n, got)
		}
	}
}

// TestArena keeps blocks of all sizes, each filled with bytes of its own, and
// gives them back at random: no two share a byte.
func TestArena(t *testing.T) {
	type block struct {
		r    ref
		n    int
		fill byte
	}
	rng := rand.New(rand.NewPCG(3, 4))
	size := func() int {
		switch rng.IntN(10) {
		case 0:
			return rng.IntN(3 * maxBlock)
		case 1, 2:
			return rng.IntN(4096)
		case 3:
			return 0
		}
		return rng.IntN(300)
	}
	rounded := func(n int) int64 {
		switch {
		case n == 0:
			return 0
		case n > maxBlock:
			return int64(n)
		}
		return int64(classBytes(class(n)))
	}
	var (
		mem  memory
		a    = arena{mem: &mem}
		live []block
		used int64
	)
	check := func(b block) {
		if got := a.bytes(b.r, b.n); len(got) != b.n || cap(got) != b.n || !bytes.Equal(got, bytes.Repeat([]byte{b.fill}, b.n)) {
			t.Fatalf("block %x of %d bytes was overwritten", b.r, b.n)
		}
	}
	for i := range 30000 {
		if len(live) > 2000 || len(live) > 0 && rng.IntN(3) == 0 {
			k := rng.IntN(len(live))
			check(live[k])
			a.release(live[k].r, live[k].n)
			used -= rounded(live[k].n)
			live[k] = live[len(live)-1]
			live = live[:len(live)-1]
		} else {
			b := block{n: size(), fill: byte(i)}
			b.r = a.alloc(b.n)
			for j := range a.bytes(b.r, b.n) {
				a.bytes(b.r, b.n)[j] = b.fill
			}
			used += rounded(b.n)
			live = append(live, b)
		}
		if a.used != used {
			t.Fatalf("%d bytes in use, want %d", a.used, used)
		}
	}
	for _, b := range live {
		check(b)
		a.release(b.r, b.n)
	}
	if a.used != 0 {
		t.Errorf("%d bytes in use at the end", a.used)
	}
	regions := len(a.regions)
	if len(a.slots) != len(a.large) {
		t.Errorf("%d of %d large slots are free", len(a.slots), len(a.large))
	}
	for i, b := range a.large {
		if b != nil {
			t.Errorf("large slot %d holds on to %d bytes", i, len(b))
		}
	}
	mem.close()
	if len(mem.extents) != 0 || regions == 0 {
		t.Errorf("%d regions, then %d extents", regions, len(mem.extents))
	}
}

// TestArenaReuse: memory that was given back is used again for its size.
func TestArenaReuse(t *testing.T) {
	for _, n := range []int{1, 16, 17, 256, 257, 5000, maxBlock, maxBlock + 1, 1 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var mem memory
			defer mem.close()
			a := arena{mem: &mem}
			first, second := a.alloc(n), a.alloc(n)
			if first == second || first == 0 || second == 0 {
				t.Fatalf("blocks %x and %x", first, second)
			}
			a.release(first, n)
			a.release(second, n)
			if r := a.alloc(n); r != second {
				t.Errorf("then block %x, want %x again", r, second)
			}
			if r := a.alloc(n); r != first {
				t.Errorf("then block %x, want %x again", r, first)
			}
		})
	}
	t.Run("a tree that is written over and over", func(t *testing.T) {
		tr, h := New(), newHistory(1, 8, 3)
		defer tr.Close()
		for range 3000 {
			applyAll(tr, h.settled(300))
		}
		before := len(tr.arena.regions)
		for range 20000 {
			h.now++
			path := h.pick()
			if path == "" {
				continue
			}
			r := tr.find(path)
			data := bytes.Repeat([]byte{1}, len(tr.data(tr.nodes.node(r))))
			tr.setData(tr.nodes.node(r), path, data)
		}
		if got := len(tr.arena.regions); got > before {
			t.Errorf("%d regions grew to %d", before, got)
		}
	})
}
