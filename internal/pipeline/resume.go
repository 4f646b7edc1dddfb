// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"slices"

	"paddock/jute"
	"paddock/proto"
)

// resume is a handshake that takes up a session at a learner. It is answered
// when the leader has answered both the question whether the session is alive
// and the sync behind it (ensemble.go says what the sync is for).
type resume struct {
	c             *Client
	q             proto.ConnectRequest
	valid, synced bool
	over          bool // answered, refused or asked again
}

// hold keeps a handshake until there is a leader; it reports whether it does.
// If it has been too long already, it says why not.
func (p *Pipeline) hold(c *Client, q *proto.ConnectRequest) (held bool, why string) {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	if p.prep.shut && p.is(looking) {
		return false, "the server has no leader"
	}
	return p.holdLooking(c, q), ""
}

func (p *Pipeline) holdLooking(c *Client, q *proto.ConnectRequest) bool {
	if !p.is(looking) {
		return false
	}
	p.prep.held = append(p.prep.held, handshake{c, *q})
	return true
}

// syncAll is the body of a sync that nobody sees the answer of.
var syncAll = jute.Marshal(&proto.Path{})

// revalidate has a learner's leader asked about the session that a client takes
// up. It returns false at a leader.
func (p *Pipeline) revalidate(c *Client, q *proto.ConnectRequest) bool {
	pr := &p.prep
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if p.holdLooking(c, q) {
		return true
	}
	if !p.is(learning) {
		return false
	}
	s := p.sessions.Get(q.SessionID)
	if s != nil {
		if old, ok := s.Owner().(*Client); ok {
			p.drop(old, "")
			s.Release(old)
		}
	}
	// The leader does not know a local session, or not yet.
	u := &resume{c: c, q: *q, valid: s != nil && !s.Global()}
	if s := p.sessions.Get(q.SessionID); s != nil {
		s.SetOwner(u) // no observer's any more: see Relay
	}
	pr.resumes = append(pr.resumes, u)
	pr.syncs = append(pr.syncs, waiter{u: u})
	if !u.valid {
		pr.up.Revalidate(q.SessionID, c.timeoutMs)
	}
	pr.up.Forward(q.SessionID, 0, proto.OpSync, syncAll, nil)
	pr.up.Flush()
	return true
}

// Revalidated is the leader's answer to Revalidate.
func (p *Pipeline) Revalidated(session int64, valid bool) {
	pr := &p.prep
	pr.mu.Lock()
	defer pr.mu.Unlock()
	for _, u := range pr.resumes {
		if u.q.SessionID != session || u.valid {
			continue
		}
		if u.valid = valid; valid {
			p.taken(u)
		} else {
			p.notTaken(u)
		}
		return
	}
}

// taken answers a resume that all is known of; prep.mu is held.
func (p *Pipeline) taken(u *resume) {
	if u.over || !u.valid || !u.synced {
		return
	}
	s := p.sessions.Get(u.q.SessionID)
	if s == nil || s.Ended() {
		p.notTaken(u) // it has ended meanwhile
		return
	}
	if now := s.Owner(); now != nil && now != any(u) {
		p.answered(u)
		u.c.refuse("its session was taken up by another connection meanwhile")
		return
	}
	p.answered(u)
	u.c.welcome(s)
}

func (p *Pipeline) notTaken(u *resume) {
	p.answered(u)
	u.c.tellExpired()
	u.c.refuse("")
}

func (p *Pipeline) answered(u *resume) {
	p.end(u)
	p.prep.resumes = slices.DeleteFunc(p.prep.resumes, func(o *resume) bool { return o == u })
}

// end is called when a resume is answered or not asked any more.
func (p *Pipeline) end(u *resume) {
	u.over = true
	if s := p.sessions.Get(u.q.SessionID); s != nil {
		s.Release(u)
	}
}
