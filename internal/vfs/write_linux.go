// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"io"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// To write to a file is to copy in memory, as a rule, and the scheduler is not told
// of a short copy: if it is, a thread is woken to watch over the writer. But a file
// system may have the writer wait, for its journal or because too much is on its way
// to the disk, and nothing else runs on the writer's processor then. So it is told of
// all for a while after one that took long.
const (
	writeShort = 64 << 10 // bytes
	writeLong  = 20 * time.Millisecond
	writeCare  = 10 * time.Second
)

// care is until when the scheduler is told of short writes too.
type care struct{ until atomic.Int64 } // ns since epoch, on the monotonic clock

var (
	writes care
	epoch  = time.Now()
)

func (c *care) due(now time.Duration) bool { return int64(now) < c.until.Load() }

// took notes how long a short write took.
func (c *care) took(now, d time.Duration) {
	if d > writeLong {
		c.until.Store(int64(now + writeCare))
	}
}

// WriteAt is pwrite.
func (f osFile) WriteAt(b []byte, off int64) (n int, err error) {
	if len(b) > writeShort || strconv.IntSize < 64 { // with 32 bits the offset is passed otherwise
		return f.File.WriteAt(b, off)
	}
	begin := time.Since(epoch)
	if writes.due(begin) {
		n, err = f.File.WriteAt(b, off)
	} else {
		err = f.control("write", func(fd uintptr) (err error) {
			n, err = pwrite(fd, b, off)
			return err
		})
	}
	end := time.Since(epoch)
	writes.took(end, end-begin)
	return n, err
}

// pwrite writes all of b, without telling the scheduler.
func pwrite(fd uintptr, b []byte, off int64) (n int, err error) {
	for n < len(b) {
		k, _, errno := syscall.RawSyscall6(syscall.SYS_PWRITE64, fd, uintptr(unsafe.Pointer(&b[n])), uintptr(len(b)-n), uintptr(off+int64(n)), 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno != 0:
			return n, errno
		case k == 0:
			return n, io.ErrShortWrite
		default:
			n += int(k)
		}
	}
	return n, nil
}
