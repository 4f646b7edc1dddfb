// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"
	"slices"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// leader is a peer's part while it leads, or tries to (sections 5.2, 6, 8, 10.2).
//
//	discovery        FOLLOWERINFO of a quorum   the new epoch is theirs + 1, and saved
//	                 ACKEPOCH of a quorum       nobody in it knows more than this leader
//	synchronisation  each learner is brought to the leader's history, ending with
//	                 NEWLEADER; once a quorum has acknowledged that, the whole
//	                 history is committed
//	broadcast        UPTODATE; proposals, acks, commits
type leader struct {
	roster
	phaseEnd time.Duration // of discovery and synchronisation together with each step

	candidate   int64 // the new epoch so far
	frozen      bool  // a quorum has said what it has accepted: candidate is the new epoch
	epochSaved  bool  // acceptedEpoch is durable
	ackFrozen   bool  // a quorum has accepted the new epoch
	synchronise bool  // currentEpoch is durable: learners may be brought up to date
	serving     bool
	mute        bool       // another server is to lead: nothing more is committed
	heir        int64      // that server
	leaving     bool       // handing over: nothing more is proposed
	rolling     bool       // because the epoch ends: to nobody, if need be
	lastRound   proto.Zxid // proposed by the last round of pings

	history  proto.Zxid // the last transaction when this reign began
	proposed proto.Zxid // last of this reign, epoch:0 before the first

	old      *quorum.Config // of the membership before a reconfig that was committed
	oldUpTo  proto.Zxid     // whose quorum proposals up to here need as well
	reconfig proto.Zxid     // the pending reconfig; 0: none

	halfTicks uint64
	nextPing  time.Duration

	round    uint64 // of pings
	barriers []barrier

	follows map[int64]int64 // whom others say they follow, while nobody follows this server
}

// barrier waits until zxid is committed and a quorum has answered a ping of
// round.
type barrier struct {
	Barrier
	zxid  proto.Zxid
	round uint64
}

func newLeader(p *Peer) *leader {
	return &leader{roster: newRoster(p), candidate: max(p.accepted, p.promised) + 1, history: p.last}
}

// start begins discovery, once this peer is known to lead.
func (l *leader) start() {
	l.phaseEnd = l.p.now + l.p.opt.init()
	// All that is logged here is the history of the new epoch, and is sent as
	// committed to those who lack it; so it counts as the window from here on.
	for _, e := range l.p.pending {
		l.p.window.add(e)
	}
	l.checkInfos()
}

// lastHeard is the latest time at which a quorum had been heard of.
func (l *leader) lastHeard() (at time.Duration) {
	for _, f := range l.learners {
		if t := f.heard; t > at && l.quorums(func(g *learnerLink) bool { return g.stage >= hasAcked && g.heard >= t }) {
			at = t
		}
	}
	if at == 0 && l.quorums(func(*learnerLink) bool { return false }) {
		return l.p.now // it needs nobody else
	}
	return at
}

// leave closes all links.
func (l *leader) leave() {
	for _, f := range l.learners {
		l.p.close(f.link, "this server leads no more")
	}
	for _, b := range l.barriers {
		if b.Link == 0 {
			l.p.out.Failed = append(l.p.out.Failed, b.Token)
		}
	}
}

// quorums tells whether the voters for which in is true, and this server,
// decide: in the committed membership, and in one that is proposed.
func (l *leader) quorums(in func(f *learnerLink) bool) bool {
	has := func(sid int64) bool {
		if sid == l.p.sid {
			return true
		}
		for _, f := range l.learners {
			if f.sid == sid && !f.observer && in(f) {
				return true
			}
		}
		return false
	}
	return l.p.committed.Quorum(has) && (l.p.seen == nil || l.p.seen.Quorum(has))
}

func (l *leader) linkDown(ev LinkDown) {
	l.left(ev)
	if l.heir != 0 && len(l.learners) == 0 {
		l.p.appoint(l.heir)
	}
}

func (l *leader) received(ev Received) {
	f := l.heard(ev.Link)
	if f == nil {
		return
	}
	for i := range ev.Packets {
		if l.p.lead != l || l.byLink[ev.Link] != f {
			return // by what came before
		}
		l.packet(f, &ev.Packets[i])
	}
	if l.p.lead == l {
		l.advance()
	}
}

func (l *leader) packet(f *learnerLink, k *Packet) {
	switch {
	case f.stage == isNew:
		l.info(f, k)
	case f.stage == hasInfo:
		l.ackEpoch(f, k)
	case k.Type == proto.PacketAck:
		l.ack(f, k.Zxid)
	case k.Type == proto.PacketPing:
		l.pong(f, k)
	case k.Type == proto.PacketRequest || k.Type == proto.PacketRevalidate:
		l.p.out.Requests = append(l.p.out.Requests, Forwarded{f.link, f.sid, k.Packet})
	default:
		l.drop(f, fmt.Sprintf("it sent a packet of type %d", k.Type))
	}
}

