// SPDX-License-Identifier: Apache-2.0

// Package jute is the codec of ZooKeeper's records: big-endian integers,
// length-prefixed strings and buffers, counted vectors, no tags and no padding.
//
// A record declares its fields once, in a method
//
//	func (r *SetData) Fields(c *jute.Coder) {
//		c.String(&r.Path)
//		c.Buffer(&r.Data)
//		c.Int(&r.Version)
//	}
//
// and that one declaration encodes, decodes and sizes it. A Coder keeps its
// first error and does nothing after it. A decoder never allocates more than
// the bytes that are left could justify, and never reads past them.
//
// Null and empty are different on the wire (length -1 and 0) and stay so here:
// a nil slice is null, and a null string is told by IsNull.
package jute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

// Record is anything that declares its fields to a Coder.
type Record interface {
	Fields(*Coder)
}

// ErrShort says that a record ended before its last field.
var ErrShort = errors.New("jute: record ends early")

// LengthError says that a length or count in a record is negative where that
// means nothing, or larger than the limit or than the bytes that are left.
type LengthError struct {
	What   string // "buffer", "string" or "vector"
	Length int
	Offset int // of the length field, from the start of the input
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("jute: unreasonable %s length %d at offset %d", e.What, e.Length, e.Offset)
}

// nullString stands for a null string. It is recognised by the address of its
// bytes, so that no text a client sends can be mistaken for it. It is built at
// run time: the linker may merge equal literals.
var nullString = string([]byte("\x00null"))

// Null is the null string (length -1 on the wire).
func Null() string { return nullString }

// IsNull tells a null string from every other, an equal text included.
func IsNull(s string) bool {
	return len(s) == len(nullString) && unsafe.StringData(s) == unsafe.StringData(nullString)
}

type direction uint8

const (
	decoding direction = iota
	encoding
	sizing
)

// Coder walks the fields of a record in one of three directions: from bytes,
// to bytes, or counting bytes. The zero value decodes an empty input.
type Coder struct {
	buf   []byte // decoding: the whole input; encoding: the output so far
	pos   int    // decoding: next byte to read; sizing: bytes counted
	max   int    // decoding: largest buffer or string accepted, 0 = what is left
	err   error
	dir   direction
	alias bool // decoded strings share the input's memory
	raw   bool // decoded strings are kept byte for byte
}

// Decoder reads from b. Buffers in decoded records share b's memory; strings
// are copies, with text normalised as described at Normalize.
func Decoder(b []byte) Coder { return Coder{buf: b} }

// AliasDecoder is Decoder, but strings share b's memory too: for records that
// do not outlive b.
func AliasDecoder(b []byte) Coder { return Coder{buf: b, alias: true} }

// RawDecoder is Decoder without text normalisation: for files, whose text was
// normalised when it was written.
func RawDecoder(b []byte) Coder { return Coder{buf: b, raw: true} }

// RawAliasDecoder is RawDecoder, but strings share b's memory too: for records
// that do not outlive b.
func RawAliasDecoder(b []byte) Coder { return Coder{buf: b, alias: true, raw: true} }

// Encoder appends to b.
func Encoder(b []byte) Coder { return Coder{buf: b, dir: encoding} }

// Limit sets the largest length of a buffer or string that a decoder accepts.
func (c *Coder) Limit(bytes int) { c.max = bytes }

// Decoding tells whether fields are being filled in.
func (c *Coder) Decoding() bool { return c.dir == decoding }

// Bytes returns what an encoder wrote (with what it was given to append to).
func (c *Coder) Bytes() []byte { return c.buf }

// Rest returns what a decoder has not read yet.
func (c *Coder) Rest() []byte { return c.buf[c.pos:] }

// Pos is the number of bytes a decoder has read.
func (c *Coder) Pos() int { return c.pos }

// Err returns the first error.
func (c *Coder) Err() error { return c.err }

// Fail records err as the Coder's error unless it has one.
func (c *Coder) Fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// Marshal returns the bytes of r.
func Marshal(r Record) []byte { return Append(nil, r) }

// Append appends the bytes of r to b.
func Append(b []byte, r Record) []byte {
	c := Encoder(b)
	r.Fields(&c)
	return c.buf
}

// Size returns the number of bytes of r.
func Size(r Record) int {
	c := Coder{dir: sizing}
	r.Fields(&c)
	return c.pos
}

// Unmarshal fills r from b and ignores bytes that follow the record, as the
// reference does.
func Unmarshal(b []byte, r Record) error {
	c := Decoder(b)
	r.Fields(&c)
	return c.err
}

// take returns the next n bytes of the input, or nil with an error set.
func (c *Coder) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if len(c.buf)-c.pos < n {
		c.err = ErrShort
		return nil
	}
	b := c.buf[c.pos : c.pos+n : c.pos+n]
	c.pos += n
	return b
}

