// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

func logNames(t testing.TB, f vfs.FS) []string {
	t.Helper()
	list, err := f.ReadDir("/d/version-2")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range list {
		if strings.HasPrefix(i.Name, "log.") {
			names = append(names, i.Name)
		}
	}
	return names
}

// started returns a store on an empty directory that has its snapshot.0.
func started(t testing.TB, o Options) *Store {
	t.Helper()
	s := mustOpen(t, o)
	r, err := s.Recover(newInitialTree())
	if err != nil {
		t.Fatal(err)
	}
	if r.NeedsSnapshot {
		writeSnapshot(t, s, 0)
	}
	return s
}

func TestAppendAcrossRestartsAndRolls(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.PreAlloc = 64 << 10
	next := proto.Zxid(1)
	for range 3 {
		s := started(t, o)
		if got := s.Log().LastZxid(); got != next-1 {
			t.Fatalf("goes on after %s, want %s", got, next-1)
		}
		for range 2 {
			for range 50 {
				appendTxns(t, s, next, 3)
				next += 3
			}
			s.Log().Roll()
		}
		appendTxns(t, s, next, 1)
		next++
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Log().Append(&Batch{Count: 1}); err == nil {
			t.Error("a closed log takes transactions")
		}
	}
	want := []string{"log.1", "log.12d", "log.12e", "log.1c4", "log.25a", "log.25b", "log.2f1", "log.387", "log.97"}
	if got := logNames(t, m); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	for _, name := range logNames(t, m) {
		end, err := ReadLog(m, "/d/version-2/"+name, 0, func(Entry) error { return nil })
		if err != nil || end.Size != end.Offset || hexName(logPrefix, end.First) != name {
			t.Errorf("%s: %+v, %v: want it named by its first entry and without padding", name, end, err)
		}
	}
	if r := mustRecover(t, m, newMapTree()); r.LastZxid != next-1 || r.Txns != int(next-1) {
		t.Errorf("%+v", r)
	}
}

func TestAppendRefusesFallingZxids(t *testing.T) {
	s := started(t, testOptions(vfs.NewMem()))
	appendTxns(t, s, 5, 1)
	var b Batch
	b.Add(testTxn(5))
	if err := s.Log().Append(&b); err == nil {
		t.Error("zxid 5 was taken twice")
	}
}

func TestAppendNeverOverwrites(t *testing.T) {
	m := vfs.NewMem()
	s := started(t, testOptions(m))
	putFile(m, "/d/version-2/log.1", logOf(1, 2)) // behind the server's back
	var b Batch
	b.Add(testTxn(1))
	if err := s.Log().Append(&b); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Error(err)
	}
	if end, err := ReadLog(m, "/d/version-2/log.1", 0, func(Entry) error { return nil }); err != nil || end.Entries != 2 {
		t.Errorf("%+v, %v", end, err)
	}
}

func TestWantsSnapshot(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(*Options)
		lo, hi int // transactions of some 80 bytes until it wants one
	}{
		{"by count", func(o *Options) { o.SnapCount = 100 }, 51, 100},
		{"by size", func(o *Options) { o.SnapSizeLimit = 10000 }, 5001 / 120, 10000 / 80},
		{"least count", func(o *Options) { o.SnapCount = 1 }, 2, 2},
		{"off", func(o *Options) {}, 501, 501},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := testOptions(vfs.NewMem())
			c.set(&o)
			s := started(t, o)
			z := proto.Zxid(1)
			seen := map[int]bool{}
			for range 30 {
				n := 0
				for ; !s.Log().WantsSnapshot() && n < 501; n++ {
					appendTxns(t, s, z, 1)
					z++
				}
				if n < c.lo || n > c.hi {
					t.Fatalf("after %d transactions, want %d to %d", n, c.lo, c.hi)
				}
				seen[n] = true
				s.Log().Roll()
				if s.Log().WantsSnapshot() {
					t.Fatal("wants one just after Roll")
				}
			}
			if c.lo < c.hi && len(seen) < 5 {
				t.Errorf("always after the same number: %v", seen)
			}
		})
	}
}

