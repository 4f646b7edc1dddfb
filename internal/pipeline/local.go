// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"

	"paddock/internal/session"
	"paddock/proto"
)

// A local session (client-protocol.md section 2.8) begins, expires and ends
// without a transaction, at the one server that knows it. Its reads and writes
// are those of any session: a leader takes writes of sessions it does not know,
// if their ids are of another server and local sessions are on.
//
// It may not own an ephemeral znode: nobody would remove it when that server is
// gone. A request to make one is preceded by the upgrade, a createSession
// transaction for the id that the session has, or refused. Until the upgrade
// is decided it is sent to each new leader before all else (flight.opening), so
// that a session once raised becomes global, whoever leads.

// leaveRow is the closeSession of a local session.
var leaveRow = opRow{kind: kindLocal, local: func(c *Client, b *burst, r *request, _ []byte) {
	c.p.endLocal(c.session)
	c.sendNow(b, r, proto.OK)
	c.link.Last("")
}}

// openLocal is the handshake for a new session that only this server knows.
func (p *Pipeline) openLocal(c *Client, q *proto.ConnectRequest) (ok bool, why string) {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	if p.holdLooking(c, q) {
		return true, ""
	}
	if p.is(readOnly) {
		return false, "the server has become read-only"
	}
	p.welcomeLocal(c)
	return true, ""
}

// welcomeLocal answers a handshake with a new local session.
func (p *Pipeline) welcomeLocal(c *Client) {
	p.counts.SessionsOpened.Add(1)
	c.welcome(p.sessions.AddLocal(p.nextSID.Add(1)-1, c.timeoutMs, p.nowMs()))
}

// leaves takes the closeSession of a local session; it reports whether the
// session is one, with all the client has sent before taken into account.
func (c *Client) leaves(b *Burst, r *request) bool {
	if !c.p.ensemble {
		return false
	}
	if c.propose(b); c.gone {
		return true
	}
	if !c.session.Local() {
		return false
	}
	c.p.limits.release(r)
	r.row = &leaveRow
	c.behind(b, r, noFrame[:])
	c.gone = true
	return true
}

// endLocal forgets a session, if it is local. Its connection is left alone.
func (p *Pipeline) endLocal(s *session.Session) {
	if s.End() {
		p.counts.SessionsClosed.Add(1)
		p.sessions.Remove(s.ID())
	}
}

// upgrades puts before each request that makes an ephemeral znode for a local
// session the request that makes the session global; prep.mu is held.
func (p *Pipeline) upgrades(batch []*request) []*request {
	for i, r := range batch {
		if r.client == nil || !makesEphemeral(r) || !r.client.session.Raise() {
			continue
		}
		s := r.client.session
		up := &request{op: proto.OpCreateSession, row: &openSessionRow, isWrite: true, start: p.nowNs(), session: s.ID(), upgrade: true,
			rec: &proto.CreateSessionTxn{TimeOut: s.Timeout()}, body: binary.BigEndian.AppendUint32(nil, uint32(s.Timeout()))}
		more := append(append(make([]*request, 0, len(batch)+1), batch[:i]...), up, r)
		return append(more, p.upgrades(batch[i+1:])...)
	}
	return batch
}

// settleUpgrades is for a tree that came without its history, and with known
// sessions: an upgrade that was sent has happened, or the session has ended, for
// all that can be known; prep.mu is held.
func (p *Pipeline) settleUpgrades(known map[int64]int32) {
	for _, r := range p.flight.listOpening() {
		if !r.upgrade || r.via == viaNothing {
			continue
		}
		p.flight.arrived(r.session, r.op)
		if _, ok := known[r.session]; ok {
			continue
		}
		if s := p.sessions.Get(r.session); s != nil && s.Fail() {
			p.endSession(s)
		}
	}
}

func ephemeralFlag(flags int32) bool {
	return flags == proto.FlagEphemeral || flags == proto.FlagEphemeralSequential
}

// makesEphemeral tells whether a request needs a global session.
func makesEphemeral(r *request) bool {
	switch r.op {
	case proto.OpCreate, proto.OpCreate2:
		q, ok := r.rec.(*proto.Create)
		return ok && ephemeralFlag(q.Flags)
	case proto.OpMulti:
		for i := range r.subs {
			if s := &r.subs[i]; (s.op == proto.OpCreate || s.op == proto.OpCreate2) && ephemeralFlag(s.create.flags) {
				return true
			}
		}
	}
	return false
}

// checkGlobal declines an ephemeral znode of a local session.
func (x *prep) checkGlobal() proto.Code {
	switch c := x.client; {
	case c != nil && c.session.Local():
		return proto.ErrEphemeralOnLocal
	case c == nil && x.req.remote && x.p.sessions.Get(x.session) == nil:
		return proto.ErrSessionExpired
	}
	return proto.OK
}

// ownID tells whether this server gave out a session's id.
func (p *Pipeline) ownID(session int64) bool { return byte(session>>56) == byte(p.opt.ServerID) }

// elsewhere tells whether an unknown session may be a local one of another
// server.
func (p *Pipeline) elsewhere(session int64) bool { return p.opt.LocalSessions && !p.ownID(session) }
