// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// TestCompare shows what the comparison lets pass and what it does not. A replayer that cannot fail proves nothing.
func TestCompare(t *testing.T) {
	const id = 0x1000026f54f0000
	now := time.Now().UnixMilli()
	connect := func(id int64, passwd []byte) []byte {
		return frame(i32(0), i32(10000), i64(id), buf(passwd), []byte{0})
	}
	reply := func(zxid int64, body ...[]byte) []byte {
		return frame(i32(1), i64(zxid), i32(0), join(body...))
	}
	names := func(s ...string) []byte {
		var out []byte
		for _, n := range s {
			out = append(out, str(n)...)
		}
		return out
	}
	sessionMasks := []Mask{{12, 8, "sessionId", "A.sessionId"}, {24, 16, "passwd", ""}}
	for _, tc := range []struct {
		name      string
		op        string
		masks     []Mask
		anyOrder  bool
		loose     bool
		want, got []byte
		differs   string // part of the message; empty: equal
	}{
		{name: "same bytes", want: reply(7), got: reply(7)},
		{name: "another byte", want: reply(7, []byte{1}), got: reply(7, []byte{2}), differs: "first difference at byte 20"},
		{name: "short", want: reply(7, []byte{1}), got: reply(7), differs: "20 bytes, want 21"},
		{name: "nothing", want: reply(7), got: nil, differs: "0 bytes, want 20"},
		{name: "longer", want: nil, got: reply(7), differs: "20 bytes, want 0"},
		{name: "zxid is exact", masks: []Mask{{8, 8, "zxid", ""}}, want: reply(7), got: reply(8), differs: "byte 15"},
		{name: "zxid, loose", loose: true, masks: []Mask{{8, 8, "zxid", ""}}, want: reply(7), got: reply(8)},
		{name: "session and password of this run", masks: sessionMasks, want: connect(5, passwdOf(5)), got: connect(id, passwdOf(id))},
		{name: "password of another session", masks: sessionMasks, want: connect(5, passwdOf(5)), got: connect(id, passwdOf(5)), differs: "passwd at byte 24"},
		{name: "another session", masks: sessionMasks, want: connect(5, passwdOf(5)), got: connect(6, passwdOf(6)), differs: "sessionId at byte 12"},
		{name: "session refused", masks: sessionMasks, want: connect(5, passwdOf(5)), got: connect(0, make([]byte, 16)), differs: "a session id of 0"},
		{name: "time of today", masks: []Mask{{20, 8, "time", ""}}, want: reply(7, i64(1700000000000)), got: reply(7, i64(now))},
		{name: "time of 1970", masks: []Mask{{20, 8, "time", ""}}, want: reply(7, i64(1700000000000)), got: reply(7, i64(1700)), differs: "time at byte 20"},
		{name: "time out of a data file", masks: []Mask{{20, 8, "time", ""}}, want: reply(7, i64(1000)), got: reply(7, i64(now)), differs: "want 1000"},
		{name: "set in another order", masks: []Mask{{20, 12, "unordered", ""}}, want: reply(7, names("ab", "cd")), got: reply(7, names("cd", "ab"))},
		{name: "another set", masks: []Mask{{20, 12, "unordered", ""}}, want: reply(7, names("ab", "cd")), got: reply(7, names("cd", "cd")), differs: "unordered at byte 20"},
		{name: "pairs in another order", op: "whoAmI", masks: []Mask{{20, 20, "unordered", ""}}, want: reply(7, names("a", "b", "c", "d")), got: reply(7, names("c", "d", "a", "b"))},
		{name: "other pairs", op: "whoAmI", masks: []Mask{{20, 20, "unordered", ""}}, want: reply(7, names("a", "b", "c", "d")), got: reply(7, names("a", "d", "c", "b")), differs: "unordered at byte 20"},
		{name: "ACL in another order", op: "getACL", masks: []Mask{{20, 28, "unordered", ""}}, want: reply(7, i32(1), names("a", "b"), i32(31), names("c", "d")), got: reply(7, i32(31), names("c", "d"), i32(1), names("a", "b"))},
		{name: "another ACL", op: "getACL", masks: []Mask{{20, 28, "unordered", ""}}, want: reply(7, i32(1), names("a", "b"), i32(31), names("c", "d")), got: reply(7, i32(31), names("a", "b"), i32(1), names("c", "d")), differs: "unordered at byte 20"},
		{name: "frames in another order", anyOrder: true, want: join(reply(7), reply(8)), got: join(reply(8), reply(7))},
		{name: "a frame twice", anyOrder: true, want: join(reply(7), reply(8)), got: join(reply(8), reply(8)), differs: "other frames"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &player{rec: &Recording{File: "x"}, opt: Options{LooseZxid: tc.loose}, conns: map[string]*Conn{"A": {SessionID: id}}}
			if strings.Contains(tc.name, "refused") {
				p.conns["A"].SessionID = 0
			}
			p.step = Step{Op: tc.op, Masks: tc.masks, AnyOrder: tc.anyOrder, Response: tc.want}
			if err := p.step.check(); err != nil {
				t.Fatal(err)
			}
			p.compare(p.step, tc.got)
			switch {
			case tc.differs == "" && len(p.diffs) > 0:
				t.Errorf("differs: %v", p.diffs)
			case tc.differs != "" && (len(p.diffs) == 0 || !strings.Contains(p.diffs[0].What, tc.differs)):
				t.Errorf("diffs %v, want %q", p.diffs, tc.differs)
			}
		})
	}
}

// TestPasswd checks the derivation against a pair of the reference.
func TestPasswd(t *testing.T) {
	want := []byte{0x83, 0x2e, 0x53, 0x3d, 0x54, 0xb1, 0x8d, 0x1f, 0x99, 0xc4, 0x16, 0xb6, 0xbd, 0x73, 0x01, 0x7d}
	if got := passwdOf(0x1000026f54f0000); string(got) != string(want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// FuzzCompare feeds the comparison arbitrary answers: it must report or accept, not panic.
func FuzzCompare(f *testing.F) {
	f.Add(binary.BigEndian.AppendUint32(nil, 16), []byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, want, got []byte) {
		p := &player{rec: &Recording{}, conns: map[string]*Conn{}}
		p.step = Step{Response: want, Op: "whoAmI"}
		for _, field := range []string{"zxid", "time", "sessionId"} {
			if len(want) >= 8 {
				p.step.Masks = append(p.step.Masks, Mask{len(want) - 8, 8, field, "A.sessionId"})
			}
		}
		p.step.Masks = append(p.step.Masks, Mask{0, len(want), "unordered", ""})
		p.compare(p.step, got)
		p.step.AnyOrder = true
		p.compare(p.step, got)
	})
}
