// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"paddock/internal/acl"
	"paddock/internal/pipeline"
	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// stage is a server whose rounds nobody serves but the test.
type stage struct {
	*testing.T
	srv  *Server
	p    *rounds
	pipe *pipeline.Pipeline

	mu       sync.Mutex
	proposed []int32 // xids of what clients proposed
	commits  sync.WaitGroup
}

func (s *stage) Propose(list []pipeline.Proposal) {
	for _, p := range list {
		if p.Txn.Type == proto.OpSetData {
			s.proposed = append(s.proposed, p.Txn.Cxid)
		}
	}
	// Under the pipeline's lock, so in this order.
	s.mu.Lock()
	list = slices.Clone(list)
	s.commits.Go(func() {
		defer s.mu.Unlock()
		s.pipe.Commit(list)
	})
}

func newStage(t *testing.T) *stage {
	authority, err := acl.New(acl.Options{DigestEnabled: true, DigestAlg: "SHA1"})
	if err != nil {
		t.Fatal(err)
	}
	tr := tree.New()
	s := &stage{T: t}
	log := slog.New(slog.DiscardHandler)
	s.pipe = pipeline.New(tr, pipeline.Options{Logger: log, ACL: authority, Tick: time.Second, MinSessionTimeout: time.Minute,
		MaxSessionTimeout: time.Minute, MaxRecord: 1 << 20, OutLimit: 8 << 20, ContainerPeriod: time.Hour, ContainerMax: 1})
	s.pipe.Start(s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.srv = New(ln, Options{Logger: log, Pipeline: s.pipe, MaxFrame: 1 << 20, HandshakeTimeout: time.Minute})
	for _, p := range s.srv.rounds {
		p.close()
	}
	if s.p, err = openRounds(s.srv); err != nil {
		t.Fatal(err)
	}
	s.srv.rounds = []*rounds{s.p}
	go s.srv.Serve()
	t.Cleanup(func() {
		s.srv.Close(t.Context())
		s.pipe.Stop()
		s.commits.Wait()
		tr.Close()
	})
	return s
}

func (s *stage) until(what string, ok func() bool) {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			s.Fatal("in vain: ", what)
		}
	}
}

// dial returns a client's end of a connection with a session.
func (s *stage) dial() net.Conn {
	s.Helper()
	nc, err := net.Dial("tcp", s.srv.Addr().String())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { nc.Close() })
	nc.Write(framed(&proto.ConnectRequest{TimeOut: 60000, Passwd: make([]byte, 16)}))
	nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	s.answer(nc)
	return nc
}

// enter returns both ends of a connection that is read in rounds.
func (s *stage) enter() (net.Conn, *conn) {
	s.Helper()
	nc := s.dial()
	var c *conn
	s.until("a connection that nobody reads", func() bool {
		s.srv.mu.Lock()
		defer s.srv.mu.Unlock()
		for k := range s.srv.conns {
			if k.client.Peer == nc.LocalAddr().String() && k.state.Load() == 0 {
				c = k
			}
		}
		return c != nil
	})
	return nc, c
}

