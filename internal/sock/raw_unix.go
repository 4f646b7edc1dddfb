// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sock

import (
	"io"
	"net"
	"syscall"
)

// rawOf is nil where the connection is none of the system's.
func rawOf(c net.Conn) syscall.RawConn {
	if t, ok := c.(*net.TCPConn); ok {
		if rc, err := t.SyscallConn(); err == nil {
			return rc
		}
	}
	return nil
}

type rawReader struct {
	rc   syscall.RawConn
	once func(fd uintptr) bool

	b   []byte
	n   int
	err error
}

func (r *rawReader) bind(c net.Conn) {
	r.rc = rawOf(c)
	r.once = func(fd uintptr) bool {
		r.n, r.err = Read(fd, r.b)
		return r.err != syscall.EAGAIN
	}
}

func (r *rawReader) read(b []byte) (int, error) {
	r.b = b
	err := r.rc.Read(r.once)
	r.b = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, r.err
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

type rawWriter struct {
	rc  syscall.RawConn
	all func(fd uintptr) bool

	b    []byte
	sent int
	err  error
}

func (w *rawWriter) bind(c net.Conn) {
	w.rc = rawOf(c)
	w.all = func(fd uintptr) bool {
		for w.sent < len(w.b) {
			n, err := Write(fd, w.b[w.sent:])
			if err != nil {
				if err != syscall.EAGAIN {
					w.err = err
				}
				return true
			}
			w.sent += n
		}
		return true
	}
}

func (w *rawWriter) write(b []byte) (int, error) {
	w.b, w.sent, w.err = b, 0, nil
	err := w.rc.Write(w.all)
	if err == nil {
		err = w.err
	}
	w.b = nil
	return w.sent, err
}

// Read is read(2), again where a signal has interrupted it.
func Read(fd uintptr, b []byte) (int, error) {
	for {
		if n, err := read(fd, b); err != syscall.EINTR {
			return n, err
		}
	}
}

// Write is write(2), again where a signal has interrupted it.
func Write(fd uintptr, b []byte) (int, error) {
	for {
		if n, err := write(fd, b); err != syscall.EINTR {
			return n, err
		}
	}
}