// info reads a learner's first packet.
func (l *leader) info(f *learnerLink, k *Packet) {
	if why := l.introduce(f, k); why != "" {
		l.drop(f, why)
		return
	}
	f.stage = hasInfo
	accepted := int64(k.Zxid) >> 32
	switch {
	case !l.frozen:
		l.candidate = max(l.candidate, accepted+1)
		l.checkInfos()
	case accepted > l.candidate && l.p.committed.IsVoter(f.sid):
		// It promised itself to a reign that never came about, and may not follow
		// this one: a voter less for as long as it lasts. The reference leaves it
		// at that; one election more is the lesser evil.
		l.p.promised = accepted
		l.p.look("a voter has accepted a later epoch", "sid", f.sid)
	case l.epochSaved:
		l.sendEpoch(f)
	}
}

// checkInfos fixes the new epoch once a quorum has said what it has accepted.
func (l *leader) checkInfos() {
	if l.frozen || !l.quorums(func(f *learnerLink) bool { return f.stage >= hasInfo }) {
		return
	}
	l.frozen = true
	epoch := l.candidate
	l.p.accepted = epoch
	l.p.disk(DiskOp{AcceptedEpoch: &epoch}, 0, func() {
		l.epochSaved = true
		l.phaseEnd = l.p.now + l.p.opt.init()
		for _, f := range l.learners {
			if f.stage == hasInfo {
				l.sendEpoch(f)
			}
		}
		l.checkEpochs()
	})
}

func (l *leader) sendEpoch(f *learnerLink) { l.offer(f, l.candidate) }

// ackEpoch reads where a learner stands.
func (l *leader) ackEpoch(f *learnerLink, k *Packet) {
	current, why := f.position(k)
	if why != "" {
		l.drop(f, why)
		return
	}
	if !l.ackFrozen {
		if current > l.p.current || current == l.p.current && f.last > l.p.last {
			l.drop(f, fmt.Sprintf("it is ahead of this leader: epoch %d, zxid %s", current, f.last))
			return
		}
		f.hasEpochNow = current != -1 && f.last != -1
		l.checkEpochs()
	}
	if l.synchronise {
		l.bring(f)
	}
}

// checkEpochs begins synchronisation once a quorum has accepted the epoch.
func (l *leader) checkEpochs() {
	if !l.epochSaved || l.ackFrozen || !l.quorums(func(f *learnerLink) bool { return f.hasEpochNow }) {
		return
	}
	l.ackFrozen = true
	epoch := l.candidate
	l.p.current = epoch
	l.p.disk(DiskOp{CurrentEpoch: &epoch}, 0, func() {
		p := l.p
		l.synchronise = true
		l.phaseEnd = p.now + p.opt.init()
		l.proposed = epochZxid(epoch)
		p.epoch, p.stage = epoch, Synchronization
		if p.opt.Reconfig && p.committed.Version == 0 && p.seen == nil {
			first := *p.committed
			first.Version = int64(epochZxid(epoch))
			p.proposed(&first)
		}
		p.became()
		for _, f := range append([]*learnerLink(nil), l.learners...) {
			if f.stage == hasEpoch {
				l.bring(f)
			}
		}
		l.checkNewLeader()
	})
}

// checkNewLeader begins the reign once a quorum has this leader's history.
func (l *leader) checkNewLeader() {
	if !l.synchronise || l.serving || !l.quorums(func(f *learnerLink) bool { return f.stage >= hasAcked }) {
		return
	}
	p := l.p
	l.serving = true
	p.stage = Broadcast
	p.decided = p.last
	p.election.setPeerEpoch(p.epoch)
	if p.opt.Reconfig && p.seen != nil {
		l.adoptSeen()
	}
	p.deliver()
	p.became()
	p.line(false, "leading", "epoch", p.epoch, "history", p.last)
	l.nextPing = p.now + p.opt.Tick/2
	for _, f := range l.learners {
		if f.stage == hasAcked {
			l.upToDate(f)
		}
	}
}

// adoptSeen makes the membership that was proposed the committed one: it was
// part of the history, or is the first.
func (l *leader) adoptSeen() {
	c := l.p.seen
	l.p.adopt(c)
	l.mute = !c.IsVoter(l.p.sid)
}

// tick does what is due: phases, pings, learners that fell silent.
func (l *leader) tick() {
	p := l.p
	if !l.serving && p.now >= l.phaseEnd {
		p.look(fmt.Sprintf("no quorum of servers came within %s", p.opt.init()))
		return
	}
	l.dropOverdue()
	if !l.synchronise {
		return
	}
	if l.nextPing == 0 {
		l.nextPing = p.now + p.opt.Tick/2
	}
	if p.now < l.nextPing {
		return
	}
	l.nextPing = p.now + p.opt.Tick/2
	l.halfTicks++
	l.ping()
	l.rollEarly()
	l.tryLeave()
	if p.lead != l {
		return
	}
	if !l.serving || l.halfTicks%2 != 0 {
		return
	}
	lost := !l.quorums(func(f *learnerLink) bool { return f.stage >= hasAcked && p.now < f.deadline })
	switch {
	case lost && l.heir != 0:
		p.appoint(l.heir)
	case lost:
		p.look("a quorum of servers follows no more")
	case l.mute && l.heir == 0:
		// It came with the history: nobody else is appointed, and its members have
		// it by now.
		p.look("the membership gives the lead to another server")
	}
}

