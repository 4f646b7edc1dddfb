// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// tailRuns is the zxids of a tail, run by run.
func tailRuns(t testing.TB, tail []TailEntry) string {
	t.Helper()
	var runs []string
	for i := 0; i < len(tail); {
		j := i
		for j+1 < len(tail) && tail[j+1].Zxid == tail[j].Zxid+1 {
			j++
		}
		runs = append(runs, fmt.Sprintf("%d:%d-%d", tail[i].Zxid.Epoch(), tail[i].Zxid.Counter(), tail[j].Zxid.Counter()))
		i = j + 1
	}
	for _, e := range tail {
		if x, err := proto.DecodeTxn(e.Payload); err != nil || x.Zxid != e.Zxid {
			t.Errorf("transaction %s: %s, %v", e.Zxid, x.Zxid, err)
		}
	}
	return strings.Join(runs, " ")
}

func TestTail(t *testing.T) {
	newest := past{snapshots: []proto.Zxid{0, at(3, 6)}, logs: plainPast.logs}
	for _, c := range []struct {
		name string
		past past
		keep int
		want string
	}{
		{"none", plainPast, 0, ""},
		{"one", plainPast, 1, "3:6-6"},
		{"some of the last log", plainPast, 5, "3:2-6"},
		{"of more than one", plainPast, 12, "1:9-10 2:1-4 3:1-6"},
		{"all", plainPast, 100, "1:1-10 2:1-4 3:1-6"},
		{"from before the snapshot", newest, 9, "2:2-4 3:1-6"},
		{"all of it from there", newest, 500, "1:1-10 2:1-4 3:1-6"},
		{"just a whole log", newest, 6, "3:1-6"},
		{"and one more", newest, 7, "2:4-4 3:1-6"},
		{"behind a tree that was taken over", jumpPast, 100, "3:1-2"},
		{"behind another", past{snapshots: jumpPast.snapshots[:2], logs: jumpPast.logs[:3]}, 100, "1:21-25 2:1-3"},
		{"nothing behind it yet", bareJump, 100, ""},
		{"epochs before the oldest snapshot", past{snapshots: []proto.Zxid{at(3, 1)}, logs: plainPast.logs}, 100, "3:1-6"},
		{"a snapshot ahead of the log", past{snapshots: []proto.Zxid{at(2, 0)}, logs: [][2]proto.Zxid{{at(1, 1), 5}}}, 100, ""},
		{"no log", past{snapshots: []proto.Zxid{0}}, 100, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := recovered(t, c.past.build(t), func(o *Options) { o.KeepTail = c.keep })
			if got := tailRuns(t, s.Tail()); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if again := s.Tail(); again != nil {
				t.Errorf("given out twice: %s", tailRuns(t, again))
			}
		})
	}
}

// TestTailBytes: it is bounded in bytes too, and so is what is read for it.
func TestTailBytes(t *testing.T) {
	p := past{snapshots: []proto.Zxid{0, at(3, 6)}, logs: plainPast.logs}
	m := p.build(t)
	payload := int64(len(logOf(at(3, 1), 1)) - logHeaderSize - entryHead - entryTail)
	for n := int64(1); n < 20; n++ {
		s := recovered(t, m, func(o *Options) { o.KeepTail, o.KeepTailBytes = 500, n*payload })
		tail, bytes := s.Tail(), int64(0)
		for _, e := range tail {
			bytes += int64(len(e.Payload))
		}
		if want := min(n, 20); int64(len(tail)) > want || int64(len(tail)) < want-1 || bytes > n*payload || tail[len(tail)-1].Zxid != at(3, 6) {
			t.Errorf("room for %d: %s, %d bytes", n, tailRuns(t, tail), bytes)
		}
	}
	s := recovered(t, m, func(o *Options) { o.KeepTail, o.KeepTailBytes = 500, 1 })
	if got := s.Tail(); got != nil {
		t.Errorf("room for a byte: %s", tailRuns(t, got))
	}
}

// TestTailOfDamagedOldLog: what is not needed to recover does not end a recovery.
func TestTailOfDamagedOldLog(t *testing.T) {
	p := past{snapshots: []proto.Zxid{0, at(3, 1)}, logs: plainPast.logs}
	m := p.build(t)
	editDirectory(t, m, [][]any{{"write", "log.200000001", 200.0, "ff"}})
	s := recovered(t, m, func(o *Options) { o.KeepTail = 100 })
	if got := tailRuns(t, s.Tail()); got != "3:1-6" {
		t.Error(got)
	}
}

// TestTailAfterRecoveringAgain: it is that of the log as it is then.
func TestTailAfterRecoveringAgain(t *testing.T) {
	s := recovered(t, plainPast.build(t), func(o *Options) { o.KeepTail = 7 })
	if _, err := s.Truncate(at(2, 2)); err != nil {
		t.Fatal(err)
	}
	appendTxns(t, s, at(5, 1), 1)
	if _, err := s.Recover(newMapTree()); err != nil {
		t.Fatal(err)
	}
	if got := tailRuns(t, s.Tail()); got != "1:7-10 2:1-2 5:1-1" {
		t.Error(got)
	}
}

// TestTailGolden: of Apache's directories; the reference keeps the same range.
func TestTailGolden(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		var want struct {
			MinCommittedLog, MaxCommittedLog hexID
			CommittedLogSize                 int
		}
		readJSON(t, filepath.Join(dir, "tree.json"), &want)
		m := memDirOf(t, filepath.Join(dir, "data"))
		s := mustOpen(t, testOptions(m))
		s.opt.KeepTail = 500
		r, err := s.Recover(newMapTree())
		if err != nil {
			t.Fatal(err)
		}
		tail := s.Tail()
		if want.CommittedLogSize == 0 {
			continue // the snapshot is the end; the reference looks no further back
		}
		// The reference keeps what it replayed, here what lies before it as well.
		if n := len(tail); n < want.CommittedLogSize || tail[n-1].Zxid != proto.Zxid(want.MaxCommittedLog) || tail[n-1].Zxid != r.LastZxid ||
			tail[n-want.CommittedLogSize].Zxid != proto.Zxid(want.MinCommittedLog) {
			t.Errorf("%s: %d entries, %s; the reference has %+v", dir, n, tailRuns(t, tail), want)
		}
	}
}

func BenchmarkTail(b *testing.B) {
	m := vfs.NewMem()
	s := started(b, testOptions(m))
	for z := proto.Zxid(1); z < 50000; z += 1000 {
		appendTxns(b, s, z, 1000)
	}
	s.Close()
	for _, keep := range []int{0, 500} {
		b.Run(fmt.Sprint(keep), func(b *testing.B) {
			for b.Loop() {
				o := testOptions(m)
				o.KeepTail = keep
				if _, err := mustOpen(b, o).Recover(new(counter)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
