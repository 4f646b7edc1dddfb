// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/session"
	"paddock/jute"
	"paddock/proto"
)

// TestForwarded has each kind of write answered through a follower as a single
// server answers it.
func TestForwarded(t *testing.T) {
	writes := []step{
		mk("/a", 0), mk("/a", 0), mk("/a/b", proto.FlagEphemeral), mk("/a/b/c", 0), mk("/none/x", 0), mk("/bad//x", 0),
		mk("/a/s-", proto.FlagSequential), mk("/a/s-", proto.FlagEphemeralSequential),
		{proto.OpCreate2, &proto.Create{Path: "/two", Data: []byte("2"), ACL: everyone}},
		{proto.OpCreateContainer, &proto.Create{Path: "/box", ACL: everyone, Flags: proto.FlagContainer}},
		{proto.OpCreateTTL, &proto.CreateTTL{Path: "/ttl", ACL: everyone, Flags: proto.FlagTTL, TTL: 1 << 39}},
		{proto.OpCreateTTL, &proto.CreateTTL{Path: "/ttl2", ACL: everyone, Flags: proto.FlagPersistent, TTL: -1}},
		{proto.OpCreate, &proto.Create{Path: "/acl", ACL: []proto.ACL{{Perms: 31, Scheme: "auth"}}}},
		{proto.OpCreate, &proto.Create{Path: unfitPath, ACL: everyone}},
		set("/a", "new", -1), set("/a", "newer", 0), set("/none", "", -1),
		allow("/two", proto.PermRead|proto.PermAdmin, -1), set("/two", "", -1), allow("/two", proto.PermAll, 0), allow("/two", proto.PermAll, 1),
		rm("/a/b", 3), rm("/a/b", -1), rm("/a", -1), rm("/", -1), rm("/zookeeper/quota", -1),
		all(mk("/m", 0), mk("/m/s-", proto.FlagSequential), set("/m", "x", 0), check("/m", 1), rm("/two", -1)),
		all(mk("/m2", 0), check("/m2", 7), rm("/m", -1)), all(),
		{proto.OpCreate, &proto.Path{Path: "/short"}},
		{proto.OpMulti, &proto.Path{Path: "/short"}},
		all(step{proto.OpDelete, &proto.PathVersion{Path: jute.Null()}}),
		{proto.OpDelete, &proto.PathVersion{Path: jute.Null()}},
		{proto.OpDeleteContainer, &proto.Path{Path: "/box"}},
		{proto.OpReconfig, &proto.Reconfig{CurConfigID: -1}},
		ended(),
	}
	e := led(t)
	for i, s := range e.members {
		r := newRig(t, nil)
		alone, w := r.connect(), s.open()
		for n, q := range writes {
			q.rec = retitle(q.rec, fmt.Sprint("/server", i+1))
			if n == 0 {
				root := mk(fmt.Sprint("/server", i+1), 0)
				alone.ask(root.op, root.rec)
				w.ask(root)
			}
			want, got := alone.ask(q.op, q.rec), w.ask(q)
			if got.code != want.code || len(got.body) != len(want.body) || q.op == proto.OpCreate && string(got.body) != string(want.body) {
				t.Errorf("server %d: write %d, %v: %v with %q, alone %v with %q", i+1, n, q.op, got.code, got.body, want.code, want.body)
			}
			if got.code == proto.OK && got.zxid != e.log[len(e.log)-1].Zxid {
				t.Errorf("server %d: write %d is answered at %s, the last transaction is %s", i+1, n, got.zxid, e.log[len(e.log)-1].Zxid)
			}
		}
		if !w.isHung() {
			t.Errorf("server %d does not hang up after a closeSession", i+1)
		}
	}
	e.same()
}

// retitle puts a request's paths below root, so that it can be sent again
// elsewhere.
func retitle(rec jute.Record, root string) jute.Record {
	under := func(p string) string {
		if jute.IsNull(p) || !strings.HasPrefix(p, "/") || p == "/" || strings.HasPrefix(p, "/zookeeper") {
			return p
		}
		return root + p
	}
	switch q := rec.(type) {
	case *proto.Create:
		c := *q
		c.Path = under(q.Path)
		return &c
	case *proto.CreateTTL:
		c := *q
		c.Path = under(q.Path)
		return &c
	case *proto.PathVersion:
		c := *q
		c.Path = under(q.Path)
		return &c
	case *proto.SetData:
		c := *q
		c.Path = under(q.Path)
		return &c
	case *proto.SetACL:
		c := *q
		c.Path = under(q.Path)
		return &c
	case steps:
		c := slices.Clone(q)
		for i := range c {
			c[i].rec = retitle(c[i].rec, root)
		}
		return c
	}
	return rec
}

