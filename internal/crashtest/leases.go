// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"paddock/proto"
	"paddock/zk"
)

// lease is a session and its ephemeral znodes.
type lease struct {
	id     int64
	passwd []byte
	state  leaseState
	held   map[string]proto.Zxid // ephemerals acknowledged
	asked  map[string]bool       // and not; a name, or the prefix of a sequential one
	gone   bool                  // seen without znodes after its end
}

type leaseState int

const (
	leaseHeld    leaseState = iota // must be there
	leaseClosing                   // close was asked for, without answer
	leaseClosed                    // must not be there
	leaseDoomed                    // left to its short timeout: once gone, gone
)

var leaseStates = []string{"is held", "may be closed", "is closed", "is to expire"}

func (s leaseState) String() string { return leaseStates[s] }

const leaseHome = "/leases"

// settleLeases checks that each session is there with all its ephemerals, or
// gone with all of them, as its state allows.
func (l *Ledger) settleLeases(d *Dump, rest map[string]bool) {
	owned := map[int64][]string{}
	for p := range rest {
		if strings.HasPrefix(p, leaseHome+"/") {
			owned[d.Nodes[p].Owner] = append(owned[d.Nodes[p].Owner], p)
		}
	}
	for id, s := range l.leases {
		// A client does not see sessions, only what they own.
		there := len(owned[id]) > 0 || s.state == leaseHeld && len(s.held) == 0
		if d.Sessions != nil {
			_, there = d.Sessions[id]
		}
		l.settleLease(s, there, owned[id], d)
		for _, p := range owned[id] {
			delete(rest, p)
		}
	}
}

func (l *Ledger) settleLease(s *lease, there bool, owned []string, d *Dump) {
	id := proto.SessionID(s.id)
	switch {
	case there && s.state == leaseClosed:
		l.fault("back: session %s was closed, and is there with %q", id, owned)
	case there && s.gone:
		l.fault("back: session %s had expired, and is there with %q", id, owned)
	case !there && s.state == leaseHeld:
		l.fault("lost: session %s with %d ephemerals is not there", id, len(s.held))
	}
	if !there {
		if len(owned) > 0 {
			l.fault("session %s is gone, its ephemerals %q are not", id, owned)
		}
		s.gone = s.state != leaseHeld
		clear(s.held)
		clear(s.asked)
		return
	}
	if s.state == leaseDoomed && len(owned) == 1 {
		l.fault("half a multi, or half an expiry: session %s has only %q", id, owned)
	}
	if s.state == leaseClosing {
		s.state = leaseHeld // the request was lost
	}
	for p, czxid := range s.held {
		if n, ok := d.Nodes[p]; !ok || n.Owner != s.id || n.Stat.Czxid != czxid {
			l.fault("lost: ephemeral %s of session %s and zxid %s: %v %+v", p, id, czxid, ok, n)
		}
	}
	for _, p := range owned {
		if _, ok := s.held[p]; ok {
			continue
		}
		ask := p
		if !s.asked[ask] {
			ask = p[:max(0, len(p)-10)] // without its counter
		}
		if !s.asked[ask] {
			l.fault("ephemeral %s of session %s was not asked for, or is there twice", p, id)
		}
		delete(s.asked, ask)
		s.held[p] = d.Nodes[p].Stat.Czxid
	}
	clear(s.asked)
}

// Doomed is the number of sessions left to expire that were not yet seen gone.
func (l *Ledger) Doomed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.leases {
		if s.state == leaseDoomed && !s.gone {
			n++
		}
	}
	return n
}

// guests are the sessions that must be there, in the order of their ids. The
// caller holds the lock.
func (l *Ledger) guests() (held []*lease) {
	for _, s := range l.leases {
		if s.state == leaseHeld {
			held = append(held, s)
		}
	}
	slices.SortFunc(held, func(a, b *lease) int { return int(min(1, max(-1, a.id-b.id))) })
	return held
}

// enter records a session that the server opened, also in mine.
func (w *writer) enter(c *zk.Client, mine map[int64]bool) *lease {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	id := int64(c.SessionID())
	mine[id] = true
	if l.leases[id] != nil {
		l.fault("doubled: session %s was given twice", c.SessionID())
	}
	s := &lease{id: id, passwd: c.Passwd(), held: map[string]proto.Zxid{}, asked: map[string]bool{}}
	l.leases[id] = s
	l.acked(0, "")
	return s
}

