// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What is used, window after window, and how many processors follow from it.
func TestRule(t *testing.T) {
	for _, c := range []struct {
		name       string
		from, most int
		used       []float64
		windows    int // of each used
		want       int
	}{
		{"idle for not long enough", 8, 8, []float64{0}, quiet - 1, 8},
		{"idle", 8, 8, []float64{0}, quiet, 4},
		{"idle for long", 8, 8, []float64{0}, 10 * quiet, 1},
		{"work now and then keeps all", 2, 2, []float64{0, 0.8, 0, 0.8}, quiet - 1, 2},
		{"half of them would be too busy", 2, 2, []float64{0.75}, 5 * quiet, 2},
		{"half of them would do", 2, 2, []float64{0.65}, quiet, 1},
		{"one that is busy becomes two at once", 1, 8, []float64{0.9}, 1, 2},
		{"and eight when they all are", 1, 8, []float64{0.9, 1.8, 3.6}, 1, 8},
		{"no more than there are", 8, 8, []float64{8}, 3, 8},
		{"an odd number", 1, 6, []float64{0.9, 1.8, 3.6}, 1, 6},
		{"the most has shrunk", 8, 4, []float64{3}, 1, 4},
		{"two are neither bored nor busy with what one was busy with", 2, 2, []float64{raise}, 10 * quiet, 2},
	} {
		r := rule{now: c.from}
		for _, u := range c.used {
			for range c.windows {
				r.next(u, c.most)
			}
		}
		if r.now != c.want {
			t.Errorf("%s: %d, want %d", c.name, r.now, c.want)
		}
	}
}

// The process itself: bored down to one processor, all of them for the time of
// Busy, two as soon as there is work for two, all of them in the end.
func TestFollow(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	most := runtime.GOMAXPROCS(0)
	if most < 2 {
		t.Skip("one processor")
	}
	if _, ok := cpuTime(); !ok {
		t.Skip("the system does not tell")
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); Follow(ctx) }()
	until := func(what string, ok func(n int) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !ok(runtime.GOMAXPROCS(0)); time.Sleep(window / 10) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: still %d processors", what, runtime.GOMAXPROCS(0))
			}
		}
	}
	until("idle", func(n int) bool { return n == 1 })
	if Most() != most {
		t.Errorf("Most is %d, want %d", Most(), most)
	}
	done, other := Busy(), Busy()
	until("busy", func(n int) bool { return n == most })
	done()
	done() // counts once
	if n := runtime.GOMAXPROCS(0); n != most {
		t.Errorf("%d processors while something is still busy", n)
	}
	other()
	until("busy no longer", func(n int) bool { return n == 1 })

	var stop atomic.Bool
	var work sync.WaitGroup
	for range most {
		work.Go(func() {
			for !stop.Load() {
			}
		})
	}
	until("loaded", func(n int) bool { return n > 1 })
	stop.Store(true)
	work.Wait()
	cancel()
	<-ended
	if n := runtime.GOMAXPROCS(0); n != most {
		t.Errorf("%d processors after the end, want %d", n, most)
	}
	Busy()()
}
