// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"io/fs"
	"math"
	"strings"
	"sync"
	"syscall"
)

// Faulty is another FS with a disk that fills up or fails. The zero limits do
// nothing.
type Faulty struct {
	FS

	mu       sync.Mutex
	limited  bool
	room     int64  // bytes by which files may still grow
	syncErr  error  // of every sync
	writeErr error  // of every write
	match    string // only files with this in their name; "" = all
}

// NewFaulty wraps f.
func NewFaulty(f FS) *Faulty { return &Faulty{FS: f} }

// SetRoom lets files grow by another n bytes; what goes beyond fails with
// ENOSPC, after the part of the write that fits. Negative: no limit.
func (f *Faulty) SetRoom(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limited, f.room = n >= 0, n
}

// FailSyncs makes every Sync, Datasync and SyncDir of names that contain match
// fail with err; nil ends it. A failed sync makes nothing durable.
func (f *Faulty) FailSyncs(match string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.match, f.syncErr = match, err
}

// FailWrites is FailSyncs for writes.
func (f *Faulty) FailWrites(match string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.match, f.writeErr = match, err
}

func (f *Faulty) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	h, err := f.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{h, f, 0}, nil
}

func (f *Faulty) SyncDir(name string) error {
	if err := f.failure(name, &f.syncErr); err != nil {
		return pathErr("sync", name, err)
	}
	return f.FS.SyncDir(name)
}

// Free is the room left.
func (f *Faulty) Free(name string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limited {
		return f.room, nil
	}
	return math.MaxInt64, nil
}

func (f *Faulty) failure(name string, err *error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *err != nil && strings.Contains(name, f.match) {
		return *err
	}
	return nil
}

// take reserves room for growth by n bytes and returns how many may be had.
func (f *Faulty) take(n int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.limited {
		return n
	}
	n = min(n, f.room)
	f.room -= n
	return n
}

type faultyFile struct {
	File
	fs  *Faulty
	pos int64 // of Write
}

func (h *faultyFile) Write(p []byte) (int, error) {
	n, err := h.WriteAt(p, h.pos)
	h.pos += int64(n)
	return n, err
}

func (h *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := h.fs.failure(h.Name(), &h.fs.writeErr); err != nil {
		return 0, pathErr("write", h.Name(), err)
	}
	size, err := h.Size()
	if err != nil {
		return 0, err
	}
	growth := max(off+int64(len(p))-max(size, off), 0) // a hole takes no room
	short := growth - h.fs.take(growth)
	n, err := h.File.WriteAt(p[:int64(len(p))-short], off)
	if err == nil && short > 0 {
		err = pathErr("write", h.Name(), syscall.ENOSPC)
	}
	return n, err
}

func (h *faultyFile) Sync() error {
	if err := h.fs.failure(h.Name(), &h.fs.syncErr); err != nil {
		return pathErr("fsync", h.Name(), err)
	}
	return h.File.Sync()
}

func (h *faultyFile) Datasync() error {
	if err := h.fs.failure(h.Name(), &h.fs.syncErr); err != nil {
		return pathErr("fdatasync", h.Name(), err)
	}
	return h.File.Datasync()
}
