// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"paddock/internal/acl"
	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// trio is an ensemble of three pipelines without disks and sockets. One leads;
// what travels between it and the others waits until the test has it delivered.
type trio struct {
	testing.TB
	mu      sync.Mutex // guards log, and the servers' up and tokens, where clients are goroutines
	members []*server
	leader  *server // nil while there is none
	epoch   proto.Zxid
	log     []Entry // the leader's history
	decided int     // of log
	syncs   []syncAt
	refuse  proto.Code // what Reconfigure says
}

// server is one member.
type server struct {
	*trio
	sid     int64
	p       *Pipeline
	applied int      // of the history
	early   []func() // what it has for the leader, and has not flushed yet
	up      []func() // what it has sent to the leader, in order
	asked   []Asked  // what of that has risen and is not handed over yet
	down    []func() // what the leader has sent to it
	tokens  []tokenAt
}

// syncAt is a learner's sync that is answered when so many are decided, tokenAt
// a leader's.
type syncAt struct {
	to *server
	at int
}

type tokenAt struct {
	token uint64
	at    int
}

func newTrio(t testing.TB, change func(*Options)) *trio {
	authority, err := acl.New(acl.Options{DigestEnabled: true})
	if err != nil {
		t.Fatal(err)
	}
	e := &trio{TB: t}
	for sid := int64(1); sid <= 3; sid++ {
		opt := Options{Logger: slog.New(slog.DiscardHandler), ACL: authority, Tick: 2 * time.Second, ServerID: sid,
			MinSessionTimeout: time.Second, MaxSessionTimeout: time.Hour, Digest: true, ExtendedTypes: true, MaxRecord: 1 << 20,
			OutLimit: 64 << 20, ContainerPeriod: time.Hour}
		if change != nil {
			change(&opt)
		}
		tr := tree.New()
		s := &server{trio: e, sid: sid, p: New(tr, opt)}
		e.members = append(e.members, s)
		s.p.StartEnsemble()
		t.Cleanup(func() { s.p.Stop(); tr.Close() })
	}
	return e
}

// led is a trio whose first member leads.
func led(t testing.TB) *trio {
	e := newTrio(t, nil)
	e.elect(e.members[0], 0)
	return e
}

// Propose, Barrier and Reconfigure make a server its own leadership.
func (s *server) Propose(list []Proposal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range list {
		e := Entry{Zxid: p.Txn.Zxid, Data: p.Txn.Append(nil)}
		if n := len(s.log); n > 0 && s.log[n-1].Zxid >= e.Zxid {
			s.Errorf("%s is proposed after %s", e.Zxid, s.log[n-1].Zxid)
		}
		s.log = append(s.log, e)
	}
}

func (s *server) Barrier(token uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, tokenAt{token, len(s.log)})
}

func (s *server) Reconfigure(q *proto.Reconfig, z proto.Zxid) ([]byte, proto.Code) {
	return []byte("server.1=one\nversion=" + z.String()[2:]), s.refuse
}

// Forward, Revalidate and Flush make a server its own uplink.
func (s *server) Forward(session int64, cxid int32, op proto.OpCode, body []byte, ids []proto.ClientInfo) {
	body = slices.Clone(body)
	s.rising(func() {
		if op == proto.OpSync {
			s.ask()
			s.syncs = append(s.syncs, syncAt{s, s.proposed()})
			return
		}
		s.asked = append(s.asked, Asked{From: s.sid, Session: session, Cxid: cxid, Op: op, Body: body, IDs: ids})
	})
}

// ask hands the writes that have risen to the leader, all at once.
func (s *server) ask() {
	if len(s.asked) > 0 {
		s.leader.p.Remote(s.asked)
		for _, q := range s.asked {
			clear(q.Body) // the leader has its own copy
		}
		s.asked = nil
	}
}

func (s *server) Revalidate(session int64, timeoutMs int32) {
	s.rising(func() {
		s.ask()
		valid := s.leader.p.RevalidateRemote(s.sid, session, timeoutMs)
		s.down = append(s.down, func() { s.p.Revalidated(session, valid) })
	})
}

func (s *server) rising(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.early = append(s.early, f)
}

func (s *server) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = append(s.up, s.early...)
	s.early = nil
}

// risen takes the oldest message of a learner, or returns nil.
func (s *server) risen() (f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.up) > 0 {
		f, s.up = s.up[0], s.up[1:]
	}
	return f
}

// proposed is the length of the leader's history.
func (e *trio) proposed() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.log)
}

// rise delivers the n oldest messages of a learner to the leader.
func (s *server) rise(n int) {
	for ; n > 0; n-- {
		f := s.risen()
		if f == nil {
			break
		}
		f()
	}
	s.ask()
}

// sink delivers the n oldest messages of the leader to a learner.
func (s *server) sink(n int) {
	for ; n > 0 && len(s.down) > 0; n-- {
		f := s.down[0]
		s.down = s.down[1:]
		f()
	}
}

