// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"paddock/internal/vfs"
	"paddock/proto"
)

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
