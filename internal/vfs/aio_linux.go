// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"cmp"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// A thread that waits in fdatasync(2) keeps its processor until a thread that
// watches over them takes it away, and that one is woken for it and wakes others.
// Asked for by io_submit(2), which knows it since Linux 4.18, a worker of the kernel
// waits in its place, and the goroutine as it waits for a socket
// (docs/decisions/0014-flushes-are-waited-for-as-sockets-are.md).

// flusher has the kernel flush one file at a time.
type flusher struct {
	context uintptr  // of io_setup
	event   *os.File // an eventfd that counts what is done
	eventFD uint32
	wait    syscall.RawConn
	poll    func(fd uintptr) bool

	ticket uint64 // of the last request
	spent  bool   // not to be used again

	// What the kernel reads and writes lies outside of any stack, which may move.
	request *aioRequest
	list    *[1]*aioRequest
	result  *aioResult
	count   *[8]byte
}

// aioRequest and aioResult are iocb and io_event of linux/aio_abi.h. What a flush
// does not need is 0.
type aioRequest struct {
	ticket  uint64
	_       [2]uint32 // key and rw_flags, in an order that depends on the machine
	opcode  uint16
	_       int16 // priority
	fd      uint32
	_       [4]uint64 // buf, nbytes, offset, reserved
	flags   uint32
	eventFD uint32
}

type aioResult struct {
	ticket uint64 // of the request
	_      uint64
	res    int64 // 0, or an errno below
	_      int64
}

const (
	aioFdatasync   = 3 // IOCB_CMD_FDSYNC
	aioFlagEventFD = 1 // IOCB_FLAG_RESFD
)

// flusherPool lends flushers to who flushes at the same time.
type flusherPool struct {
	mu    sync.Mutex
	idle  []*flusher
	made  int
	never bool // the system has none, or allows none
}

// flushersMost is how many files are flushed at once by the kernel's workers.
const flushersMost = 8

var flushers flusherPool

// get returns nil where there is none.
func (p *flusherPool) get() *flusher {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := len(p.idle); k > 0 {
		f := p.idle[k-1]
		p.idle = p.idle[:k-1]
		return f
	}
	if p.never || p.made == flushersMost {
		return nil
	}
	f, err := newFlusher()
	if err != nil {
		p.never = true
		return nil
	}
	p.made++
	return f
}

func (p *flusherPool) put(f *flusher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.spent {
		f.close()
		p.made--
		return
	}
	p.idle = append(p.idle, f)
}

// datasync is fdatasync. The caller sees to it that fd stays open.
func (p *flusherPool) datasync(fd uintptr) error {
	if f := p.get(); f != nil {
		taken, err := f.datasync(fd)
		p.put(f)
		if taken {
			return err
		}
	}
	for {
		if err := syscall.Fdatasync(int(fd)); err != syscall.EINTR {
			return err
		}
	}
}

func newFlusher() (*flusher, error) {
	f := &flusher{request: new(aioRequest), result: new(aioResult), count: new([8]byte)}
	f.list = &[1]*aioRequest{f.request}
	context := new(uintptr)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(context)), 0); errno != 0 {
		return nil, errno
	}
	f.context = *context
	fd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return nil, errors.Join(errno, f.close())
	}
	f.event, f.eventFD = os.NewFile(fd, "eventfd"), uint32(fd)
	var err error
	if f.wait, err = f.event.SyscallConn(); err == nil {
		err = f.event.SetReadDeadline(time.Time{}) // can be waited for
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	f.poll = func(fd uintptr) bool {
		_, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(f.count)), uintptr(len(f.count)))
		return errno != syscall.EAGAIN
	}
	return f, nil
}

func (f *flusher) close() error {
	if f.event != nil {
		f.event.Close()
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IO_DESTROY, f.context, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// datasync reports whether the kernel has taken the flush; if not, nothing was
// done. An error of a flush that was taken is that of the flush: the kernel tells of
// it once, so nobody is to try again.
func (f *flusher) datasync(fd uintptr) (taken bool, err error) {
	f.ticket++
	*f.request = aioRequest{ticket: f.ticket, opcode: aioFdatasync, fd: uint32(fd), flags: aioFlagEventFD, eventFD: f.eventFD}
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_IO_SUBMIT, f.context, 1, uintptr(unsafe.Pointer(f.list)))
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 || n != 1 {
			return false, nil
		}
		break
	}
	if err := f.wait.Read(f.poll); err != nil {
		f.spent = true // and the call below is what waits
	}
	for {
		n, errno := f.collect()
		switch {
		case errno == syscall.EINTR:
		case errno != 0 || n != 1 || f.result.ticket != f.ticket:
			// What has become of this flush nobody knows, and its result may come yet: it
			// must not be taken for another's.
			f.spent = true
			return true, cmp.Or(errno, syscall.EIO)
		case f.result.res < 0:
			return true, syscall.Errno(-f.result.res)
		default:
			return true, nil
		}
	}
}

// collect returns how many results there were.
func (f *flusher) collect() (n uintptr, errno syscall.Errno) {
	if f.spent {
		n, _, errno = syscall.Syscall6(syscall.SYS_IO_GETEVENTS, f.context, 1, 1, uintptr(unsafe.Pointer(f.result)), 0, 0)
	} else {
		n, _, errno = syscall.RawSyscall6(syscall.SYS_IO_GETEVENTS, f.context, 1, 1, uintptr(unsafe.Pointer(f.result)), 0, 0)
	}
	return n, errno
}
