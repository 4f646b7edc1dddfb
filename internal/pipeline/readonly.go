// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"time"

	"paddock/internal/session"
	"paddock/proto"
)

// ReadOnly serves the reads of clients that accept a server without a quorum
// (client-protocol.md section 2.7). All others are hung up on. Their sessions
// are known to this server alone and end with the role.
//
// The reference serves such clients only where local sessions are on, and
// answers their handshake with rubbish otherwise; here they are always served.
func (p *Pipeline) ReadOnly() {
	pr := &p.prep
	pr.mu.Lock()
	p.pause()
	held := pr.held
	pr.held = nil
	p.dismiss("the server has no quorum and is read-only now")
	p.readers.Store(session.NewTracker(p.opt.Tick.Milliseconds()))
	p.role.Store(readOnly)
	pr.mu.Unlock()
	p.goOn(held)
}

// welcomeReader is the handshake of a read-only server.
func (p *Pipeline) welcomeReader(c *Client, q *proto.ConnectRequest) (ok bool, why string) {
	if !q.ReadOnly {
		return false, "the server is read-only, the client does not accept that"
	}
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	readers := p.readers.Load()
	if readers == nil || !p.is(readOnly) {
		return false, "the server is no longer read-only"
	}
	p.counts.Connections.Add(1)
	c.readOnly = true
	if q.SessionID == 0 {
		c.welcome(readers.Add(p.nextSID.Add(1)-1, c.timeoutMs, p.nowMs()))
		return true, ""
	}
	s := readers.Get(q.SessionID)
	switch {
	case s == nil && p.sessions.Get(q.SessionID) != nil:
		return false, "the server is read-only, its client's session is not"
	case s == nil || s.Closing() || !session.Verify(q.SessionID, q.Passwd):
		c.tellExpired()
		return false, ""
	}
	c.welcome(s)
	return true, ""
}

// declineWrite answers what a read-only server does not do.
func (c *Client) declineWrite(b *Burst, r *request) {
	if r.op != proto.OpCloseSession {
		r.code = proto.ErrNotReadOnly
		c.behind(b, r, noFrame[:])
		return
	}
	if t := c.p.readers.Load(); t != nil {
		t.Remove(c.session.ID())
	}
	c.sendNow(&b.burst, r, proto.OK)
	c.gone = true
	c.link.Last("")
}

// expireReaders ends the sessions of read-only clients that were not heard of.
func (p *Pipeline) expireReaders(now int64) {
	t := p.readers.Load()
	if t == nil {
		return
	}
	t.Expire(now, func(s *session.Session) {
		p.opt.Logger.Info("read-only session expired", "session", proto.SessionID(s.ID()), "timeout", time.Duration(s.Timeout())*time.Millisecond)
		t.Remove(s.ID())
		if c, ok := s.Owner().(*Client); ok {
			c.revoked.Store(true)
			c.link.Hangup("")
		}
	})
}
