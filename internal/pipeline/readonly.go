// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"paddock/internal/session"
	"paddock/proto"
)

// ReadOnly serves the reads of clients that accept a server without a quorum
// (client-protocol.md section 2.7). All others are hung up on. Their sessions
// are local, and end with the role unless all new sessions are.
//
// The reference serves such clients only where local sessions are on, and
// answers their handshake with rubbish otherwise; here they are always served.
func (p *Pipeline) ReadOnly() {
	pr := &p.prep
	v := p.tree.View(0)
	known := v.Sessions()
	v.Close()
	pr.mu.Lock()
	p.pause()
	held := pr.held
	pr.held = nil
	p.dismiss("the server has no quorum and is read-only now")
	p.resetSessions(known)
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
	if !p.is(readOnly) {
		return false, "the server is no longer read-only"
	}
	if q.SessionID == 0 {
		p.counts.Connections.Add(1)
		c.readOnly = true
		p.welcomeLocal(c)
		return true, ""
	}
	s := p.sessions.Get(q.SessionID)
	switch {
	case s == nil && !p.ownID(q.SessionID):
		// Not to be told that it has expired: this server may be behind.
		return false, "the server is read-only and does not know its client's session"
	case s != nil && !s.Local() && !s.Ended():
		return false, "the server is read-only, its client's session is not"
	}
	p.counts.Connections.Add(1)
	c.readOnly = true
	if s == nil || s.Ended() || !session.Verify(q.SessionID, q.Passwd) {
		c.tellExpired()
		return false, ""
	}
	c.welcome(s)
	return true, ""
}

// declineWrite answers what a read-only server does not do.
func (c *Client) declineWrite(b *Burst, r *request) {
	c.p.limits.release(r)
	r.code = proto.ErrNotReadOnly
	c.behind(b, r, noFrame[:])
}
