// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"

	"paddock/internal/vfs"
	"paddock/proto"
)

// The header of a log: magic, version 2, dbid 0 (storage-format.md section 2.1).
const (
	logHeaderSize = 16
	logMagic      = "ZKLG"
	txnHeaderSize = 32
	zxidOffset    = 12 // of the zxid in a payload: after session and cxid
)

var logHeader = []byte(logMagic + "\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00")

// Entry is one transaction in a log file.
type Entry struct {
	Offset  int64 // of its first byte, the checksum
	Zxid    proto.Zxid
	Payload []byte // valid until the next entry is read
}

// Txn decodes the entry. Data in the result shares the payload's memory.
func (e Entry) Txn() (proto.Txn, error) { return proto.DecodeTxn(e.Payload) }

// LogEnd tells how a log file ends.
type LogEnd struct {
	Entries     int
	First, Last proto.Zxid // 0 without entries
	Offset      int64      // just after the last whole entry
	Size        int64      // of the file, padding included
	Torn        string     // what lies after Offset besides padding; "" = nothing
	TornBytes   int64      // up to the last byte that is not zero

	emptyFile bool // not even a header: nothing was written
	cutHeader bool // the first bytes of a header: creating it was torn
}

// ReadLog calls each with every whole entry of a log file, in order, and tells
// how the file ends. What a crash in mid-append leaves, which is also what
// Apache takes for the end of a file, is described in LogEnd; other damage is a
// *CorruptError. maxEntry bounds a payload's length (0 = DefaultMaxBuffer).
func ReadLog(fsys vfs.FS, path string, maxEntry int, each func(Entry) error) (LogEnd, error) {
	return readLog(fsys, path, maxEntry, 1<<63-1, each)
}

// readLog is ReadLog of no more than the first limit bytes of a file.
func readLog(fsys vfs.FS, path string, maxEntry int, limit int64, each func(Entry) error) (LogEnd, error) {
	if maxEntry <= 0 {
		maxEntry = DefaultMaxBuffer
	}
	h, err := vfs.Open(fsys, path)
	if err != nil {
		return LogEnd{}, err
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return LogEnd{}, err
	}
	size = min(size, limit)
	part := io.NewSectionReader(h, 0, size)
	r := &logReader{path: path, file: part, scan: newScanner(part), max: maxEntry}
	r.end.Size = size
	err = r.run(each)
	return r.end, err
}

type logReader struct {
	path string
	file io.ReaderAt
	scan *scanner
	max  int
	end  LogEnd
}

func (r *logReader) corrupt(at int64, cause error, format string, args ...any) error {
	return &CorruptError{File: r.path, Offset: at, What: fmt.Sprintf(format, args...), Hint: hintDamage, Err: cause}
}

func (r *logReader) run(each func(Entry) error) error {
	if ok, err := r.header(); !ok {
		return err
	}
	for {
		e, ok, err := r.next()
		if err != nil {
			return err
		}
		if !ok {
			return r.scan.failure()
		}
		if r.end.Entries == 0 {
			r.end.First = e.Zxid
		}
		if err := each(e); err != nil {
			return err
		}
		r.end.Last = e.Zxid
		r.end.Entries++
		r.end.Offset = r.scan.offset()
	}
}

// header reads the file's header; false ends the file there.
func (r *logReader) header() (bool, error) {
	head := r.scan.peek(logHeaderSize)
	if err := r.scan.failure(); err != nil {
		return false, err
	}
	switch {
	case len(head) == 0:
		r.end.emptyFile = true
		return false, nil
	case len(head) < logHeaderSize:
		if !bytes.HasPrefix(logHeader, head) {
			return false, r.corrupt(0, nil, "this is not the start of a log's header")
		}
		r.end.cutHeader = true
		r.end.Torn, r.end.TornBytes = "the file ends inside its header", int64(len(head))
		return false, nil
	case allZero(head):
		// The size of the file reached the disk and its bytes did not: a power cut
		// before the first sync. With anything behind it, it is damage.
		n, err := lastNonZero(r.file, 0)
		if err != nil {
			return false, err
		}
		if n > 0 {
			return false, r.corrupt(0, nil, "the header is zeros, and other bytes follow")
		}
		r.end.cutHeader = true
		r.end.Torn = "the file is nothing but zeros"
		return false, nil
	case string(head[:4]) != logMagic:
		return false, r.corrupt(0, nil, "magic number %x is not that of a log (%x)", head[:4], logMagic)
	}
	r.scan.skip(logHeaderSize) // version and dbid are not checked by Apache either
	r.end.Offset = logHeaderSize
	return true, nil
}

