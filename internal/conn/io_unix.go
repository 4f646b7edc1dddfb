// SPDX-License-Identifier: Apache-2.0

//go:build unix

package conn

import (
	"io"
	"net"
	"syscall"
)

// bind prepares the calls that read and write on the socket itself: a read
// takes a buffer only when there is something to read, a write tries once.
func (c *conn) bind() error {
	rc, err := c.nc.SyscallConn()
	if err != nil {
		return err
	}
	c.rc = rc
	c.readFn = func(fd uintptr) bool {
		c.makeRoom()
		for {
			n, err := syscall.Read(int(fd), c.in[c.w:])
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				c.release()
				return false
			case err == nil && n == 0:
				err = io.EOF
			}
			c.readN, c.readErr = max(n, 0), err
			return true
		}
	}
	c.writeFn = func(fd uintptr) bool {
		for c.sent < len(c.out) {
			n, err := syscall.Write(int(fd), c.out[c.sent:])
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				if err != syscall.EAGAIN {
					c.outErr = err
				}
				return true
			}
			c.sent += n
		}
		return true
	}
	return nil
}

// fill reads what there is, at least one byte.
func (c *conn) fill() error {
	if err := c.rc.Read(c.readFn); err != nil {
		return err
	}
	c.w += c.readN
	return c.readErr
}

// tryWrite writes what the socket takes at once. The caller is the flusher.
func (c *conn) tryWrite(b []byte) (int, error) {
	c.out, c.sent, c.outErr = b, 0, nil
	if err := c.rc.Write(c.writeFn); err != nil {
		return 0, err
	}
	c.out = nil
	return c.sent, c.outErr
}

// setBacklog changes the queue of a socket that listens already.
func setBacklog(ln *net.TCPListener, n int) error {
	rc, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := rc.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), n) }); err != nil {
		return err
	}
	return failed
}

// Alive looks for the end of the peer's bytes without taking any.
func (c *conn) Alive() bool {
	alive := true
	err := c.rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = n > 0 || err == syscall.EAGAIN || err == syscall.EINTR
	})
	return err == nil && alive
}
