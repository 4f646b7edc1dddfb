// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"paddock/proto"
)

func newInflight() *inflight {
	f := new(inflight)
	f.init()
	return f
}

// hashed is as good as the tree's, but for the many paths that share one.
func hashed(path string) uint32 { return uint32(path[len(path)-1]) }

// old is what path was until now.
func (f *inflight) old(path string) *state {
	if s, ok := f.look(path, hashed(path)); ok {
		return &s
	}
	return &state{hash: hashed(path)}
}

// put sets a state that zxid z leaves at path, told apart by its version.
func (f *inflight) put(z proto.Zxid, path string, version int32, owner int64) {
	f.set(path, f.old(path), &state{exists: true, zxid: z, st: proto.StatPersisted{Version: version, EphemeralOwner: owner}})
}

func (t *futures) all() iter.Seq[*state] {
	return func(yield func(*state) bool) {
		for _, s := range t.buckets {
			for ; s != nil; s = s.next {
				if !yield(s) {
					return
				}
			}
		}
	}
}

func (f *inflight) shows(t *testing.T, want map[string]int32) {
	t.Helper()
	got := map[string]int32{}
	for s := range f.states.all() {
		got[s.path] = s.st.Version
	}
	if !maps.Equal(got, want) {
		t.Errorf("in flight are %v, want %v", got, want)
	}
}

func TestInflightForget(t *testing.T) {
	f := newInflight()
	f.put(1, "/a", 1, 0)
	f.put(2, "/b", 2, 0)
	f.put(3, "/a", 3, 0)
	f.forget(0)
	f.shows(t, map[string]int32{"/a": 3, "/b": 2})
	f.forget(1) // the later state of /a stays
	f.shows(t, map[string]int32{"/a": 3, "/b": 2})
	f.forget(2)
	f.shows(t, map[string]int32{"/a": 3})
	f.put(4, "/b", 4, 0)
	f.forget(3)
	f.shows(t, map[string]int32{"/b": 4})
	f.forget(9)
	f.shows(t, map[string]int32{})
	if len(f.queue) != 0 || f.from != 0 {
		t.Errorf("the queue keeps %d, from %d", len(f.queue), f.from)
	}
}

func TestInflightRollback(t *testing.T) {
	f := newInflight()
	f.put(1, "/a", 1, 0)
	f.put(2, "/b", 2, 0)
	f.begin()
	f.put(3, "/a", 3, 0)
	f.put(3, "/new", 3, 5)
	f.put(3, "/a", 33, 0)
	f.put(3, "/new", 33, 5)
	f.set("/b", f.old("/b"), &state{zxid: 3})
	f.rollback()
	f.shows(t, map[string]int32{"/a": 1, "/b": 2})
	if !f.old("/b").exists {
		t.Error("/b does not exist any more")
	}

	// A second multi sees nothing of the first, and can be undone by itself.
	f.begin()
	f.put(4, "/new", 4, 5)
	f.commit()
	f.put(5, "/c", 5, 0)
	f.begin()
	f.put(6, "/new", 6, 5)
	f.rollback()
	f.shows(t, map[string]int32{"/a": 1, "/b": 2, "/c": 5, "/new": 4})

	// What was rolled back neither forgets too early nor leaves anything.
	f.forget(3)
	f.shows(t, map[string]int32{"/c": 5, "/new": 4})
	f.forget(6)
	f.shows(t, map[string]int32{})
	if len(f.owned) != 0 {
		t.Errorf("sessions with ephemerals in flight: %v", f.owned)
	}
}

// TestInflightIsBounded: what is kept depends on what is in flight, not on
// what ever was, even if something always is.
func TestInflightIsBounded(t *testing.T) {
	const flight, total = 100, 100_000
	f := newInflight()
	for z := range proto.Zxid(total) {
		f.put(z+1, fmt.Sprintf("/e%d", z%7), int32(z), 0x100)
		f.put(z+1, fmt.Sprintf("/n%d", z), 0, 0)
		f.forget(z + 1 - flight)
	}
	if o := f.owned[0x100]; o == nil || len(o.paths) != flight || cap(o.paths) > 8*flight {
		t.Errorf("the session has %d paths in flight, room for %d, want %d", len(o.paths), cap(o.paths), flight)
	}
	if want := flight + 7; f.states.n != want {
		t.Errorf("%d states, want %d", f.states.n, want)
	}
	if c := cap(f.queue); c > 20_000 {
		t.Errorf("the queue has room for %d", c)
	}
	if len(f.spare) > 1024 {
		t.Errorf("%d spare states", len(f.spare))
	}
	f.forget(total)
	if f.states.n != 0 || len(f.owned) != 0 {
		t.Errorf("left are %v, %v", slices.Collect(f.states.all()), f.owned)
	}
}

// TestInflightGrows: however many are in flight, each is found, and no other.
func TestInflightGrows(t *testing.T) {
	const n = 3000
	f := newInflight()
	path := func(i int) string { return fmt.Sprintf("/%d%c", i, 'a'+i%20) }
	for i := range n {
		f.put(proto.Zxid(i+1), path(i), int32(i), 0)
	}
	for gone := 0; gone <= n; gone += 500 {
		f.forget(proto.Zxid(gone))
		for i := range n {
			s, ok := f.look(path(i), hashed(path(i)))
			if ok != (i >= gone) || ok && s.st.Version != int32(i) {
				t.Fatalf("%d forgotten: %s is %d, %v", gone, path(i), s.st.Version, ok)
			}
		}
		if f.states.n != n-gone {
			t.Fatalf("%d forgotten: %d states", gone, f.states.n)
		}
	}
}