// TestReadsWaitForOwnWrites on a follower, and for nobody else's.
func TestReadsWaitForOwnWrites(t *testing.T) {
	e := led(t)
	f := e.members[1]
	w, other := f.open(), f.open()
	before := w.send(get("/", false))
	if _, ok := w.got(before); !ok {
		t.Fatal("a read waits for nothing")
	}
	x1, x2, x3, x4 := w.send(mk("/a", 0)), w.send(get("/a", false)), w.send(set("/a", "two", -1)), w.send(get("/a", false))
	if a, ok := other.got(other.send(get("/a", false))); !ok || a.code != proto.ErrNoNode {
		t.Errorf("the other client is answered %t, %v", ok, a.code)
	}
	f.rise(9)
	e.decide(9)
	if _, ok := w.got(x1); ok {
		t.Error("a write is answered before it is committed here")
	}
	f.sink(9)
	if a := w.must(x2); a.data(t) != "data of /a" {
		t.Errorf("the read between the writes sees %q", a.data(t))
	}
	if a := w.must(x4); a.data(t) != "two" {
		t.Errorf("the last read sees %q", a.data(t))
	}
	if want := []int32{before, x1, x2, x3, x4}; !slices.Equal(w.order, want) {
		t.Errorf("answers in the order %v, want %v", w.order, want)
	}
	e.settle()
	e.same()
}

// TestSync brings a follower to what was decided before, and waits for a
// leader's barrier.
func TestSync(t *testing.T) {
	e := led(t)
	l, f := e.members[0], e.members[1]
	reader, writer := f.open(), l.open()
	made := writer.send(mk("/new", 0))
	e.decide(1) // the follower has not heard of it
	if a := writer.must(made); a.code != proto.OK {
		t.Fatal(a.code)
	}
	if a, _ := reader.got(reader.send(get("/new", false))); a.code != proto.ErrNoNode {
		t.Fatalf("%v on a follower that is behind", a.code)
	}
	s, g := reader.send(syncOf("/new")), reader.send(get("/new", false))
	f.rise(1)
	e.decide(0)
	if _, ok := reader.got(s); ok {
		t.Error("a sync is answered before the leader has answered it")
	}
	f.sink(9)
	if a := reader.must(s); a.code != proto.OK || string(a.body[4:]) != "/new" {
		t.Errorf("the sync is answered %v %q", a.code, a.body)
	}
	if a := reader.must(g); a.data(t) != "data of /new" {
		t.Error("a read behind the sync is behind")
	}

	// On the leader, and a later write of the same session answers it too.
	s = writer.send(syncOf("/x"))
	if _, ok := writer.got(s); ok {
		t.Error("a leader answers a sync without asking")
	}
	e.settle()
	writer.must(s)
	tokens := len(l.tokens)
	s = writer.send(syncOf("/y"))
	x := writer.send(mk("/y", 0))
	held := l.tokens[tokens:]
	l.tokens = nil
	e.settle()
	writer.must(x)
	writer.must(s)
	if n := len(writer.order); writer.order[n-2] != s || writer.order[n-1] != x {
		t.Errorf("answers in the order %v", writer.order)
	}
	l.p.Passed(held[0].token)                                                     // too late to matter
	bad := writer.send(step{proto.OpSync, &proto.CreateSessionTxn{TimeOut: 100}}) // a length, and no text
	if a := writer.must(bad); a.code != proto.ErrMarshalling {
		t.Errorf("a sync cut short is answered %v", a.code)
	}
	e.settle()
	e.same()
}

// TestBarrierFails: a sync that cannot be confirmed is not answered.
func TestBarrierFails(t *testing.T) {
	e := led(t)
	l := e.members[0]
	w := l.open()
	s := w.send(syncOf("/"))
	token := l.tokens[0].token
	l.tokens = nil
	l.p.BarrierFailed(token)
	if _, ok := w.got(s); ok || !w.isHung() {
		t.Error("the client is told, or kept")
	}
	// When the leadership is over, the next one is asked.
	w = l.open()
	s = w.send(syncOf("/"))
	token = l.tokens[0].token
	e.fall(len(e.log))
	l.p.BarrierFailed(token)
	e.elect(e.members[1], len(e.log))
	e.settle()
	if a := w.must(s); a.code != proto.OK {
		t.Error(a.code)
	}
	e.same()
}

