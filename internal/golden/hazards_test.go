// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// hazard is a way to ask for trouble: requests that stop, wedge or let a client abuse the recorded server. Here each
// is answered, and everybody else goes on.
type hazard struct {
	name  string
	props map[string]string
	do    func(*testing.T, *target, *client) // sends the requests and checks the answers
	// after looks again once the server has been restarted on its data.
	after func(*testing.T, *client)
}

// TestHazards runs each hazard against a server of its own, with a second session that must not notice: it keeps its
// connection, its watches and its ephemeral node. Then the server restarts on the data directory the hazard left.
func TestHazards(t *testing.T) {
	if reference() {
		t.Skip("the recorded server does not survive these")
	}
	for _, h := range append(recordedHazards(t), hazards...) {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Meta{Server: ServerMeta{Properties: h.props}})
			by := s.connect(t, 0, nil)
			by.must(opCreate, create("/by", []byte("1"), 0))
			by.must(opCreate, create("/by-ephemeral", nil, 1))
			by.must(opGetData, read("/by", 1))

			h.do(t, s, s.connect(t, 0, nil))

			if text, err := FourLetterWord(s.addr, []byte("ruok")); text != "imok" || err != nil {
				t.Fatalf("ruok: %q, %v", text, err)
			}
			other := s.connect(t, 0, nil)
			other.must(opSetData, setData("/by", []byte("2")))
			if got, want := by.event(), "3 /by"; got != want {
				t.Errorf("the bystander's watch fires %q, want %q", got, want)
			}
			if got := dataOf(by.must(opGetData, read("/by", 0)).body); got != "2" {
				t.Errorf("the bystander reads %q, want 2", got)
			}
			if len(by.events) > 0 {
				t.Errorf("the bystander got %d events more", len(by.events))
			}

			s.restart(t)
			again := s.connect(t, by.SessionID, by.Passwd)
			if again.SessionID != by.SessionID {
				t.Fatalf("after a restart the bystander's session is 0x%x, want 0x%x", again.SessionID, by.SessionID)
			}
			again.must(opExists, read("/by-ephemeral", 0))
			if got := dataOf(again.must(opGetData, read("/by", 0)).body); got != "2" {
				t.Errorf("after a restart the bystander reads %q, want 2", got)
			}
			if h.after != nil {
				h.after(t, again)
			}
		})
	}
}

// recordedHazards are those of 90_hazards.jsonl, sent byte for byte.
func recordedHazards(t *testing.T) []hazard {
	want := map[int][]int32{ // the error of each request
		1: {errBadArguments},
		2: {errBadArguments},
		3: {0, 0, 0, 0, 0, 0},
		4: {errMarshalling}, // and no zxid spent: see unparsable bodies in 03_errors
	}
	rec := load(t, "90_hazards.jsonl")
	if len(rec.Steps) != len(want) {
		t.Fatalf("%d recorded hazards, want %d", len(rec.Steps), len(want))
	}
	var out []hazard
	for _, step := range rec.Steps {
		h := hazard{name: fmt.Sprintf("recorded %d", step.Seq)}
		h.do = func(t *testing.T, s *target, c *client) {
			var got []int32
			for _, req := range step.Requests {
				got = append(got, c.raw(req).err)
			}
			if !slices.Equal(got, want[step.Seq]) {
				t.Errorf("%s: errors %v, want %v", step.Name, got, want[step.Seq])
			}
			if step.Seq == 3 {
				usage(t, c, 2, 0) // /q and /q/x
			}
		}
		if step.Seq == 3 {
			h.after = func(t *testing.T, c *client) { usage(t, c, 2, 0) }
		}
		out = append(out, h)
	}
	return out
}

// usage checks the stats of the quota on /q: what is there, however odd the text was that they replace.
func usage(t *testing.T, c *client, count, bytes int) {
	t.Helper()
	got := dataOf(c.must(opGetData, read("/zookeeper/quota/q/zookeeper_stats", 0)).body)
	if want := fmt.Sprintf("count=%d,bytes=%d", count, bytes); got != want {
		t.Errorf("stats of /q are %q, want %q", got, want)
	}
}

var extendedTypes = map[string]string{"zookeeper.extendedTypesEnabled": "true"}

