// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// recovered opens a directory and recovers it.
func recovered(t testing.TB, f vfs.FS, change ...func(*Options)) *Store {
	t.Helper()
	o := testOptions(f)
	for _, c := range change {
		c(&o)
	}
	s := mustOpen(t, o)
	if _, err := s.Recover(newMapTree()); err != nil {
		t.Fatal(err)
	}
	return s
}

// readRange returns the zxids of a range, run by run.
func readRange(t testing.TB, s *Store, after, upTo proto.Zxid) (string, error) {
	t.Helper()
	var runs []string
	var first, last proto.Zxid
	end := func() {
		if last != 0 {
			runs = append(runs, fmt.Sprintf("%d:%d-%d", first.Epoch(), first.Counter(), last.Counter()))
		}
	}
	err := s.ReadRange(after, upTo, func(z proto.Zxid, payload []byte) error {
		if x, err := proto.DecodeTxn(payload); err != nil || x.Zxid != z {
			t.Errorf("transaction %s: %s, %v", z, x.Zxid, err)
		}
		if last == 0 || z != last+1 {
			end()
			first = z
		}
		last = z
		return nil
	})
	end()
	return strings.Join(runs, " "), err
}

var (
	plainPast  = past{snapshots: []proto.Zxid{0, at(1, 3)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 6), 5}, {at(2, 1), 4}, {at(3, 1), 6}}}
	purgedPast = past{snapshots: []proto.Zxid{at(1, 7)}, logs: [][2]proto.Zxid{{at(1, 6), 5}, {at(2, 1), 4}}}
	// A leader's tree was taken over at 1:20, and at 3:0 another.
	jumpPast = past{snapshots: []proto.Zxid{0, at(1, 20), at(3, 0)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 21), 5}, {at(2, 1), 3}, {at(3, 1), 2}}}
	// The log ends before the tree that was taken over.
	bareJump = past{snapshots: []proto.Zxid{0, at(1, 20)}, logs: [][2]proto.Zxid{{at(1, 1), 5}}}
)

func TestProbeLog(t *testing.T) {
	for _, c := range []struct {
		past   past
		factor float64
		z      proto.Zxid
		want   LogProbe
	}{
		{plainPast, 0, at(1, 2), LogProbe{true, at(1, 2), at(1, 3)}},
		{plainPast, 0, at(1, 5), LogProbe{true, at(1, 5), at(1, 6)}},
		{plainPast, 0, at(1, 6), LogProbe{true, at(1, 6), at(1, 7)}},
		{plainPast, 0, at(1, 10), LogProbe{true, at(1, 10), at(2, 1)}},
		{plainPast, 0, at(1, 99), LogProbe{true, at(1, 10), at(2, 1)}},
		{plainPast, 0, at(2, 0), LogProbe{true, at(1, 10), at(2, 1)}},
		{plainPast, 0, at(3, 6), LogProbe{true, at(3, 6), 0}},
		{plainPast, 0, at(4, 6), LogProbe{true, at(3, 6), 0}},
		{plainPast, 0, at(1, 0), LogProbe{}},
		{plainPast, 0, 0, LogProbe{}},
		{plainPast, -1, at(1, 2), LogProbe{}},
		{plainPast, 1000, at(1, 2), LogProbe{true, at(1, 2), at(1, 3)}},
		{plainPast, 1e-3, at(1, 2), LogProbe{}},
		{purgedPast, 0, at(1, 5), LogProbe{}},
		{purgedPast, 0, at(1, 6), LogProbe{true, at(1, 6), at(1, 7)}},
		{jumpPast, 0, at(1, 5), LogProbe{false, at(1, 5), at(1, 21)}},
		{jumpPast, 0, at(1, 9), LogProbe{false, at(1, 5), at(1, 21)}},
		{jumpPast, 0, at(1, 3), LogProbe{false, at(1, 3), at(1, 4)}},
		{jumpPast, 0, at(1, 22), LogProbe{false, at(1, 22), at(1, 23)}},
		{jumpPast, 0, at(3, 1), LogProbe{true, at(3, 1), at(3, 2)}},
		{bareJump, 0, at(1, 2), LogProbe{false, at(1, 2), at(1, 3)}},
	} {
		s := recovered(t, c.past.build(t))
		got, err := s.ProbeLog(c.z, c.factor)
		if c.factor == 1e-3 {
			got.Prev, got.Next = 0, 0 // it ended early
		}
		if err != nil || got != c.want {
			t.Errorf("%v, factor %g, %s: %+v, %v; want %+v", c.past.logs, c.factor, c.z, got, err, c.want)
		}
	}
}

