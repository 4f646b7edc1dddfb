// SPDX-License-Identifier: Apache-2.0

package jute

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// all has a field of every kind.
type all struct {
	I    int32
	L    int64
	B    bool
	Buf  []byte
	S    string
	List []item
	Strs []string
}

type item struct {
	N int32
	S string
}

func (r *all) Fields(c *Coder) {
	c.Int(&r.I)
	c.Long(&r.L)
	c.Bool(&r.B)
	c.Buffer(&r.Buf)
	c.String(&r.S)
	Vector(c, &r.List, 8, func(c *Coder, i *item) { c.Int(&i.N); c.String(&i.S) })
	c.Strings(&r.Strs)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name string
		rec  all
		hex  string
	}{
		{"zero values, nil is null", all{},
			"00000000 0000000000000000 00 ffffffff 00000000 ffffffff ffffffff"},
		{"empty is not null", all{Buf: []byte{}, List: []item{}, Strs: []string{}},
			"00000000 0000000000000000 00 00000000 00000000 00000000 00000000"},
		{"values", all{I: -2, L: math.MinInt64, B: true, Buf: []byte{0, 255}, S: "ü", List: []item{{7, "a"}, {-1, ""}}, Strs: []string{"b"}},
			"fffffffe 8000000000000000 01 00000002 00ff 00000002 c3bc 00000002 00000007 00000001 61 ffffffff 00000000 00000001 00000001 62"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := unhex(t, c.hex)
			got := Marshal(&c.rec)
			if !bytes.Equal(got, want) {
				t.Errorf("bytes %x, want %x", got, want)
			}
			if n := Size(&c.rec); n != len(want) {
				t.Errorf("size %d, want %d", n, len(want))
			}
			var back all
			if err := Unmarshal(want, &back); err != nil || !reflect.DeepEqual(back, c.rec) {
				t.Errorf("read back %+v, %v", back, err)
			}
			for n := range want {
				if err := Unmarshal(want[:n], new(all)); err == nil {
					t.Errorf("cut after %d bytes and nobody noticed", n)
				}
			}
			if err := Unmarshal(append(want, 1, 2, 3), new(all)); err != nil {
				t.Errorf("bytes after the record: %v", err)
			}
		})
	}
}

func TestNullString(t *testing.T) {
	s := Null()
	if !IsNull(s) || IsNull("") || IsNull(strings.Clone(s)) {
		t.Error("null is told apart wrongly")
	}
	c := Encoder(nil)
	c.String(&s)
	if !bytes.Equal(c.Bytes(), unhex(t, "ffffffff")) {
		t.Errorf("null is %x", c.Bytes())
	}
	d := Decoder(c.Bytes())
	var back string
	if d.String(&back); !IsNull(back) {
		t.Errorf("null comes back as %q", back)
	}
}

func TestBadLengths(t *testing.T) {
	var le *LengthError
	for _, c := range []struct {
		name, hex string
		read      func(*Coder)
		limit     int
		unreason  bool // LengthError, else ErrShort
	}{
		{"buffer below -1", "fffffffe", func(c *Coder) { c.Buffer(new([]byte)) }, 0, true},
		{"buffer above the limit", "00000003 010203", func(c *Coder) { c.Buffer(new([]byte)) }, 2, true},
		{"buffer past the end", "7fffffff 01", func(c *Coder) { c.Buffer(new([]byte)) }, 0, false},
		{"string below -1", "80000000", func(c *Coder) { c.String(new(string)) }, 0, true},
		{"string past the end", "00000002 61", func(c *Coder) { c.String(new(string)) }, 0, false},
		{"vector with more items than bytes", "7fffffff 00000000", func(c *Coder) { c.Strings(new([]string)) }, 0, true},
		{"int past the end", "000000", func(c *Coder) { c.Int(new(int32)) }, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decoder(unhex(t, c.hex))
			d.Limit(c.limit)
			c.read(&d)
			if err := d.Err(); errors.As(err, &le) != c.unreason || !c.unreason && !errors.Is(err, ErrShort) {
				t.Errorf("%v", err)
			}
			before := d.Err()
			d.Int(new(int32))
			if d.Err() != before {
				t.Error("the first error is not kept")
			}
		})
	}
}

// TestNegativeCounts: -1 is null, any other negative count reads as empty
// (client-protocol.md section 1.1).
func TestNegativeCounts(t *testing.T) {
	for text, null := range map[string]bool{"ffffffff": true, "fffffffe": false, "80000000": false, "00000000": false} {
		d := Decoder(unhex(t, text))
		list := []string{"old"}
		d.Strings(&list)
		if d.Err() != nil || len(list) != 0 || (list == nil) != null {
			t.Errorf("%s: %v (nil %v), %v", text, list, list == nil, d.Err())
		}
	}
}