func (l *leader) wake() time.Duration {
	at := time.Duration(1<<63 - 1)
	if !l.serving {
		at = l.phaseEnd
	}
	if l.synchronise {
		at = min(at, l.nextPing)
	}
	return min(at, l.nextOverdue())
}

// ping begins a round.
func (l *leader) ping() {
	l.round++
	for _, f := range l.learners {
		if f.stage < inSync {
			continue
		}
		if f.stage == isServed { // before UPTODATE the reference does not answer
			f.rounds = append(f.rounds, l.round)
		}
		l.p.send(f.link, packet(proto.PacketPing, l.proposed))
	}
	l.passBarriers()
}

// pong is the answer to the oldest ping that has none.
func (l *leader) pong(f *learnerLink, k *Packet) {
	if len(f.rounds) == 0 {
		l.drop(f, "it answered a ping that was not sent")
		return
	}
	f.confirmed, f.rounds = f.rounds[0], f.rounds[1:]
	if len(k.Data) > 0 {
		l.p.out.Requests = append(l.p.out.Requests, Forwarded{f.link, f.sid, k.Packet})
	}
	l.passBarriers()
}

// barrier waits for a round of pings that begins after it came: whoever answers
// one has not followed another leader by then, so no other had a quorum.
func (l *leader) barrier(ev Barrier) {
	b := barrier{ev, l.proposed, l.round + 1}
	l.barriers = append(l.barriers, b)
	if l.confirmed() >= l.round {
		l.ping()
	}
}

// confirmed is the last round that a quorum has answered.
func (l *leader) confirmed() uint64 {
	if l.round == 0 || l.quorums(func(f *learnerLink) bool { return f.confirmed >= l.round }) {
		return l.round
	}
	low := uint64(0)
	for _, f := range l.learners {
		if c := f.confirmed; c > low && l.quorums(func(g *learnerLink) bool { return g.confirmed >= c }) {
			low = c
		}
	}
	return low
}

func (l *leader) passBarriers() {
	if len(l.barriers) == 0 {
		return
	}
	done, ask := l.confirmed(), false
	kept := l.barriers[:0]
	for _, b := range l.barriers {
		// A learner is sent SYNC behind the commits; here the tree must have them,
		// and a quorum may be faster than this server's own disk.
		reached := l.p.decided
		if b.Link == 0 {
			reached = l.p.applied
		}
		f := l.byLink[b.Link]
		switch {
		case b.round > done || b.zxid > max(reached, epochZxid(l.p.epoch)):
			kept = append(kept, b)
			ask = ask || b.round > l.round
		case f != nil:
			l.p.send(f.link, packet(proto.PacketSync, 0))
		case b.Link == 0:
			l.p.out.Passed = append(l.p.out.Passed, b.Token)
		}
	}
	l.barriers = kept
	if ask && done >= l.round {
		l.ping()
	}
}

// handOver ends the reign in favour of the most advanced follower: this server
// votes for it, so that all that are left agree at once. Without one there is
// nobody to make room for, and the reign goes on.
func (l *leader) handOver() {
	if !l.serving || !l.hasHeir() {
		l.p.line(true, "the lead is not handed over: no other server could take it")
		return
	}
	l.leaving = true
	l.tryLeave()
}

// mayLead tells whether a follower could be elected as things stand.
func (l *leader) mayLead(f *learnerLink) bool {
	c := l.p.committed
	return f.stage == isServed && !f.observer && c.IsVoter(f.sid) && c.Weight(f.sid) != 0
}

func (l *leader) hasHeir() bool { return slices.ContainsFunc(l.learners, l.mayLead) }

// tryLeave goes once everything proposed is committed, and a follower has it.
func (l *leader) tryLeave() {
	if !l.leaving || !l.serving || l.p.decided < l.p.last {
		return
	}
	var heir *learnerLink
	for _, f := range l.learners {
		if !l.mayLead(f) || f.tracks > f.acked {
			continue
		}
		if heir == nil || f.sid > heir.sid {
			heir = f
		}
	}
	if heir == nil && l.rolling {
		l.p.look("the epoch has no zxids left")
		return
	}
	if heir == nil {
		if !l.hasHeir() {
			// The last has gone meanwhile. What came since was not proposed, so this
			// reign cannot go on; the next may be this server's too.
			l.p.look("no server is left to hand over to")
		}
		return // the tick comes again
	}
	l.p.heir = heir.sid
	l.p.line(false, "handing over", "to", heir.sid)
	l.p.look("handing over")
}