// hold creates an ephemeral znode.
func (w *writer) hold(c *zk.Client, s *lease) bool {
	w.l.mu.Lock()
	path, flags := fmt.Sprintf("%s/%d-", leaseHome, w.l.nextID()), zk.Ephemeral
	if w.rng.IntN(2) == 0 {
		flags |= zk.Sequential
	}
	s.asked[path] = true
	w.l.mu.Unlock()
	got, st, err := c.CreateWithStat(w.ctx, path, []byte("held"), zk.OpenACL, flags)
	if !w.done(err, "creating %s", path) {
		return false
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.acked(st.Czxid, "the create of %s", got)
	s.held[got] = st.Czxid
	delete(s.asked, path)
	return true
}

// maxGuests is how many sessions live on beside those of the writers.
const maxGuests = 12

// guest lives a session's life, or ends one that an earlier guest left.
func (w *writer) guest() {
	w.l.mu.Lock()
	held := slices.DeleteFunc(w.l.guests(), func(s *lease) bool { return w.w.own[s.id] || w.w.busy[s.id] })
	var s *lease
	if len(held) > 0 && (len(held) >= maxGuests || w.rng.IntN(3) == 0) {
		s = held[w.rng.IntN(len(held))]
		w.w.busy[s.id] = true
	}
	w.l.mu.Unlock()
	if s != nil {
		w.endGuest(s)
		return
	}
	doomed := w.rng.IntN(3) == 0
	timeout := HeldTimeout
	if doomed {
		timeout = time.Millisecond // the server makes the least it grants of it
	}
	c, err := w.connect(timeout, nil)
	if err != nil {
		return
	}
	defer c.Detach()
	if doomed {
		w.doom(c)
		return
	}
	s = w.enter(c, w.w.busy)
	defer func() {
		c.Detach()
		w.l.mu.Lock()
		delete(w.w.busy, s.id)
		w.l.mu.Unlock()
	}()
	for range w.rng.IntN(4) {
		if !w.hold(c, s) {
			return
		}
	}
	if w.rng.IntN(2) == 0 {
		w.end(c, s)
	}
}

// doom makes a session that will expire. Its first ephemerals may be gone
// before the last is asked for, so nothing is known of them but that all go.
func (w *writer) doom(c *zk.Client) {
	s := w.enter(c, w.w.busy)
	w.l.mu.Lock()
	s.state = leaseDoomed
	path := fmt.Sprintf("%s/%d-", leaseHome, w.l.nextID())
	s.asked[path+"a"], s.asked[path+"b"] = true, true
	w.l.mu.Unlock()
	_, err := c.Multi(w.ctx, zk.CreateOp(path+"a", nil, zk.OpenACL, zk.Ephemeral), zk.CreateOp(path+"b", nil, zk.OpenACL, zk.Ephemeral))
	if err != nil && !isUnknown(err) && !isCode(err, zk.ErrSessionExpired) {
		w.l.Fault("creating ephemerals of a short session: %v", err)
	}
}

func (w *writer) endGuest(s *lease) {
	c, err := w.connect(HeldTimeout, s)
	if err != nil {
		if isCode(err, zk.ErrSessionExpired) {
			w.l.Fault("lost: session %s cannot be taken up: %v", proto.SessionID(s.id), err)
		}
		return
	}
	defer c.Detach()
	w.end(c, s)
}

func (w *writer) end(c *zk.Client, s *lease) {
	w.l.mu.Lock()
	s.state = leaseClosing
	w.l.mu.Unlock()
	if err := c.Close(); err != nil {
		return // unknown
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.acked(0, "")
	s.state = leaseClosed
}

// connect opens a session, or takes one up. When its connection breaks the
// writer's life is over: that is known from the client's wish to connect anew,
// by when it has read all replies that there are.
func (w *writer) connect(timeout time.Duration, s *lease) (*zk.Client, error) {
	ctx, cancel := context.WithTimeout(w.ctx, opTimeout)
	defer cancel()
	var dials atomic.Int32
	stop := w.stop
	opts := []zk.Option{zk.WithSessionTimeout(timeout), zk.WithConnectRounds(1), zk.WithDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			stop()
			return nil, net.ErrClosed
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	})}
	if s != nil {
		opts = append(opts, zk.WithSession(proto.SessionID(s.id), s.passwd))
	}
	c, err := zk.Connect(ctx, w.w.addr, opts...)
	if err != nil && w.ctx.Err() == nil && ctx.Err() != nil {
		w.l.Fault("the server at %s does not answer: %v", w.w.addr, err)
	}
	return c, err
}
