// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func expired(t *Tracker, now int64) (ids []int64) {
	t.Expire(now, func(s *Session) { ids = append(ids, s.ID()) })
	slices.Sort(ids)
	return ids
}

// deadline = ((last touch + timeout) / tick + 1) * tick
func TestDeadline(t *testing.T) {
	for _, tc := range []struct {
		tick, now int64
		timeout   int32
		want      int64
	}{
		{2000, 0, 4000, 6000},
		{2000, 1, 4000, 6000},
		{2000, 1999, 4000, 6000},
		{2000, 2000, 4000, 8000},
		{2000, 1100, 4000, 6000}, // 4.9 s after the touch, as measured on the reference
		{100, 12345, 1000, 13400},
		{1, 10, 5, 16},
	} {
		tr := NewTracker(tc.tick)
		s := tr.Add(1, tc.timeout, tc.now)
		if s.Deadline() != tc.want {
			t.Errorf("tick %d, %d + %d: %d, want %d", tc.tick, tc.now, tc.timeout, s.Deadline(), tc.want)
		}
		if got := expired(tr, tc.want-1); got != nil {
			t.Errorf("tick %d, %d + %d: expired early", tc.tick, tc.now, tc.timeout)
		}
		if at := tr.Next(tc.want - 1); at != tc.want {
			t.Errorf("Next(%d) = %d", tc.want-1, at)
		}
		if got := expired(tr, tc.want); len(got) != 1 {
			t.Errorf("tick %d, %d + %d: not expired", tc.tick, tc.now, tc.timeout)
		}
	}
}

func TestTouch(t *testing.T) {
	tr := NewTracker(100)
	s := tr.Add(1, 1000, 0)
	s.Touch(500, 1000)
	if got := expired(tr, 1599); got != nil {
		t.Fatalf("%v expired before 1600", got)
	}
	s.Touch(900, 300) // reconnected with a shorter timeout: the deadline comes nearer
	if got := expired(tr, 1299); got != nil {
		t.Fatalf("%v expired before 1300", got)
	}
	if s.Timeout() != 1000 {
		t.Errorf("timeout became %d", s.Timeout())
	}
	if got := expired(tr, 1300); !slices.Equal(got, []int64{1}) {
		t.Fatalf("%v expired", got)
	}
	if !s.Closing() || s.SetClosing() {
		t.Error("expired, but not closing")
	}
	s.Touch(1300, 1000) // too late
	if got := expired(tr, 9999); got != nil {
		t.Errorf("%v expired twice", got)
	}
	if tr.Get(1) != s || tr.Len() != 1 {
		t.Error("forgotten before Remove")
	}
	tr.Remove(1)
	tr.Remove(1)
	if tr.Get(1) != nil || tr.Len() != 0 {
		t.Error("known after Remove")
	}
}

func TestAddAgainTouches(t *testing.T) {
	tr := NewTracker(100)
	s := tr.Add(7, 1000, 0)
	if tr.Add(7, 2000, 500) != s || s.Timeout() != 1000 || s.Deadline() != 2600 || tr.Len() != 1 {
		t.Errorf("timeout %d, deadline %d, %d sessions", s.Timeout(), s.Deadline(), tr.Len())
	}
}

func TestRemovedAndClosingDoNotExpire(t *testing.T) {
	tr := NewTracker(100)
	for id := range int64(5) {
		tr.Add(id+1, 1000, 0) // one bucket: its first, a middle one and its last go
	}
	gone := tr.Get(2)
	tr.Remove(1)
	tr.Remove(2)
	tr.Remove(5)
	gone.Touch(0, 10)
	if !tr.Get(3).SetClosing() {
		t.Error("was closing")
	}
	if got := expired(tr, 5000); !slices.Equal(got, []int64{4}) {
		t.Errorf("%v expired", got)
	}
	var left []int64
	tr.Each(func(s *Session) { left = append(left, s.ID()) })
	slices.Sort(left)
	if !slices.Equal(left, []int64{3, 4}) {
		t.Errorf("%v are left", left)
	}
	if len(tr.buckets) != 0 {
		t.Errorf("%d buckets are left", len(tr.buckets))
	}
}