func TestNested(t *testing.T) {
	inner := all{S: "inner"}
	want := Encoder(nil)
	b := Marshal(&inner)
	want.Buffer(&b)
	got := Encoder(nil)
	if got.Nested(&inner); !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%x, want %x", got.Bytes(), want.Bytes())
	}
	size := Coder{dir: sizing}
	if size.Nested(&inner); size.pos != len(want.Bytes()) {
		t.Errorf("size %d, want %d", size.pos, len(want.Bytes()))
	}
	d := Decoder(want.Bytes())
	if d.Nested(&inner); d.Err() == nil {
		t.Error("Nested decodes")
	}
}

func TestAliasAndRaw(t *testing.T) {
	in := unhex(t, "00000001 ff")
	raw, alias := RawDecoder(in), AliasDecoder(unhex(t, "00000001 61"))
	var s string
	if raw.String(&s); s != "\xff" {
		t.Errorf("raw %q", s)
	}
	if alias.String(&s); s != "a" {
		t.Errorf("alias %q", s)
	}
	alias.buf[4] = 'b'
	if s != "b" {
		t.Error("an alias is a copy")
	}
}

// TestNormalize: the table of client-protocol.md section 1.2, and neighbours.
func TestNormalize(t *testing.T) {
	for _, c := range []struct{ name, sent, back string }{
		{"U+1F600", "f09f9880", "eda0bdedb880"},
		{"two encoded surrogates", "eda0bdedb880", "efbfbdefbfbd"},
		{"no UTF-8", "ff", "efbfbd"},
		{"overlong zero", "c080", "efbfbdefbfbd"},
		{"truncated", "e4b8", "efbfbd"},
		{"text around", "61e4b862", "61efbfbd62"},
		{"two and three bytes", "c3bce697a5", "c3bce697a5"},
		{"the replacement itself", "efbfbd", "efbfbd"},
		{"zero", "00", "00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := hex.EncodeToString([]byte(Normalize(unhex(t, c.sent)))); got != c.back {
				t.Errorf("%s comes back as %s, want %s", c.sent, got, c.back)
			}
			d := Decoder(Marshal(&Raw{unhex(t, c.sent)}))
			var s string
			if d.String(&s); hex.EncodeToString([]byte(s)) != c.back {
				t.Errorf("decoded %x", s)
			}
		})
	}
}

// Raw is a buffer as a record: a string of any bytes.
type Raw struct{ B []byte }

func (r *Raw) Fields(c *Coder) { c.Buffer(&r.B) }

// TestNormalizeLikeJava runs through every sequence of up to four of the bytes
// at which UTF-8 decoders differ. The checksums are those of what
// `new String(b, UTF_8)` of Java 17 makes of them, each UTF-16 unit encoded on
// its own, with one byte of length before each.
func TestNormalizeLikeJava(t *testing.T) {
	alphabet := unhex(t, "41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")
	total := 1
	for n, want := range map[int]uint32{1: 0xe2c65819, 2: 0x4c99b4de, 3: 0x73f5d64d, 4: 0x3bcdb36f} {
		total = int(math.Pow(float64(len(alphabet)), float64(n)))
		sum := crc32.NewIEEE()
		b := make([]byte, n)
		for i := range total {
			for j, k := 0, i; j < n; j++ {
				b[j] = alphabet[k%len(alphabet)]
				k /= len(alphabet)
			}
			s := Normalize(b)
			sum.Write([]byte{byte(len(s))})
			sum.Write([]byte(s))
		}
		if got := sum.Sum32(); got != want {
			t.Errorf("sequences of %d bytes: %08x, want %08x", n, got, want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"f09f9880", "eda0bdedb880", "ff", "c080", "e4b8"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Normalize(b)
		if len(s) > 3*len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(s))
		}
		bmp := utf8.Valid(b)
		for _, r := range string(b) {
			bmp = bmp && r <= 0xffff
		}
		if bmp && s != string(b) {
			t.Fatalf("%x became %x", b, s)
		}
	})
}

// FuzzDecode: no panic, no memory beyond the input, and what is read is written
// and read alike.
func FuzzDecode(f *testing.F) {
	f.Add(Marshal(&all{}))
	f.Add(Marshal(&all{I: 1, L: 2, B: true, Buf: []byte{3}, S: "four", List: []item{{5, "six"}}, Strs: []string{"seven", ""}}))
	f.Add(binary.BigEndian.AppendUint32(make([]byte, 13), math.MaxInt32))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range []Coder{Decoder(b), AliasDecoder(b), RawDecoder(b)} {
			var r, back all
			r.Fields(&d)
			if d.Err() != nil {
				continue
			}
			if len(r.List) > len(b)/8 || len(r.Strs) > len(b)/4 || len(r.Buf) > len(b) {
				t.Fatalf("more than the input holds: %+v", r)
			}
			out := Marshal(&r)
			if Size(&r) != len(out) {
				t.Fatalf("size %d, %d bytes", Size(&r), len(out))
			}
			e := RawDecoder(out)
			if back.Fields(&e); e.Err() != nil || !bytes.Equal(Marshal(&back), out) {
				t.Fatalf("%+v comes back as %+v, %v", r, back, e.Err())
			}
		}
	})
}
