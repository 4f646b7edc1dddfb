// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"
	"time"

	"paddock/proto"
)

// ledLocally is a trio with local sessions, whose first member leads.
func ledLocally(t testing.TB, upgrades bool) *trio {
	e := newTrio(t, func(o *Options) { o.LocalSessions, o.LocalUpgrades = true, upgrades })
	e.elect(e.members[0], 0)
	return e
}

// types lists the transactions since the first n.
func (e *trio) types(n int) (list []proto.OpCode) {
	for _, x := range e.log[n:] {
		txn, err := proto.DecodeTxn(x.Data)
		if err != nil {
			e.Fatal(err)
		}
		list = append(list, txn.Type)
	}
	return list
}

func same[T comparable](x []T, y ...T) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

// TestLocalSession begins, reads, writes, is taken up again and ends on each
// server without a transaction of its own, and is known nowhere else.
func TestLocalSession(t *testing.T) {
	e := ledLocally(t, true)
	for i, s := range e.members {
		n := len(e.log)
		w := s.open()
		path := "/" + string(rune('a'+i))
		if a := w.ask(mk(path, 0)); a.code != proto.OK {
			t.Errorf("server %d: a create is answered %v", s.sid, a.code)
		}
		if a := w.ask(syncOf("/")); a.code != proto.OK {
			t.Errorf("server %d: a sync is answered %v", s.sid, a.code)
		}
		if a := w.ask(get(path, false)); a.data(t) != "data of "+path {
			t.Errorf("server %d: read %q", s.sid, a.data(t))
		}
		for _, o := range e.members {
			if known := o.p.sessions.Get(w.hello.SessionID) != nil; known != (o == s) {
				t.Errorf("server %d knows a local session of server %d: %t", o.sid, s.sid, known)
			}
			if o == s {
				continue
			}
			x := o.call(w.again())
			e.settle()
			if x.take(); !x.isHung() || !x.greeted || x.hello.TimeOut != 0 || x.hello.SessionID != 0 {
				t.Errorf("server %d takes up a local session of server %d: %+v", o.sid, s.sid, x.hello)
			}
		}
		if list := s.p.Touches(); len(list) != 0 {
			t.Errorf("server %d tells the leader of a local session: %v", s.sid, list)
		}
		x := s.call(w.again())
		e.settle()
		if !x.ready() || x.hello.SessionID != w.hello.SessionID || !w.isHung() {
			t.Fatalf("server %d: its own local session is not taken up: %+v", s.sid, x.hello)
		}
		w.c.Detach()
		if a := x.ask(ended()); a.code != proto.OK || !x.isHung() {
			t.Errorf("server %d: the end is answered %v", s.sid, a.code)
		}
		if s.p.sessions.Get(w.hello.SessionID) != nil {
			t.Errorf("server %d: a session that ended is known", s.sid)
		}
		if got := e.types(n); !same(got, proto.OpCreate) {
			t.Errorf("server %d: transactions %v", s.sid, got)
		}
	}
	e.same()
}

// TestUpgrade makes a session global with the first ephemeral znode.
func TestUpgrade(t *testing.T) {
	for _, q := range []step{mk("/e", proto.FlagEphemeral), mk("/e", proto.FlagEphemeralSequential), all(mk("/p", 0), mk("/e", proto.FlagEphemeral))} {
		for at := range 3 {
			e := ledLocally(t, true)
			s, o := e.members[at], e.members[(at+1)%3]
			w := s.open()
			n := len(e.log)
			first, second, third := w.send(q), w.send(mk("/again", proto.FlagEphemeral)), w.send(get("/", false))
			e.settle()
			for _, xid := range []int32{first, second, third} {
				if a := w.must(xid); a.code != proto.OK {
					t.Fatalf("server %d: xid %d is answered %v", s.sid, xid, a.code)
				}
			}
			if got := e.types(n); !same(got, proto.OpCreateSession, q.op, proto.OpCreate) {
				t.Errorf("server %d: transactions %v", s.sid, got)
			}
			for _, m := range e.members {
				if x := m.p.sessions.Get(w.hello.SessionID); x == nil || !x.Global() {
					t.Errorf("server %d does not know that session", m.sid)
				}
			}
			x := o.call(w.again())
			e.settle()
			if !x.ready() || x.hello.SessionID != w.hello.SessionID {
				t.Fatalf("it cannot move to server %d: %+v", o.sid, x.hello)
			}
			n = len(e.log)
			if a := x.ask(ended()); a.code != proto.OK {
				t.Error(a.code)
			}
			if got := e.types(n); !same(got, proto.OpCloseSession) {
				t.Errorf("transactions %v", got)
			}
			v := e.leader.p.tree.View(0)
			if v.Find("/again") != 0 {
				t.Error("its ephemeral znode is left")
			}
			v.Close()
			e.same()
		}
	}
}

