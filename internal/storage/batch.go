// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/binary"
	"hash/adler32"

	"paddock/jute"
	"paddock/proto"
)

// An entry of a log (storage-format.md section 2.1): 8 bytes of checksum over
// the payload, 4 of its length, the payload, an end mark.
const (
	entryHead = 12
	entryTail = 1
	endMark   = 'B'
)

// Batch is log entries, framed and in order, that are written in one write. The
// zero value is empty; a Batch that is Reset and filled again does not allocate.
type Batch struct {
	Buf         []byte
	First, Last proto.Zxid
	Count       int

	enc jute.Coder // here, so that encoding does not allocate one
}

// Add appends t.
func (b *Batch) Add(t *proto.Txn) {
	start := len(b.Buf)
	b.Buf = append(b.Buf, make([]byte, entryHead)...)
	b.enc = jute.Encoder(b.Buf)
	t.Encode(&b.enc)
	b.Buf = b.enc.Bytes()
	b.seal(start, t.Zxid)
}

// AddPayload appends a transaction that is encoded already.
func (b *Batch) AddPayload(zxid proto.Zxid, payload []byte) {
	start := len(b.Buf)
	b.Buf = append(b.Buf, make([]byte, entryHead)...)
	b.Buf = append(b.Buf, payload...)
	b.seal(start, zxid)
}

func (b *Batch) seal(start int, zxid proto.Zxid) {
	payload := b.Buf[start+entryHead:]
	binary.BigEndian.PutUint64(b.Buf[start:], uint64(adler32.Checksum(payload)))
	binary.BigEndian.PutUint32(b.Buf[start+8:], uint32(len(payload)))
	b.Buf = append(b.Buf, endMark)
	if b.Count == 0 {
		b.First = zxid
	}
	b.Last = zxid
	b.Count++
}

// Reset empties b and keeps its memory, unless one huge batch made it huge.
func (b *Batch) Reset() {
	const keep = 4 << 20
	if cap(b.Buf) > keep {
		b.Buf = nil
	}
	*b = Batch{Buf: b.Buf[:0]}
}

// Payloads calls each with the bytes of every transaction, which are those of
// a proposal too.
func (b *Batch) Payloads(each func(payload []byte)) {
	for buf := b.Buf; len(buf) >= entryHead+entryTail; {
		n := int(binary.BigEndian.Uint32(buf[8:]))
		each(buf[entryHead : entryHead+n])
		buf = buf[entryHead+n+entryTail:]
	}
}
