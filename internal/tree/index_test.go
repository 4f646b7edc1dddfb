// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestIndex grows an index far beyond its first size, with collisions, and
// removes at random, beside a map.
func TestIndex(t *testing.T) {
	for _, room := range []int{0, 300_000} {
		t.Run(fmt.Sprintf("room for %d", room), func(t *testing.T) {
			const inserts = 200_000
			rng := rand.New(rand.NewPCG(5, 6))
			var mem memory
			defer mem.close()
			s := slabs{mem: &mem}
			x := newIndex(&mem, room)
			has := func(h uint32, r Ref) bool {
				for k := *x.bucket(h); k != 0; k = s.node(k).hnext {
					if k == r {
						return true
					}
				}
				return false
			}
			want := map[Ref]uint32{}
			var refs []Ref
			drop := func() {
				i := rng.IntN(len(refs))
				r := refs[i]
				refs[i] = refs[len(refs)-1]
				refs = refs[:len(refs)-1]
				x.remove(&s, r)
				if has(want[r], r) {
					t.Fatalf("znode %d is still there", r)
				}
				delete(want, r)
				s.release(r)
			}
			for i := range inserts {
				r := s.alloc()
				h := rng.Uint32()
				if i%7 == 0 {
					h = uint32(i % 1000) // they collide
				}
				s.node(r).hash = h
				x.insert(&s, r)
				if want[r] != 0 || !has(h, r) {
					t.Fatalf("znode %d is not there, or a second time", r)
				}
				want[r] = h
				refs = append(refs, r)
				if rng.IntN(4) == 0 {
					drop()
				}
			}
			check := func() {
				t.Helper()
				if int(x.count) != len(want) || s.live != len(want) {
					t.Fatalf("%d in the index, %d znodes, want %d", x.count, s.live, len(want))
				}
				for r, h := range want {
					if !has(h, r) {
						t.Fatalf("znode %d is lost", r)
					}
				}
			}
			check()
			if buckets := int(x.mask + 1 + x.split); buckets < len(want) {
				t.Errorf("%d buckets for %d znodes", buckets, len(want))
			}
			for len(refs) > 1000 {
				drop()
			}
			check()
			if room > 0 && x.split != 0 {
				t.Error("it grew although there was room")
			}
		})
	}
}

// TestFindByPath: paths that differ in where the slashes are, or that a name
// ends, are different paths.
func TestFindByPath(t *testing.T) {
	tr, h := New(), newHistory(1, 2, 2)
	defer tr.Close()
	for _, p := range []string{"/a", "/a/b", "/ab", "/a/b/c", "/é", "/b"} {
		x := h.header()
		s := h.createStep(x, p, -1)
		x.Type, x.Body = s.Type, s.Body
		applyAll(tr, x)
	}
	v := tr.View(0)
	defer v.Close()
	for p, there := range map[string]bool{
		"/a": true, "/a/b": true, "/ab": true, "/a/b/c": true, "/é": true, "": true, "/": true, "/b": true,
		"a": false, "/a/": false, "//a": false, "/a//b": false, "/abc": false, "/a/c": false, "/b/c": false, "ab": false, "/c": false, "a/b": false, "/a/b/": false,
	} {
		if got := v.Find(p) != 0; got != there {
			t.Errorf("Find(%q) = %t", p, got)
		}
	}
}
