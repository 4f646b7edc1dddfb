// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestConformance runs one story on every implementation.
func TestConformance(t *testing.T) {
	mem := NewMem()
	mem.MkdirAll("/d", 0o755)
	for _, c := range []struct {
		name string
		fs   FS
		dir  string
	}{
		{"os", OS, t.TempDir()},
		{"mem", mem, "/d"},
		{"faulty", NewFaulty(OS), t.TempDir()},
	} {
		t.Run(c.name, func(t *testing.T) { conform(t, c.fs, c.dir) })
	}
}

func conform(t *testing.T, f FS, dir string) {
	sub := filepath.Join(dir, "a", "b")
	if err := f.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(sub, "x")
	if _, err := f.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of nothing: %v", err)
	}
	if _, err := Open(f, name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
	if err := f.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove of nothing: %v", err)
	}
	h, err := Create(f, name)
	if err != nil {
		t.Fatal(err)
	}
	h.Write([]byte("hello "))
	h.Write([]byte("world"))
	if _, err := h.WriteAt([]byte("HE"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt([]byte("!"), 13); err != nil {
		t.Fatal(err)
	}
	if n, _ := h.Size(); n != 14 {
		t.Errorf("size %d, want 14", n)
	}
	for _, sync := range []func() error{h.Sync, h.Datasync, func() error { return f.SyncDir(sub) }, h.Close} {
		if err := sync(); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := ReadFile(f, name); err != nil || string(b) != "HEllo world\x00\x00!" {
		t.Errorf("content %q, %v", b, err)
	}
	h, _ = f.OpenFile(name, os.O_RDWR, 0)
	h.Truncate(5)
	h.Close()
	if b, _ := ReadFile(f, name); string(b) != "HEllo" {
		t.Errorf("after Truncate: %q", b)
	}
	if err := WriteFileAtomic(f, name, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := f.Rename(name, name+"2"); err != nil {
		t.Fatal(err)
	}
	list, err := f.ReadDir(sub)
	if err != nil || len(list) != 1 || list[0].Name != "x2" || list[0].Size != 3 || list[0].Dir {
		t.Errorf("ReadDir: %v, %v", list, err)
	}
	if list, _ := f.ReadDir(filepath.Join(dir, "a")); len(list) != 1 || !list[0].Dir {
		t.Errorf("ReadDir of the parent: %v", list)
	}
	if ok, err := Exists(f, name+"2"); !ok || err != nil {
		t.Errorf("Exists: %v, %v", ok, err)
	}
	if err := f.Remove(name + "2"); err != nil {
		t.Error(err)
	}
	if ok, _ := Exists(f, name+"2"); ok {
		t.Error("removed file exists")
	}
}

func write(t *testing.T, f FS, name, s string, sync bool) {
	t.Helper()
	h, err := Create(f, name)
	if err != nil {
		t.Fatal(err)
	}
	h.Write([]byte(s))
	if sync {
		h.Sync()
	}
	h.Close()
}

func TestCrashCloneLosesWhatWasNotSynced(t *testing.T) {
	m := NewMem()
	m.MkdirAll("/d", 0o755)
	write(t, m, "/d/kept", "abc", true)
	write(t, m, "/d/content-lost", "abc", false)
	m.SyncDir("/d")
	write(t, m, "/d/name-lost", "abc", true)
	m.Rename("/d/kept", "/d/renamed")

	c := m.CrashClone(nil)
	for name, want := range map[string]string{"/d/kept": "abc", "/d/content-lost": ""} {
		if b, err := ReadFile(c, name); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	for _, name := range []string{"/d/name-lost", "/d/renamed"} {
		if ok, _ := Exists(c, name); ok {
			t.Errorf("%s survived", name)
		}
	}
	if ok, _ := Exists(m, "/d/renamed"); !ok {
		t.Error("the crash changed the original")
	}
}

func TestCrashCloneTearsTheLastWrite(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[int]bool{}
	for range 2000 {
		m := NewMem()
		m.MkdirAll("/d", 0o755)
		write(t, m, "/d/x", "durable", true)
		m.SyncDir("/d")
		h, _ := m.OpenFile("/d/x", os.O_WRONLY, 0)
		h.WriteAt([]byte("0123"), 7)
		h.WriteAt([]byte("4567"), 11)
		b, _ := ReadFile(m.CrashClone(rng), "/d/x")
		if !bytes.HasPrefix([]byte("durable01234567"), b) || len(b) < 7 {
			t.Fatalf("crash left %q", b)
		}
		seen[len(b)] = true
	}
	for n := 7; n <= 15; n++ {
		if !seen[n] {
			t.Errorf("no crash left %d bytes", n)
		}
	}
}

func TestFaulty(t *testing.T) {
	m := NewMem()
	m.MkdirAll("/d", 0o755)
	f := NewFaulty(m)
	h, err := Create(f, "/d/log.1")
	if err != nil {
		t.Fatal(err)
	}
	f.SetRoom(10)
	if n, err := h.WriteAt([]byte("12345678"), 0); n != 8 || err != nil {
		t.Errorf("write with room: %d, %v", n, err)
	}
	if n, err := h.WriteAt([]byte("abcdefgh"), 6); n != 4 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write without room: %d, %v; want 4 bytes and ENOSPC", n, err)
	}
	if n, err := h.WriteAt([]byte("over"), 0); n != 4 || err != nil {
		t.Errorf("overwriting takes no room: %d, %v", n, err)
	}
	if free, _ := f.Free("/d"); free != 0 {
		t.Errorf("free %d", free)
	}
	f.SetRoom(-1)
	f.FailSyncs("log.", syscall.EIO)
	if err := h.Datasync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Datasync: %v", err)
	}
	if err := f.SyncDir("/d"); err != nil {
		t.Errorf("SyncDir does not match: %v", err)
	}
	if b, _ := ReadFile(m.CrashClone(nil), "/d/log.1"); len(b) != 0 {
		t.Errorf("a failed sync made %q durable", b)
	}
	f.FailSyncs("", nil)
	f.FailWrites("", syscall.EIO)
	if _, err := h.Write([]byte("x")); !errors.Is(err, syscall.EIO) {
		t.Errorf("Write: %v", err)
	}
}
