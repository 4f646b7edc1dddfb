// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"paddock/internal/vfs"
)

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
