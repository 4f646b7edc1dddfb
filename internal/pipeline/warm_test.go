// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"encoding/binary"
	"testing"

	"paddock/jute"
	"paddock/proto"
)

// withLengths is what a client sends.
func withLengths(frames ...[]byte) (b []byte) {
	for _, f := range frames {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

// Looking ahead takes whole frames, as many as one call holds, and trusts no
// length.
func TestCutFrame(t *testing.T) {
	buf := withLengths([]byte("one"), nil, []byte("two"))
	buf = append(buf, 0, 0, 0, 9, 'h', 'a', 'l', 'f')
	var got [][]byte
	for {
		frame, rest, ok := cutFrame(buf)
		if !ok {
			break
		}
		got, buf = append(got, frame), rest
	}
	if len(got) != 3 || string(got[0]) != "one" || len(got[1]) != 0 || string(got[2]) != "two" || len(buf) != 8 {
		t.Errorf("%q, then %q", got, buf)
	}
	for _, b := range [][]byte{nil, {0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 1}, {0x7f, 0xff, 0xff, 0xff, 1}} {
		if f, _, ok := cutFrame(b); ok {
			t.Errorf("%x begins with the frame %x", b, f)
		}
	}
}

func TestPathIn(t *testing.T) {
	with := func(op proto.OpCode, n int32, rest string) []byte {
		b := jute.Marshal(&proto.RequestHeader{Xid: 1, Type: op})
		return append(binary.BigEndian.AppendUint32(b, uint32(n)), rest...)
	}
	for _, c := range []struct {
		frame []byte
		want  string
		ok    bool
	}{
		{frameOf(1, proto.OpGetData, &proto.PathWatch{Path: "/a/b"}), "/a/b", true},
		{frameOf(1, proto.OpExists, &proto.PathWatch{Path: "/a"}), "/a", true},
		{frameOf(1, proto.OpSetData, &proto.SetData{Path: "/a", Data: []byte("data")}), "/a", true},
		{frameOf(1, proto.OpCreate, &proto.Create{Path: "/new"}), "/new", true},
		{with(proto.OpGetData, 4, "/a/b"), "/a/b", true},
		{with(proto.OpGetData, 5, "/a/b"), "", false},
		{with(proto.OpGetData, 0, "/a/b"), "", false},
		{with(proto.OpGetData, -1, "/a/b"), "", false},
		{with(proto.OpMulti, 2, "/a"), "", false},
		{nil, "", false},
		{with(proto.OpGetData, 0, "")[:11], "", false},
	} {
		if got, ok := pathIn(c.frame); string(got) != c.want || ok != c.ok {
			t.Errorf("%x: %q, %v", c.frame, got, ok)
		}
	}
}

// In a large tree, a burst is looked through before it is served, in parts; in a
// small one not at all. Either way the replies are the same.
func TestWarm(t *testing.T) {
	for _, znodes := range []int{100, warmFrom + 1000} {
		p, _, c, paths := benchPipeline(t, znodes)
		var frames [][]byte
		for i := range 40 {
			frames = append(frames, frameOf(int32(i), proto.OpGetData, &proto.PathWatch{Path: paths[i*17%len(paths)]}))
		}
		buf := withLengths(frames...)
		serve := func(warm bool) []byte {
			var b Burst
			c.Begin(&b)
			at, left := buf, 0
			var parts []int
			for i := range frames {
				if left == 0 {
					left = 1
					if warm {
						left = c.Warm(&b, at)
						parts = append(parts, left)
					}
				}
				left--
				c.Serve(&b, frames[i])
				at = at[4+len(frames[i]):]
			}
			c.End(&b)
			if want := map[bool]int{true: 3, false: 1}[znodes > warmFrom]; warm && len(parts) != want {
				t.Errorf("%d znodes: looked ahead %v frames", znodes, parts)
			}
			var sent []byte
			c.link = &idleLink{c: c, keep: &sent}
			c.link.Flush()
			return sent
		}
		cold, warm := serve(false), serve(true)
		if len(cold) == 0 || !bytes.Equal(cold, warm) {
			t.Errorf("%d znodes: %d bytes of replies, and looked ahead %d", znodes, len(cold), len(warm))
		}
		if n := c.Warm(new(Burst), []byte{0, 0}); n < 1 {
			t.Errorf("%d frames of nothing: the caller would not get on", n)
		}
		p.tree.View(0).Close() // nothing is left locked
	}
}