// catchUp applies the history up to to.
func (s *server) catchUp(to int) {
	s.Helper()
	if s.applied >= to {
		return
	}
	s.mu.Lock()
	batch := slices.Clone(s.log[s.applied:to])
	s.mu.Unlock()
	s.applied = to
	if err := s.p.CommitEntries(batch); err != nil {
		s.Fatal(err)
	}
	v := s.p.tree.View(0)
	defer v.Close()
	if v.Zxid() != batch[len(batch)-1].Zxid {
		s.Fatalf("server %d is at %s after %s", s.sid, v.Zxid(), batch[len(batch)-1].Zxid)
	}
}

// decide has the n oldest proposals decided: the leader applies them, the
// learners will.
func (e *trio) decide(n int) {
	e.Helper()
	e.decided = min(e.decided+n, e.proposed())
	to := e.decided
	e.leader.catchUp(to)
	for _, s := range e.members {
		if s != e.leader {
			s.down = append(s.down, func() { s.catchUp(to) })
		}
	}
	for len(e.syncs) > 0 && e.syncs[0].at <= e.decided {
		s := e.syncs[0].to
		e.syncs = e.syncs[1:]
		s.down = append(s.down, s.p.Synced)
	}
	for token := e.leader.reached(); token != 0; token = e.leader.reached() {
		e.leader.p.Passed(token)
	}
}

// reached takes the oldest token if all before it is decided, or returns 0.
func (s *server) reached() (token uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) > 0 && s.tokens[0].at <= s.decided {
		token, s.tokens = s.tokens[0].token, s.tokens[1:]
	}
	return token
}

// quiet tells whether nothing is on its way.
func (e *trio) quiet() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.members {
		if len(s.up)+len(s.down)+len(s.tokens) > 0 {
			return false
		}
	}
	return e.decided == len(e.log) && len(e.syncs) == 0
}

// settle delivers and decides until nothing is on its way.
func (e *trio) settle() {
	e.Helper()
	const all = 1 << 30
	for !e.quiet() {
		for _, s := range e.members {
			s.rise(all)
		}
		e.decide(all)
		for _, s := range e.members {
			s.sink(all)
		}
	}
}

// fall ends the leadership. Of its history the first keep are what the next
// leader will have; what is on its way between servers is lost.
func (e *trio) fall(keep int) {
	for _, s := range e.members {
		s.p.Pause()
	}
	e.leader, e.syncs = nil, nil
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log = e.log[:max(keep, e.decided):max(keep, e.decided)]
	for _, s := range e.members {
		s.early, s.up, s.down, s.tokens = nil, nil, nil, nil
	}
}

// elect has l lead a new epoch, and the others learn from it.
func (e *trio) elect(l *server, keep int) {
	e.Helper()
	e.fall(keep)
	e.epoch += 1 << 32
	e.decided = len(e.log)
	l.catchUp(e.decided)
	e.leader = l
	l.p.Lead(l, e.epoch)
	for _, s := range e.members {
		if s != l {
			e.join(s)
		}
	}
}

// join brings a learner up to date and has it serve.
func (e *trio) join(s *server) {
	e.Helper()
	e.mu.Lock()
	s.early, s.up, s.down = nil, nil, nil
	e.mu.Unlock()
	e.syncs = slices.DeleteFunc(e.syncs, func(w syncAt) bool { return w.to == s })
	s.catchUp(e.decided)
	s.p.Learn(s, e.epoch)
}

// copyTree has s replace its tree by that of from.
func (s *server) copyTree(from *server) {
	s.Helper()
	snap := from.p.tree.Snapshot()
	defer snap.Close()
	err := s.p.Restore(func(l *tree.Loader) error {
		for id, ms := range snap.Sessions() {
			l.LoadSession(id, ms)
		}
		for _, a := range snap.ACLs() {
			l.LoadACL(a.Key, a.List)
		}
		if err := snap.Nodes(l.LoadNode); err != nil {
			return err
		}
		return l.LoadDone(snap.Zxid)
	})
	if err != nil {
		s.Fatal(err)
	}
	s.applied = from.applied
}

// same compares the trees.
func (e *trio) same() {
	e.Helper()
	type sight struct {
		zxid     proto.Zxid
		digest   uint64
		sessions int
	}
	var first sight
	for i, s := range e.members {
		v := s.p.tree.View(0)
		got := sight{v.Zxid(), v.Digest(), len(v.Sessions())}
		v.Close()
		if i == 0 {
			first = got
		} else if got != first {
			e.Errorf("server %d has %+v, server 1 has %+v", s.sid, got, first)
		}
		if n := s.p.counts.DigestMismatches.Load(); n != 0 {
			e.Errorf("server %d: %d digests differ", s.sid, n)
		}
		if n := s.p.Outstanding(); n != 0 {
			e.Errorf("server %d: %d requests are on their way", s.sid, n)
		}
	}
}

// executed counts the successful transactions of each request.
func (e *trio) executed() map[int64]map[int32]int {
	out := map[int64]map[int32]int{}
	for i := range e.log {
		t, err := proto.DecodeTxn(e.log[i].Data)
		if err != nil {
			e.Fatal(err)
		}
		if out[t.Session] == nil {
			out[t.Session] = map[int32]int{}
		}
		if t.Type != proto.OpError && t.Type != proto.OpCreateSession {
			out[t.Session][t.Cxid]++
		}
	}
	return out
}

