// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/jute"
	"paddock/proto"
	"paddock/zk"
)

const localSessions = "localSessionsEnabled=true\n"

// Sessions of every server are local until they make an ephemeral znode, which
// goes with its session, whoever leads; and no other server takes them before.
func TestLocalSessions(t *testing.T) {
	for _, kinds := range []string{"PPA", "AAP+P"} {
		t.Run(kinds, func(t *testing.T) {
			c := newCluster(t, kinds, localSessions+"localSessionsUpgradingEnabled=true\n")
			c.startAll()
			for _, s := range c.servers {
				f := newForward(c, s)
				f.cl.Detach()
				f.cl = c.connectTo(s, 4*time.Second)
				f.make(f.root+"/plain", 0)
				f.everywhere(f.root + "/plain")
				for _, o := range c.servers {
					if n := o.metric("global_sessions"); n != 0 {
						t.Errorf("%v has %d global sessions", o, n)
					}
				}
				if text := s.word("dump"); !strings.HasPrefix(text, "SessionTracker dump:\nLocal Session Sets (") {
					t.Errorf("%v: dump begins %.60q", s, text)
				}
				path := f.make(f.root+"/mine", zk.Ephemeral)
				if _, st, _ := f.everywhere(path); proto.SessionID(st.EphemeralOwner) != f.cl.SessionID() {
					t.Errorf("%v: the owner is %x, not %v", s, st.EphemeralOwner, f.cl.SessionID())
				}
				_, err := f.cl.Multi(f.ctx, zk.CreateOp(f.root+"/too", nil, zk.OpenACL, zk.Ephemeral), zk.DeleteOp(f.root+"/plain", -1))
				f.want("a multi", err, nil)
				f.everywhere(f.root + "/too")
				for _, o := range c.servers {
					c.until(fmt.Sprintf("%v has one global session", o), func() bool { return o.metric("global_sessions") == 1 })
				}
				f.cl.Detach()
				c.until("the ephemeral znode expired on "+f.rest[0].Server(), func() bool {
					_, there, err := f.rest[0].Exists(f.ctx, path)
					return err == nil && !there
				})
				for _, o := range c.servers {
					c.until(fmt.Sprintf("%v has no global session", o), func() bool { return o.metric("global_sessions") == 0 })
				}
				stay(c, s)
			}
			c.sameTrees()
			c.noMismatch()
		})
	}
}

// stay takes a local session of s to the other servers, and back.
func stay(c *cluster, s *server) {
	c.t.Helper()
	hello := proto.ConnectRequest{TimeOut: 20000}
	first := rawTo(c.t, s)
	got := first.connect(&hello)
	if got.SessionID == 0 {
		c.t.Errorf("%v: no session", s)
	}
	hello.SessionID, hello.Passwd = got.SessionID, got.Passwd
	for _, o := range c.servers {
		if o == s {
			continue
		}
		if x := rawTo(c.t, o).connect(&hello); x.SessionID != 0 || x.TimeOut != 0 {
			c.t.Errorf("%v takes up a local session of %v: %+v", o, s, x)
		}
	}
	if x := rawTo(c.t, s).connect(&hello); x.SessionID != got.SessionID {
		c.t.Errorf("%v does not take up its local session again: %+v", s, x)
	}
}

// Where sessions stay local, each server refuses them ephemeral znodes as the
// reference does.
func TestLocalSessionsRefuse(t *testing.T) {
	for _, kinds := range []string{"PAA", "APP"} {
		t.Run(kinds, func(t *testing.T) {
			c := newCluster(t, kinds, localSessions)
			c.startAll()
			said := map[string]map[kind]string{}
			for _, s := range c.servers {
				f := newForward(c, s)
				var said1 []string
				_, err := f.cl.Create(f.ctx, f.root+"/mine", nil, zk.OpenACL, zk.Ephemeral)
				said1 = append(said1, fmt.Sprint(err == nil, errors.Is(err, zk.ErrEphemeralOnLocal)))
				_, err = f.cl.Multi(f.ctx, zk.CreateOp(f.root+"/plain", nil, zk.OpenACL, 0), zk.CreateOp(f.root+"/mine", nil, zk.OpenACL, zk.Ephemeral))
				said1 = append(said1, fmt.Sprint(err))
				f.make(f.root+"/after", 0)
				f.everywhere(f.root + "/after")
				role := s.mode()
				if said[role] == nil {
					said[role] = map[kind]string{}
				}
				said[role][s.kind] = strings.ReplaceAll(fmt.Sprint(said1), f.root, "")
				t.Logf("%v, %s: %v", s, role, said1)
			}
			for role, by := range said {
				if len(by) == 2 && by[apache] != by[paddock] {
					t.Errorf("%s: Apache's says %s, ours %s", role, by[apache], by[paddock])
				}
			}
			c.sameTrees()
			c.noMismatch()
		})
	}
}

// A server without a quorum answers the same bytes as the reference, but for
// the id and password of its sessions.
func TestReadOnly(t *testing.T) {
	transcripts := map[kind][]string{}
	for _, k := range []kind{apache, paddock} {
		c := newCluster(t, strings.Repeat(string(rune(k)), 3), localSessions)
		c.flags += " -Dreadonlymode.enabled=true"
		s := c.at(1)
		s.start(k)
		c.until("a read-only server", func() bool { return s.word("isro") == "ro" })
		transcripts[k] = readOnlyTalk(t, s)
		s.kill()
	}
	if a, p := transcripts[apache], transcripts[paddock]; !slices.Equal(a, p) {
		for i := range max(len(a), len(p)) {
			var x, y string
			if i < len(a) {
				x = a[i]
			}
			if i < len(p) {
				y = p[i]
			}
			if x != y {
				t.Errorf("Apache's: %s\nours:     %s", x, y)
			}
		}
	} else {
		t.Logf("%d answers are the same", len(a))
	}
}

