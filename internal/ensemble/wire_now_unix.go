// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"net"
	"syscall"
)

// nowWriter writes to a connection what its socket takes at once.
type nowWriter struct {
	rc    syscall.RawConn
	write func(fd uintptr) bool

	b    []byte
	sent int
	err  error
}

// newNowWriter returns nil where the connection is none of the system's.
func newNowWriter(c net.Conn) *nowWriter {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	w := &nowWriter{rc: rc}
	w.write = func(fd uintptr) bool {
		for w.sent < len(w.b) {
			n, err := syscall.Write(int(fd), w.b[w.sent:])
			switch err {
			case nil:
				w.sent += n
			case syscall.EINTR:
			case syscall.EAGAIN:
				return true
			default:
				w.err = err
				return true
			}
		}
		return true
	}
	return w
}

// try returns how much of b was written; it never waits.
func (w *nowWriter) try(b []byte) (int, error) {
	w.b, w.sent, w.err = b, 0, nil
	err := w.rc.Write(w.write)
	if err == nil {
		err = w.err
	}
	w.b = nil
	return w.sent, err
}
