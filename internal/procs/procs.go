// SPDX-License-Identifier: Apache-2.0

// Package procs gives the process as many processors (GOMAXPROCS) as its load
// asks for.
//
// A server that coordinates mostly waits, and what wakes it is little work: with
// many processors each of these wakes threads that look for more and find none. On
// one processor the same goroutines simply follow each other. So a process starts
// with all that it may use, gives up half of them while the rest would be bored,
// and takes twice as many as soon as those it has are busy
// (docs/decisions/0012-processors-follow-the-load.md).
package procs

import (
	"context"
	"os"
	"runtime"
	"sync"
	"time"
)

// window is how often the load is looked at.
const window = 100 * time.Millisecond

// state is of the process: so is GOMAXPROCS.
var state struct {
	sync.Mutex
	following bool
	rule      rule
	most      int // 0 before Follow
	busy      int // calls of Busy that have not ended
}

// Follow keeps GOMAXPROCS to what the load asks for until ctx ends. It does
// nothing where the environment sets GOMAXPROCS, where there is one processor, or
// where the system does not tell what the process has used.
func Follow(ctx context.Context) {
	used, ok := cpuTime()
	if !ok || os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) == 1 {
		return
	}
	begin()
	defer end()
	tick := time.NewTicker(window)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		u, _ := cpuTime()
		look((u - used).Seconds() / now.Sub(last).Seconds())
		used, last = u, now
	}
}

// Busy asks for all processors until done is called: for work of many
// milliseconds that requests are not to wait behind.
func Busy() (done func()) {
	state.Lock()
	defer state.Unlock()
	state.busy++
	apply()
	return sync.OnceFunc(func() {
		state.Lock()
		defer state.Unlock()
		state.busy--
		apply()
	})
}

// Most is how many processors the process may come to use.
func Most() int {
	state.Lock()
	defer state.Unlock()
	if state.following {
		return state.most
	}
	return runtime.GOMAXPROCS(0)
}

func begin() {
	state.Lock()
	defer state.Unlock()
	state.following, state.most = true, runtime.GOMAXPROCS(0)
	state.rule = rule{now: state.most}
}

func end() {
	state.Lock()
	defer state.Unlock()
	state.following = false
	all()
}

// look takes in what was used in the last window, in processors.
func look(used float64) {
	state.Lock()
	defer state.Unlock()
	if state.busy > 0 {
		return // that is not the load
	}
	state.rule.next(used, state.most)
	apply()
}

// apply sets what is asked for; state is locked. Setting it stops the world, so
// that is done only to change it.
func apply() {
	if !state.following {
		return
	}
	want := state.rule.now
	if state.busy > 0 || want >= state.most {
		all()
		return
	}
	if want != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(want)
	}
}

// all sets what Go would: as many as there are, or as a container's limit allows,
// which may have changed.
func all() {
	if runtime.GOMAXPROCS(0) < state.most {
		runtime.SetDefaultGOMAXPROCS()
		state.most = runtime.GOMAXPROCS(0)
	}
}
