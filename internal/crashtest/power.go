// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"paddock/internal/vfs"
)

// ErrPower is the error of every change after the crash.
var ErrPower = errors.New("the power is off")

// PowerFS is a file system in memory whose machine crashes at a given change:
// a write, truncation, sync, creation, renaming or removal. At that moment
// nothing else is under way, and no change succeeds after it, so what a server
// acknowledges later it had made durable before, or it lies.
type PowerFS struct {
	*vfs.Mem

	mu    sync.RWMutex // held to read by a change under way
	count struct {
		sync.Mutex
		left int // changes until the crash; negative is never
	}
	late    bool // the last change is carried out first
	dead    bool
	crashed chan struct{}
}

// NewPowerFS crashes m before its n-th change from now, or with late set just
// after it. Negative n: never, but by Crash.
func NewPowerFS(m *vfs.Mem, n int, late bool) *PowerFS {
	p := &PowerFS{Mem: m, late: late, crashed: make(chan struct{})}
	p.count.left = n
	return p
}

// Crashed is closed when the crash has happened.
func (p *PowerFS) Crashed() <-chan struct{} { return p.crashed }

// Crash is the crash, now.
func (p *PowerFS) Crash() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		p.dead = true
		close(p.crashed)
	}
}

func (p *PowerFS) hit() bool {
	p.count.Lock()
	defer p.count.Unlock()
	p.count.left--
	return p.count.left == 0
}

// change carries one change out, unless the crash comes first.
func (p *PowerFS) change(do func() error) error {
	hit := p.hit()
	if hit && !p.late {
		p.Crash()
	}
	p.mu.RLock()
	if p.dead {
		p.mu.RUnlock()
		return ErrPower
	}
	err := do()
	p.mu.RUnlock()
	if hit {
		p.Crash()
		err = ErrPower
	}
	return err
}

func (p *PowerFS) OpenFile(name string, flag int, perm fs.FileMode) (f vfs.File, err error) {
	open := func() error {
		f, err = p.Mem.OpenFile(name, flag, perm)
		return err
	}
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		err = p.change(open)
	} else {
		err = open()
	}
	if err != nil {
		return nil, err
	}
	return &powerFile{f, p}, nil
}

func (p *PowerFS) Rename(oldName, newName string) error {
	return p.change(func() error { return p.Mem.Rename(oldName, newName) })
}

func (p *PowerFS) Remove(name string) error {
	return p.change(func() error { return p.Mem.Remove(name) })
}

func (p *PowerFS) MkdirAll(name string, perm fs.FileMode) error {
	return p.change(func() error { return p.Mem.MkdirAll(name, perm) })
}

func (p *PowerFS) SyncDir(name string) error {
	return p.change(func() error { return p.Mem.SyncDir(name) })
}

type powerFile struct {
	vfs.File
	fs *PowerFS
}

func (f *powerFile) Write(b []byte) (n int, err error) {
	err = f.fs.change(func() error {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

func (f *powerFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.fs.change(func() error {
		n, err = f.File.WriteAt(b, off)
		return err
	})
	return n, err
}

func (f *powerFile) Truncate(size int64) error {
	return f.fs.change(func() error { return f.File.Truncate(size) })
}

func (f *powerFile) Sync() error { return f.fs.change(f.File.Sync) }

func (f *powerFile) Datasync() error { return f.fs.change(f.File.Datasync) }