// TestSessionEverywhere: a session and its ephemerals are known to all servers,
// and end on all.
func TestSessionEverywhere(t *testing.T) {
	e := led(t)
	w := e.members[1].open()
	id := w.c.Session().ID()
	if id>>56 != 2 {
		t.Errorf("session %x of server 2", id)
	}
	w.ask(mk("/eph", proto.FlagEphemeral))
	for _, s := range e.members {
		if s.p.sessions.Get(id) == nil {
			t.Errorf("server %d does not know it", s.sid)
		}
	}
	reader := e.members[2].open()
	reader.ask(get("/eph", true))
	e.leader.p.sessions.Get(id).SetClosing()
	e.leader.p.closeSession(id)
	e.settle()
	for _, s := range e.members {
		v := s.p.tree.View(0)
		if v.Find("/eph") != 0 || s.p.sessions.Get(id) != nil {
			t.Errorf("server %d keeps it", s.sid)
		}
		v.Close()
	}
	if reader.take(); !slices.Equal(reader.events, []string{"NodeDeleted /eph"}) {
		t.Errorf("a watcher hears %v", reader.events)
	}
	if !w.isHung() {
		t.Error("its client is not hung up on")
	}
	again := e.members[2].call(w.again())
	e.settle()
	if again.take(); !again.isExpired() || !again.isHung() {
		t.Errorf("a session that has ended is answered %+v", again.hello)
	}
	e.same()
}

func (w *caller) isExpired() bool {
	return w.greeted && w.hello.TimeOut == 0 && w.hello.SessionID == 0
}

// TestSessionMoves from server to server: what the connection before has sent
// is answered to nobody else, and declined once the session has moved.
func TestSessionMoves(t *testing.T) {
	e := led(t)
	a, b := e.members[1], e.members[2]
	for _, tc := range []struct {
		name string
		from *server
	}{{"from a follower", a}, {"from the leader", e.leader}} {
		t.Run(tc.name, func(t *testing.T) {
			old := tc.from.open()
			late := old.send(mk("/late", 0)) // xid 1; proposed, if from the leader
			other := tc.from.open()          // settles what was sent
			old.must(late)
			late = old.send(set("/late", "first", -1)) // xid 2
			w := b.call(old.again())
			b.rise(2) // the question and the sync
			tc.from.rise(9)
			b.sink(9)
			if tc.from == e.leader && w.ready() {
				t.Fatal("the handshake is answered before what the leader had taken is applied")
			}
			e.decide(9)
			b.sink(9)
			if !w.ready() || w.hello.SessionID != old.hello.SessionID {
				t.Fatal("the session is not taken up")
			}
			e.settle()
			if tc.from != e.leader {
				if _, ok := old.got(late); ok || !old.isHung() {
					t.Error("a write of a session that has moved is answered")
				}
			}
			// The new connection numbers anew.
			w.xid = late - 1
			if x := w.send(get("/late", false)); w.must(x).code != proto.OK {
				t.Error("not found")
			}
			x := w.send(mk("/late", 0))
			e.settle()
			if got := w.must(x); got.code != proto.ErrNodeExists {
				t.Errorf("its own write is answered %v", got.code)
			}
			if other.isHung() {
				t.Error("another session is hung up on")
			}
			w.ask(rm("/late", -1))
		})
	}
	e.same()
}

// TestSessionMovesBackHere: a connection that is taken over on the same
// follower, with a write on its way and the same numbers.
func TestSessionMovesBackHere(t *testing.T) {
	e := led(t)
	f := e.members[1]
	old := f.open()
	old.send(mk("/x", 0)) // xid 1, on its way
	w := f.call(old.again())
	if !old.isHung() {
		t.Error("the old connection is kept")
	}
	if old.send(mk("/y", 0)); len(f.up) != 3 {
		t.Error("the old connection is still served")
	}
	f.rise(3)
	e.decide(0)
	f.sink(9)
	if w.ready() {
		t.Fatal("the handshake is answered while a write of the old connection is in flight")
	}
	e.settle()
	if !w.ready() {
		t.Fatal("not answered")
	}
	if a := w.ask(mk("/x", 0)); a.code != proto.ErrNodeExists {
		t.Errorf("xid 1 of the new connection is answered %v", a.code)
	}
	if len(old.answers) != 0 {
		t.Error("the old connection is answered")
	}
	wrong := f.call(proto.ConnectRequest{SessionID: old.hello.SessionID, Passwd: make([]byte, 16)})
	if wrong.take(); !wrong.isExpired() {
		t.Error("a wrong password is taken")
	}
	if w.isHung() {
		t.Error("a wrong password cuts the session's connection")
	}
	e.settle()
	e.same()
}

