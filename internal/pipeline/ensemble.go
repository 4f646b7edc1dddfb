// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"paddock/internal/session"
	"paddock/proto"
)

// A member of an ensemble serves in turns as leader, as learner and, while an
// election runs, not at all. Its driver says which: StartEnsemble, Pause, Lead,
// Learn, ReadOnly, Restore, CommitEntries, Remote, RevalidateRemote,
// Revalidated, Synced, Passed, BarrierFailed and LetGo are all called by one
// goroutine, which holds no lock that a Leadership or an Uplink takes. Restore
// may be left to another, while none of StartEnsemble, Lead, Learn, ReadOnly and
// CommitEntries is called. Touches, TouchRemote and LastProposed may be called by
// any.
//
// # A request is executed once at most
//
// A client that is kept through an election has writes whose fate nobody has
// told: they wait in its queue. What becomes of each depends on where it was
// sent last (via):
//
//   - Nowhere: it came while there was no leader. It is sent now.
//   - It was this leader's own proposal, or was forwarded to the leader of an
//     earlier epoch. Before a new epoch is served, the whole history that its
//     leader has from earlier epochs is handed to CommitEntries, and nothing
//     else from those epochs is ever decided: a quorum has promised so. If the
//     write is in that history it was answered by it; if not, it never happens,
//     and may be sent again.
//   - It was forwarded in the same epoch, over a connection that broke: the
//     leader may have it in flight, or may yet read it from that connection. It
//     cannot be sent again and may not be answered at all, so its client is
//     hung up on and finds out for itself, as with any server that dies.
//
// After Restore the history was not seen by CommitEntries, and nothing is known
// of any write that was sent.
//
// # An answer is that of its request
//
// A decided transaction answers a proposal of this server by its zxid, which no
// other can have. It answers a forwarded write by (session, cxid), if that is
// the first write of the client that the session is attached to here. Clients
// number as they like, some from 1 on each connection, so three things keep
// transactions of a session's earlier connections from answering its later
// ones:
//
//   - A connection that takes up a session at a learner is answered when the
//     leader has said that the session is alive, which moves it to this
//     learner, and a sync sent right behind that question has come back: all
//     that the leader had taken from earlier connections is applied here by
//     then, and what it takes from now on through another server is declined
//     with ErrSessionMoved. That code hangs up, it never answers.
//   - The connection before it, if it was to this server, is cut first, under
//     the lock that orders what is forwarded.
//   - A write that was not forwarded, or as a proposal of our own, is answered
//     by no such transaction.
//
// createSession has an id of its own as its name, closeSession comes with the
// cxid of its request; that of an expiry has cxid 0 and is told from writes by
// its type.

// Leadership takes a leader's proposals to a quorum. What is decided comes
// back by CommitEntries.
type Leadership interface {
	Replicator
	// Barrier asks to be told by Passed when all proposed so far is committed and
	// a quorum still follows, or by BarrierFailed when that will not be. It never
	// blocks.
	Barrier(token uint64)
}

// Reconfigurer is a Leadership that can change the membership.
type Reconfigurer interface {
	// Reconfigure checks a reconfig (client-protocol.md section 4.2, steps 4 to
	// 8) and returns the text of the membership that it makes, if it is
	// transaction z. It changes nothing: the transaction does, when it is logged
	// and when it is committed. It is called under the pipeline's lock.
	Reconfigure(q *proto.Reconfig, z proto.Zxid) (config []byte, code proto.Code)
}

type role = int32

// The roles. A single server leads from its start to its end.
const (
	leading role = iota
	learning
	looking
	readOnly
)

func (p *Pipeline) is(r role) bool { return p.role.Load() == r }

// member is a learner's sid, as the owner of sessions.
type member int64

// terms is what a member of an ensemble knows of its role; guarded by
// preparer.mu.
type terms struct {
	lead    Leadership
	up      Uplink
	epoch   proto.Zxid // in which all that waits was sent, if it was sent
	held    []handshake
	shut    bool      // no further handshake is held
	resumes []*resume // asked about, not answered yet
	syncs   []waiter  // forwarded, in order
	tokens  map[uint64]*request
	token   uint64 // the last one given out
}

// handshake is one that waits for a leader.
type handshake struct {
	c *Client
	q proto.ConnectRequest
}

