// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
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

// ReadSnapshot streams a snapshot file into sink, up to but without LoadDone.
// How it is compressed goes by the end of its name. maxBuffer bounds the length
// of a path and of data (0 = DefaultMaxBuffer).
func ReadSnapshot(fsys vfs.FS, path string, maxBuffer int, sink Sink) (SnapshotInfo, error) {
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

func readSnapshot(plain io.Reader, path string, maxBuffer int, sink Sink) (SnapshotInfo, error) {
	if maxBuffer <= 0 {
		maxBuffer = DefaultMaxBuffer
	}
	r := &snapReader{path: path, scan: newSummingScanner(plain), max: maxBuffer, sink: sink}
	for _, section := range []func() error{r.header, r.sessions, r.acls, r.nodes, r.seal, r.rest} {
		if err := section(); err != nil {
			return r.info, err
		}
	}
	return r.info, nil
}

type snapReader struct {
	path string
	scan *scanner
	max  int
	sink Sink
	info SnapshotInfo
}

func (r *snapReader) corrupt(cause error, format string, args ...any) error {
	return &CorruptError{File: r.path, Offset: r.scan.offset(), What: fmt.Sprintf(format, args...), Hint: hintDamage, Err: cause}
}

// take returns the next n bytes, valid until the next call.
func (r *snapReader) take(n int) ([]byte, error) {
	b := r.scan.peek(n)
	if len(b) < n {
		return nil, r.corrupt(r.scan.failure(), "the snapshot ends early")
	}
	r.scan.skip(n)
	return b, nil
}

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

func (r *snapReader) count(what string) (int, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	n := int32(binary.BigEndian.Uint32(b))
	if n < 0 {
		return 0, r.corrupt(nil, "%d %s", n, what)
	}
	return int(n), nil
}

func (r *snapReader) sessions() error {
	n, err := r.count("sessions")
	if err != nil {
		return err
	}
	for range n {
		b, err := r.take(12)
		if err != nil {
			return err
		}
		r.sink.LoadSession(int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:])))
		r.info.Sessions++
	}
	return nil
}

func (r *snapReader) acls() error {
	n, err := r.count("ACLs")
	if err != nil {
		return err
	}
	for range n {
		if err := r.acl(); err != nil {
			return err
		}
		r.info.ACLs++
	}
	return nil
}

// acl reads one entry of the ACL map. Its length is not known before it is
// read, so it is tried on more and more bytes.
func (r *snapReader) acl() error {
	for want := 4 << 10; ; want *= 4 {
		b := r.scan.peek(want)
		c := jute.RawDecoder(b)
		c.Limit(r.max)
		var key int64
		var list []proto.ACL
		c.Long(&key)
		proto.ACLs(&c, &list)
		if c.Err() == nil {
			r.scan.skip(c.Pos())
			r.sink.LoadACL(key, list)
			return nil
		}
		if len(b) < want { // these were all bytes there are
			return r.corrupt(c.Err(), "entry of the ACL map")
		}
		if want > 64<<20 {
			return r.corrupt(c.Err(), "entry of the ACL map is unreasonably long")
		}
	}
}

func (r *snapReader) nodes() error {
	var st proto.StatPersisted
	for {
		// Length of the path, the path, length of the data.
		b := r.scan.peek(4)
		if len(b) < 4 {
			return r.corrupt(r.scan.failure(), "the snapshot ends early")
		}
		pathLen := int(int32(binary.BigEndian.Uint32(b)))
		if pathLen < 0 || pathLen > r.max {
			return r.corrupt(nil, "unreasonable path length %d", pathLen)
		}
		if pathLen == 1 {
			if b = r.scan.peek(5); len(b) == 5 && b[4] == '/' {
				r.scan.skip(5)
				return nil
			}
		}
		b = r.scan.peek(4 + pathLen + 4)
		if len(b) < 4+pathLen+4 {
			return r.corrupt(r.scan.failure(), "the snapshot ends early")
		}
		dataLen := int(int32(binary.BigEndian.Uint32(b[4+pathLen:])))
		if dataLen < -1 || dataLen > r.max {
			return r.corrupt(nil, "unreasonable data length %d of %q", dataLen, b[4:4+pathLen])
		}
		null := dataLen < 0
		dataLen = max(dataLen, 0)

		size := 4 + pathLen + 4 + dataLen + 8 + statSize
		b = r.scan.peek(size)
		if len(b) < size {
			return r.corrupt(r.scan.failure(), "the snapshot ends early")
		}
		path := b[4 : 4+pathLen : 4+pathLen]
		if (pathLen == 0) != (r.info.Nodes == 0) || pathLen > 0 && path[0] != '/' {
			return r.corrupt(nil, "path %q in the place of znode %d", path, r.info.Nodes)
		}
		b = b[4+pathLen+4:]
		data := b[:dataLen:dataLen]
		if null {
			data = nil
		}
		b = b[dataLen:]
		decodeStat(b[8:], &st)
		if err := r.sink.LoadNode(path, data, int64(binary.BigEndian.Uint64(b)), &st); err != nil {
			return r.corrupt(err, "znode %q", path)
		}
		r.scan.skip(size)
		r.info.Nodes++
	}
}

// decodeStat is (*proto.StatPersisted).Fields by hand: a million times at every
// start.
func decodeStat(b []byte, st *proto.StatPersisted) {
	_ = b[statSize-1]
	st.Czxid = proto.Zxid(binary.BigEndian.Uint64(b))
	st.Mzxid = proto.Zxid(binary.BigEndian.Uint64(b[8:]))
	st.Ctime = int64(binary.BigEndian.Uint64(b[16:]))
	st.Mtime = int64(binary.BigEndian.Uint64(b[24:]))
	st.Version = int32(binary.BigEndian.Uint32(b[32:]))
	st.Cversion = int32(binary.BigEndian.Uint32(b[36:]))
	st.Aversion = int32(binary.BigEndian.Uint32(b[40:]))
	st.EphemeralOwner = int64(binary.BigEndian.Uint64(b[44:]))
	st.Pzxid = proto.Zxid(binary.BigEndian.Uint64(b[52:]))
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