// TestTouches of a learner keep sessions alive at the leader.
func TestTouches(t *testing.T) {
	e := newTrio(t, func(o *Options) { o.Tick = time.Millisecond; o.ContainerPeriod = time.Hour })
	e.elect(e.members[0], 0)
	f := e.members[1]
	w, gone := f.open(), f.open()
	f.p.Touches()
	if got := f.p.Touches(); len(got) != 0 {
		t.Errorf("%v without a request", got)
	}
	w.send(step{proto.OpPing, new(proto.Names)})
	w.send(get("/", false))
	gone.send(get("/", false))
	gone.c.Detach()
	got := f.p.Touches()
	want := []Touch{{w.hello.SessionID, 30000}, {gone.hello.SessionID, 30000}}
	if len(got) != 2 || !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
		t.Errorf("touched are %v, want %v", got, want)
	}
	s := e.leader.p.sessions.Get(w.hello.SessionID)
	before := s.Deadline()
	await(t, "time to pass", func() bool {
		e.leader.p.TouchRemote(2, append(got, Touch{99, 1}))
		return s.Deadline() > before
	})
}

// TestOnlyLeadersExpire sessions, and a new one gives all their full time.
func TestOnlyLeadersExpire(t *testing.T) {
	e := newTrio(t, func(o *Options) { o.Tick = 10 * time.Millisecond; o.MinSessionTimeout = 10 * time.Millisecond })
	e.elect(e.members[0], 0)
	w := e.members[1].call(proto.ConnectRequest{TimeOut: 50})
	keep := e.members[1].open()
	id := w.c.Session().ID()
	e.fall(len(e.log))
	tracked := e.members[0].p.sessions.Get(id)
	await(t, "the deadline to pass", func() bool { return e.members[0].p.nowMs() > tracked.Deadline()+50 })
	for _, s := range e.members {
		if n := s.p.counts.Expired.Load(); n != 0 {
			t.Fatalf("server %d expires sessions while there is no leader", s.sid)
		}
	}
	e.elect(e.members[2], len(e.log))
	if d := e.leader.p.sessions.Get(id).Deadline(); d <= e.leader.p.nowMs() {
		t.Errorf("the deadline under a new leader is %d, in the past", d)
	}
	await(t, "the session to expire", func() bool { return e.leader.p.counts.Expired.Load() == 1 })
	await(t, "its end to be proposed", func() bool { return e.leader.p.LastProposed() == e.epoch+1 })
	e.settle()
	if !w.isHung() || keep.isHung() {
		t.Error("the wrong session has ended")
	}
	e.same()
}

// TestElection has writes outstanding in every place, of a client of the leader
// and of a follower, and lets each server be the next leader. All are executed
// once, in order.
func TestElection(t *testing.T) {
	for next := range 3 {
		for at := range 2 {
			t.Run(fmt.Sprintf("client of %d, then %d leads", at+1, next+1), func(t *testing.T) {
				e := led(t)
				s := e.members[at]
				w := s.open()
				w.ask(mk("/n", 0))
				var xids []int32
				write := func() { xids = append(xids, w.send(set("/n", fmt.Sprint(len(xids)), -1))) }
				write() // decided; a follower has not heard of it
				s.rise(1)
				e.decide(1)
				write() // in the next leader's history
				s.rise(1)
				keep := len(e.log)
				write() // proposed and lost
				s.rise(1)
				if len(e.log) != keep+1 {
					t.Fatalf("%d in the log", len(e.log))
				}
				write() // never came to the leader, or lost too
				read := w.send(get("/n", false))
				e.fall(keep)
				write() // sent while there is no leader
				last := w.send(get("/n", false))
				ping := w.send(step{proto.OpPing, new(proto.Names)})
				if _, ok := w.got(proto.XidPing); !ok || ping == 0 {
					t.Error("a ping waits for the election")
				}
				e.elect(e.members[next], keep)
				e.settle()
				w.must(last)
				if a := w.must(read); a.data(t) != "3" {
					t.Errorf("the read behind the fourth write sees %q", a.data(t))
				}
				for _, x := range xids {
					if a := w.must(x); a.code != proto.OK {
						t.Errorf("write %d: %v", x, a.code)
					}
				}
				var order []int32
				for _, x := range w.order {
					if x > 0 {
						order = append(order, x)
					}
				}
				if !slices.IsSorted(order) {
					t.Errorf("answers in the order %v", order)
				}
				for x, n := range e.executed()[w.hello.SessionID] {
					if n != 1 {
						t.Errorf("xid %d is executed %d times", x, n)
					}
				}
				e.same()
			})
		}
	}
}

