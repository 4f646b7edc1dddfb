// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"strconv"

	"paddock/internal/vfs"
	"paddock/jute"
	"paddock/proto"
)

// SnapshotInfo is what a snapshot holds besides what goes to the Sink.
type SnapshotInfo struct {
	Sessions, ACLs, Nodes int
	Digest                *SnapDigest // nil if there is no digest section
	LastZxid              proto.Zxid  // 0 if there is no such section
	HasLastZxid           bool
}

// ReadSnapshot streams a snapshot file into sink.
// How it is compressed goes by the end of its name. maxBuffer bounds the length
// of a path and of data (0 = DefaultMaxBuffer).
func ReadSnapshot(fsys vfs.FS, path string, maxBuffer int, sink TreeSink) (SnapshotInfo, error) {
	h, err := vfs.Open(fsys, path)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer h.Close()
	plain, err := decompress(h, path)
	if err != nil {
		return SnapshotInfo{}, &CorruptError{File: path, What: "not a compressed snapshot", Hint: hintDamage, Err: err}
	}
	return readSnapshot(plain, path, maxBuffer, sink)
}

func readSnapshot(plain io.Reader, path string, maxBuffer int, sink TreeSink) (SnapshotInfo, error) {
	if maxBuffer <= 0 {
		maxBuffer = DefaultMaxBuffer
	}
	r := &snapReader{treeReader{name: path, hint: hintDamage, scan: newSummingScanner(plain), max: maxBuffer, sink: sink}}
	for _, section := range []func() error{r.header, r.tree, r.seal, r.rest} {
		if err := section(); err != nil {
			return r.info, err
		}
	}
	return r.info, nil
}

// snapReader reads a snapshot file.
type snapReader struct{ treeReader }

func (r *snapReader) header() error {
	b, err := r.take(snapHeaderSize)
	if err != nil {
		return err
	}
	if string(b[:4]) != snapMagic {
		r.scan.pos = 0
		return r.corrupt(nil, "magic number %x is not that of a snapshot (%x)", b[:4], snapMagic)
	}
	return nil // version and dbid are not checked by Apache either
}

func (r *snapReader) seal() error {
	want := r.scan.checksum()
	b, err := r.take(sealSize)
	if err != nil {
		return err
	}
	if got := binary.BigEndian.Uint64(b); got != uint64(want) {
		return r.corrupt(nil, "the seal says %x, the content gives %x", got, want)
	}
	if !bytes.Equal(b[8:], slashPath) {
		return r.corrupt(nil, "the seal does not end as it should")
	}
	return nil
}

// rest reads the sections after the first seal. Which of them are there is not
// written anywhere: Apache goes by its own settings and misreads what another
// server wrote with others. The seals tell.
func (r *snapReader) rest() error {
	const most = 256
	b := r.scan.peek(most)
	if err := r.scan.failure(); err != nil {
		return r.corrupt(err, "reading the end of the snapshot")
	}
	if len(b) == 0 {
		return nil
	}
	sum := r.scan.checksum()
	if d, n, ok := digestSection(b); ok {
		if sum2, ok := sealed(sum, b, n); ok {
			r.info.Digest = &d
			r.scan.skip(n + sealSize)
			b, sum = b[n+sealSize:], sum2
		}
	}
	if len(b) == 0 {
		return nil
	}
	if _, ok := sealed(sum, b, 8); ok {
		r.info.LastZxid, r.info.HasLastZxid = proto.Zxid(binary.BigEndian.Uint64(b)), true
		r.scan.skip(8 + sealSize)
		b = b[8+sealSize:]
	}
	if len(b) != 0 {
		return r.corrupt(nil, "what follows the znodes is neither a digest nor a last zxid under a right seal")
	}
	return nil
}

// digestSection reads zxid, version and digest; before version 2 the digest is
// a string of hex digits (3.6).
func digestSection(b []byte) (d SnapDigest, n int, ok bool) {
	c := jute.RawDecoder(b)
	c.Long((*int64)(&d.Zxid))
	c.Int(&d.Version)
	if d.Version >= 2 {
		var v int64
		c.Long(&v)
		d.Tree = uint64(v)
		return d, c.Pos(), c.Err() == nil
	}
	var hex string
	c.String(&hex)
	if c.Err() != nil {
		return d, 0, false
	}
	v, err := strconv.ParseUint(hex, 16, 64)
	d.Tree = v
	return d, c.Pos(), err == nil
}

// sealed tells whether the n bytes at the start of b are followed by the right
// seal, where sum is the checksum of all before b, and returns the checksum
// after that seal.
func sealed(sum uint32, b []byte, n int) (uint32, bool) {
	if len(b) < n+sealSize {
		return 0, false
	}
	sum = adlerUpdate(sum, b[:n])
	if binary.BigEndian.Uint64(b[n:]) != uint64(sum) || !bytes.Equal(b[n+8:n+sealSize], slashPath) {
		return 0, false
	}
	return adlerUpdate(sum, b[n:n+sealSize]), true
}

// adlerUpdate is the checksum of b appended to bytes whose checksum is sum.
func adlerUpdate(sum uint32, b []byte) uint32 {
	const mod = 65521
	next := adler32.Checksum(b)
	a1, b1, n := sum&0xffff, sum>>16, uint32(len(b)%mod)
	a2, b2 := next&0xffff, next>>16
	// Both sums of next began at 1 and 0; here they begin at a1 and b1.
	lo := (a1 + a2 + mod - 1) % mod
	hi := (uint64(b1) + uint64(b2) + uint64(n)*uint64(a1+mod-1)) % mod
	return uint32(hi)<<16 | lo
}

// plausible is Apache's quick check of a snapshot, which decides whether it is
// a candidate at all (storage-format.md section 6.7).
func plausible(fsys vfs.FS, f File) (bool, error) {
	h, err := vfs.Open(fsys, f.Path)
	if err != nil {
		return false, err
	}
	defer h.Close()
	at, want := f.Size-int64(len(slashPath)), slashPath
	switch f.Ext {
	case extGzip:
		at, want = 0, gzipMagic
	case extSnappy:
		at, want = 0, snappyMagic
	default:
		if f.Size < 10 {
			return false, nil
		}
	}
	b := make([]byte, len(want))
	if _, err := h.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return bytes.Equal(b, want), nil
}