func framed(records ...jute.Record) []byte {
	b := make([]byte, 4)
	for _, r := range records {
		b = jute.Append(b, r)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func setData(xid int32) []byte {
	return framed(&proto.RequestHeader{Xid: xid, Type: proto.OpSetData}, &proto.SetData{Path: "/", Data: []byte{1}, Version: -1})
}

// set sends a setData and waits until the other end has it.
func (s *stage) set(nc net.Conn, c *conn, xid int32) {
	s.Helper()
	b := setData(xid)
	if _, err := nc.Write(b); err != nil {
		s.Fatal(err)
	}
	peek := make([]byte, len(b)+1)
	s.until("bytes", func() (here bool) {
		c.rc.Control(func(fd uintptr) {
			n, _, _ := syscall.Recvfrom(int(fd), peek, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			here = n == len(b)
		})
		return here
	})
}

func (s *stage) answer(nc net.Conn) (xid int32) {
	s.Helper()
	var n [4]byte
	if _, err := io.ReadFull(nc, n[:]); err != nil {
		s.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	if _, err := io.ReadFull(nc, b); err != nil {
		s.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(b))
}

func (s *stage) worker() *worker {
	w := &worker{p: s.p}
	w.burst.Proposed = w.release
	return w
}

// TestWritesOfARound: what several clients wrote is proposed together, and none of
// them is read by another before it is.
func TestWritesOfARound(t *testing.T) {
	s := newStage(t)
	ncA, a := s.enter()
	ncB, b := s.enter()
	w := s.worker()
	s.set(ncA, a, 1)
	s.set(ncB, b, 2)
	for _, c := range []*conn{a, b} {
		if !c.claim(false) {
			t.Fatal("somebody reads it")
		}
		w.serve(c)
	}
	if len(s.proposed) > 0 {
		t.Fatalf("proposed before the end of the round: %v", s.proposed)
	}
	s.set(ncA, a, 3)
	if a.claim(false) {
		t.Fatal("another may read a client whose write is not proposed")
	}
	if c := s.p.take(); c != nil {
		t.Fatal("it is to be served again while it is held")
	}
	w.settle()
	if want := []int32{1, 2}; !slices.Equal(s.proposed, want) {
		t.Fatalf("proposed: %v, want %v", s.proposed, want)
	}
	// What came meanwhile is for the next who looks.
	w = s.worker()
	if c := s.p.take(); c != a {
		t.Fatalf("to be served: %p, want %p", c, a)
	}
	w.serve(a) // reads until there is nothing more: so it comes again
	w.settle()
	for c := s.p.take(); c != nil; c = s.p.take() {
		w.serve(c)
	}
	w.settle()
	if want := []int32{1, 2, 3}; !slices.Equal(s.proposed, want) {
		t.Fatalf("proposed: %v, want %v", s.proposed, want)
	}
	if x, y, z := s.answer(ncA), s.answer(ncB), s.answer(ncA); x != 1 || y != 2 || z != 3 {
		t.Errorf("answered: %d, %d, %d", x, y, z)
	}
	for _, c := range []*conn{a, b} {
		if st := c.state.Load(); st != 0 {
			t.Errorf("in the end the state is %b", st)
		}
	}
}

// TestWhoeverWaitsIsRelieved: nobody waits with a reader that waits, neither those
// it has served nor those it would have.
func TestWhoeverWaitsIsRelieved(t *testing.T) {
	s := newStage(t)
	ncA, a := s.enter()
	ncB, b := s.enter()
	_, stuck := s.enter()
	w := s.worker()
	s.set(ncA, a, 1)
	s.set(ncB, b, 2)
	if !a.claim(false) || !b.claim(false) || !stuck.claim(false) {
		t.Fatal("somebody reads them")
	}
	defer s.p.leave(stuck)
	s.p.ready = append(s.p.ready, b)
	w.serve(a)
	stuck.by = w
	stuck.Waits()
	stuck.by = nil
	if x, y := s.answer(ncA), s.answer(ncB); x != 1 || y != 2 {
		t.Errorf("answered: %d, %d", x, y)
	}
	ncB.Write(setData(3)) // in a round of whoever leads now
	if x := s.answer(ncB); x != 3 {
		t.Errorf("answered: %d", x)
	}
}

// TestWhoeverIsSlowIsRelieved: what is left of a round is served by another, and so
// is the next round; whether the reader knows beforehand, sees that time has passed,
// or sees nothing.
func TestWhoeverIsSlowIsRelieved(t *testing.T) {
	for _, tc := range []struct {
		name string
		slow func(s *stage, c *conn)
	}{
		{"known", func(s *stage, c *conn) { c.Slow() }},
		{"seen", func(s *stage, c *conn) {
			c.by = s.worker()
			c.look()
			c.by = nil
		}},
		{"guarded", func(s *stage, c *conn) {
			s.p.guarded = true
			s.p.guard.Reset(0)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			ncA, a := s.enter()
			ncB, b := s.enter()
			s.set(ncA, a, 1)
			if !a.claim(false) || !b.claim(false) {
				t.Fatal("somebody reads them")
			}
			s.p.ready = append(s.p.ready, b, a)
			if s.p.take() != b {
				t.Fatal("not the first of the round")
			}
			tc.slow(s, b)
			if x := s.answer(ncA); x != 1 {
				t.Errorf("answered: %d", x)
			}
			s.p.leave(b)
			ncB.Write(setData(2))
			if x := s.answer(ncB); x != 2 {
				t.Errorf("answered: %d", x)
			}
		})
	}
}

// TestTheGuardRests while there are no rounds, and not before.
func TestTheGuardRests(t *testing.T) {
	s := newStage(t)
	guarded := func() bool {
		s.p.mu.Lock()
		defer s.p.mu.Unlock()
		return s.p.guarded
	}
	nc, a := s.enter()
	s.set(nc, a, 1)
	if !s.p.lead() || !guarded() {
		t.Fatal("a round without a guard")
	}
	s.p.overdue()
	if !guarded() {
		t.Error("the guard left while the round was served")
	}
	s.p.relieve() // whoever leads does it for good
	s.until("the guard rests", func() bool { return !guarded() })
	if x := s.answer(nc); x != 1 {
		t.Errorf("answered: %d", x)
	}
}

// TestRecall: a connection goes back to its own goroutine at once when nobody reads
// it, else after that; and never twice.
func TestRecall(t *testing.T) {
	s := newStage(t)
	_, a := s.enter()
	_, b := s.enter()
	given := func(c *conn) bool {
		select {
		case <-c.back:
			return true
		default:
			return false
		}
	}
	a.recall()
	if !given(a) {
		t.Error("nobody read it, and it was not given back")
	}
	a.recall()
	if !b.claim(false) {
		t.Fatal("somebody reads it")
	}
	b.recall()
	if given(b) || b.claim(false) {
		t.Error("taken from its reader")
	}
	s.p.leave(b)
	if !given(b) {
		t.Error("its reader has left, and it was not given back")
	}
	if s.p.add(a) {
		t.Error("it was recalled, and is read in rounds again")
	}
}

// TestWithoutRounds: where there are none, a connection's own goroutine reads it.
func TestWithoutRounds(t *testing.T) {
	s := newStage(t)
	s.srv.rounds = []*rounds{nil}
	nc := s.dial()
	for xid := int32(1); xid < 9; xid += 2 {
		if _, err := nc.Write(append(setData(xid), setData(xid+1)...)); err != nil {
			t.Fatal(err)
		}
		if x, y := s.answer(nc), s.answer(nc); x != xid || y != xid+1 {
			t.Errorf("answered: %d, %d, want %d and the next", x, y, xid)
		}
	}
	nc.Write(framed(&proto.RequestHeader{Xid: 9, Type: proto.OpCloseSession}))
	if x := s.answer(nc); x != 9 {
		t.Errorf("answered: %d", x)
	}
	if n, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end of the session: %d, %v", n, err)
	}
	s.until("no connection", func() bool { return s.srv.Open() == 0 })
}