// StartEnsemble begins the service of a member of an ensemble, in the state
// that Pause describes. Stop ends it.
func (p *Pipeline) StartEnsemble() {
	p.ensemble = true
	v := p.tree.View(0)
	p.prep.init(v.Zxid(), v.Digest())
	v.Close()
	p.role.Store(looking)
	p.background()
}

// Pause is for the time of an election: reads and writes are held in their
// clients' queues, pings are answered, handshakes wait, no session expires.
// Transactions may be committed meanwhile.
func (p *Pipeline) Pause() {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	p.pause()
}

// pause is Pause with prep.mu held.
func (p *Pipeline) pause() {
	if p.is(readOnly) {
		p.dismiss("the server is no longer read-only")
		if !p.opt.LocalSessions {
			p.sessions.Each(p.endLocal)
		}
	}
	if !p.is(looking) {
		p.prep.shut = false
	}
	if p.is(leading) {
		for _, c := range p.roll() {
			c.reported.Store(0) // it was heard of here
		}
	}
	p.role.Store(looking)
	p.reign.Add(1)
	p.repl, p.prep.lead, p.prep.up = nil, nil, nil
}

// Lead serves as leader of a new epoch: proposals are numbered epoch+1 and on.
// All of its history from earlier epochs was committed before. Every session
// has its full timeout from now on.
func (p *Pipeline) Lead(l Leadership, epoch proto.Zxid) {
	pr := &p.prep
	v := p.tree.View(0)
	digest, known := v.Digest(), v.Sessions()
	var orphans []int64
	v.EachEphemeral(func(s int64, _ []string) {
		if _, ok := known[s]; !ok {
			orphans = append(orphans, s)
		}
	})
	v.Close()

	pr.mu.Lock()
	p.pause()
	p.settleFlight()
	if p.opt.LeaderAlone {
		p.dismiss(leaderAlone)
	}
	p.resetSessions(known)
	pr.future = inflight{}
	pr.init(epoch, digest)
	p.repl, pr.lead, pr.epoch = l, l, epoch
	p.forgetQuestions()
	again := p.waiting()
	p.role.Store(leading)
	if !pr.closed && len(again) > 0 {
		p.prepare(again, false)
	}
	held := pr.held
	pr.held = nil
	pr.mu.Unlock()

	p.goOn(held)
	for _, id := range orphans {
		p.opt.Logger.Warn("ephemeral znodes of a session that does not exist are removed", "session", proto.SessionID(id))
		p.closeSession(id)
	}
}

// Learn serves as learner of the leader of epoch (its zxid with counter 0; the
// epoch tells whether what was forwarded before may be forwarded again). All of
// the leader's history from earlier epochs was committed here before.
func (p *Pipeline) Learn(up Uplink, epoch proto.Zxid) {
	pr := &p.prep
	v := p.tree.View(0)
	known := v.Sessions()
	v.Close()

	pr.mu.Lock()
	p.pause()
	if pr.epoch == epoch {
		p.dropForwarded()
	}
	p.settleFlight()
	p.resetSessions(known)
	pr.up, pr.epoch = up, epoch
	p.forgetQuestions()
	again := p.waiting()
	p.role.Store(learning)
	if !pr.closed {
		for _, r := range again {
			p.sendUp(r)
		}
	}
	up.Flush()
	held := pr.held
	pr.held = nil
	pr.mu.Unlock()
	p.goOn(held)
}

// dismiss hangs up on every client, past its handshake or not, and drops what
// they wait for; why is for the log. prep.mu is held.
func (p *Pipeline) dismiss(why string) {
	for _, c := range p.roll() {
		p.drop(c, why)
	}
	p.turnAway(why)
}

// turnAway refuses the handshakes that wait; prep.mu is held.
func (p *Pipeline) turnAway(why string) {
	for _, h := range p.prep.held {
		h.c.refuse(why)
	}
	for _, u := range p.prep.resumes {
		p.end(u)
		u.c.refuse(why)
	}
	p.prep.held, p.prep.resumes = nil, nil
	for _, r := range p.flight.takeOpening(nil) {
		r.client.refuse(why)
		p.settle(r)
	}
}

// LastProposed is the zxid of the leader's last proposal.
func (p *Pipeline) LastProposed() proto.Zxid {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	return p.prep.zxid
}

