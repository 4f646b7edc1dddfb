// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"paddock/internal/quorum"
)

// ballotEvent is one callback of Ballots.
type ballotEvent struct {
	what string // up, down, got, failed
	sid  int64
	body string
}

// ballotRig is Ballots and what they have told.
type ballotRig struct {
	*Ballots
	*told[ballotEvent]
	t testing.TB
}

// directory is the membership of a test.
type directory struct {
	mu      sync.Mutex
	members map[int64][]quorum.Member
}

func newDirectory() *directory { return &directory{members: map[int64][]quorum.Member{}} }

func (d *directory) set(sid int64, members ...quorum.Member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members[sid] = members
}

func (d *directory) lookup(sid int64) []quorum.Member {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.members[sid]
}

// freeAddr opens a port for a server, and returns what hands it over.
func freeAddr(t testing.TB) (quorum.Addr, func(string) (net.Listener, error)) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	port := ln.Addr().(*net.TCPAddr).Port
	first := ln
	return quorum.Addr{Host: "127.0.0.1", QuorumPort: port, ElectionPort: port}, func(addr string) (net.Listener, error) {
		if first != nil && first.Addr().String() == addr {
			out := first
			first = nil
			return out, nil
		}
		return net.Listen("tcp", addr)
	}
}

func newBallotRig(t testing.TB, dir *directory, sid int64, change func(*BallotOptions)) *ballotRig {
	t.Helper()
	r := &ballotRig{told: newTold[ballotEvent](), t: t}
	addr, listen := freeAddr(t)
	opt := BallotOptions{
		Sid: sid, Logger: quietLog(), Own: []quorum.Addr{addr}, BindRetry: 3, BindDelay: time.Millisecond,
		ConnectTimeout: patience, HandshakeTimeout: patience, Lookup: dir.lookup, Listen: listen,
		Received: func(from int64, body []byte) { r.add(ballotEvent{"got", from, string(body)}) },
		Up:       func(sid int64) { r.add(ballotEvent{what: "up", sid: sid}) },
		Down:     func(sid int64) { r.add(ballotEvent{what: "down", sid: sid}) },
		Failed:   func(err error) { r.add(ballotEvent{what: "failed", body: err.Error()}) },
	}
	if change != nil {
		change(&opt)
	}
	dir.set(sid, quorum.Member{ID: sid, Addrs: opt.Own})
	b, err := OpenBallots(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	r.Ballots = b
	t.Cleanup(b.Close)
	return r
}

// event waits for the n-th (from 1) event of a kind about sid.
func (r *ballotRig) event(what string, sid int64, n int) ballotEvent {
	r.t.Helper()
	e, _ := r.wait(r.t, fmt.Sprintf("%s %d", what, sid), 0, func(e ballotEvent) bool {
		if e.what == what && e.sid == sid {
			n--
		}
		return n == 0
	})
	return e
}

// got waits for a message.
func (r *ballotRig) got(from int64, body string) {
	r.t.Helper()
	r.wait(r.t, fmt.Sprintf("%q of %d", body, from), 0, func(e ballotEvent) bool { return e == ballotEvent{"got", from, body} })
}

// about is what was told of sid, but for messages.
func (r *ballotRig) about(sid int64) string {
	var out []string
	for _, e := range r.snapshot() {
		if e.sid == sid && e.what != "got" {
			out = append(out, e.what)
		}
	}
	return fmt.Sprint(out)
}

// fake is a server that the test plays.
type fake struct {
	net.Conn
	t testing.TB
}

// introduce dials at and sends an opening message.
func introduce(t testing.TB, at quorum.Member, sid int64, own ...quorum.Addr) fake {
	t.Helper()
	c := rawDial(t, at)
	if _, err := c.Write(appendHello(nil, sid, own, len(own) > 1)); err != nil {
		t.Fatal(err)
	}
	return fake{c, t}
}

// receive takes an opening message off a connection.
func receive(t testing.TB, ln net.Listener) (fake, int64, []string) {
	t.Helper()
	c := rawAccept(t, ln)
	sid, addrs, err := readHello(c)
	if err != nil {
		t.Fatal(err)
	}
	return fake{c, t}, sid, addrs
}

// next reads one message.
func (f fake) next(want string) {
	f.t.Helper()
	body, err := readBallot(f)
	if err != nil || string(body) != want {
		f.t.Fatalf("%q, %v; want %q", body, err, want)
	}
}

func (f fake) send(body string) {
	f.t.Helper()
	if _, err := f.Write(ballotFrame([]byte(body))); err != nil {
		f.t.Fatal(err)
	}
}

// sides counts connections that were made and accepted.
type sides struct {
	mu               sync.Mutex
	dialed, accepted int
}

func (s *sides) wrap(c net.Conn, dialed bool) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dialed {
		s.dialed++
	} else {
		s.accepted++
	}
	return c, nil
}

var elsewhere = quorum.Addr{Host: "127.0.0.1", QuorumPort: 1, ElectionPort: 1}

func refuse(string) (net.Listener, error) { return nil, errors.New("address already in use") }

func own(b *Ballots) quorum.Member {
	b.mu.Lock()
	defer b.mu.Unlock()
	return quorum.Member{Addrs: slices.Clone(b.own)}
}
