// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/klauspost/compress/snappy"
)

const (
	extGzip   = ".gz"
	extSnappy = ".snappy"
)

var (
	gzipMagic   = []byte{0x1f, 0x8b}
	snappyMagic = []byte("\x82SNAPPY\x00")
)

// extension is the end of a snapshot's name for a compression method.
func extension(method string) string {
	if method == "" {
		return ""
	}
	return "." + method
}

// decompress returns the plain bytes of r, which are compressed as the end of
// name says. The stream is read through no buffer of its own.
func decompress(r io.Reader, name string) (io.Reader, error) {
	switch filepath.Ext(name) {
	case extGzip:
		z, err := gzip.NewReader(bufio.NewReaderSize(r, scanBuffer))
		if err != nil {
			return nil, err
		}
		return z, nil
	case extSnappy:
		return newSnappyReader(bufio.NewReaderSize(r, scanBuffer))
	}
	return r, nil
}

// compress returns a writer of the method's container around w; closing it
// does not close w.
func compress(w io.Writer, method string) (io.WriteCloser, error) {
	switch method {
	case "gz":
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case "snappy":
		return newSnappyWriter(w)
	}
	return nopCloser{w}, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// The container of snappy-java: 8 bytes of magic, version 1, compatible
// version 1, then blocks, each behind its compressed length
// (storage-format.md section 6.2). It is not the official framing format.
const (
	snappyHeaderSize = 16
	snappyBlock      = 32 << 10 // plain bytes of a block, as snappy-java writes them
	snappyBlockMax   = 64 << 20 // accepted of others
)

type snappyReader struct {
	r          io.Reader
	compressed []byte
	plain      []byte // the rest of the current block
	block      []byte // its memory
}

func newSnappyReader(r io.Reader) (io.Reader, error) {
	head := make([]byte, snappyHeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if string(head[:len(snappyMagic)]) != string(snappyMagic) {
		return nil, fmt.Errorf("no snappy header: %x", head[:len(snappyMagic)])
	}
	return &snappyReader{r: r}, nil
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.plain) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.plain)
	s.plain = s.plain[n:]
	return n, nil
}

func (s *snappyReader) next() error {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return err // io.EOF between blocks is the end
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n <= 0 || n > snappyBlockMax {
		return fmt.Errorf("unreasonable snappy block of %d bytes", n)
	}
	var err error
	if s.compressed, err = readGrowing(s.r, s.compressed[:0], n); err != nil {
		return err
	}
	size, err := snappy.DecodedLen(s.compressed)
	if err != nil {
		return err
	}
	// A block of n bytes can't stand for more than some 22 times as many.
	if size > snappyBlockMax || size > 64*n+64 {
		return fmt.Errorf("snappy block claims %d bytes", size)
	}
	if cap(s.block) < size {
		s.block = make([]byte, size)
	}
	s.plain, err = snappy.Decode(s.block[:size], s.compressed)
	return err
}

// readGrowing appends n bytes of r to buf and allocates only as they come.
func readGrowing(r io.Reader, buf []byte, n int) ([]byte, error) {
	for n > 0 {
		k := min(n, snappyBlock)
		buf = append(buf, make([]byte, k)...)
		if _, err := io.ReadFull(r, buf[len(buf)-k:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return buf, err
		}
		n -= k
	}
	return buf, nil
}

type snappyWriter struct {
	w     io.Writer
	plain []byte // not yet written
	out   []byte
}

func newSnappyWriter(w io.Writer) (io.WriteCloser, error) {
	head := append([]byte{}, snappyMagic...)
	head = binary.BigEndian.AppendUint32(head, 1)
	head = binary.BigEndian.AppendUint32(head, 1)
	if _, err := w.Write(head); err != nil {
		return nil, err
	}
	return &snappyWriter{
		w:     w,
		plain: make([]byte, 0, snappyBlock),
		out:   make([]byte, 4+snappy.MaxEncodedLen(snappyBlock)),
	}, nil
}

func (s *snappyWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(len(p), snappyBlock-len(s.plain))
		s.plain = append(s.plain, p[:n]...)
		p = p[n:]
		if len(s.plain) == snappyBlock {
			if err := s.flush(); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

func (s *snappyWriter) flush() error {
	if len(s.plain) == 0 {
		return nil
	}
	b := snappy.Encode(s.out[4:], s.plain)
	binary.BigEndian.PutUint32(s.out, uint32(len(b)))
	s.plain = s.plain[:0]
	_, err := s.w.Write(s.out[:4+len(b)])
	return err
}

func (s *snappyWriter) Close() error { return s.flush() }