// Int is a 4-byte integer.
func (c *Coder) Int(v *int32) {
	switch c.dir {
	case encoding:
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(*v))
	case sizing:
		c.pos += 4
	default:
		if b := c.take(4); b != nil {
			*v = int32(binary.BigEndian.Uint32(b))
		}
	}
}

// Long is an 8-byte integer.
func (c *Coder) Long(v *int64) {
	switch c.dir {
	case encoding:
		c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(*v))
	case sizing:
		c.pos += 8
	default:
		if b := c.take(8); b != nil {
			*v = int64(binary.BigEndian.Uint64(b))
		}
	}
}

// Bool is one byte; every value but 0 reads as true.
func (c *Coder) Bool(v *bool) {
	switch c.dir {
	case encoding:
		var x byte
		if *v {
			x = 1
		}
		c.buf = append(c.buf, x)
	case sizing:
		c.pos++
	default:
		if b := c.take(1); b != nil {
			*v = b[0] != 0
		}
	}
}

// length reads the length of a buffer or string; -1 is null.
func (c *Coder) length(what string) int {
	at := c.pos
	b := c.take(4)
	if b == nil {
		return 0
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	if n < -1 || c.max > 0 && n > c.max {
		c.err = &LengthError{what, n, at}
		return 0
	}
	if n > len(c.buf)-c.pos {
		c.err = ErrShort
		return 0
	}
	return n
}

// Buffer is a length and as many bytes. A decoded buffer shares the input's
// memory; nil is null.
func (c *Coder) Buffer(v *[]byte) {
	switch c.dir {
	case encoding:
		if *v == nil {
			c.buf = append(c.buf, 0xff, 0xff, 0xff, 0xff)
			return
		}
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(*v)))
		c.buf = append(c.buf, *v...)
	case sizing:
		c.pos += 4 + len(*v)
	default:
		n := c.length("buffer")
		if c.err != nil {
			return
		}
		if n < 0 {
			*v = nil
			return
		}
		*v = c.take(n)
	}
}

// Nested is a buffer that holds the bytes of r. It encodes and sizes; to decode,
// read the Buffer and choose the record.
func (c *Coder) Nested(r Record) {
	switch c.dir {
	case encoding:
		at := len(c.buf)
		c.buf = append(c.buf, 0, 0, 0, 0)
		r.Fields(c)
		binary.BigEndian.PutUint32(c.buf[at:], uint32(len(c.buf)-at-4))
	case sizing:
		c.pos += 4
		r.Fields(c)
	default:
		c.Fail(errors.New("jute: Nested does not decode"))
	}
}

// String is a length and as many bytes of text. A null string decodes to
// Null().
func (c *Coder) String(v *string) {
	switch c.dir {
	case encoding:
		s := *v
		if IsNull(s) {
			c.buf = append(c.buf, 0xff, 0xff, 0xff, 0xff)
			return
		}
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(s)))
		c.buf = append(c.buf, s...)
	case sizing:
		c.pos += 4
		if !IsNull(*v) {
			c.pos += len(*v)
		}
	default:
		n := c.length("string")
		if c.err != nil {
			return
		}
		if n < 0 {
			*v = nullString
			return
		}
		b := c.take(n)
		switch {
		case !c.raw && !isASCII(b):
			*v = Normalize(b)
		case c.alias:
			*v = unsafe.String(unsafe.SliceData(b), len(b))
		default:
			*v = string(b)
		}
	}
}

// Count is the count of a vector of items of at least minItem bytes each. It
// returns the number of items to walk and whether the vector is null. Encoding,
// n and null are what the caller has.
func (c *Coder) Count(n int, null bool, minItem int) (int, bool) {
	switch c.dir {
	case encoding:
		x := uint32(n)
		if null {
			x = 0xffffffff
		}
		c.buf = binary.BigEndian.AppendUint32(c.buf, x)
		return n, null
	case sizing:
		c.pos += 4
		return n, null
	}
	at := c.pos
	b := c.take(4)
	if b == nil {
		return 0, true
	}
	k := int(int32(binary.BigEndian.Uint32(b)))
	if k < 0 {
		return 0, k == -1 // any other negative count reads as empty
	}
	if k > (len(c.buf)-c.pos)/minItem {
		c.err = &LengthError{"vector", k, at}
		return 0, true
	}
	return k, false
}

// Vector is a count and as many items; minItem is the least number of bytes
// an item takes, which bounds what a hostile count can allocate. A nil slice
// is null.
func Vector[T any](c *Coder, v *[]T, minItem int, item func(*Coder, *T)) {
	n, null := c.Count(len(*v), *v == nil, minItem)
	if c.dir == decoding {
		*v = nil
		if c.err != nil || null {
			return
		}
		*v = make([]T, n)
	}
	for i := range *v {
		item(c, &(*v)[i])
		if c.err != nil {
			return
		}
	}
}

// Strings is a vector of strings.
func (c *Coder) Strings(v *[]string) { Vector(c, v, 4, (*Coder).String) }