// TestNoUpgrade refuses ephemeral znodes of local sessions.
func TestNoUpgrade(t *testing.T) {
	e := ledLocally(t, false)
	for _, s := range e.members {
		w := s.open()
		if a := w.ask(mk("/e", proto.FlagEphemeral)); a.code != proto.ErrEphemeralOnLocal {
			t.Errorf("server %d: %v", s.sid, a.code)
		}
		want := proto.ErrSessionExpired
		if s == e.leader {
			want = proto.ErrEphemeralOnLocal
		}
		a := w.ask(all(mk("/p", 0), mk("/e", proto.FlagEphemeral), rm("/p", -1)))
		if got := multiCodes(t, a.body); a.code != proto.OK || !same(got, proto.OK, want, proto.ErrRuntimeInconsistency) {
			t.Errorf("server %d: %v %v", s.sid, a.code, got)
		}
		if a := w.ask(mk("/none/x", 0)); a.code != proto.ErrNoNode {
			t.Errorf("server %d: %v", s.sid, a.code)
		}
	}
	e.same()
}

// multiCodes are the codes of a multi that failed.
func multiCodes(t testing.TB, body []byte) (codes []proto.Code) {
	for len(body) >= 13 && body[4] == 0 {
		codes = append(codes, proto.Code(int32(body[9])<<24|int32(body[10])<<16|int32(body[11])<<8|int32(body[12])))
		body = body[13:]
	}
	return codes
}

// TestLocalOfOthers: a leader takes the writes of sessions that only other
// servers can know, if there are such sessions, and no ephemeral znode of theirs.
func TestLocalOfOthers(t *testing.T) {
	for _, on := range []bool{false, true} {
		e := newTrio(t, func(o *Options) { o.LocalSessions = on || o.ServerID != 1 })
		e.elect(e.members[0], 0)
		want := proto.ErrSessionExpired
		if on {
			want = proto.OK
		}
		w := e.members[1].open()
		if a := w.ask(mk("/a", 0)); a.code != want {
			t.Errorf("local sessions at the leader %t: %v", on, a.code)
		}
		const own, other = 1<<56 + 5, 2<<56 + 5
		for session, want := range map[int64]proto.Code{own: proto.ErrSessionExpired, other: want} {
			e.leader.p.Remote([]Asked{{From: 2, Session: session, Cxid: 1, Op: proto.OpCreate, Body: body(mk("/b", 0))}})
			if got := e.lastOutcome(); got != want {
				t.Errorf("local sessions at the leader %t, session %x: %v", on, session, got)
			}
		}
		e.leader.p.Remote([]Asked{{From: 2, Session: other, Cxid: 1, Op: proto.OpCreate, Body: body(mk("/c", proto.FlagEphemeral))}})
		if got := e.lastOutcome(); got != proto.ErrSessionExpired {
			t.Errorf("an ephemeral znode of another server's local session: %v", got)
		}
		if e.leader.p.RevalidateRemote(2, other, 1000) {
			t.Error("a session that the leader does not know is valid")
		}
		e.settle()
		e.same()
	}
}

func body(s step) []byte { return frameOf(1, s.op, s.rec)[8:] }

func (e *trio) lastOutcome() proto.Code {
	txn, err := proto.DecodeTxn(e.log[len(e.log)-1].Data)
	if err != nil {
		e.Fatal(err)
	}
	return outcome(&txn)
}

// TestUpgradeThroughElections: a session that is being upgraded when the leader
// falls becomes global with the next one, its request is executed once, and
// what the client asked before with the number 0 is not taken for it.
func TestUpgradeThroughElections(t *testing.T) {
	for _, sent := range []string{"to nobody", "to a leader that had it decided", "to a leader that lost it", "half"} {
		for from := range 3 {
			for next := range 3 {
				e := ledLocally(t, true)
				s := e.members[from]
				w := s.open()
				w.xid = -1
				fails := w.send(mk("/none/x", 0))
				e.settle()
				if sent == "to nobody" {
					e.fall(len(e.log))
				}
				n := len(e.log)
				made := w.send(mk("/e", proto.FlagEphemeral))
				s.rise(10)
				keep := len(e.log)
				switch sent {
				case "to a leader that lost it":
					keep = n
				case "half":
					keep = min(n+1, keep)
				}
				e.elect(e.members[next], keep)
				e.settle()
				if a := w.must(fails); a.code != proto.ErrNoNode {
					t.Errorf("%s, %d to %d: %v", sent, from+1, next+1, a.code)
				}
				if a := w.must(made); a.code != proto.OK {
					t.Errorf("%s, %d to %d: %v", sent, from+1, next+1, a.code)
				}
				if x := e.leader.p.sessions.Get(w.hello.SessionID); x == nil || !x.Global() {
					t.Errorf("%s, %d to %d: the session is not global", sent, from+1, next+1)
				}
				if got := e.executed()[w.hello.SessionID][made]; got != 1 {
					t.Errorf("%s, %d to %d: executed %d times", sent, from+1, next+1, got)
				}
				e.same()
			}
		}
	}
}

