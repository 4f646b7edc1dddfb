// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// compare reports the first difference between got and the recorded response, outside the masks and, inside them, in
// what a mask still demands.
func (p *player) compare(s Step, got []byte) {
	want := []byte(s.Response)
	if s.AnyOrder {
		p.compareSets(s, got)
		return
	}
	a, b := bytes.Clone(want), bytes.Clone(got)
	for _, m := range s.Masks {
		if m.Offset+m.Length > len(got) {
			break // too short: the comparison below says so
		}
		if m.Field == "zxid" && !p.opt.LooseZxid {
			continue
		}
		if why := p.masked(s, m, got); why != "" {
			p.differ("%s at byte %d: %s\n%s", m.Field, m.Offset, why, sideBySide(want, got, m.Offset))
		}
		clear(a[m.Offset : m.Offset+m.Length])
		clear(b[m.Offset : m.Offset+m.Length])
	}
	if bytes.Equal(a, b) {
		return
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	p.differ("%d bytes, want %d; first difference at byte %d\n%s", len(got), len(want), i, sideBySide(want, got, i))
}

// masked checks what a mask leaves to check; empty when got may differ from the recording in that way.
func (p *player) masked(s Step, m Mask, got []byte) string {
	was, is := s.Response[m.Offset:m.Offset+m.Length], got[m.Offset:m.Offset+m.Length]
	switch m.Field {
	case "sessionId":
		name, _, _ := strings.Cut(m.Var, ".")
		id := int64(binary.BigEndian.Uint64(is))
		switch c := p.conns[name]; {
		case id == 0:
			return "a session id of 0"
		case c != nil && c.SessionID != 0 && c.SessionID != id:
			return fmt.Sprintf("0x%x, want 0x%x, the session of %s", id, c.SessionID, name)
		}
	case "passwd":
		if m.Offset < 12 || m.Length != 16 {
			return "not the password of a ConnectResponse"
		}
		if want := passwdOf(int64(binary.BigEndian.Uint64(got[m.Offset-12:]))); !bytes.Equal(is, want) {
			return fmt.Sprintf("%x, want %x for that session id", is, want)
		}
	case "time":
		// A time long ago stems from a data file of the recording and is to be as it was; the others are of today.
		ms := int64(binary.BigEndian.Uint64(is))
		const y2001 = 1_000_000_000_000
		if then := int64(binary.BigEndian.Uint64(was)); then < y2001 {
			if ms != then {
				return fmt.Sprintf("%d, want %d", ms, then)
			}
		} else if d := time.Since(time.UnixMilli(ms)).Abs(); d > 10*time.Minute {
			return fmt.Sprintf("%d ms is %v away from now", ms, d)
		}
	case "unordered":
		// whoAmI answers pairs and getACL entries of three fields: these stay together.
		perms, run := 0, 1
		switch s.Op {
		case "whoAmI":
			run = 2
		case "getACL":
			perms, run = 4, 2
		}
		if w, g := stringSet(was, perms, run), stringSet(is, perms, run); !slices.Equal(w, g) {
			return fmt.Sprintf("the set %q, want %q", g, w)
		}
	}
	return ""
}

// compareSets compares the frames without their order. Masks point into the recorded order, so only zxids can be left
// out here: bytes 8 to 15 of every frame.
func (p *player) compareSets(s Step, got []byte) {
	canon := func(b []byte) [][]byte {
		out := splitFrames(bytes.Clone(b))
		for _, f := range out {
			if p.opt.LooseZxid && len(f) >= 16 {
				clear(f[8:16])
			}
		}
		slices.SortFunc(out, bytes.Compare)
		return out
	}
	if !slices.EqualFunc(canon(s.Response), canon(got), bytes.Equal) {
		p.differ("other frames (their order is free)\n%s", sideBySide(s.Response, got, -1))
	}
}

// stringSet reads length-prefixed strings, joins each run of them and sorts. In front of a run stand fixed bytes that
// belong to it.
func stringSet(b []byte, fixed, run int) []string {
	var all []string
	if fixed > 0 {
		run++
	}
	for len(b) >= 4 {
		if fixed > 0 && len(all)%run == 0 && len(b) >= fixed {
			all, b = append(all, fmt.Sprintf("%x", b[:fixed])), b[fixed:]
			continue
		}
		n := int64(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		if n < 0 || n > int64(len(b)) {
			all = append(all, fmt.Sprintf("length %d", n))
			continue
		}
		all, b = append(all, string(b[:n])), b[n:]
	}
	var out []string
	for group := range slices.Chunk(all, run) {
		out = append(out, strings.Join(group, ":"))
	}
	slices.Sort(out)
	return out
}

// passwdOf derives the 16 bytes that go with a session id: four outputs of the linear congruential generator of
// java.util.Random seeded with the id, low byte first. Written here once more than in the server, on purpose.
func passwdOf(sessionID int64) []byte {
	const mult, mask = 0x5DEECE66D, 1<<48 - 1
	s := (uint64(sessionID) ^ 0xB3415C00 ^ mult) & mask
	var out []byte
	for range 4 {
		s = (s*mult + 0xB) & mask
		out = binary.LittleEndian.AppendUint32(out, uint32(s>>16))
	}
	return out
}

// sideBySide prints both sides frame by frame and marks the one that holds byte at.
func sideBySide(want, got []byte, at int) string {
	var out strings.Builder
	w, g := splitFrames(want), splitFrames(got)
	wpos, gpos := 0, 0
	for i := range max(len(w), len(g)) {
		for _, side := range []struct {
			name   string
			frames [][]byte
			pos    *int
		}{{"want", w, &wpos}, {"got ", g, &gpos}} {
			if i >= len(side.frames) {
				fmt.Fprintf(&out, "    %s frame %d: none\n", side.name, i)
				continue
			}
			f := side.frames[i]
			fmt.Fprintf(&out, "    %s frame %d: %s", side.name, i, describeAt(f, at-*side.pos))
			*side.pos += len(f)
		}
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func describe(f []byte) string { return "    " + strings.TrimSuffix(describeAt(f, -1), "\n") }

// describeAt prints a frame: the fields of a reply header, and its bytes, with a mark in front of byte at. Long frames
// are cut to the bytes around at.
func describeAt(f []byte, at int) string {
	const around = 60
	var head string
	if len(f) >= 20 {
		head = fmt.Sprintf("[as a reply: xid %d zxid 0x%x err %d] ", int32(binary.BigEndian.Uint32(f[4:])), binary.BigEndian.Uint64(f[8:]), int32(binary.BigEndian.Uint32(f[16:])))
	}
	from, to := 0, len(f)
	if at >= 0 && at < len(f) {
		from, to = max(0, at-around), min(len(f), at+around)
	} else {
		at, to = -1, min(to, 2*around)
	}
	var hex strings.Builder
	if from > 0 {
		fmt.Fprintf(&hex, "(%d bytes) ", from)
	}
	for i := from; i < to; i++ {
		if i == at {
			hex.WriteString(" >")
		}
		fmt.Fprintf(&hex, "%02x", f[i])
		if i%4 == 3 {
			hex.WriteByte(' ')
		}
	}
	if to < len(f) {
		fmt.Fprintf(&hex, " (%d more)", len(f)-to)
	}
	return fmt.Sprintf("%d bytes %s%s\n", len(f), head, hex.String())
}
