// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"hash"
	"hash/adler32"
	"io"
)

// scanner reads a file front to back through one buffer and gives out pieces
// of it without copying. Its memory grows with what the file holds, never with
// what a length field in it claims.
type scanner struct {
	r    io.Reader
	buf  []byte
	pos  int   // next byte to give out
	end  int   // bytes of buf that are filled
	base int64 // offset of buf[0] in the stream
	err  error // of the last read; io.EOF at the end

	exact bool // no byte is read before it is asked for

	sum    hash.Hash32 // nil, or a running checksum of all bytes given out
	hashed int         // bytes of buf that sum has seen
}

const scanBuffer = 256 << 10

func newScanner(r io.Reader) *scanner { return &scanner{r: r, buf: make([]byte, scanBuffer)} }

// newSummingScanner also keeps the Adler-32 of what was given out.
func newSummingScanner(r io.Reader) *scanner {
	s := newScanner(r)
	s.sum = adler32.New()
	return s
}

// offset is the position in the stream of the next byte to give out.
func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// peek returns the next n bytes without moving on, valid until the next call,
// or fewer where the stream ends.
func (s *scanner) peek(n int) []byte {
	if s.end-s.pos < n {
		s.fill(n)
		n = min(n, s.end-s.pos)
	}
	return s.buf[s.pos : s.pos+n]
}

// skip moves on by n bytes that peek has returned.
func (s *scanner) skip(n int) { s.pos += n }

// failure is the read error that is not the end of the stream.
func (s *scanner) failure() error {
	if errors.Is(s.err, io.EOF) || errors.Is(s.err, io.ErrUnexpectedEOF) {
		return nil
	}
	return s.err
}

// checksum is the Adler-32 of all bytes given out so far.
func (s *scanner) checksum() uint32 {
	s.hash()
	return s.sum.Sum32()
}

func (s *scanner) hash() {
	if s.sum != nil && s.pos > s.hashed {
		s.sum.Write(s.buf[s.hashed:s.pos])
		s.hashed = s.pos
	}
}

// fill tries to have n unread bytes in the buffer.
func (s *scanner) fill(n int) {
	if s.err != nil {
		return
	}
	s.hash()
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.base += int64(s.pos)
	s.pos, s.hashed = 0, 0
	for s.end < n && s.err == nil {
		if s.end == len(s.buf) {
			s.buf = append(s.buf, make([]byte, len(s.buf))...)
		}
		to := len(s.buf)
		if s.exact {
			to = min(to, n)
		}
		var k int
		k, s.err = s.r.Read(s.buf[s.end:to])
		s.end += k
	}
}
