// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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

func TestEmptyDatabase(t *testing.T) {
	m := vfs.NewMem()
	s := mustOpen(t, testOptions(m))
	r, err := s.Recover(newInitialTree())
	if err != nil || !r.Empty || !r.NeedsSnapshot || r.Untrusted || r.LastZxid != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	writeSnapshot(t, s, 0)
	if r := mustRecover(t, m, newMapTree()); r.Empty || r.NeedsSnapshot || r.LastZxid != 0 {
		t.Errorf("the second start: %+v", r)
	}
}

func TestEmptyDatabaseNotTrusted(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.AutocreateDB = false
	if r, err := mustOpen(t, o).Recover(newInitialTree()); err != nil || !r.Untrusted || r.LastZxid != -1 {
		t.Errorf("%+v, %v", r, err)
	}
	putFile(m, "/d/initialize", nil)
	if r, err := mustOpen(t, o).Recover(newInitialTree()); err != nil || r.Untrusted || r.LastZxid != 0 {
		t.Errorf("with the file initialize: %+v, %v", r, err)
	}
	if ok, _ := vfs.Exists(m, "/d/initialize"); ok {
		t.Error("the file initialize is still there")
	}
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

// TestCrashLosesNothingSynced crashes at random moments, in every way that the
// memory file system knows, and looks for what was promised.
func TestCrashLosesNothingSynced(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 7))
		m := vfs.NewMem()
		promised := proto.Zxid(0)
		for life := range 6 {
			o := testOptions(m)
			o.SnapCount = 40
			o.PreAlloc = int64(rng.IntN(3)) * 8192
			o.Compression = []string{"", "gz", "snappy"}[rng.IntN(3)]
			s := mustOpen(t, o)
			tree := newInitialTree()
			r, err := s.Recover(tree)
			if err != nil {
				t.Fatalf("seed %d, life %d: %v", seed, life, err)
			}
			if r.LastZxid < promised {
				t.Fatalf("seed %d, life %d: %s was promised, %+v", seed, life, promised, r)
			}
			if r.NeedsSnapshot {
				writeSnapshot(t, s, 0)
			}
			z := r.LastZxid + 1
			for range rng.IntN(60) {
				var b Batch
				for range 1 + rng.IntN(4) {
					x := testTxn(z)
					b.Add(x)
					tree.Replay(x)
					z++
				}
				if err := s.Log().Append(&b); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(3) > 0 {
					if err := s.Log().Sync(); err != nil {
						t.Fatal(err)
					}
					promised = z - 1
				}
				if s.Log().WantsSnapshot() {
					s.Log().Roll()
					promised = z - 1
					w, err := s.CreateSnapshot(promised)
					if err != nil {
						t.Fatal(err)
					}
					tree.loaded.nodes = nil
					for _, n := range tree.nodes {
						n.aclKey = -1
					}
					if err := tree.writeTo(w); err != nil {
						t.Fatal(err)
					}
					if rng.IntN(4) > 0 { // or it is still being written
						if _, _, err := w.Finish(promised, &SnapDigest{promised, 2, tree.digest}); err != nil {
							t.Fatal(err)
						}
						if _, err := s.Purge(3); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			var how *rand.Rand
			if rng.IntN(2) > 0 {
				how = rng
			}
			crashed := m.CrashClone(how)
			s.Close() // of the server that is no more
			m = crashed
		}
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	s := started(t, testOptions(f))
	appendTxns(t, s, 1, 1)
	var b Batch
	b.Add(testTxn(2))
	if err := s.Log().Append(&b); err != nil {
		t.Fatal(err)
	}
	f.FailSyncs("log.", syscall.EIO)
	first := s.Log().Sync()
	if !errors.Is(first, syscall.EIO) || !strings.Contains(first.Error(), "/d/version-2/log.1") {
		t.Errorf("Sync: %v", first)
	}
	f.FailSyncs("", nil)
	b.Reset()
	b.Add(testTxn(3))
	for what, err := range map[string]error{"Sync": s.Log().Sync(), "Append": s.Log().Append(&b), "Close": s.Close()} {
		if err != first {
			t.Errorf("%s after a failed sync: %v", what, err)
		}
	}
}

// TestFailedSyncOfName: a log whose name is not durable is not durable.
func TestFailedSyncOfName(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	s := started(t, testOptions(f))
	f.FailSyncs("/d/version-2", syscall.EIO)
	var b Batch
	b.Add(testTxn(1))
	if err := s.Log().Append(&b); err != nil {
		t.Fatal(err)
	}
	if err := s.Log().Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Sync: %v", err)
	}
}

// TestFailedSyncOfZeros: an error that preallocation is told of may be the only
// report of a lost write.
func TestFailedSyncOfZeros(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	o := testOptions(f)
	o.PreAlloc = 1 << 20
	s := started(t, o)
	f.FailSyncs("log.", syscall.EIO)
	var b Batch
	b.Add(testTxn(1))
	if err := s.Log().Append(&b); err != nil {
		t.Fatal(err)
	}
	pad := s.Log().file.pad
	deadline := time.Now().Add(10 * time.Second)
	for pad.failure() == nil {
		if time.Now().After(deadline) {
			t.Fatal("the padder met no error")
		}
		time.Sleep(time.Millisecond)
	}
	f.FailSyncs("", nil)
	if err := s.Log().Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Sync: %v", err)
	}
}

