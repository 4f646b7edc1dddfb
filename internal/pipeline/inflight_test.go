// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
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

// put sets a state that zxid z leaves at path, told apart by its version.
func (f *inflight) put(z proto.Zxid, path string, version int32, owner int64) {
	f.set(path, f.states[path], &state{exists: true, zxid: z, st: proto.StatPersisted{Version: version, EphemeralOwner: owner}})
}

func (f *inflight) shows(t *testing.T, want map[string]int32) {
	t.Helper()
	got := map[string]int32{}
	for p, s := range f.states {
		got[p] = s.st.Version
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
	f.set("/b", f.states["/b"], &state{zxid: 3})
	f.rollback()
	f.shows(t, map[string]int32{"/a": 1, "/b": 2})
	if !f.states["/b"].exists {
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
	if want := flight + 7; len(f.states) != want {
		t.Errorf("%d states, want %d", len(f.states), want)
	}
	if c := cap(f.queue); c > 20_000 {
		t.Errorf("the queue has room for %d", c)
	}
	if len(f.spare) > 1024 {
		t.Errorf("%d spare states", len(f.spare))
	}
	f.forget(total)
	if len(f.states) != 0 || len(f.owned) != 0 {
		t.Errorf("left are %v, %v", slices.Collect(maps.Keys(f.states)), f.owned)
	}
}
