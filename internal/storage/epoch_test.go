// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// TestLoadEpochs: the rules of storage-format.md section 9.1. A file is "-" where
// it is missing.
func TestLoadEpochs(t *testing.T) {
	for _, c := range []struct {
		accepted, current, tmp string
		last                   proto.Zxid
		wantAccepted           int64
		wantCurrent            int64
		err                    string
	}{
		{"-", "-", "-", 0, 0, 0, ""},
		{"-", "-", "-", -1, 0, 0, ""},
		{"-", "-", "-", at(3, 9), 3, 3, ""},
		{"2", "1", "-", at(1, 9), 2, 1, ""},
		{"2\n", "2\r\n", "-", at(1, 9), 2, 2, ""},
		{"5", "-", "-", at(3, 9), 5, 3, ""},
		{"-", "3", "-", at(3, 9), 3, 3, ""},
		{"-", "4", "-", at(3, 9), 0, 0, "less than the current one"},
		{"1", "2", "-", at(1, 9), 0, 0, "less than the current one"},
		{"1", "-", "-", at(2, 9), 0, 0, "transactions of epoch 2 are logged"},
		{"1", "1", "-", at(2, 9), 0, 0, "transactions of epoch 2 are logged"},
		{"1", "1", "2", at(2, 9), 0, 0, "transactions of epoch 2 are logged"},
		{"x", "1", "-", at(1, 9), 0, 0, "not a number"},
		{"1", "", "-", at(1, 9), 0, 0, "not a number"},
		{"1", "1 ", "-", at(1, 9), 0, 0, "not a number"},
		{"-1", "-1", "-", 0, 0, 0, "the accepted epoch is -1"},
		{"1", "-1", "-", 0, 1, 0, ""},
		// The server died between the history of epoch 3 and currentEpoch.
		{"3", "1", "-", at(2, 9), 3, 2, ""},
		{"3", "1", "3", at(2, 9), 3, 3, ""},
		{"3", "1", "", at(2, 9), 3, 2, ""},
		{"3", "1", "1", at(2, 9), 3, 2, ""},
		{"3", "1", "4", at(2, 9), 3, 2, ""},
		// The file of a writing that came to nothing while the history did not grow.
		{"3", "2", "3", at(2, 9), 3, 2, ""},
	} {
		name := fmt.Sprintf("accepted %q, current %q, unfinished %q, last %s", c.accepted, c.current, c.tmp, c.last)
		m := vfs.NewMem()
		s := mustOpen(t, testOptions(m))
		for file, text := range map[string]string{AcceptedEpoch: c.accepted, CurrentEpoch: c.current, CurrentEpoch + ".tmp": c.tmp} {
			if text != "-" {
				putFile(m, filepath.Join(s.SnapshotDir(), file), []byte(text))
			}
		}
		before := fingerprint(t, m)
		accepted, current, err := s.LoadEpochs(c.last)
		if c.err != "" {
			var damage *CorruptError
			if !errors.As(err, &damage) || !strings.Contains(err.Error(), c.err) || fingerprint(t, m) != before {
				t.Errorf("%s: %v, want %s", name, err, c.err)
			}
			continue
		}
		if err != nil || accepted != c.wantAccepted || current != c.wantCurrent {
			t.Errorf("%s: %d, %d, %v; want %d, %d", name, accepted, current, err, c.wantAccepted, c.wantCurrent)
		}
		// What was found is what the files say now, also after a crash.
		after := mustOpen(t, testOptions(m.CrashClone(nil)))
		a, err1 := after.ReadEpoch(AcceptedEpoch)
		b, err2 := after.ReadEpoch(CurrentEpoch)
		if err1 != nil || err2 != nil || a != accepted || b != current {
			t.Errorf("%s: then the files say %d, %d; %v, %v", name, a, b, err1, err2)
		}
	}
}

func TestLoadEpochsGolden(t *testing.T) {
	for dir, want := range map[string][2]int64{
		"trunc-before": {1, 1}, "trunc-after": {2, 2}, "alltypes-ensemble": {1, 1},
		"ensemble-5/server1": {2, 2}, "ensemble-5/server5": {2, 2}, "alltypes-standalone": {0, 0},
	} {
		m := memDirOf(t, filepath.Join("testdata", dir, "data"))
		s := mustOpen(t, testOptions(m))
		r, err := s.Recover(newMapTree())
		if err != nil {
			t.Fatal(err)
		}
		accepted, current, err := s.LoadEpochs(r.LastZxid)
		if err != nil || accepted != want[0] || current != want[1] {
			t.Errorf("%s: %d, %d, %v; want %v", dir, accepted, current, err, want)
		}
	}
}

// TestWriteEpochCrash: whenever the server dies, acceptedEpoch is no less than
// currentEpoch and neither is half written.
func TestWriteEpochCrash(t *testing.T) {
	m := vfs.NewMem()
	hook := &stepFS{m, func() {}}
	s := mustOpen(t, testOptions(hook))
	if _, _, err := s.LoadEpochs(0); err != nil {
		t.Fatal(err)
	}
	crashes := 0
	for epoch := int64(9); epoch < 12; epoch++ {
		check := func(current int64) func() {
			return func() {
				crashes++
				c := mustOpen(t, testOptions(m.CrashClone(nil)))
				a, b, err := c.LoadEpochs(0)
				if err != nil || a < b || b > current {
					t.Fatalf("writing epoch %d: %d, %d, %v", epoch, a, b, err)
				}
			}
		}
		hook.step = check(epoch - 1)
		if err := s.WriteEpoch(AcceptedEpoch, epoch); err != nil {
			t.Fatal(err)
		}
		hook.step = check(epoch)
		if err := s.WriteEpoch(CurrentEpoch, epoch); err != nil {
			t.Fatal(err)
		}
	}
	if crashes < 20 {
		t.Errorf("%d crashes", crashes)
	}
}

func TestLoadEpochsOnAFailingDisk(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	s := mustOpen(t, testOptions(f))
	f.FailWrites("Epoch", syscall.EIO)
	if _, _, err := s.LoadEpochs(at(1, 1)); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}