var hazards = []hazard{
	{name: "createTTL with a flag that is no TTL", props: extendedTypes,
		do: func(t *testing.T, s *target, c *client) {
			for flags := range int32(5) {
				if r := c.call(opCreateTTL, create("/p", nil, flags), i64(-1)); r.err != errBadArguments {
					t.Errorf("flags %d: error %d, want %d", flags, r.err, errBadArguments)
				}
			}
		},
		after: func(t *testing.T, c *client) {
			if r := c.call(opExists, read("/p", 0)); r.err != errNoNode {
				t.Errorf("exists /p: error %d, want %d", r.err, errNoNode)
			}
		}},
	{name: "limits on the quota root, by every way to create",
		do: func(t *testing.T, s *target, c *client) {
			body := create("/zookeeper/quota/zookeeper_limits", []byte("count=1,bytes=1"), 0)
			for _, op := range []int32{opCreate, opCreate2, opCreateContainer} {
				if r := c.call(op, body); r.err != errBadArguments {
					t.Errorf("opcode %d: error %d, want %d", op, r.err, errBadArguments)
				}
				r := c.must(opMulti, multiOne(op, body))
				if want := join(i32(-1), []byte{0}, i32(errBadArguments), i32(errBadArguments), i32(-1), []byte{1}, i32(-1)); !slices.Equal(r.body, want) {
					t.Errorf("multi of opcode %d: %x, want %x", op, r.body, want)
				}
			}
			c.call(opCreate, create("/zookeeper/quota/zookeeper_stats", nil, 0)) // harmless either way
		}},
	{name: "null and odd stats of a quota",
		do: func(t *testing.T, s *target, c *client) {
			for _, p := range []string{"/q", "/zookeeper/quota/q"} {
				c.must(opCreate, create(p, nil, 0))
			}
			c.must(opCreate, create("/zookeeper/quota/q/zookeeper_limits", []byte("count=5,bytes=5"), 0))
			c.must(opCreate, create("/zookeeper/quota/q/zookeeper_stats", nil, 0))
			for i, odd := range [][]byte{nil, {}, []byte("count=x,bytes=y"), []byte("count=99999999999999999999"), {0xff, 0xfe}, []byte("=,=;=")} {
				c.must(opSetData, setData("/zookeeper/quota/q/zookeeper_stats", odd))
				c.must(opCreate, create(fmt.Sprintf("/q/%d", i), []byte("x"), 0))
				usage(t, c, 2+i, 3*i+1)
				c.must(opSetData, setData("/zookeeper/quota/q/zookeeper_stats", odd))
				c.must(opSetData, setData(fmt.Sprintf("/q/%d", i), []byte("xyz")))
				usage(t, c, 2+i, 3*i+3)
			}
			c.must(opSetData, setData("/zookeeper/quota/q/zookeeper_limits", []byte("garbage")))
			c.must(opSetData, setData("/q/0", []byte("more")))
			usage(t, c, 7, 19)
		},
		after: func(t *testing.T, c *client) { usage(t, c, 7, 19) }},
	{name: "unparsable bodies",
		do: func(t *testing.T, s *target, c *client) {
			before := c.must(opExists, read("/", 0)).zxid
			for _, op := range []int32{opCreate, 2, opSetData, 7, opCreate2, opCreateContainer, opCreateTTL} {
				for _, body := range [][]byte{{}, {0}, {0x7f, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xfe}} {
					if r := c.call(op, body); r.err != errMarshalling || r.zxid != before {
						t.Errorf("opcode %d with body %x: error %d at zxid %d, want %d at %d", op, body, r.err, r.zxid, errMarshalling, before)
					}
				}
			}
		}},
	{name: "deleteContainer from a client",
		do: func(t *testing.T, s *target, c *client) {
			c.must(opCreate, join(str("/guarded"), buf(nil), i32(1), i32(31), str("digest"), str("a:b"), i32(0)))
			c.must(opCreateContainer, create("/box", nil, 4))
			for _, p := range []string{"/guarded", "/box", "/by-ephemeral", "/none"} {
				if r := c.call(opDeleteContainer, str(p)); r.err != errUnimplemented {
					t.Errorf("deleteContainer %s: error %d, want %d", p, r.err, errUnimplemented)
				}
			}
		},
		after: func(t *testing.T, c *client) {
			c.must(opExists, read("/box", 0))
			if got := c.call(opExists, read("/guarded", 0)).err; got == errNoNode {
				t.Error("/guarded was deleted")
			}
		}},
	{name: "createSession from a client",
		do: func(t *testing.T, s *target, c *client) {
			if r := c.call(opCreateSession, i32(5000)); r.err != errUnimplemented || r.zxid != -1 {
				t.Errorf("error %d at zxid %d, want %d at -1", r.err, r.zxid, errUnimplemented)
			}
			if rest := c.AwaitEnd(time.Now().Add(closeWait)); len(rest) > 0 || c.Ended() != endFIN {
				t.Errorf("then %x and %q, want the connection closed", rest, c.Ended())
			}
			if back := s.connect(t, c.SessionID, c.Passwd); back.SessionID != c.SessionID {
				t.Errorf("the session is 0x%x afterwards, want 0x%x", back.SessionID, c.SessionID)
			}
		}},
	{name: "a wrong password does not cut the live connection",
		do: func(t *testing.T, s *target, c *client) {
			c.must(opCreate, create("/mine", nil, 1))
			if r := c.call(opExists, read("/soon", 1)); r.err != errNoNode {
				t.Fatalf("exists /soon: error %d, want %d", r.err, errNoNode)
			}
			wrong := slices.Clone(c.Passwd)
			wrong[0] ^= 1
			thief := s.connect(t, c.SessionID, wrong)
			if thief.SessionID != 0 {
				t.Fatalf("a wrong password got session 0x%x", thief.SessionID)
			}
			if rest := thief.AwaitEnd(time.Now().Add(closeWait)); len(rest) > 0 || thief.Ended() != endFIN {
				t.Errorf("then %x and %q, want the connection closed", rest, thief.Ended())
			}
			s.connect(t, 0, nil).must(opCreate, create("/soon", nil, 0))
			if got, want := c.event(), "1 /soon"; got != want {
				t.Errorf("its watch fires %q, want %q", got, want)
			}
			c.must(opExists, read("/mine", 0))
		}},
}