// TestProbeLogSize: the files from the one that holds the zxid on count, as far
// as there are entries in them.
func TestProbeLogSize(t *testing.T) {
	m := plainPast.build(t)
	s := recovered(t, m, func(o *Options) { o.PreAlloc = 1 << 20 })
	appendTxns(t, s, at(3, 7), 4)
	defer s.Close()
	size := func(names ...string) (n int64) {
		for _, name := range names {
			end, err := ReadLog(m, "/d/version-2/"+name, 0, func(Entry) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			n += end.Offset
		}
		return n
	}
	snapshot, err := m.Stat("/d/version-2/snapshot.100000003")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		z     proto.Zxid
		bytes int64
	}{
		{at(1, 1), size("log.100000001", "log.100000006", "log.200000001", "log.300000001", "log.300000007")},
		{at(1, 9), size("log.100000006", "log.200000001", "log.300000001", "log.300000007")},
		{at(3, 8), size("log.300000007")},
	} {
		exact := float64(c.bytes) / float64(snapshot.Size)
		for factor, want := range map[float64]bool{exact * 1.001: true, exact * 0.999: false, 0: true} {
			if p, err := s.ProbeLog(c.z, factor); err != nil || p.Usable != want {
				t.Errorf("%s, factor %g of %d, log of %d: %+v, %v", c.z, factor, snapshot.Size, c.bytes, p, err)
			}
		}
	}
}

func TestReadRange(t *testing.T) {
	for _, c := range []struct {
		past        past
		after, upTo proto.Zxid
		want, err   string
	}{
		{plainPast, at(1, 2), at(1, 4), "1:3-4", ""},
		{plainPast, at(1, 5), at(1, 6), "1:6-6", ""},
		{plainPast, at(1, 4), at(3, 2), "1:5-10 2:1-4 3:1-2", ""},
		{plainPast, at(1, 10), at(3, 0), "2:1-4", ""},
		{plainPast, at(2, 0), at(2, 99), "2:1-4", ""},
		{plainPast, at(2, 4), at(3, 0), "", ""},
		{plainPast, at(3, 5), at(3, 6), "3:6-6", ""},
		{plainPast, at(3, 6), at(3, 6), "", ""},
		{plainPast, at(3, 6), at(3, 5), "", ""},
		{plainPast, at(1, 0), at(1, 2), "1:1-2", ""},
		{plainPast, at(3, 4), at(3, 7), "3:5-6", "the log ends at 0x300000006, 0x300000007 was asked for"},
		{purgedPast, at(1, 5), at(1, 7), "1:6-7", ""},
		{purgedPast, at(1, 4), at(1, 7), "", "no log reaches back to 0x100000004"},
		{jumpPast, at(1, 2), at(1, 22), "1:3-5", "transaction 0x100000015 follows 0x100000005"},
		{jumpPast, at(1, 2), at(1, 9), "1:3-5", "those between are missing"},
		{jumpPast, at(1, 23), at(3, 1), "1:24-25 2:1-3", "transaction 0x300000001 follows 0x200000003"},
		{jumpPast, at(3, 0), at(3, 2), "3:1-2", ""},
		{bareJump, at(1, 2), at(1, 20), "1:3-5", "the log ends at 0x100000005"},
	} {
		s := recovered(t, c.past.build(t))
		got, err := readRange(t, s, c.after, c.upTo)
		var gap *GapError
		if got != c.want || (c.err == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.err) || !errors.As(err, &gap)) {
			t.Errorf("%v, %s to %s: %q, %v; want %q, %s", c.past.logs, c.after, c.upTo, got, err, c.want, c.err)
		}
	}
}