// TestLinkBreaks and the same leader is found again: what was forwarded may be
// in flight, so its client is let go; what was not is sent.
func TestLinkBreaks(t *testing.T) {
	e := led(t)
	f := e.members[1]
	sent, held, reads := f.open(), f.open(), f.open()
	sent.ask(mk("/n", 0))
	sent.send(set("/n", "1", -1))
	f.rise(1) // proposed, to be decided after the learner is back
	opening := f.call(proto.ConnectRequest{})
	s := reads.send(syncOf("/"))
	f.p.Pause()
	x := held.send(set("/n", "2", 1))
	g := reads.send(get("/n", false))
	wait := f.call(proto.ConnectRequest{})
	e.join(f)
	e.settle()
	if !sent.isHung() || len(sent.answers) != 1 {
		t.Error("a client with a write of unknown outcome is kept")
	}
	if !opening.isHung() || opening.ready() {
		t.Error("a handshake of unknown outcome is kept")
	}
	if a := held.must(x); a.code != proto.OK || held.isHung() {
		t.Errorf("a write that was held is answered %v", a.code)
	}
	if reads.must(s); reads.must(g).data(t) != "2" || !wait.ready() {
		t.Error("a read, or a handshake that was held, is not answered")
	}
	if n := e.executed()[sent.hello.SessionID][2]; n != 1 {
		t.Errorf("executed %d times", n)
	}
	e.same()
}

// TestHandshakesWait for the end of an election.
func TestHandshakesWait(t *testing.T) {
	e := led(t)
	f := e.members[1]
	w := f.open()
	moved := e.members[2].open()
	asked := f.call(moved.again()) // the question is lost with the leader
	opened := f.call(proto.ConnectRequest{})
	e.fall(len(e.log))
	fresh := f.call(proto.ConnectRequest{LastZxidSeen: int64(e.epoch) + 100}) // beyond: refused once there is a leader
	again := e.members[2].call(w.again())
	no := e.members[2].call(proto.ConnectRequest{SessionID: 77, Passwd: passwordOf(77)})
	if fresh.ready() || again.ready() || no.ready() {
		t.Error("a handshake is answered without a leader")
	}
	e.elect(e.members[1], len(e.log))
	e.settle()
	if !asked.ready() || asked.hello.SessionID != moved.hello.SessionID || !opened.ready() {
		t.Error("a handshake that was on its way is not answered")
	}
	if !again.ready() || again.hello.SessionID != w.hello.SessionID || !w.isHung() {
		t.Error("a session is not taken up")
	}
	if fresh.ready(); fresh.greeted && fresh.hello.TimeOut == 0 {
		t.Errorf("%+v", fresh.hello)
	}
	if no.ready(); !no.isExpired() || !no.isHung() {
		t.Errorf("a session that never was is answered %+v", no.hello)
	}
	if a := again.ask(mk("/a", 0)); a.code != proto.OK {
		t.Error(a.code)
	}
	e.same()

	// One that knows too much is sent elsewhere.
	far := f.call(proto.ConnectRequest{LastZxidSeen: int64(e.epoch) << 8})
	if far.take(); far.greeted || !far.isHung() {
		t.Error("a client that has seen more is served")
	}
}

func passwordOf(id int64) []byte { p := session.Password(id); return p[:] }

// TestRestore lets go of clients that may have missed something, and of no
// others.
func TestRestore(t *testing.T) {
	e := led(t)
	f := e.members[1]
	writes, watches, holds, idle := f.open(), f.open(), f.open(), f.open()
	idle.ask(mk("/a", 0))
	watches.ask(get("/a", true))
	closed := f.open()
	writes.send(set("/a", "lost", -1))
	opening := f.call(proto.ConnectRequest{})
	e.leader.p.closeSession(closed.hello.SessionID)
	e.decide(len(e.log)) // nobody tells the follower
	f.up, f.down = nil, nil
	f.p.Pause()
	x := holds.send(set("/a", "held", -1))
	f.copyTree(e.leader)
	for name, tc := range map[string]struct {
		w    *caller
		hung bool
	}{"a write on its way": {writes, true}, "a watch": {watches, true}, "a write that was held": {holds, false}, "nothing": {idle, false},
		"a session that has ended": {closed, true}, "a handshake on its way": {opening, true}} {
		if tc.w.isHung() != tc.hung {
			t.Errorf("client with %s: hung up on is %t", name, !tc.hung)
		}
	}
	e.join(f)
	e.settle()
	if a := holds.must(x); a.code != proto.OK {
		t.Error(a.code)
	}
	if a := idle.ask(get("/a", false)); a.data(t) != "held" {
		t.Errorf("%q", a.data(t))
	}
	e.same()

	// A client that has seen more than the new tree has.
	w, quiet := f.open(), f.open()
	x = w.send(set("/a", "seen", -1))
	f.rise(1)
	e.decide(1)
	f.sink(1)
	w.must(x)
	f.p.Pause()
	f.copyTree(e.members[2]) // is behind
	if !w.isHung() || quiet.isHung() {
		t.Errorf("hung up on the client that has seen more is %t, on another %t", w.isHung(), quiet.isHung())
	}
}

