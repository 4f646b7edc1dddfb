// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"paddock/internal/server"
	"paddock/internal/vfs"
)

// TestPowerCut crashes the machine under the server at every kind of change to
// its files: what was not synced is lost, or part of it, or (when only the
// process dies) stays for a next crash to lose. The same directory lives
// through all rounds.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	w := NewWorkload(5, rng)
	w.Filler = 300
	disk := vfs.NewMem()
	kinds := map[string]int{}
	logDir := []string{"/data", "/logs"}[rng.IntN(2)]
	draw := func() map[string]string {
		set := settings(rng)
		set["dataLogDir"] = logDir
		return set
	}
	n := rounds(t, 60, 20, 3)
	for round := range n {
		changes := 1 + rng.IntN(30)
		if rng.IntN(3) > 0 {
			changes = 1 + rng.IntN(1500)
		}
		fsys := NewPowerFS(disk, changes, rng.IntN(2) == 0)
		s, err := start(fsys, "/data", draw(), true)
		switch {
		case err == nil:
			report(t, w.Ledger.Settle(DumpTree(s.Tree())))
			if !t.Failed() {
				powerLife(t, w, s, fsys)
			}
			s.Close()
		case errors.Is(err, ErrPower):
			kinds["while starting"]++
		default:
			t.Errorf("the server refuses its own directory: %v", err)
		}
		if t.Failed() {
			t.Fatalf("in round %d, which was to end after %d changes; %v so far", round, changes, kinds)
		}
		fsys.Crash()
		disk = afterCrash(rng, disk, kinds)
	}
	s, err := start(disk, "/data", draw(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report(t, w.Ledger.Settle(DumpTree(s.Tree())))
	awaitDoomed(t, w.Ledger, func() *Dump { return DumpTree(s.Tree()) })
	t.Logf("%d writes acknowledged in %d lives, ended %v", w.Ledger.Acks(), n, kinds)
}

// afterCrash is what the next server finds.
func afterCrash(rng *rand.Rand, disk *vfs.Mem, kinds map[string]int) *vfs.Mem {
	switch rng.IntN(4) {
	case 0:
		kinds["all unsynced kept"]++ // the process died; a later crash may still lose it
		return disk
	case 1:
		kinds["all unsynced lost"]++
		return disk.CrashClone(nil)
	}
	kinds["torn"]++
	return disk.CrashClone(rng)
}

// powerLife writes until the crash.
func powerLife(t *testing.T, w *Workload, s *server.Server, fsys *PowerFS) {
	ended := w.begin(s.ClientAddr().String())
	select {
	case <-fsys.Crashed():
	case <-ended:
		select {
		case <-fsys.Crashed():
		default:
			t.Error("the writers ended before the crash")
		}
	case <-time.After(2 * time.Second): // the changes did not come to that number
		fsys.Crash()
	}
	select {
	case err := <-s.Fatal():
		if !errors.Is(err, ErrPower) {
			t.Errorf("the server stopped for another reason: %v", err)
		}
	case <-ended:
	case <-time.After(opTimeout):
		t.Error("nothing can be written, and the server does not stop")
	}
	s.Close()
	awaitWriters(t, w, ended)
}

// awaitDoomed waits until all sessions have expired that were left to.
func awaitDoomed(t *testing.T, l *Ledger, dump func() *Dump) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for l.Doomed() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions should have expired", l.Doomed())
		}
		time.Sleep(5 * time.Millisecond)
		report(t, l.Settle(dump()))
	}
}