// TestFullDisk: nothing is promised that is not on the disk, the message names
// file and room, and the server starts again when there is room.
func TestFullDisk(t *testing.T) {
	for _, prealloc := range []int64{0, 64 << 10} {
		for room := int64(0); room < 400; room += 7 {
			m := vfs.NewMem()
			f := vfs.NewFaulty(m)
			o := testOptions(f)
			o.PreAlloc = prealloc
			s := started(t, o)
			f.SetRoom(room)
			promised := proto.Zxid(0)
			var err error
			for z := proto.Zxid(1); z < 1000 && err == nil; z++ {
				var b Batch
				b.Add(testTxn(z))
				if err = s.Log().Append(&b); err == nil {
					if err = s.Log().Sync(); err == nil {
						promised = z
					}
				}
			}
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "/d/version-2/log.1") || !strings.Contains(err.Error(), "are free") {
				t.Fatalf("room %d: %v", room, err)
			}
			var b Batch
			b.Add(testTxn(1000))
			f.SetRoom(-1)
			if again := s.Log().Append(&b); again != err {
				t.Fatalf("room %d: the log lives on: %v", room, again)
			}
			s.Close()
			for _, disk := range []vfs.FS{m.CrashClone(nil), m} { // the machine fell too, or only the server
				r := mustRecover(t, disk, newMapTree())
				if r.LastZxid < promised {
					t.Fatalf("room %d: %s was promised, %+v", room, promised, r)
				}
				s := started(t, testOptions(disk))
				appendTxns(t, s, r.LastZxid+1, 5)
				s.Close()
				if r := mustRecover(t, disk, newMapTree()); r.LastZxid < promised+5 {
					t.Fatalf("room %d: after going on %+v", room, r)
				}
			}
		}
	}
}

func TestFullDiskDuringSnapshot(t *testing.T) {
	for _, compression := range []string{"", "gz", "snappy"} {
		f := vfs.NewFaulty(vfs.NewMem())
		o := testOptions(f)
		o.Compression = compression
		s := started(t, o)
		before := fingerprint(t, f)
		f.SetRoom(100)
		w, err := s.CreateSnapshot(9)
		if err != nil {
			t.Fatal(err)
		}
		newInitialTree().writeTo(w)
		if _, _, err := w.Finish(9, nil); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "snapshot.9") {
			t.Errorf("Finish: %v", err)
		}
		w.Abort()
		if after := fingerprint(t, f); after != before {
			t.Errorf("left behind:\n%s", after)
		}
	}
}