// TestWatchesOnFollowers: events come before the answers that show them.
func TestWatchesOnFollowers(t *testing.T) {
	e := led(t)
	w, other := e.members[1].open(), e.members[2].open()
	w.ask(mk("/a", 0))
	w.ask(get("/a", true))
	w.ask(step{proto.OpAddWatch, &proto.PathType{Path: "/", Type: proto.AddWatchPersistentRecursive}})
	w.ask(step{proto.OpGetChildren, &proto.PathWatch{Path: "/a", Watch: true}})
	other.ask(mk("/a/b", 0))
	w.ask(set("/a", "x", -1))
	if a := w.ask(all(rm("/a/b", -1), rm("/a", -1))); a.code != proto.OK {
		t.Fatal(a.code)
	}
	want := []string{"NodeCreated /a/b", "NodeChildrenChanged /a", "NodeDataChanged /a", "NodeDeleted /a/b", "NodeDeleted /a"}
	if !slices.Equal(w.events, want) {
		t.Errorf("events %v, want %v", w.events, want)
	}
	n := len(w.order)
	if w.order[n-1] != w.xid || w.order[n-2] != -1 {
		t.Errorf("order %v", w.order)
	}
}

// TestReconfig asks the leadership, and checks the permission last.
func TestReconfig(t *testing.T) {
	e := newTrio(t, func(o *Options) { o.Reconfig = true })
	e.elect(e.members[0], 0)
	q := step{proto.OpReconfig, &proto.Reconfig{Joining: "x", CurConfigID: -1}}
	for _, s := range e.members {
		w := s.open()
		e.refuse = proto.ErrNewConfigNoQuorum
		if a := w.ask(q); a.code != proto.ErrNewConfigNoQuorum {
			t.Errorf("server %d: %v", s.sid, a.code)
		}
		e.refuse = proto.OK
		if a := w.ask(q); a.code != proto.ErrNoAuth {
			t.Errorf("server %d: %v", s.sid, a.code)
		}
	}
	e.same()

	e = newTrio(t, func(o *Options) { o.Reconfig = true; o.ACL = skipACL(t) })
	e.elect(e.members[0], 0)
	w := e.members[1].open()
	a := w.ask(q)
	text := "server.1=one\nversion=" + a.zxid.String()[2:]
	if a.code != proto.OK || string(a.body[4:4+len(text)]) != text || len(a.body) != 4+len(text)+68 {
		t.Errorf("%v %q", a.code, a.body)
	}
	if got := w.ask(get(proto.ConfigPath, false)); got.data(t) != text {
		t.Errorf("config is %q", got.data(t))
	}
	v := e.leader.p.tree.View(0)
	if st := v.Stat(v.Find(proto.ConfigPath)); st.Version != -1 || st.Mzxid != a.zxid {
		t.Errorf("%+v", st)
	}
	v.Close()
	e.same()
}

