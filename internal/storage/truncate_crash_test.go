// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// stepFS tells of every change of names or content, before and after.
type stepFS struct {
	vfs.FS
	step func()
}

func (f *stepFS) around(do func() error) error {
	f.step()
	err := do()
	f.step()
	return err
}

func (f *stepFS) Remove(name string) error {
	return f.around(func() error { return f.FS.Remove(name) })
}

func (f *stepFS) Rename(old, name string) error {
	return f.around(func() error { return f.FS.Rename(old, name) })
}

func (f *stepFS) SyncDir(name string) error {
	return f.around(func() error { return f.FS.SyncDir(name) })
}

func (f *stepFS) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	h, err := f.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &stepFile{h, f}, nil
}

type stepFile struct {
	vfs.File
	fs *stepFS
}

func (h *stepFile) Truncate(size int64) error {
	return h.fs.around(func() error { return h.File.Truncate(size) })
}

func (h *stepFile) Sync() error { return h.fs.around(h.File.Sync) }

func (h *stepFile) Datasync() error { return h.fs.around(h.File.Datasync) }

func (h *stepFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = h.fs.around(func() error { n, err = h.File.WriteAt(p, off); return err })
	return n, err
}

// TestTruncateCrash crashes at every step of a truncation. What is left recovers,
// to a history that was on disk and that reaches at least to the cut; and the
// truncation can be done again.
func TestTruncateCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	crashes := 0
	for name, p := range map[string]past{
		"one log":       {snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{1, 9}}},
		"many":          {snapshots: []proto.Zxid{0, 3, 5, 8, 12, 14}, logs: [][2]proto.Zxid{{1, 4}, {5, 1}, {6, 4}, {10, 5}}},
		"fuzzy":         {snapshots: []proto.Zxid{0, 3, 6, 8}, fuzzy: map[proto.Zxid]proto.Zxid{3: 5, 6: 9, 8: 9}, logs: [][2]proto.Zxid{{1, 4}, {5, 5}}},
		"epochs":        {snapshots: []proto.Zxid{0, at(1, 4), at(2, 2), at(3, 3)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(2, 1), 3}, {at(3, 1), 4}}},
		"a hole":        {snapshots: []proto.Zxid{0, at(1, 3), at(1, 20), at(1, 22)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 21), 5}}},
		"two holes":     {snapshots: []proto.Zxid{0, at(1, 20), at(2, 9)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 21), 5}, {at(2, 10), 3}}},
		"a hidden hole": {snapshots: []proto.Zxid{0, at(1, 20), at(2, 2)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(2, 1), 3}}},
		"begins late":   {snapshots: []proto.Zxid{at(1, 9), at(2, 2)}, logs: [][2]proto.Zxid{{at(1, 5), 3}, {at(2, 1), 3}}},
	} {
		old, ends := p.build(t), []proto.Zxid{}
		for _, l := range p.logs {
			for z := l[0]; z < l[0]+l[1]; z++ {
				ends = append(ends, z)
			}
		}
		ends = append(ends, p.snapshots...)
		for _, z := range ends {
			m := old.CrashClone(nil)
			var left []*vfs.Mem
			hook := &stepFS{m, func() {}}
			s := mustOpen(t, testOptions(hook))
			r, err := s.Recover(newMapTree())
			if err != nil {
				t.Fatal(err)
			}
			hook.step = func() {
				left = append(left, m.CrashClone(nil), m.CrashClone(rng))
			}
			last, err := s.Truncate(z)
			if z < p.snapshots[0] && errors.Is(err, ErrTooFarBack) {
				continue
			}
			if err != nil {
				t.Fatalf("%s, cut after %s: %v", name, z, err)
			}
			for i, c := range left {
				where := fmt.Sprintf("%s, cut after %s, crash %d of %d, with %s", name, z, i, len(left), filesOf(t, c))
				got := checkPast(t, where, p, c)
				if got < last || got > r.LastZxid {
					t.Fatalf("%s: recovered to %s, want %s to %s", where, got, last, r.LastZxid)
				}
				again := mustOpen(t, testOptions(c))
				if l, err := again.Truncate(z); err != nil || l != last {
					t.Fatalf("%s: cut again: %s, %v", where, l, err)
				}
				if got := checkPast(t, where, p, c); got != last {
					t.Fatalf("%s: cut again, recovered to %s, want %s", where, got, last)
				}
			}
			crashes += len(left)
		}
	}
	if crashes < 500 {
		t.Errorf("only %d crashes", crashes)
	}
}

// checkPast recovers a directory and looks whether its tree is one of the past.
func checkPast(t *testing.T, where string, p past, m *vfs.Mem) proto.Zxid {
	t.Helper()
	tree := newMapTree()
	r, err := mustOpen(t, testOptions(m)).Recover(tree)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	want := p.tree(r.LastZxid)
	if len(tree.nodes) != len(want.nodes) || p.fuzzy == nil && tree.digest != want.digest {
		t.Fatalf("%s: recovered to %s with %d znodes, digest %x; want %d, %x", where, r.LastZxid, len(tree.nodes), tree.digest, len(want.nodes), want.digest)
	}
	if r.ContentZxid > r.LastZxid {
		t.Fatalf("%s: recovered to %s with a snapshot of %s", where, r.LastZxid, r.ContentZxid)
	}
	return r.LastZxid
}