// TestPadding: zeros are there ahead of the entries, entries stay whole beside
// them, and a reader sees neither.
func TestPadding(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(vfs.OS)
	o.DataDir, o.PreAlloc = dir, 64<<20
	s := started(t, o)
	z := proto.Zxid(1)
	big := make([]byte, 300<<10)
	for range 30 { // some 9 MiB, faster than zeros can be synced
		var b Batch
		x := testTxn(z)
		x.Body.(*proto.CreateTxn).Data = big
		b.Add(x)
		b.Add(testTxn(z + 1))
		if err := s.Log().Append(&b); err != nil {
			t.Fatal(err)
		}
		z += 2
	}
	path, entries := s.Log().file.path, s.Log().file.end
	deadline := time.Now().Add(20 * time.Second)
	for {
		st, err := vfs.OS.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size >= entries+padAhead/2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("size %d, entries end at %d: no zeros ahead", st.Size, entries)
		}
		time.Sleep(time.Millisecond)
	}
	end, err := ReadLog(vfs.OS, path, 0, func(Entry) error { return nil })
	if err != nil || end.Torn != "" || end.Last != z-1 || end.Offset != entries {
		t.Errorf("%+v, %v", end, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st, _ := vfs.OS.Stat(path); st.Size != entries {
		t.Errorf("size %d after Close, want %d", st.Size, entries)
	}
}

func TestPreAllocIsABound(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.PreAlloc = 8192
	s := started(t, o)
	for z := proto.Zxid(1); z <= 500; z++ {
		appendTxns(t, s, z, 1)
		if st, _ := m.Stat("/d/version-2/log.1"); st.Size > s.Log().file.end+8192+padPage {
			t.Fatalf("size %d, entries end at %d", st.Size, s.Log().file.end)
		}
	}
	s.Close()
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

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(m *vfs.Mem, o *Options)
		want  error
	}{
		{"no directory, none may be made", func(m *vfs.Mem, o *Options) { o.AutocreateDir = false }, ErrNoDir},
		{"a snapshot in the log directory", func(m *vfs.Mem, o *Options) { o.LogDir = "/l"; putFile(m, "/l/version-2/snapshot.0", nil) }, ErrMixedDirs},
		{"a log in the snapshot directory", func(m *vfs.Mem, o *Options) { o.LogDir = "/l"; putFile(m, "/d/version-2/log.1", nil) }, ErrMixedDirs},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := vfs.NewMem()
			o := testOptions(m)
			if c.want == ErrMixedDirs {
				m.MkdirAll("/d/version-2", 0o755)
				m.MkdirAll("/l/version-2", 0o755)
			}
			c.setup(m, &o)
			if _, err := Open(o); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	o := testOptions(vfs.NewMem())
	o.Compression = "lz4"
	if _, err := Open(o); err == nil {
		t.Error("compression lz4 was taken")
	}
}

func TestTwoDirectories(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.LogDir = "/l"
	s := started(t, o)
	appendTxns(t, s, 1, 3)
	s.Close()
	r, err := mustOpen(t, o).Recover(newMapTree())
	if err != nil || r.LastZxid != 3 || filepath.Dir(r.Snapshot) != "/d/version-2" {
		t.Errorf("%+v, %v", r, err)
	}
	if ok, _ := vfs.Exists(m, "/l/version-2/log.1"); !ok {
		t.Error("no log in the log directory")
	}
}

func TestEpochFiles(t *testing.T) {
	m := vfs.NewMem()
	s := mustOpen(t, testOptions(m))
	if _, err := s.ReadEpoch(CurrentEpoch); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := s.WriteEpoch(CurrentEpoch, 12); err != nil {
		t.Fatal(err)
	}
	if b, _ := vfs.ReadFile(m.CrashClone(nil), "/d/version-2/currentEpoch"); string(b) != "12" {
		t.Errorf("content %q", b)
	}
	for content, want := range map[string]int64{"12": 12, "12\n": 12, "12\r\nmore": 12, "": -1, "x": -1, " 1": -1} {
		putFile(m, "/d/version-2/acceptedEpoch", []byte(content))
		v, err := s.ReadEpoch(AcceptedEpoch)
		var damage *CorruptError
		if want < 0 && !errors.As(err, &damage) || want >= 0 && (err != nil || v != want) {
			t.Errorf("%q: %d, %v", content, v, err)
		}
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

// TestCrashAfterKill kills a server between a write and its sync, so that the
// next one recovers it from the system's memory and goes on. Then the power
// fails: what the second server built on must be there.
func TestCrashAfterKill(t *testing.T) {
	for _, c := range []struct {
		name  string
		named bool // the first log's name was durable
	}{{"unsynced entries", true}, {"an unsynced log", false}} {
		t.Run(c.name, func(t *testing.T) {
			m := vfs.NewMem()
			s := started(t, testOptions(m))
			if c.named {
				appendTxns(t, s, 1, 1)
			}
			first := s.Log().LastZxid() + 1
			var b Batch
			b.Add(testTxn(first))
			if err := s.Log().Append(&b); err != nil {
				t.Fatal(err)
			}

			tree := newMapTree()
			killed := mustOpen(t, testOptions(m))
			if _, err := killed.Recover(tree); err != nil {
				t.Fatal(err)
			}
			appendTxns(t, killed, first+1, 1)

			tree = newMapTree()
			if r := mustRecover(t, m.CrashClone(nil), tree); r.LastZxid != first+1 {
				t.Errorf("after the power cut: %+v, want zxid %s", r, first+1)
			}
		})
	}
}
