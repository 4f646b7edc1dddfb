// SPDX-License-Identifier: Apache-2.0

package pipeline

import "paddock/proto"

// A follower may stand between observers and the leader: then what they ask goes
// to the leader as if the follower had asked (quorum-protocol.md section 9), and
// the leader takes the sessions of their clients for the follower's. So it is
// the follower that keeps a session from being used by way of two servers at
// once, its own clients included, as the leader does between its learners
// (ensemble.go). It notes the observer as the session's owner.

// Relay calls pass, which sends an observer's request on, unless the session has
// moved to a client of this follower or to another observer meanwhile. from is
// the observer's sid. A request that is not passed on has no answer: its client
// has left that connection.
func (p *Pipeline) Relay(from, session int64, op proto.OpCode, pass func()) {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	if !p.is(learning) {
		return
	}
	if s := p.sessions.Get(session); s != nil && op != proto.OpCreateSession && !s.Claim(member(from)) {
		p.opt.Logger.Warn("a request of an observer is late: its session has moved", "from", from, "session", proto.SessionID(session), "op", op)
		return
	}
	pass()
}

// RelayRevalidate passes on an observer's question whether a session is alive. It
// is that observer's from now on.
func (p *Pipeline) RelayRevalidate(from, session int64, pass func()) {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	if !p.is(learning) {
		return
	}
	if s := p.sessions.Get(session); s != nil {
		if c, ok := s.Owner().(*Client); ok {
			p.drop(c, "")
		}
		s.SetOwner(member(from))
	}
	pass()
}

// RelayTouches keeps what an observer has heard of for the next Touches.
func (p *Pipeline) RelayTouches(touches []Touch) {
	p.clientsMu.Lock()
	defer p.clientsMu.Unlock()
	if !p.is(learning) {
		return
	}
	for _, t := range touches {
		p.parted[t.Session] = max(0, t.TimeoutMs)
	}
}