// TestReadOnly serves who accepts it, and only reads.
func TestReadOnly(t *testing.T) {
	e := led(t)
	s := e.members[1]
	w := s.open()
	w.ask(mk("/a", 0))
	e.fall(len(e.log))
	plain, reader := s.call(proto.ConnectRequest{}), s.call(proto.ConnectRequest{ReadOnly: true})
	s.p.ReadOnly()
	if !w.isHung() || !plain.isHung() {
		t.Error("a client that wants a quorum is kept")
	}
	if ahead := s.call(proto.ConnectRequest{ReadOnly: true, LastZxidSeen: int64(e.log[len(e.log)-1].Zxid) + 1}); !ahead.isHung() || ahead.greeted {
		t.Error("a client that has seen more is taken")
	}
	if !reader.ready() || !reader.hello.ReadOnly {
		t.Fatalf("%+v", reader.hello)
	}
	late := s.call(proto.ConnectRequest{})
	if !late.isHung() {
		t.Error("a client that wants a quorum is taken")
	}
	q := w.again()
	q.ReadOnly = true
	global := s.call(q)
	if global.take(); !global.isHung() || global.greeted {
		t.Error("a session of the ensemble is taken up")
	}
	stranger := proto.ConnectRequest{SessionID: session.FirstID(9, 1), ReadOnly: true, TimeOut: 4000}
	passwd := session.Password(stranger.SessionID)
	stranger.Passwd = passwd[:]
	if x := s.call(stranger); !x.isHung() || x.greeted {
		t.Error("a session that this server may not have heard of yet is told that it has expired")
	}
	stranger.SessionID = session.FirstID(s.sid, 1)
	old := s.call(stranger)
	if old.take(); !old.isHung() || !old.greeted || old.hello.TimeOut != 0 || !old.hello.ReadOnly {
		t.Errorf("an earlier read-only session: %+v", old.hello)
	}
	if a := reader.must(reader.send(get("/a", false))); a.data(t) != "data of /a" {
		t.Error("not served")
	}
	for _, q := range []step{mk("/b", 0), set("/a", "", -1), rm("/a", -1), all(), syncOf("/"), {proto.OpReconfig, &proto.Reconfig{}}} {
		if a := reader.must(reader.send(q)); a.code != proto.ErrNotReadOnly || a.zxid != e.log[len(e.log)-1].Zxid {
			t.Errorf("%v: %v at %s", q.op, a.code, a.zxid)
		}
	}
	q = reader.again()
	q.ReadOnly = true
	again := s.call(q)
	if !again.ready() || again.hello.SessionID != reader.hello.SessionID || !reader.isHung() {
		t.Error("its session is not taken up again")
	}
	if a := again.must(again.send(ended())); a.code != proto.OK || !again.isHung() {
		t.Error("its end is not answered")
	}
	more := s.call(proto.ConnectRequest{ReadOnly: true})
	e.elect(s, len(e.log))
	e.settle()
	if _, locals := s.p.sessions.Count(); !more.isHung() || locals != 0 {
		t.Error("read-only clients stay")
	}
	if a := s.open().ask(mk("/b", 0)); a.code != proto.OK {
		t.Error(a.code)
	}
	e.same()
}

// dismissAll lets everybody go, as at the end or after too long without a leader.
func dismissAll(p *Pipeline) {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	p.prep.shut = p.is(looking)
	p.dismiss("no more")
}

// TestDismissEverywhere: nothing is left behind, whatever the role.
func TestDismissEverywhere(t *testing.T) {
	for _, role := range []string{"leader", "follower", "looking"} {
		t.Run(role, func(t *testing.T) {
			e := led(t)
			s := e.members[0]
			if role == "follower" {
				s = e.members[1]
			}
			w, moving := s.open(), e.members[2].open()
			w.send(mk("/a", 0))
			w.send(syncOf("/"))
			w.send(get("/a", false))
			calls := []*caller{w, s.call(proto.ConnectRequest{}), s.call(moving.again())}
			if role == "leader" {
				calls = calls[:2] // the third is answered at once
			}
			if role == "looking" {
				e.fall(len(e.log))
				calls = append(calls, s.call(proto.ConnectRequest{}))
			}
			dismissAll(s.p)
			for i, c := range calls {
				if !c.isHung() || i > 0 && c.greeted {
					t.Errorf("client %d is kept", i)
				}
			}
			if role == "looking" {
				late := s.call(proto.ConnectRequest{})
				if !late.isHung() {
					t.Error("a handshake waits, though it has been too long")
				}
				e.elect(s, len(e.log))
			}
			e.fall(len(e.log))
			late := s.call(proto.ConnectRequest{})
			if late.isHung() {
				t.Error("a handshake does not wait for the next leader")
			}
			e.elect(s, len(e.log))
			e.settle()
			if w.take(); len(w.answers) != 0 {
				t.Errorf("answers %v", w.answers)
			}
			e.same()
		})
	}
}

