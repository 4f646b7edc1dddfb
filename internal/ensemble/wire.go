// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"paddock/internal/zab"
	"paddock/jute"
	"paddock/proto"
)

// Frame is an encoded packet. It may be sent on many links, and is not changed.
type Frame []byte

// Encode returns the bytes of p. It only reads p, so that many may encode it.
func Encode(p *proto.Packet) Frame {
	e := encoders.Get().(*encoder)
	e.packet = *p // Fields would write to it
	size := packetHead + len(p.Data) + 4
	for i := range p.Auth {
		size += 4 + len(p.Auth[i].Scheme) + 4 + len(p.Auth[i].User)
	}
	e.coder = jute.Encoder(make([]byte, 0, size))
	e.packet.Fields(&e.coder)
	f := Frame(e.coder.Bytes())
	*e = encoder{}
	encoders.Put(e)
	return f
}

// encoder is what would be allocated for each Encode.
type encoder struct {
	coder  jute.Coder
	packet proto.Packet
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// Batch is packets of one Sending, encoded once for all links that they go to:
// those share the slice. It is for one goroutine.
type Batch struct {
	first *zab.Packet // what was encoded last
	n     int
	frame Frame
}

// Encode returns the bytes of all packets, one behind the other. Packets are not
// changed after the first call with them until Reset.
func (b *Batch) Encode(packets []zab.Packet) Frame {
	if b.first == &packets[0] && b.n == len(packets) {
		return b.frame
	}
	size := 0
	for i := range packets {
		size += packetHead + len(packets[i].Data) + 4
	}
	e := encoders.Get().(*encoder)
	e.coder = jute.Encoder(make([]byte, 0, size))
	for i := range packets {
		e.packet = packets[i].Packet // Fields would write to it
		e.packet.Fields(&e.coder)
	}
	*b = Batch{&packets[0], len(packets), Frame(e.coder.Bytes())}
	*e = encoder{}
	encoders.Put(e)
	return b.frame
}

// Reset forgets.
func (b *Batch) Reset() { *b = Batch{} }

// cutter finds the ends of packets in a stream that has no frames (section 4.1).
// It goes on where it stopped, so that a packet that comes byte by byte is
// looked at once.
type cutter struct {
	max   int // bytes of a packet's data, and of its identities together
	off   int // bytes of the current packet that have been understood
	auth  int // where its identities begin, 0 while that is not known
	texts int // strings of them still to come
}

const (
	packetHead   = 4 + 8 + 4 // type, zxid, length of data
	smallestAuth = 4 + 4     // two empty strings
)

// next returns the length of the packet that b begins with. It is 0 while b
// does not hold it all; then need is the least number of bytes it will have.
func (c *cutter) next(b []byte) (n, need int, err error) {
	if c.off == 0 {
		if len(b) < packetHead {
			return 0, packetHead, nil
		}
		k := int(int32(binary.BigEndian.Uint32(b[packetHead-4:])))
		if k < -1 || k > c.max {
			return 0, 0, fmt.Errorf("a packet of type %d with %d bytes of data; at most %d are accepted", c.kind(b), k, c.max)
		}
		c.off = packetHead + max(k, 0)
	}
	if c.auth == 0 {
		if len(b) < c.off+4 {
			return 0, c.off + 4, nil
		}
		// A negative count other than -1 reads as none, as jute has it.
		k := int(int32(binary.BigEndian.Uint32(b[c.off:])))
		if k > c.max/smallestAuth {
			return 0, 0, fmt.Errorf("a packet of type %d with %d identities; at most %d are accepted", c.kind(b), k, c.max/smallestAuth)
		}
		c.off += 4
		c.auth, c.texts = c.off, 2*max(k, 0)
	}
	for ; c.texts > 0; c.texts-- {
		if len(b) < c.off+4 {
			return 0, c.off + 4*c.texts, nil
		}
		k := int(int32(binary.BigEndian.Uint32(b[c.off:])))
		if k < -1 || c.off+4+k-c.auth > c.max {
			return 0, 0, fmt.Errorf("a packet of type %d with an identity of %d bytes; at most %d are accepted in all", c.kind(b), k, c.max)
		}
		c.off += 4 + max(k, 0)
	}
	if len(b) < c.off {
		return 0, c.off, nil
	}
	n = c.off
	c.off, c.auth = 0, 0
	return n, 0, nil
}

func (c *cutter) kind(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }

// inbox turns a stream into packets. The packets share the memory of its
// chunks, so a chunk is written once, and given up when it is full; one of whose
// bytes no packet has anything is used again.
type inbox struct {
	cut   cutter
	coder jute.Coder // here, since on the stack it would not stay there
	chunk []byte
	r, w  int  // chunk[r:w] is not cut yet
	need  int  // least bytes of the packet at r
	taken bool // packets share memory with chunk
	found []zab.Packet
}

const (
	strangerChunk = 4 << 10 // until a learner has said who it is
	chunkBytes    = 64 << 10
	leastRead     = 16 << 10 // room for which it is worth to ask the system
	batchPackets  = 1000
	batchBytes    = 1 << 20
)

// fill reads once. It returns an error only where nothing was read.
func (in *inbox) fill(src io.Reader) error {
	in.room()
	for {
		n, err := src.Read(in.chunk[in.w:])
		in.w += n
		if n > 0 {
			return nil // an error comes again with the next Read
		}
		if err != nil {
			if err == io.EOF && in.r < in.w {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// room sees to it that something more can be read at w.
func (in *inbox) room() {
	have := in.w - in.r
	if in.chunk == nil {
		in.chunk = make([]byte, strangerChunk)
		return
	}
	free := len(in.chunk) - in.w
	if free >= min(leastRead, len(in.chunk)/4) || free > 0 && have > 0 && len(in.chunk)-in.r >= in.need {
		return
	}
	if !in.taken && have < len(in.chunk)/2 && in.need <= len(in.chunk) {
		copy(in.chunk, in.chunk[in.r:in.w])
		in.r, in.w = 0, have
		return
	}
	// A large packet is believed only as far as it has come.
	size := max(chunkBytes, min(in.need, 2*have+chunkBytes))
	next := make([]byte, size)
	copy(next, in.chunk[in.r:in.w])
	in.chunk, in.r, in.w, in.taken = next, 0, have, false
}

// batch cuts off and decodes the packets that are there, up to and including
// the first for which last is true. more says that there may be others.
func (in *inbox) batch(last func(proto.PacketType) bool) (out []zab.Packet, more bool, err error) {
	begin := in.r
	in.found = in.found[:0]
	for more = true; more && len(in.found) < batchPackets && in.r-begin < batchBytes; {
		if more, err = in.one(); more && last(in.found[len(in.found)-1].Type) {
			break
		}
	}
	if len(in.found) > 0 {
		out = slices.Clone(in.found)
		clear(in.found)
	}
	return out, more, err
}

// one cuts off and decodes the next packet, if it is there.
func (in *inbox) one() (bool, error) {
	n, need, err := in.cut.next(in.chunk[in.r:in.w])
	in.need = need
	if n == 0 || err != nil {
		return false, err
	}
	in.found = append(in.found, zab.Packet{})
	p := &in.found[len(in.found)-1]
	in.coder = jute.AliasDecoder(in.chunk[in.r : in.r+n : in.r+n])
	p.Fields(&in.coder)
	if err := in.coder.Err(); err != nil {
		in.found = in.found[:len(in.found)-1]
		return false, fmt.Errorf("a packet of type %d: %w", p.Type, err)
	}
	in.r += n
	in.taken = in.taken || len(p.Data)+len(p.Auth) > 0
	return true, nil
}

// rest takes out what has been read and not been cut.
func (in *inbox) rest() []byte {
	b := in.chunk[in.r:in.w:in.w]
	in.r = in.w
	return b
}

// unread puts bytes back that are to be cut next.
func (in *inbox) unread(parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	in.chunk = make([]byte, max(chunkBytes, n))
	in.r, in.w, in.taken = 0, 0, false
	for _, p := range parts {
		in.w += copy(in.chunk[in.w:], p)
	}
}
