// SPDX-License-Identifier: Apache-2.0

//go:build unix

package conn

import (
	"io"
	"net"
	"syscall"

	"paddock/internal/sock"
)

// bind prepares the call that reads from the socket itself: it takes a buffer
// only when there is something to read.
func (c *conn) bind() error {
	rc, err := c.nc.SyscallConn()
	if err != nil {
		return err
	}
	c.rc = rc
	c.readFn = func(fd uintptr) bool {
		c.makeRoom()
		n, err := sock.Read(fd, c.in[c.w:])
		switch {
		case err == syscall.EAGAIN:
			c.release()
			return false
		case err == nil && n == 0:
			err = io.EOF
		}
		c.readN, c.readErr = n, err
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
