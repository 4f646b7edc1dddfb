// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"paddock/internal/quorum"
)

func electionAddrs(t testing.TB, text string) []quorum.Addr {
	t.Helper()
	var out []quorum.Addr
	for one := range strings.SplitSeq(text, "|") {
		i := strings.LastIndexByte(one, ':')
		port, err := strconv.Atoi(one[i+1:])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, quorum.Addr{Host: strings.Trim(one[:i], "[]"), ElectionPort: port})
	}
	return out
}

func TestOpeningMessagesOfRecordings(t *testing.T) {
	for file, many := range map[string]bool{"join-diff.election.jsonl": false, "multiaddress.election.jsonl": true} {
		n := 0
		for _, m := range recording(t, file) {
			if m.Kind != "initial-message" {
				continue
			}
			n++
			sid, addrs, err := readHello(bytes.NewReader(m.bytes))
			if err != nil || sid != m.Decoded.SID || strings.Join(addrs, "|") != m.Decoded.Addresses {
				t.Errorf("%s: %d, %v, %v", m.Hex, sid, addrs, err)
			}
			if b := appendHello(nil, sid, electionAddrs(t, m.Decoded.Addresses), many); !bytes.Equal(b, m.bytes) {
				t.Errorf("%x, want %s", b, m.Hex)
			}
		}
		if n == 0 {
			t.Error(file, "has no opening message")
		}
	}
}

func TestFramesOfRecordings(t *testing.T) {
	for _, m := range recording(t, "join-diff.election.jsonl") {
		if m.Kind != "notification" {
			continue
		}
		body, err := readBallot(bytes.NewReader(m.bytes))
		if err != nil || !bytes.Equal(ballotFrame(body), m.bytes) {
			t.Errorf("%s: %x, %v", m.Hex, body, err)
		}
	}
}

// TestOpeningMessages has the messages that were sent to a real server, and
// what it made of them.
func TestOpeningMessages(t *testing.T) {
	var vectors struct {
		Messages []struct{ Hex, Addr, Outcome string } `json:"initial_message"`
	}
	b, err := os.ReadFile(filepath.Join("testdata", "wire", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &vectors); err != nil || len(vectors.Messages) < 10 {
		t.Fatal(len(vectors.Messages), err)
	}
	for _, v := range vectors.Messages {
		sid, addrs, err := readHello(bytes.NewReader(unhex(t, v.Hex)))
		refused := strings.HasSuffix(v.Outcome, ": closed") && !strings.Contains(v.Outcome, "renumbers")
		switch {
		case refused != (err != nil):
			t.Errorf("%s: %v, but: %s", v.Hex, err, v.Outcome)
		case refused:
		case strings.HasPrefix(v.Addr, "0.0.0.0"), v.Addr == "":
			if len(addrs) != 0 {
				t.Errorf("%s: would dial %v", v.Hex, addrs)
			}
		case strings.Join(addrs, "|") != v.Addr:
			t.Errorf("%s: would dial %v, want %s", v.Hex, addrs, v.Addr)
		}
		if err == nil && sid <= 0 {
			t.Errorf("%s: sid %d", v.Hex, sid)
		}
	}
}

func TestOpeningMessageBounds(t *testing.T) {
	message := func(addr string) []byte {
		b := appendHello(nil, 5, nil, false)
		b[19], b[18] = byte(len(addr)), byte(len(addr)>>8)
		return append(b, addr...)
	}
	for _, c := range []struct{ addr, want, err string }{
		{"[::1]:2888", "[::1]:2888", ""},
		{"[::]:2888|zoo1.example:1", "zoo1.example:1", ""},
		{"zoo1.example", "", `"zoo1.example" is not host:port`},
		{"zoo1:99999", "", `"zoo1:99999" is not host:port`},
		{"zoo1:-1", "", `"zoo1:-1" is not host:port`},
		{"zoo1:x", "", `"zoo1:x" is not host:port`},
		{":2888", "", `":2888" is not host:port`},
		{"a:1||b:1", "", `"" is not host:port`},
		{strings.Repeat("a:1|", 511) + "a:12", strings.Repeat("a:1|", 15) + "a:1", ""}, // 2048 bytes; only some are dialled
		{strings.Repeat("a:1|", 511) + "a:123", "", "has an address of 2049 bytes; 1 to 2048 are accepted"},
	} {
		sid, addrs, err := readHello(bytes.NewReader(message(c.addr)))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%.40q: %v, want %q", c.addr, err, c.err)
			}
		} else if err != nil || sid != 5 || strings.Join(addrs, "|") != c.want {
			t.Errorf("%.40q: %d, %v, %v", c.addr, sid, addrs, err)
		}
	}
	whole := message("a:1")
	for n := range len(whole) {
		if _, _, err := readHello(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("%d bytes are taken for a message", n)
		}
	}
}

func FuzzOpeningMessage(f *testing.F) {
	f.Add(appendHello(nil, 3, electionAddrs(f, "127.0.0.2:23143|127.0.0.1:23113"), true))
	f.Add(appendHello(nil, 3, electionAddrs(f, "[::1]:23113"), false))
	f.Add(unhex(f, "0000000000000003"))
	f.Add(unhex(f, "ffffffffffff0000000000000000000300000801"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		sid, addrs, err := readHello(r)
		if err != nil || len(addrs) == 0 {
			return
		}
		if len(addrs) > maxBack {
			t.Fatalf("%d addresses", len(addrs))
		}
		again, back, err := readHello(bytes.NewReader(appendHello(nil, sid, electionAddrs(t, strings.Join(addrs, "|")), true)))
		if err != nil || again != sid || strings.Join(back, "|") != strings.Join(addrs, "|") {
			t.Fatalf("%d %v became %d %v, %v", sid, addrs, again, back, err)
		}
	})
}

func FuzzBallot(f *testing.F) {
	for _, m := range recording(f, "join-diff.election.jsonl") {
		if m.Kind == "notification" {
			f.Add(m.bytes)
		}
	}
	f.Add(unhex(f, "00000000"))
	f.Add(unhex(f, "00080001 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for at := 0; ; {
			body, err := readBallot(r)
			if err != nil {
				return
			}
			frame := ballotFrame(body)
			if len(body) == 0 || len(body) > maxBallot || !bytes.Equal(frame, b[at:at+len(frame)]) {
				t.Fatalf("%d bytes at %d", len(body), at)
			}
			at += len(frame)
			if n, _ := r.Seek(0, io.SeekCurrent); int(n) != at {
				t.Fatalf("%d bytes read, %d returned", n, at)
			}
		}
	})
}
