// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"encoding/binary"
	"hash/crc32"
	"unsafe"

	"paddock/proto"
)

// A Digester computes digests (storage-format.md section 8): a znode's is the
// CRC-32 of path, data and the 60 stored bytes of its numbers, and the tree's
// is their sum. The part over path and data is kept with the znode, so that a
// change of numbers alone costs 60 bytes of CRC. The zero value is ready; one
// goroutine at a time may use it.
//
// The checksum is fast from 64 bytes on, in steps of 16. Zeros that come before
// everything else, while the register is zero, leave it zero: so the input is
// filled up with them in front.
type Digester struct {
	buf [crcAtOnce]byte
}

const (
	crcAtOnce  = 512 // longest path and data that are put together to be summed in one go
	crcStep    = 16
	crcLeast   = 64
	crcZero    = ^uint32(0) // what crc32.Update calls a register of zero
	numberSize = 8*6 + 4*3
)

// fill returns a part of d's buffer for n bytes, filled up in front, and how
// much is filled up there.
func (d *Digester) fill(n int) ([]byte, int) {
	size := max(crcLeast, (n+crcStep-1)&^(crcStep-1))
	b := d.buf[:size]
	clear(b[:size-n])
	return b, size - n
}

// restart makes sum(b) from a zero register what it would be from crc on: b
// starts with at least four bytes that are not filled up.
func restart(b []byte, crc uint32) {
	binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)^^crc)
}

// Path starts a znode's digest from its path and data; the root's path is "".
func (d *Digester) Path(path string, data []byte) uint32 {
	n := len(path) + len(data)
	if n > crcAtOnce || n < 4 {
		return crc32.Update(crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(path), len(path))), crc32.IEEETable, data)
	}
	b, at := d.fill(n)
	copy(b[at:], path)
	copy(b[at+len(path):], data)
	restart(b[at:], 0)
	return crc32.Update(crcZero, crc32.IEEETable, b)
}

// Node ends a znode's digest, begun with crc, with its stored numbers.
func (d *Digester) Node(crc uint32, st *proto.StatPersisted) uint32 {
	all, at := d.fill(numberSize)
	b := all[at:]
	binary.BigEndian.PutUint64(b[0:], uint64(st.Czxid))
	binary.BigEndian.PutUint64(b[8:], uint64(st.Mzxid))
	binary.BigEndian.PutUint64(b[16:], uint64(st.Pzxid))
	binary.BigEndian.PutUint64(b[24:], uint64(st.Ctime))
	binary.BigEndian.PutUint64(b[32:], uint64(st.Mtime))
	binary.BigEndian.PutUint32(b[40:], uint32(st.Version))
	binary.BigEndian.PutUint32(b[44:], uint32(st.Cversion))
	binary.BigEndian.PutUint32(b[48:], uint32(st.Aversion))
	binary.BigEndian.PutUint64(b[52:], uint64(st.EphemeralOwner))
	restart(b, crc)
	return crc32.Update(crcZero, crc32.IEEETable, all)
}

// count takes the znode's new digest into the tree's, and the old one out.
func (t *Tree) count(n *node) {
	if n.flags&flagNoDigest != 0 {
		return
	}
	st := n.persisted()
	sum := t.sums.Node(n.crc, &st)
	t.digest += uint64(sum) - uint64(n.sum)
	n.sum = sum
}