// roll lists the clients past their handshake.
func (p *Pipeline) roll() []*Client {
	p.clientsMu.Lock()
	defer p.clientsMu.Unlock()
	all := make([]*Client, 0, len(p.clients))
	for c := range p.clients {
		all = append(all, c)
	}
	return all
}

// drop hangs up on a client and forgets what it waits for; prep.mu is held, so
// that nothing it sends is proposed or forwarded after what is dropped.
func (p *Pipeline) drop(c *Client, why string) {
	c.revoked.Store(true)
	c.out.close()
	c.mu.Lock()
	c.clearQueue()
	c.mu.Unlock()
	c.link.Hangup(why)
}

// refuse ends a handshake that waited. What is queued is written.
func (c *Client) refuse(why string) {
	c.gone = true // its reader looks at it once ready is closed
	c.dead.Store(true)
	c.link.Hangup(why)
	close(c.ready)
}

// waiting lists the requests that are to be sent again, each session's in
// order; prep.mu is held.
func (p *Pipeline) waiting() (again []*request) {
	again = p.flight.listOpening() // an upgrade goes before what needs it
	for _, c := range p.roll() {
		c.mu.Lock()
		if c.dead.Load() || c.revoked.Load() {
			c.clearQueue()
		}
		for r := c.head; r != nil; r = r.next {
			if r.isWrite {
				again = append(again, r)
			}
		}
		c.mu.Unlock()
	}
	return again
}

// settleFlight forgets the proposals of an earlier leadership that were not
// decided; prep.mu is held.
func (p *Pipeline) settleFlight() {
	for _, r := range p.flight.clear() {
		c := r.client
		if c == nil {
			p.settle(r)
			continue
		}
		c.mu.Lock()
		if r.via = viaNothing; r.dropped || c.dead.Load() && r.op != proto.OpCreateSession {
			p.settle(r)
		}
		c.mu.Unlock()
	}
	for _, r := range p.flight.takeOpening(func(r *request) bool { return r.client.dead.Load() }) {
		p.settle(r)
	}
}

// dropForwarded hangs up on the clients with a write whose fate cannot be
// known; prep.mu is held.
func (p *Pipeline) dropForwarded() {
	const why = "the leader's connection broke while a request of it was on its way"
	for _, c := range p.roll() {
		c.mu.Lock()
		lost := false
		for r := c.head; r != nil && !lost; r = r.next {
			lost = r.via == viaUplink && !r.sync
		}
		c.mu.Unlock()
		if lost {
			p.drop(c, why)
		}
	}
	for _, r := range p.flight.takeOpening(func(r *request) bool { return r.via == viaUplink }) {
		r.client.refuse(why)
		p.settle(r)
	}
}

// forgetQuestions lets go of what an earlier leader was asked; prep.mu is held.
func (p *Pipeline) forgetQuestions() {
	pr := &p.prep
	for _, u := range pr.resumes {
		p.end(u)
		pr.held = append(pr.held, handshake{u.c, u.q})
	}
	for _, r := range pr.tokens {
		r.client.mu.Lock()
		if r.client.dead.Load() {
			p.settle(r) // in no queue that is looked at again
		}
		r.client.mu.Unlock()
	}
	pr.resumes, pr.syncs, pr.tokens = nil, nil, map[uint64]*request{}
}

// resetSessions makes the tracked sessions those of the tree, and hangs up on
// clients whose session is not among them; prep.mu is held.
func (p *Pipeline) resetSessions(known map[int64]int32) {
	for _, s := range p.sessions.Reset(known, p.nowMs()) {
		if c, ok := s.Owner().(*Client); ok {
			p.drop(c, "")
		}
	}
	p.sessions.Each(func(s *session.Session) {
		if m, ok := s.Owner().(member); ok {
			s.Release(m)
		}
	})
}

// goOn has what was held during an election go on.
func (p *Pipeline) goOn(held []handshake) {
	for _, h := range held {
		if h.c.dead.Load() {
			continue
		}
		if ok, why := p.handshake(h.c, &h.q); !ok {
			h.c.refuse(why)
		}
	}
	for _, c := range p.roll() {
		c.mu.Lock()
		c.startDrain()
		c.mu.Unlock()
	}
}