// TestRecoveredLogCountsTowardsSnapshot: a server that restarts often must not
// put its snapshots off for ever.
func TestRecoveredLogCountsTowardsSnapshot(t *testing.T) {
	o := testOptions(vfs.NewMem())
	o.SnapCount = 100
	s := started(t, o)
	appendTxns(t, s, 1, 120)
	s.Close()
	s = started(t, o)
	appendTxns(t, s, 121, 1)
	if !s.Log().WantsSnapshot() {
		t.Error("121 transactions since the last snapshot and none is wanted")
	}
}

func TestTxnLogSizeLimit(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.TxnLogSizeLimit = 1000
	s := started(t, o)
	for z := proto.Zxid(1); z <= 60; z++ {
		appendTxns(t, s, z, 1)
	}
	s.Close()
	names := logNames(t, m)
	if len(names) < 4 || len(names) > 8 {
		t.Errorf("files %v", names)
	}
	if r := mustRecover(t, m, newMapTree()); r.LastZxid != 60 {
		t.Errorf("%+v", r)
	}
}

func TestForceSyncOff(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	o := testOptions(f)
	o.ForceSync, o.PreAlloc = false, 1<<20
	s := started(t, o)
	f.FailSyncs("", errors.New("nobody may sync"))
	appendTxns(t, s, 1, 3)
	if n := s.Log().Stats().Count.Load(); n != 0 {
		t.Errorf("%d syncs", n)
	}
}

func TestSlowSyncIsTold(t *testing.T) {
	var told lines
	o := testOptions(vfs.NewMem())
	o.FsyncWarning, o.Logger = 1, slog.New(slog.NewTextHandler(&told, nil))
	s := started(t, o)
	appendTxns(t, s, 1, 1)
	if !strings.Contains(told.String(), "syncing the transaction log is slow") || s.Log().Stats().Slow.Load() != 1 {
		t.Errorf("told: %s", told.String())
	}
}

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestAppendDoesNotAllocate: neither framing nor writing.
func TestAppendDoesNotAllocate(t *testing.T) {
	o := testOptions(vfs.OS)
	o.DataDir, o.ForceSync = t.TempDir(), false
	s := started(t, o)
	defer s.Close()
	var b Batch
	x := testTxn(1)
	step := func() {
		b.Reset()
		for range 10 {
			b.Add(x)
			x.Zxid++
		}
		if err := s.Log().Append(&b); err != nil {
			t.Fatal(err)
		}
		if err := s.Log().Sync(); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if n := testing.AllocsPerRun(200, step); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

func TestBatch(t *testing.T) {
	var b Batch
	for z := proto.Zxid(3); z < 6; z++ {
		b.Add(testTxn(z))
	}
	var again Batch
	z := proto.Zxid(3)
	b.Payloads(func(p []byte) {
		x, err := proto.DecodeTxn(p)
		if err != nil || x.Zxid != z {
			t.Errorf("%s: %v", x.Zxid, err)
		}
		again.AddPayload(z, p)
		z++
	})
	if b.First != 3 || b.Last != 5 || b.Count != 3 || z != 6 || string(again.Buf) != string(b.Buf) {
		t.Errorf("%s..%s, %d", b.First, b.Last, b.Count)
	}
	if b.Reset(); b.Count != 0 || len(b.Buf) != 0 {
		t.Error("Reset leaves something")
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch%d", size), func(b *testing.B) {
			o := testOptions(vfs.OS)
			o.DataDir, o.PreAlloc, o.ForceSync = b.TempDir(), 64<<20, false
			s := started(b, o)
			defer s.Close()
			var batch Batch
			x := testTxn(1)
			x.Digest = proto.TxnDigest{Version: 2, Tree: 1}
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				for range size {
					batch.Add(x)
					x.Zxid++
				}
				if err := s.Log().Append(&batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendSync(b *testing.B) {
	for _, prealloc := range []int64{0, 64 << 20} {
		b.Run(fmt.Sprintf("prealloc%dMiB", prealloc>>20), func(b *testing.B) {
			o := testOptions(vfs.OS)
			o.DataDir, o.PreAlloc = b.TempDir(), prealloc
			s := started(b, o)
			defer s.Close()
			var batch Batch
			x := testTxn(1)
			for b.Loop() {
				batch.Reset()
				batch.Add(x)
				x.Zxid++
				if err := s.Log().Append(&batch); err != nil {
					b.Fatal(err)
				}
				if err := s.Log().Sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