// The visitor may use the tracker.
func TestExpireHoldsNoLock(t *testing.T) {
	tr := NewTracker(100)
	tr.Add(1, 100, 0)
	tr.Add(2, 100, 0)
	tr.Expire(1000, func(s *Session) {
		tr.Remove(s.ID())
		tr.Add(s.ID()+10, 100, 1000)
	})
	tr.Each(func(s *Session) { tr.Get(s.ID()).Touch(1000, 200) })
	if got := expired(tr, 1300); !slices.Equal(got, []int64{11, 12}) {
		t.Errorf("%v expired", got)
	}
}

func TestOwner(t *testing.T) {
	s := NewTracker(1).Add(1, 1, 0)
	a, b := new(int), new(int)
	if s.Owner() != nil || s.Release(a) || s.Release(nil) {
		t.Error("a new session has an owner")
	}
	s.SetOwner(a)
	if s.Owner() != any(a) || s.Release(b) || s.Owner() != any(a) {
		t.Error("released by another")
	}
	s.SetOwner(int64(3)) // another type
	if s.Release(a) || !s.Release(int64(3)) || s.Owner() != nil {
		t.Error("not released")
	}
	s.SetOwner(b)
	s.SetOwner(nil)
	if s.Owner() != nil {
		t.Error("has an owner still")
	}
}

// TestAgainstModel holds random histories against "deadline of the last touch".
// A failure prints the seed of its history.
func TestAgainstModel(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(100) {
		seed := base + i
		rng := rand.New(rand.NewPCG(seed, 0))
		tick := 1 + rng.Int64N(50)
		tr, model := NewTracker(tick), map[int64]int64{}
		closing := map[int64]bool{}
		for now, step := int64(0), 0; step < 500; step++ {
			id, timeout := rng.Int64N(20), int32(rng.IntN(300))
			end := ((now+int64(timeout))/tick + 1) * tick
			switch rng.IntN(6) {
			case 0:
				tr.Add(id, timeout, now)
				model[id] = end
			case 1, 2:
				if s := tr.Get(id); s != nil {
					s.Touch(now, timeout)
					model[id] = end
				}
			case 3:
				if rng.IntN(4) == 0 {
					tr.Remove(id)
					delete(model, id)
					delete(closing, id)
				}
			default:
				now += rng.Int64N(100)
				var want []int64
				for id, at := range model {
					if at <= now && !closing[id] {
						want = append(want, id)
						closing[id] = true
					}
				}
				slices.Sort(want)
				if got := expired(tr, now); !slices.Equal(got, want) {
					t.Fatalf("seed %#x, step %d: at %d %v expired, want %v", seed, step, now, got, want)
				}
			}
			if tr.Len() != len(model) {
				t.Fatalf("seed %#x, step %d: %d sessions, want %d", seed, step, tr.Len(), len(model))
			}
		}
	}
}

// Sessions that are touched in time never expire, whatever the timing of
// touches and expiry; the clock is a counter that they share.
func TestConcurrentTouch(t *testing.T) {
	const sessions, tick = 64, 10
	tr := NewTracker(tick)
	var clock atomic.Int64
	for id := range int64(sessions) {
		tr.Add(id, 1_000_000, 0)
	}
	tr.Add(sessions, 50, 0) // never touched
	var all sync.WaitGroup
	for worker := range int64(4) {
		all.Go(func() {
			for round := range 2000 {
				now := clock.Add(1)
				id := (int64(round)*4 + worker) % sessions
				// Long and short by turns: the deadline moves both ways, never near.
				tr.Get(id).Touch(now, int32(1_000_000-500_000*(round%2)))
				if round%50 == 0 {
					tr.Add(1000+worker, 100_000, now)
					tr.Remove(1000 + worker)
				}
			}
		})
	}
	var ids []int64
	all.Go(func() {
		for range 500 {
			tr.Expire(clock.Add(3), func(s *Session) { ids = append(ids, s.ID()) })
		}
	})
	all.Wait()
	if !slices.Equal(ids, []int64{sessions}) {
		t.Errorf("%v expired", ids)
	}
	// What the touches left behind is in order: all go at their deadlines.
	last := int64(0)
	tr.Each(func(s *Session) { last = max(last, s.Deadline()) })
	if got := expired(tr, last); len(got) != sessions || len(tr.buckets) != 0 {
		t.Errorf("%d expired, %d buckets left", len(got), len(tr.buckets))
	}
}