// TestUpgradeResumed: a client that comes back to its server while its session
// is being upgraded finds it.
func TestUpgradeResumed(t *testing.T) {
	e := ledLocally(t, true)
	s := e.members[1]
	w := s.open()
	w.send(mk("/e", proto.FlagEphemeral))
	w.c.Detach()
	x := s.call(w.again())
	if x.ready() {
		t.Error("answered before it is known what became of the upgrade")
	}
	e.settle()
	if !x.ready() || x.hello.SessionID != w.hello.SessionID {
		t.Fatalf("%+v", x.hello)
	}
	if a := x.ask(mk("/f", proto.FlagEphemeral)); a.code != proto.OK {
		t.Error(a.code)
	}
	e.same()
}

// TestUpgradeRestored: what became of an upgrade that was sent is told by a tree
// that comes without its history.
func TestUpgradeRestored(t *testing.T) {
	for _, happened := range []bool{true, false} {
		e := ledLocally(t, true)
		s := e.members[1]
		w := s.open()
		w.send(mk("/e", proto.FlagEphemeral))
		if happened {
			s.rise(10)
			e.decide(10)
		}
		s.p.Pause()
		s.copyTree(e.leader)
		e.join(s)
		e.settle()
		if !w.isHung() {
			t.Error("a client with a write of unknown outcome is kept")
		}
		w.c.Detach()
		x := s.call(w.again())
		e.settle()
		if x.take(); (x.hello.SessionID != 0) != happened {
			t.Errorf("upgraded %t: %+v", happened, x.hello)
		}
		e.same()
	}
}

// TestLocalExpiry: each server ends its own local sessions, and no others.
func TestLocalExpiry(t *testing.T) {
	e := newTrio(t, func(o *Options) {
		o.LocalSessions, o.LocalUpgrades, o.Tick, o.MinSessionTimeout = true, true, 20*time.Millisecond, 40*time.Millisecond
	})
	e.elect(e.members[0], 0)
	var doomed, global []*caller
	for _, s := range e.members {
		w := s.call(proto.ConnectRequest{TimeOut: 40})
		if !w.ready() {
			t.Fatal("not greeted")
		}
		doomed = append(doomed, w)
		g := s.open()
		if a := g.ask(mk("/e"+string(rune('0'+s.sid)), proto.FlagEphemeral)); a.code != proto.OK {
			t.Fatal(a.code)
		}
		global = append(global, g)
	}
	n := len(e.log)
	for _, w := range doomed {
		for end := time.Now().Add(10 * time.Second); !w.isHung() || w.p.sessions.Get(w.hello.SessionID) != nil; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("server %d does not end its local session", w.sid)
			}
		}
	}
	if len(e.log) != n {
		t.Errorf("transactions %v", e.types(n))
	}
	for _, g := range global {
		if g.isHung() {
			t.Errorf("server %d ends a session that is the leader's to end", g.sid)
		}
	}
	e.same()
}

// TestLocalReadOnly: local sessions live through a time without a quorum.
func TestLocalReadOnly(t *testing.T) {
	e := ledLocally(t, true)
	s := e.members[2]
	w := s.open()
	e.fall(len(e.log))
	s.p.ReadOnly()
	q := w.again()
	q.ReadOnly = true
	x := s.call(q)
	if !x.ready() || !x.hello.ReadOnly || x.hello.SessionID != w.hello.SessionID {
		t.Fatalf("%+v", x.hello)
	}
	if a := x.must(x.send(mk("/e", proto.FlagEphemeral))); a.code != proto.ErrNotReadOnly {
		t.Error(a.code)
	}
	e.elect(s, len(e.log))
	y := s.call(q)
	e.settle()
	if !y.ready() || y.hello.ReadOnly || y.hello.SessionID != w.hello.SessionID {
		t.Fatalf("%+v", y.hello)
	}
	if a := y.ask(mk("/e", proto.FlagEphemeral)); a.code != proto.OK {
		t.Error(a.code)
	}
	e.same()
}

// TestLetGoOfLocal: a local session is no reason to let its client go sooner.
func TestLetGoOfLocal(t *testing.T) {
	e := ledLocally(t, true)
	w := e.members[1].open()
	e.fall(len(e.log))
	if w.p.LetGo(15 * time.Second); w.isHung() {
		t.Error("let go after half of the timeout")
	}
	if w.p.LetGo(21 * time.Second); !w.isHung() {
		t.Error("kept after two thirds")
	}
}
