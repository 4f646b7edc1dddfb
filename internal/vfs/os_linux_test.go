// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// own returns a pool of the test's own, and an open file.
func own(t *testing.T) (*flusherPool, *os.File) {
	t.Helper()
	p := new(flusherPool)
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		for _, idle := range p.idle {
			if err := idle.close(); err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := f.WriteString("something to flush"); err != nil {
		t.Fatal(err)
	}
	return p, f
}

// lent returns a flusher of p. It skips where the system allows none, and only
// there: the server would not notice that there is none.
func lent(t *testing.T, p *flusherPool) *flusher {
	t.Helper()
	f, err := newFlusher()
	switch {
	case err == syscall.EPERM || err == syscall.ENOSYS || err == syscall.EAGAIN:
		t.Skip("io_setup: ", err)
	case err != nil:
		t.Fatal(err)
	}
	p.made++
	return f
}

func TestFlusher(t *testing.T) {
	p, file := own(t)
	f := lent(t, p)
	for range 3 {
		if taken, err := f.datasync(file.Fd()); !taken || err != nil {
			t.Fatal(taken, err)
		}
	}
	p.put(f)
	if p.get() != f || p.made != 1 {
		t.Error("it is not lent again")
	}
	p.put(f)
}

// TestFlusherRefused: what the kernel does not take is flushed as ever, and its
// error is that of fdatasync.
func TestFlusherRefused(t *testing.T) {
	p, file := own(t)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	f := lent(t, p)
	if taken, err := f.datasync(null.Fd()); taken || err != nil {
		t.Error(taken, err)
	}
	p.put(f)
	if err := p.datasync(null.Fd()); err != syscall.EINVAL {
		t.Error(err)
	}
	if err := p.datasync(file.Fd()); err != nil {
		t.Error(err)
	}
	without := &flusherPool{never: true}
	if err := without.datasync(file.Fd()); err != nil {
		t.Error(err)
	}
	if without.made != 0 {
		t.Error("one was made")
	}
}

// TestFlusherThatCannotWait: the result is waited for otherwise, and the flusher goes.
func TestFlusherThatCannotWait(t *testing.T) {
	p, file := own(t)
	f := lent(t, p)
	f.event.SetReadDeadline(time.Now().Add(-time.Second))
	if taken, err := f.datasync(file.Fd()); !taken || err != nil {
		t.Error(taken, err)
	}
	p.put(f)
	if len(p.idle) != 0 || p.made != 0 {
		t.Error("it is kept:", len(p.idle), p.made)
	}
}

// TestFlusherWithAnothersResult: it is no answer, and nothing more is asked of it.
func TestFlusherWithAnothersResult(t *testing.T) {
	p, file := own(t)
	f := lent(t, p)
	old := aioRequest{ticket: 99, opcode: aioFdatasync, fd: uint32(file.Fd()), flags: aioFlagEventFD, eventFD: f.eventFD}
	*f.request = old
	if n, _, errno := syscall.RawSyscall(syscall.SYS_IO_SUBMIT, f.context, 1, uintptr(unsafe.Pointer(f.list))); n != 1 {
		t.Fatal(errno)
	}
	for f.count[0] == 0 && f.count[7] == 0 { // until it is done
		f.poll(uintptr(f.eventFD))
	}
	if taken, err := f.datasync(file.Fd()); taken && err != syscall.EIO {
		t.Errorf("taken for the answer: %v", err)
	} else if taken && !f.spent {
		t.Error("it would be used again")
	}
	f.spent = true
	p.put(f)
}

// TestManyFlush: more at once than there are flushers.
func TestManyFlush(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 3 * flushersMost {
		all.Go(func() {
			h, err := Create(OS, filepath.Join(dir, string(rune('a'+i))))
			if err != nil {
				t.Error(err)
				return
			}
			defer h.Close()
			for k := range 20 {
				if _, err := h.WriteAt([]byte{byte(k)}, int64(k)); err != nil {
					t.Error(err)
				}
				if err := h.Datasync(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	flushers.mu.Lock()
	defer flushers.mu.Unlock()
	if flushers.made > flushersMost || len(flushers.idle) != flushers.made {
		t.Errorf("%d made, %d idle", flushers.made, len(flushers.idle))
	}
}

func TestDatasyncClosed(t *testing.T) {
	h, err := Create(OS, filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	if err := h.Datasync(); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	if _, err := h.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

// TestWriteAt: short and long, with the scheduler told and not.
func TestWriteAt(t *testing.T) {
	defer writes.until.Store(writes.until.Load())
	for _, until := range []int64{0, 1 << 62} {
		writes.until.Store(until)
		name := filepath.Join(t.TempDir(), "x")
		h, err := OS.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		var want []byte
		for _, n := range []int{0, 1, 4095, writeShort, writeShort + 1} {
			b := bytes.Repeat([]byte{byte(n)}, n)
			if k, err := h.WriteAt(b, int64(len(want))); k != n || err != nil {
				t.Fatal(k, err)
			}
			want = append(want, b...)
		}
		if got, err := os.ReadFile(name); !bytes.Equal(got, want) || err != nil {
			t.Errorf("%d bytes, want %d: %v", len(got), len(want), err)
		}

		full, err := OS.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		n, err := full.WriteAt([]byte("x"), 0)
		var at *fs.PathError
		if n != 0 || !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &at) || at.Op != "write" || at.Path != "/dev/full" {
			t.Errorf("%d, %#v", n, err)
		}
		reader, err := Open(OS, name)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		if _, err := reader.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EBADF) {
			t.Error(err)
		}
	}
}

func TestRequestIsAsTheKernelHasIt(t *testing.T) {
	if n := unsafe.Sizeof(aioRequest{}); n != 64 {
		t.Errorf("an iocb of %d bytes", n)
	}
	if n := unsafe.Sizeof(aioResult{}); n != 32 {
		t.Errorf("an io_event of %d bytes", n)
	}
}

func TestCare(t *testing.T) {
	var c care
	now := time.Hour
	if c.due(now) {
		t.Error("from the beginning")
	}
	if c.took(now, writeLong); c.due(now) {
		t.Error("after a write that took no longer than it may")
	}
	c.took(now, writeLong+1)
	c.took(now+1, 1)
	if !c.due(now + 1) {
		t.Error("not after one that took long")
	}
	if c.due(now + writeCare) {
		t.Error("for ever")
	}
}