// TestReset: the sessions are those that are known, none is closing, and each
// has its full timeout.
func TestReset(t *testing.T) {
	tr := NewTracker(100)
	kept, closing, gone := tr.Add(1, 1000, 0), tr.Add(2, 1000, 0), tr.Add(3, 1000, 0)
	kept.SetOwner("a connection")
	closing.SetClosing()
	if got := expired(tr, 1200); !slices.Equal(got, []int64{1, 3}) { // and are closing too
		t.Fatalf("%v expired", got)
	}
	left := tr.Reset(map[int64]int32{1: 1000, 2: 1000, 4: 500}, 5000)
	if len(left) != 1 || left[0] != gone {
		t.Errorf("forgotten are %v", left)
	}
	if tr.Get(1) != kept || tr.Get(2) != closing || tr.Get(3) != nil || tr.Get(4) == nil || tr.Len() != 3 {
		t.Error("the wrong sessions are known")
	}
	if kept.Closing() || closing.Closing() || kept.Owner() != "a connection" {
		t.Error("a session is closing, or has lost its owner")
	}
	if got := expired(tr, 5599); got != nil {
		t.Errorf("%v expired before 5600", got)
	}
	if got := expired(tr, 5600); !slices.Equal(got, []int64{4}) {
		t.Errorf("%v expired at 5600", got)
	}
	if got := expired(tr, 6100); !slices.Equal(got, []int64{1, 2}) || len(tr.buckets) != 0 {
		t.Errorf("%v expired at 6100, %d buckets left", got, len(tr.buckets))
	}
}

func TestClaim(t *testing.T) {
	s := NewTracker(100).Add(1, 1000, 0)
	for i, tc := range []struct {
		owner int
		want  bool
	}{{7, true}, {8, false}, {7, true}} { // the first has it, and nobody else
		if s.Claim(tc.owner) != tc.want {
			t.Errorf("claim %d by %d is %t", i, tc.owner, !tc.want)
		}
	}
	if s.SetOwner(8); s.Claim(7) || !s.Claim(8) {
		t.Error("SetOwner does not count")
	}
	if !s.Release(8) || !s.Claim(7) {
		t.Error("it cannot be claimed after its release")
	}
}

func TestTouchDoesNotAllocate(t *testing.T) {
	s := NewTracker(10).Add(1, 1000, 0)
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() { now += 7; s.Touch(now, 1000) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTouch(b *testing.B) {
	tr := NewTracker(2000)
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		s := tr.Add(next.Add(1), 10000, 0)
		for now := int64(0); pb.Next(); now++ {
			s.Touch(now, 10000)
		}
	})
}

// One tick of 50,000 sessions with a timeout of 5 ticks, all touched.
func BenchmarkExpireTouched(b *testing.B) {
	tr := NewTracker(2000)
	var all []*Session
	for id := range int64(50_000) {
		all = append(all, tr.Add(id, 10_000, id%10_000))
	}
	b.ReportAllocs()
	now := int64(10_000)
	for b.Loop() {
		b.StopTimer()
		now += 2000
		for _, s := range all {
			s.Touch(now, 10_000)
		}
		b.StartTimer()
		tr.Expire(now, func(*Session) { b.Fatal("expired") })
	}
}