// TestReadRangeOfLiveLog: what is not synced is not there yet, whole or not, and
// what a later roll or truncation did is.
func TestReadRangeOfLiveLog(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.PreAlloc = 256 << 10
	s := started(t, o)
	defer s.Close()
	check := func(after, upTo proto.Zxid, want string, ok bool) {
		t.Helper()
		if got, err := readRange(t, s, after, upTo); got != want || (err == nil) != ok {
			t.Errorf("%s to %s: %q, %v; want %q", after, upTo, got, err, want)
		}
	}
	check(0, 1, "", false)
	appendTxns(t, s, 1, 3)
	check(0, 3, "0:1-3", true)
	// A batch that is half written, and one more behind it.
	var b Batch
	b.Add(testTxn(4))
	b.Add(testTxn(5))
	half := b.Buf[:len(b.Buf)/2+20]
	if _, err := s.Log().file.WriteAt(half, s.Log().file.end); err != nil {
		t.Fatal(err)
	}
	check(1, 3, "0:2-3", true)
	check(1, 4, "0:2-3", false)
	if p, err := s.ProbeLog(2, 0); err != nil || p != (LogProbe{true, 2, 3}) {
		t.Errorf("%+v, %v", p, err)
	}
	if err := s.Log().Append(&b); err != nil {
		t.Fatal(err)
	}
	check(1, 5, "0:2-3", false)
	s.Log().Sync()
	check(1, 5, "0:2-5", true)
	s.Log().Roll()
	check(1, 5, "0:2-5", true)
	appendTxns(t, s, 6, 2)
	check(1, 7, "0:2-7", true)
	if _, err := s.Truncate(4); err != nil {
		t.Fatal(err)
	}
	check(1, 4, "0:2-4", true)
	check(1, 5, "0:2-4", false)
	appendTxns(t, s, at(1, 1), 1)
	check(1, at(1, 1), "0:2-4 1:1-1", true)
}

// TestReadRangeBesideWriter reads while another goroutine appends, rolls, takes
// snapshots and purges, on a real disk.
func TestReadRangeBesideWriter(t *testing.T) {
	o := testOptions(vfs.OS)
	o.DataDir, o.PreAlloc, o.ForceSync = t.TempDir(), 256<<10, false
	s := started(t, o)
	var synced atomic.Int64
	var oldest atomic.Int64 // transactions after it are not purged
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				from, upTo := proto.Zxid(oldest.Load()), proto.Zxid(synced.Load())
				if upTo == from {
					continue
				}
				if n%5 == 4 {
					if p, err := s.ProbeLog(from+1, 0); err != nil || p.Usable && (p.Prev != from+1 || upTo > from+1 && p.Next != from+2) {
						t.Errorf("probe of %s: %+v, %v", from+1, p, err)
						return
					}
					continue
				}
				next := from + 1
				err := s.ReadRange(from, upTo, func(z proto.Zxid, payload []byte) error {
					if z != next || len(payload) < txnHeaderSize {
						return fmt.Errorf("%s in the place of %s", z, next)
					}
					next++
					return nil
				})
				purged := proto.Zxid(oldest.Load()) > from
				var gap *GapError
				if err != nil && !(purged && (errors.Is(err, fs.ErrNotExist) || errors.As(err, &gap))) || err == nil && next != upTo+1 {
					t.Errorf("%s to %s: next %s, %v", from, upTo, next, err)
					return
				}
			}
		})
	}
	z := proto.Zxid(1)
	for round := range 40 {
		for range 40 {
			appendTxns(t, s, z, 1+round%7)
			z += proto.Zxid(1 + round%7)
			synced.Store(int64(z - 1))
		}
		s.Log().Roll()
		if round%4 == 3 {
			writeSnapshot(t, s, z-1)
			if round > 16 {
				files, _, err := s.snapshots()
				if err != nil {
					t.Fatal(err)
				}
				oldest.Store(int64(files[len(files)-3].Zxid))
				if _, err := s.Purge(3); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	close(stop)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadRangeOfPurgedLog: a file that goes away in the middle is an error that
// says so.
func TestReadRangeOfPurgedLog(t *testing.T) {
	m := plainPast.build(t)
	s := recovered(t, m)
	err := s.ReadRange(at(1, 1), at(3, 2), func(z proto.Zxid, _ []byte) error {
		if z == at(1, 2) {
			return m.Remove("/d/version-2/log.200000001")
		}
		return nil
	})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "log.200000001") {
		t.Error(err)
	}
}

func TestReadRangeStops(t *testing.T) {
	s := recovered(t, plainPast.build(t))
	enough := errors.New("the learner is gone")
	n := 0
	if err := s.ReadRange(at(1, 1), at(3, 2), func(proto.Zxid, []byte) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

// TestProbeDamagedLog: damage is an error, not the end.
func TestProbeDamagedLog(t *testing.T) {
	m := plainPast.build(t)
	s := recovered(t, m)
	editDirectory(t, m, [][]any{{"write", "log.200000001", 200.0, "ff"}})
	var damage *CorruptError
	if _, err := s.ProbeLog(at(1, 2), 0); !errors.As(err, &damage) {
		t.Error(err)
	}
	if _, err := readRange(t, s, at(1, 2), at(3, 1)); !errors.As(err, &damage) {
		t.Error(err)
	}
}