// next reads one entry; false means that there is none, for a reason that is
// in r.end.
func (r *logReader) next() (Entry, bool, error) {
	at := r.scan.offset()
	head := r.scan.peek(entryHead)
	if len(head) < entryHead {
		if r.scan.failure() != nil || allZero(head) {
			return Entry{}, false, nil
		}
		return r.stop(at, at, "the file ends inside an entry's head")
	}
	n := int(int32(binary.BigEndian.Uint32(head[8:])))
	if n == 0 {
		return r.stop(at, at+8, "bytes follow an entry of length 0")
	}
	if n < 0 || n > r.max {
		return Entry{}, false, r.corrupt(at, nil, "unreasonable entry length %d (the limit is %d)", n, r.max)
	}
	sum := binary.BigEndian.Uint64(head)
	all := r.scan.peek(entryHead + n + entryTail)
	if len(all) < entryHead+n+entryTail {
		if r.scan.failure() != nil {
			return Entry{}, false, nil
		}
		return r.stop(at, at+8, "the file ends inside an entry")
	}
	payload := all[entryHead : entryHead+n]
	if all[entryHead+n] != endMark {
		return r.stop(at, at+int64(entryHead+n), "an entry's end mark is missing")
	}
	if got := uint64(adler32.Checksum(payload)); got != sum {
		return Entry{}, false, r.corrupt(at, nil, "entry checksum is %x, its content gives %x", sum, got)
	}
	if n < txnHeaderSize {
		return Entry{}, false, r.corrupt(at, nil, "entry of %d bytes is shorter than a transaction's header", n)
	}
	r.scan.skip(entryHead + n + entryTail)
	zxid := proto.Zxid(binary.BigEndian.Uint64(payload[zxidOffset:]))
	return Entry{at, zxid, payload}, true, nil
}

// tailWindow is how far behind the end of the entries a lost entry is searched.
const tailWindow = 4 << 20

// stop ends the file at an entry that starts at offset at and is not whole;
// bad is the offset of the field that says so. Apache ends the file here
// whatever follows. So does stop, if what follows can be what a crash left of
// writes that nobody was promised. If whole transactions follow it is damage,
// and to go on would lose them: unless the disk sector of the field was never
// written, as happens when a power cut lets a batch's sectors reach the disk
// out of order.
func (r *logReader) stop(at, bad int64, reason string) (Entry, bool, error) {
	tornBytes, err := lastNonZero(r.file, at)
	if err != nil {
		return Entry{}, false, err
	}
	if tornBytes == 0 {
		return Entry{}, false, nil // padding
	}
	window := make([]byte, min(tornBytes, tailWindow))
	if _, err := r.file.ReadAt(window, at); err != nil && err != io.EOF {
		return Entry{}, false, err
	}
	if !unwrittenSector(window, at, bad) {
		if off, z, ok := r.findEntry(window); ok {
			return Entry{}, false, r.corrupt(at, nil, "%s, but transaction %s follows at offset %d", reason, z, at+off)
		}
	}
	r.end.Torn, r.end.TornBytes = reason, tornBytes
	return Entry{}, false, nil
}

// unwrittenSector tells whether the sector around offset bad is all zeros, as
// far as it belongs to the bytes at offset at.
func unwrittenSector(b []byte, at, bad int64) bool {
	const sector = 512
	from := max(bad/sector*sector, at) - at
	to := min(bad/sector*sector+sector-at, int64(len(b)))
	return from < to && allZero(b[from:to])
}

// findEntry searches b for a whole entry that may follow the last one read.
func (r *logReader) findEntry(b []byte) (off int64, z proto.Zxid, ok bool) {
	least := entryHead + txnHeaderSize + entryTail
	for i := 1; i+least <= len(b); i++ {
		h := b[i:]
		if binary.BigEndian.Uint32(h) != 0 { // a checksum has 32 bits in 64
			continue
		}
		n := int(int32(binary.BigEndian.Uint32(h[8:])))
		if n < txnHeaderSize || n > r.max || n > len(h)-entryHead-entryTail || h[entryHead+n] != endMark {
			continue
		}
		z = proto.Zxid(binary.BigEndian.Uint64(h[entryHead+zxidOffset:]))
		if r.end.Entries > 0 && !follows(r.end.Last, z) || adler32.Checksum(h[entryHead:entryHead+n]) != binary.BigEndian.Uint32(h[4:]) {
			continue
		}
		return int64(i), z, true
	}
	return 0, 0, false
}

// follows tells whether z can be of a transaction that was logged soon after last.
func follows(last, z proto.Zxid) bool {
	const soon = 1 << 20
	return z > last && (z.Epoch() > last.Epoch() || z-last < soon)
}

// lastNonZero returns the number of bytes from offset at up to the last one
// that is not zero.
func lastNonZero(f io.ReaderAt, at int64) (int64, error) {
	buf := make([]byte, scanBuffer)
	var last, off int64
	for {
		n, err := f.ReadAt(buf, at+off)
		if !allZero(buf[:n]) {
			last = off + int64(len(bytes.TrimRight(buf[:n], "\x00")))
		}
		off += int64(n)
		if err == io.EOF {
			return last, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

var zeros [4096]byte

func allZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