// TestDrainEverywhere waits for what is on its way, and not for what is held.
func TestDrainEverywhere(t *testing.T) {
	for at, name := range []string{"leader", "follower"} {
		t.Run(name, func(t *testing.T) {
			e := led(t)
			s := e.members[at]
			w := s.open()
			x := w.send(mk("/x", 0))
			done := make(chan struct{})
			go func() { s.p.Drain(context.Background()); close(done) }()
			await(t, "drain to begin", func() bool { return s.p.limits.draining.Load() })
			select {
			case <-done:
				t.Fatal("it does not wait")
			default:
			}
			late := w.send(mk("/y", 0))
			e.settle()
			<-done
			if a := w.must(x); a.code != proto.OK {
				t.Error(a.code)
			}
			if _, ok := w.got(late); ok {
				t.Error("a request is taken after the end")
			}
			e.same()
		})
	}
	t.Run("looking", func(t *testing.T) {
		e := led(t)
		s := e.members[1]
		w := s.open()
		e.fall(len(e.log))
		w.send(mk("/x", 0))
		s.p.Drain(context.Background())
		if !w.isHung() || s.p.Outstanding() != 0 {
			t.Error("a request that waits for a leader is kept")
		}
	})
}

// TestForeignAnswersNobody: a transaction with a client's session and cxid that
// is not its request, as a connection of the session to another server may have
// made it, leaves the request alone.
func TestForeignAnswersNobody(t *testing.T) {
	foreign := func(w *caller, z proto.Zxid, typ proto.OpCode, body jute.Record) Entry {
		txn := proto.Txn{Session: w.hello.SessionID, Cxid: w.xid, Zxid: z, Type: typ, Body: body}
		return Entry{z, txn.Append(nil)}
	}
	exists := &proto.ErrorTxn{Err: proto.ErrNodeExists}
	for _, tc := range []struct {
		name   string
		at     int
		paused bool
		typ    proto.OpCode
		body   jute.Record
	}{
		{"a write that was not sent", 1, true, proto.OpError, exists},
		{"a proposal of its server", 0, true, proto.OpError, exists},
		{"a request of another type", 1, false, proto.OpSetData, &proto.SetDataTxn{Path: "/", Version: 1}},
		{"an expiry", 1, false, proto.OpCloseSession, &proto.CloseSessionTxn{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := led(t)
			s := e.members[tc.at]
			w := s.open()
			if tc.paused && tc.at > 0 {
				s.p.Pause()
			}
			x := w.send(mk("/a", 0))
			s.p.Pause()
			if err := s.p.CommitEntries([]Entry{foreign(w, e.epoch+1<<32, tc.typ, tc.body)}); err != nil {
				t.Fatal(err)
			}
			if a, ok := w.got(x); ok {
				t.Errorf("it is answered %v", a.code)
			}
			if w.c.Waiting() != 1 {
				t.Error("it waits no more")
			}
		})
	}
}

// TestNothingAfterADrop: what a client had on its way into the pipeline when it
// was dropped is not served after what was dropped.
func TestNothingAfterADrop(t *testing.T) {
	for at := range 2 {
		e := led(t)
		s := e.members[at]
		w := s.open()
		w.send(mk("/a", 0))
		w.c.Begin(&w.burst)
		w.c.Serve(&w.burst, frameOf(2, proto.OpCreate, mk("/b", 0).rec))
		dismissAll(s.p)
		before, sent := len(e.log), len(s.up)
		w.c.End(&w.burst)
		if len(e.log) != before || len(s.up) != sent {
			t.Errorf("server %d goes on", s.sid)
		}
		e.settle()
		e.same()
	}
}

// TestBadEntry: a transaction that cannot be read ends the service of entries.
func TestBadEntry(t *testing.T) {
	e := led(t)
	w := e.members[0].open()
	w.send(mk("/a", 0))
	good := e.log[e.decided]
	s := e.members[1]
	for name, bad := range map[string]Entry{
		"short":     {good.Zxid + 1, good.Data[:20]},
		"other":     {good.Zxid + 1, good.Data},
		"no type":   {good.Zxid + 1, append(slices.Clone(good.Data[:28]), 0, 0, 0, 99)},
		"empty":     {good.Zxid + 1, nil},
		"cut short": {good.Zxid + 1, good.Data[:40]},
	} {
		if err := s.p.CommitEntries([]Entry{good, bad}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !has(&rig{p: s.p}, "/a") {
			t.Errorf("%s: the one before it is not applied", name)
		}
	}
}

// TestDigestDiffers is counted and does no harm.
func TestDigestDiffers(t *testing.T) {
	e := led(t)
	w := e.members[0].open()
	w.send(mk("/a", 0))
	txn, err := proto.DecodeTxn(e.log[e.decided].Data)
	if err != nil {
		t.Fatal(err)
	}
	txn.Digest.Tree++
	s := e.members[1]
	if err := s.p.CommitEntries([]Entry{{txn.Zxid, txn.Append(nil)}}); err != nil || s.p.counts.DigestMismatches.Load() != 1 {
		t.Errorf("%v, %d counted", err, s.p.counts.DigestMismatches.Load())
	}
}