// caller is a client of a server and what it was told.
type caller struct {
	*server
	c     *Client
	burst Burst
	xid   int32

	mu      sync.Mutex
	in      []byte
	greeted bool
	hello   proto.ConnectResponse
	answers map[int32]answer
	order   []int32 // xids, in the order of their answers; -1 is an event
	events  []string
	hung    bool
}

// call starts a handshake; it is answered when all is delivered.
func (s *server) call(q proto.ConnectRequest) *caller {
	s.Helper()
	if q.TimeOut == 0 {
		q.TimeOut = 30000
	}
	w := &caller{server: s, answers: map[int32]answer{}}
	w.c = s.p.NewClient(w, "127.0.0.1:1", "127.0.0.1")
	if ok, why := s.p.Connect(w.c, jute.Marshal(&q)); !ok {
		w.Flush()
		w.Hangup(why)
	}
	return w
}

// open opens a session.
func (s *server) open() *caller {
	s.Helper()
	w := s.call(proto.ConnectRequest{})
	s.settle()
	if !w.ready() {
		s.Fatalf("server %d has not answered a handshake", s.sid)
	}
	return w
}

func (w *caller) ready() bool {
	select {
	case <-w.c.Ready():
		w.take()
		return w.greeted
	default:
		return false
	}
}

// again is the handshake that takes up w's session.
func (w *caller) again() proto.ConnectRequest {
	return proto.ConnectRequest{SessionID: w.hello.SessionID, Passwd: w.hello.Passwd, TimeOut: 30000}
}

func (w *caller) Flush() {
	for {
		b := w.c.out.Take()
		if b == nil {
			return
		}
		w.mu.Lock()
		w.in = append(w.in, b.Bytes...)
		w.mu.Unlock()
		if !w.c.out.Put(b) {
			return
		}
	}
}

func (w *caller) Hangup(string) {
	w.Flush()
	w.mu.Lock()
	w.hung = true
	w.mu.Unlock()
}

func (w *caller) Last(string) { w.Hangup("") }
func (w *caller) Alive() bool { return true }
func (w *caller) Waits()      {}
func (w *caller) Slow()       {}

func (w *caller) isHung() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hung
}

// send serves one request and returns its xid.
func (w *caller) send(s step) int32 {
	w.xid++
	w.c.Begin(&w.burst)
	w.c.Serve(&w.burst, frameOf(w.xid, s.op, s.rec))
	w.c.End(&w.burst)
	w.Flush()
	return w.xid
}

// take takes apart what has come.
func (w *caller) take() {
	w.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.in) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(w.in))
		f := w.in[4:n]
		w.in = w.in[n:]
		if !w.greeted {
			w.greeted = true
			if err := jute.Unmarshal(f, &w.hello); err != nil {
				w.Fatal(err)
			}
			continue
		}
		xid := int32(binary.BigEndian.Uint32(f))
		w.order = append(w.order, xid)
		if xid == proto.XidEvent {
			var ev proto.WatcherEvent
			if err := jute.Unmarshal(f[16:], &ev); err != nil {
				w.Fatal(err)
			}
			w.events = append(w.events, ev.Type.String()+" "+ev.Path)
			continue
		}
		if _, twice := w.answers[xid]; twice && xid > 0 {
			w.Errorf("xid %d is answered twice", xid)
		}
		w.answers[xid] = answer{proto.Zxid(binary.BigEndian.Uint64(f[4:])), proto.Code(binary.BigEndian.Uint32(f[12:])), slices.Clone(f[16:])}
	}
}

// got is the answer to a request, if it has come.
func (w *caller) got(xid int32) (answer, bool) {
	w.take()
	a, ok := w.answers[xid]
	return a, ok
}

// must waits for the answer to a request that is settled: reads behind a write
// are run by a goroutine of their own.
func (w *caller) must(xid int32) (a answer) {
	w.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		a, ok := w.got(xid)
		if ok {
			return a
		}
		if time.Now().After(end) {
			w.Fatalf("server %d: xid %d is not answered", w.sid, xid)
		}
	}
}

// ask sends one request and returns its answer.
func (w *caller) ask(s step) answer {
	w.Helper()
	xid := w.send(s)
	w.settle()
	return w.must(xid)
}

func get(path string, watched bool) step {
	return step{proto.OpGetData, &proto.PathWatch{Path: path, Watch: watched}}
}

func syncOf(path string) step { return step{proto.OpSync, &proto.Path{Path: path}} }

func ended() step { return step{proto.OpCloseSession, new(proto.Path)} }

// data is what a getData was answered.
func (a answer) data(t testing.TB) string {
	t.Helper()
	if a.code != proto.OK {
		t.Fatalf("a read is answered %v", a.code)
	}
	n := binary.BigEndian.Uint32(a.body)
	return string(a.body[4 : 4+n])
}

// skipACL allows everything.
func skipACL(t testing.TB) *acl.Authority {
	a, err := acl.New(acl.Options{DigestEnabled: true, SkipACL: true})
	if err != nil {
		t.Fatal(err)
	}
	return a
}
