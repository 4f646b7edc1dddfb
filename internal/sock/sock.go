// SPDX-License-Identifier: Apache-2.0

// Package sock reads from and writes to sockets that never block, at the least
// cost: without telling the scheduler of a call that is over at once. It knows
// TCP connections of the system; all others work as they do without it.
package sock

import "net"

// Most is how many bytes one call reads or writes, where the scheduler is not told
// of it: nothing else runs on its processor meanwhile, and a garbage collection
// waits for it.
const Most = 64 << 10

// Reader reads from a connection.
type Reader struct {
	conn net.Conn
	raw  rawReader
}

// NewReader returns a Reader for one goroutine.
func NewReader(c net.Conn) *Reader {
	r := &Reader{conn: c}
	r.raw.bind(c)
	return r
}

// Read is that of the connection, deadlines included.
func (r *Reader) Read(p []byte) (int, error) {
	if r.raw.rc == nil || len(p) == 0 {
		return r.conn.Read(p)
	}
	return r.raw.read(p)
}

// Writer writes to a connection what its socket takes at once.
type Writer struct{ raw rawWriter }

// NewWriter returns a Writer for one goroutine at a time, or nil where the
// connection cannot be asked what it takes.
func NewWriter(c net.Conn) *Writer {
	w := new(Writer)
	if w.raw.bind(c); w.raw.rc == nil {
		return nil
	}
	return w
}

// Try returns how much of b was written. It never waits.
func (w *Writer) Try(b []byte) (int, error) { return w.raw.write(b) }