// readOnlyTalk is what a read-only server says to this and that.
func readOnlyTalk(t *testing.T, s *server) (lines []string) {
	t.Helper()
	say := func(what string, b []byte) {
		lines = append(lines, fmt.Sprintf("%s: %x", what, b))
		if t.Failed() {
			t.Fatal(what)
		}
	}
	say("a client that wants a quorum", rawTo(t, s).hello(&proto.ConnectRequest{TimeOut: 20000}, true))
	say("an old client", rawTo(t, s).hello(&proto.ConnectRequest{TimeOut: 20000, OldClient: true}, true))
	say("one that has seen more", rawTo(t, s).hello(&proto.ConnectRequest{TimeOut: 20000, ReadOnly: true, LastZxidSeen: 1 << 40}, true))
	r := rawTo(t, s)
	hello := proto.ConnectRequest{TimeOut: 20000, ReadOnly: true}
	b := r.hello(&hello, false)
	var got proto.ConnectResponse
	must(t, jute.Unmarshal(b, &got))
	hello.SessionID, hello.Passwd = got.SessionID, slices.Clone(got.Passwd)
	clear(b[8:16])
	clear(b[20:36])
	say("a reader", b)
	everyone := zk.OpenACL
	for i, q := range []struct {
		op  proto.OpCode
		rec jute.Record
	}{
		{proto.OpGetData, &proto.PathWatch{Path: "/zookeeper/quota", Watch: true}},
		{proto.OpExists, &proto.PathWatch{Path: "/none", Watch: true}},
		{proto.OpGetChildren2, &proto.PathWatch{Path: "/zookeeper"}},
		{proto.OpGetACL, &proto.Path{Path: "/"}},
		{proto.OpPing, nil},
		{proto.OpCreate, &proto.Create{Path: "/x", ACL: everyone}},
		{proto.OpCreate2, &proto.Create{Path: "/x", ACL: everyone, Flags: 1}},
		{proto.OpDelete, &proto.PathVersion{Path: "/x", Version: -1}},
		{proto.OpSetData, &proto.SetData{Path: "/x", Version: -1}},
		{proto.OpSetACL, &proto.SetACL{Path: "/x", ACL: everyone, Version: -1}},
		{proto.OpSync, &proto.Path{Path: "/"}},
		{proto.OpReconfig, &proto.Reconfig{CurConfigID: -1}},
		{proto.OpMulti, nil},
		{proto.OpCreate, nil},
		{proto.OpGetData, &proto.PathWatch{Path: "/"}},
	} {
		say(q.op.String(), r.ask(int32(i+1), q.op, q.rec))
	}
	again := rawTo(t, s)
	b = again.hello(&hello, false)
	say("its session again", append(b[:8:8], b[36:]...))
	say("the connection before", r.rest())
	wrong := hello
	wrong.Passwd = make([]byte, 16)
	say("with a wrong password", rawTo(t, s).hello(&wrong, false))
	again = rawTo(t, s)
	again.hello(&hello, false)
	say("its end", append(again.ask(99, proto.OpCloseSession, nil), again.rest()...))
	say("after its end", rawTo(t, s).hello(&hello, false))
	text := s.word("srvr")
	say("srvr", []byte(text[strings.Index(text, "\nREAD-ONLY mode")+1:strings.Index(text, "Latency")]))
	say("mode", []byte(text[strings.Index(text, "Mode:"):]))
	return lines
}

// raw is a connection whose bytes are looked at.
type raw struct {
	t *testing.T
	c net.Conn
}

func rawTo(t *testing.T, s *server) *raw {
	t.Helper()
	c, err := net.Dial("tcp", s.addr())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{t, c}
}

func (r *raw) send(frame []byte) {
	r.t.Helper()
	_, err := r.c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	must(r.t, err)
}

// frame is the next frame, or nil at the end.
func (r *raw) frame() []byte {
	r.t.Helper()
	var n [4]byte
	if _, err := io.ReadFull(r.c, n[:]); err != nil {
		return nil
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:])&0xffffff)
	_, err := io.ReadFull(r.c, b)
	must(r.t, err)
	return b
}

// rest is all that comes until the other side closes.
func (r *raw) rest() []byte {
	r.t.Helper()
	b, err := io.ReadAll(r.c)
	if errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "timeout") {
		r.t.Errorf("the connection stays open: %v", err)
	}
	return b
}

// hello is the answer to a handshake; refused says that it is to be none.
func (r *raw) hello(q *proto.ConnectRequest, refused bool) []byte {
	r.t.Helper()
	if r.send(jute.Marshal(q)); refused {
		return r.rest()
	}
	return r.frame()
}

func (r *raw) connect(q *proto.ConnectRequest) (got proto.ConnectResponse) {
	r.t.Helper()
	must(r.t, jute.Unmarshal(r.hello(q, false), &got))
	return got
}

// ask sends a request and returns the whole reply.
func (r *raw) ask(xid int32, op proto.OpCode, rec jute.Record) []byte {
	r.t.Helper()
	b := binary.BigEndian.AppendUint32(nil, uint32(xid))
	b = binary.BigEndian.AppendUint32(b, uint32(op))
	if rec != nil {
		b = jute.Append(b, rec)
	}
	r.send(b)
	return r.frame()
}
