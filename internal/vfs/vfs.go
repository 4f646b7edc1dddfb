// SPDX-License-Identifier: Apache-2.0

// Package vfs is the seam between storage and the file system: the few calls
// that storage makes, with three implementations. OS is the real one. Mem keeps
// files in memory and can be cloned as a crash would leave it. Faulty wraps
// another FS and makes it fail on demand.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// FS is a file system. Errors are those of package os, so errors.Is works with
// fs.ErrNotExist, fs.ErrExist, fs.ErrPermission and syscall errors.
type FS interface {
	// OpenFile opens name with the flags of package os.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename replaces newName if it exists.
	Rename(oldName, newName string) error
	Remove(name string) error
	// ReadDir lists a directory sorted by name, without following links.
	ReadDir(name string) ([]Info, error)
	Stat(name string) (Info, error)
	MkdirAll(name string, perm fs.FileMode) error
	// SyncDir makes the creations, renames and removals in a directory durable.
	SyncDir(name string) error
	// Free is the number of bytes that can still be written where name lies.
	Free(name string) (int64, error)
}

// Info is what storage wants to know of a file.
type Info struct {
	Name  string // last element of the path
	Size  int64  // bytes
	Mtime time.Time
	Perm  fs.FileMode // permission bits
	Dir   bool
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Name() string
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes data and all metadata durable.
	Sync() error
	// Datasync makes data durable, and of the metadata what reading it back needs.
	Datasync() error
}

// Open opens name for reading.
func Open(f FS, name string) (File, error) { return f.OpenFile(name, os.O_RDONLY, 0) }

// Create opens name for writing and empties it if it exists.
func Create(f FS, name string) (File, error) {
	return f.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
}

// Exists tells whether name exists.
func Exists(f FS, name string) (bool, error) {
	_, err := f.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// ReadFile returns the content of name.
func ReadFile(f FS, name string) ([]byte, error) {
	h, err := Open(f, name)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return io.ReadAll(h)
}

// WriteFileAtomic replaces the content of name so that a crash leaves the old
// content or the new: name.tmp is written, synced and renamed.
func WriteFileAtomic(f FS, name string, data []byte) error {
	return ReplaceFile(f, name, data, 0o644)
}

// ReplaceFile is WriteFileAtomic for a file that not everybody may read.
func ReplaceFile(f FS, name string, data []byte, perm fs.FileMode) error {
	tmp := name + ".tmp"
	h, err := f.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = h.Write(data)
	if err == nil {
		err = h.Sync()
	}
	if e := h.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = f.Rename(tmp, name)
	}
	if err != nil {
		f.Remove(tmp)
		return err
	}
	return f.SyncDir(filepath.Dir(name))
}
