// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// TestFreshSeeds tries seeds that nobody has: PADDOCK_SIM_SEEDS of them, or a
// few. PADDOCK_SIM_FROM sets the first.
func TestFreshSeeds(t *testing.T) {
	n := 150
	if testing.Short() {
		n = 20
	}
	if v, err := strconv.Atoi(os.Getenv("PADDOCK_SIM_SEEDS")); err == nil {
		n = v
	}
	from, err := strconv.ParseUint(os.Getenv("PADDOCK_SIM_FROM"), 0, 64)
	if err != nil {
		from = rand.Uint64() >> 16
	}
	t.Logf("%d seeds from PADDOCK_SIM_FROM=%#x on", n, from)
	steps, writes := 0, 0
	Try(from, n, func(r Result) {
		steps, writes = steps+r.Steps, writes+r.Writes
		if r.Failure != nil {
			t.Errorf("%v\n%s\nreplay: go run ./internal/sim/cmd sim -v -seed %#x", r.Failure, r.Setup, r.Seed)
		}
	})
	t.Logf("%d steps, %d transactions", steps, writes)
	if writes < 10*n {
		t.Errorf("only %d transactions in %d runs", writes, n)
	}
}

// TestSeedsThatFoundSomething: each has failed once, of a defect of the core or
// of the model around it.
func TestSeedsThatFoundSomething(t *testing.T) {
	if testing.Short() {
		t.Skip("what they found has tests of its own in internal/zab")
	}
	for _, seed := range []uint64{
		0x5, 0x6, 0x11, 0x29, 0x44, 0x7a, 0xa3, 0x11d, 0x163, 0x171, 0x195, 0x4cf, 0xf0a, 0x1051, 0x106d, 0x1238, 0x15ad, 0x16a5, 0xa4e2, 0xb1c7,
		0xb302, 0x19066, 0x1931a, 0x30e36, 0x9c4d0017907a, 0x9c4d0017b636, 0x8ab39851be8d, 0xa3df1a28bd87, 0x1004d4, 0x100a5a,
		0x3e1f88605a30,
	} {
		if r := Run(seed, Options{}); r.Failure != nil {
			t.Errorf("%v\n%s", r.Failure, r.Setup)
		}
	}
}

// TestSameSeedSameRun: a failure can be replayed.
func TestSameSeedSameRun(t *testing.T) {
	last := uint64(12)
	if testing.Short() {
		last = 3
	}
	for seed := uint64(1); seed <= last; seed++ {
		lines := 0
		a, b := Run(seed, Options{}), Run(seed, Options{Trace: func(string) { lines++ }})
		if a.Hash != b.Hash || a.Steps != b.Steps || a.Writes != b.Writes {
			t.Errorf("seed %d: %d steps and %016x, then %d steps and %016x", seed, a.Steps, a.Hash, b.Steps, b.Hash)
		}
		if lines < b.Steps {
			t.Errorf("seed %d: %d steps, %d lines of trace", seed, b.Steps, lines)
		}
		if c := Run(seed+1, Options{}); c.Hash == a.Hash {
			t.Errorf("seeds %d and %d are the same run", seed, seed+1)
		}
	}
}

// TestRunsReachWhatTheyAreFor: all that can go wrong or be done does come up.
func TestRunsReachWhatTheyAreFor(t *testing.T) {
	want := map[string]bool{}
	for _, what := range []string{"TRUNC", "DIFF", "SNAP", "INFORM", "COMMITANDACTIVATE", "INFORMANDACTIVATE", "UPTODATE", "SYNC", "breaks-off"} {
		want[what] = false
	}
	for _, f := range faults {
		want[f.name] = false
	}
	left := len(want)
	for seed := uint64(1); seed <= 60 && left > 0; seed++ {
		Run(seed, Options{Trace: func(line string) { left -= mark(want, line) }})
	}
	for what, seen := range want {
		if !seen {
			t.Errorf("no run has %s", what)
		}
	}
}

// mark ticks off the words of a line, and counts those that were new.
func mark(want map[string]bool, line string) (fresh int) {
	word := func(w string) {
		if seen, ok := want[w]; ok && !seen {
			want[w] = true
			fresh++
		}
	}
	start := -1
	for i := 0; i <= len(line); i++ {
		if i < len(line) && line[i] != ' ' {
			if start < 0 {
				start = i
			}
		} else if start >= 0 {
			word(line[start:i])
			start = -1
		}
	}
	return fresh
}
