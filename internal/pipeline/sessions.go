// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"
	"time"

	"paddock/internal/session"
	"paddock/jute"
	"paddock/proto"
)

// Connect handles a client's first frame (without its length). When it returns
// true the client's Ready channel will be closed once the handshake is
// answered; until then nothing more of the connection is to be read. When it
// returns false the connection is to be closed, once what is queued is
// written; why is for the log.
func (p *Pipeline) Connect(c *Client, frame []byte) (ok bool, why string) {
	var q proto.ConnectRequest
	if err := jute.Unmarshal(frame, &q); err != nil {
		return false, "connect request cannot be read: " + err.Error()
	}
	if b := p.opt.ConnectionBucket; b != nil && !b.Take(q.SessionID != 0) {
		p.counts.Throttled.Add(1)
		return false, "connection throttled"
	}
	timeout := min(max(time.Duration(q.TimeOut)*time.Millisecond, p.opt.MinSessionTimeout), p.opt.MaxSessionTimeout)
	c.timeoutMs, c.oldClient = int32(timeout.Milliseconds()), q.OldClient
	if p.ensemble {
		if held, why := p.hold(c, &q); held || why != "" {
			return held, why
		}
	}
	return p.handshake(c, &q)
}

// handshake is Connect once the server has a role.
func (p *Pipeline) handshake(c *Client, q *proto.ConnectRequest) (ok bool, why string) {
	v := p.tree.View(c.slot)
	last := v.Zxid()
	v.Close()
	if proto.Zxid(q.LastZxidSeen) > last {
		return false, "client has seen zxid " + proto.Zxid(q.LastZxidSeen).String() + ", this server is at " + last.String() + " only: it must try another server"
	}
	if p.is(readOnly) {
		return p.welcomeReader(c, q)
	}
	if p.leadsAlone() {
		return false, leaderAlone
	}
	p.counts.Connections.Add(1)
	if q.SessionID == 0 {
		if p.ensemble && p.opt.LocalSessions {
			return p.openLocal(c, q)
		}
		p.openSession(c)
		return true, ""
	}
	// The password first: with the reference, whoever knows a session's id can
	// cut its connection.
	if !session.Verify(q.SessionID, q.Passwd) {
		c.tellExpired()
		return false, ""
	}
	if p.ensemble && p.revalidate(c, q) {
		return true, ""
	}
	s := p.sessions.Get(q.SessionID)
	if s == nil || s.Closing() {
		c.tellExpired()
		return false, ""
	}
	c.welcome(s)
	return true, ""
}

// leaderAlone is why a leader lets clients go that it is not to serve.
const leaderAlone = "this server leads, and leaves clients to the others"

func (p *Pipeline) leadsAlone() bool { return p.opt.LeaderAlone && p.is(leading) }

// tellExpired answers a handshake for a session that is not there.
func (c *Client) tellExpired() {
	c.out.appendFrame(&proto.ConnectResponse{Passwd: make([]byte, 16), OldClient: c.oldClient, ReadOnly: c.readOnly})
}

func (o *Out) appendFrame(r *proto.ConnectResponse) {
	b := o.begin()
	b = appendConnectResponse(b, r)
	o.stats.Sent++
	o.end(b)
}

// openSession proposes a new session; the applier answers the client.
func (p *Pipeline) openSession(c *Client) {
	id := p.nextSID.Add(1) - 1
	r := &request{client: c, op: proto.OpCreateSession, row: &openSessionRow, isWrite: true, start: p.nowNs(), session: id,
		rec: &proto.CreateSessionTxn{TimeOut: c.timeoutMs}}
	if p.ensemble {
		r.body = binary.BigEndian.AppendUint32(nil, uint32(c.timeoutMs))
	}
	p.propose(r)
}

// welcome attaches the client to its session and queues the answer to its
// handshake.
func (c *Client) welcome(s *session.Session) {
	p := c.p
	if p.leadsAlone() { // since a moment ago
		c.refuse(leaderAlone)
		return
	}
	old, _ := s.Owner().(*Client)
	s.SetOwner(c)
	s.Touch(p.nowMs(), c.timeoutMs)
	if old != nil && old != c {
		old.revoked.Store(true)
		old.link.Hangup("")
	}
	c.session = s
	if p.is(learning) {
		c.reported.Store(p.nowNs())
	}
	passwd := session.Password(s.ID())
	c.out.appendFrame(&proto.ConnectResponse{TimeOut: c.timeoutMs, SessionID: s.ID(), Passwd: passwd[:], OldClient: c.oldClient, ReadOnly: c.readOnly})
	p.enlist(c)
	close(c.ready)
	if c.dead.Load() { // and Detach may have found no session to let go of
		s.Release(c)
		p.retire(c)
	}
	if s.Ended() { // and whoever ended it may have found no client
		c.revoked.Store(true)
		c.link.Hangup("")
	}
}

// closeSession proposes the end of a session on behalf of nobody's request.
func (p *Pipeline) closeSession(id int64) { p.closeSessionOf(id, p.reign.Load()) }

// closeSessionOf is closeSession unless that leadership is over.
func (p *Pipeline) closeSessionOf(id int64, reign uint32) {
	p.propose(&request{op: proto.OpCloseSession, row: &closeSessionRow, isWrite: true, start: p.nowNs(), session: id, reign: reign})
}

// endSession forgets a session that has ended and lets go of its connection.
func (p *Pipeline) endSession(s *session.Session) {
	p.counts.SessionsClosed.Add(1)
	p.sessions.Remove(s.ID())
	if c, ok := s.Owner().(*Client); ok && c != nil {
		c.revoked.Store(true)
		c.link.Hangup("")
	}
}

// expireSessions ends the sessions that were not heard of in time.
func (p *Pipeline) expireSessions() {
	defer p.wg.Done()
	tick := time.NewTicker(max(p.opt.Tick/10, 5*time.Millisecond))
	defer tick.Stop()
	due := p.sessions.Next(p.nowMs())
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		now := p.nowMs()
		if now < due {
			continue
		}
		due = p.sessions.Next(now)
		reign := p.reign.Load()
		expired := func(s *session.Session) {
			p.counts.Expired.Add(1)
			p.opt.Logger.Info("session expired", "session", proto.SessionID(s.ID()), "timeout", time.Duration(s.Timeout())*time.Millisecond)
			if s.Ended() {
				p.endSession(s)
			} else {
				p.closeSessionOf(s.ID(), reign)
			}
		}
		switch {
		case p.is(leading):
			p.sessions.Expire(now, expired)
		case p.is(readOnly), p.is(learning) && p.opt.LocalSessions:
			p.sessions.ExpireLocal(now, expired)
		}
	}
}
