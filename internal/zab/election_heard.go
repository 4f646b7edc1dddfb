// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// notified handles one notification, in any state (quorum-protocol.md sections
// 3.4 and 3.5). A configuration newer than ours that it brings is the owner's
// to adopt, before this.
func (e *election) notified(now time.Duration, from int64, n proto.Notification) {
	if from == e.sid || n.State < proto.Looking || n.State > proto.Observing {
		return
	}
	delete(e.lost, from)
	if e.state == proto.Looking && !e.looking {
		return // not begun
	}
	b := ballot{vote{n.Leader, n.Zxid, n.ElectionEpoch, n.PeerEpoch}, n.State, n.Version}
	switch {
	case !e.isVoter(from):
		if b.state == proto.Looking {
			e.answerStranger(now, from)
		}
	case !e.looking:
		if b.state == proto.Looking {
			e.send(from, e.current)
		}
	case b.state == proto.Looking:
		e.heardLooking(now, from, b)
	case b.state != proto.Observing && e.isVoter(b.leader):
		e.heardSettled(now, from, b)
	}
}

// telling is what a server that does not vote was told, and when.
type telling struct {
	vote vote
	at   time.Duration
}

// toldMax bounds how many strangers are remembered; their ids are their own
// choice.
const toldMax = 1000

// answerStranger tells a server that does not vote how things stand, under the
// round of the last election. While looking, the reference tells what it stood
// for before this election, which may be for a leader that is gone.
//
// The reference answers whatever a stranger says, at once. Where the stranger
// takes the answer for a question, or for a vote of a round long past, and
// answers too, neither ever stops: this may be when one of two servers that look
// has a newer membership. So only questions are answered, and while looking the
// same is not said again at once.
func (e *election) answerStranger(now time.Duration, to int64) {
	v := e.current
	if e.looking {
		v = e.proposal
	}
	v.round = e.round
	if e.looking {
		if t, ok := e.told[to]; ok && t.vote == v && now < t.at+e.minNotify/2 {
			return
		}
		if len(e.told) >= toldMax {
			clear(e.told)
		}
		e.told[to] = telling{v, now}
	}
	e.send(to, v)
}

// heardLooking: another voter looks too.
func (e *election) heardLooking(now time.Duration, from int64, b ballot) {
	// What it followed before, it follows no more.
	delete(e.settled, from)
	if b.round < e.round {
		e.send(from, e.proposal)
		return
	}
	if !e.isVoter(b.leader) || e.own.zxid == untrusted || b.zxid == untrusted {
		return
	}
	old, known := e.cast[from]
	switch {
	case b.round > e.round:
		e.round = b.round
		clear(e.cast)
		if e.beats(b.vote, e.own) {
			e.propose(now, b.vote)
		} else {
			e.propose(now, e.own)
		}
	case e.beats(b.vote, e.proposal):
		e.propose(now, b.vote)
	case !known || old.state != proto.Looking:
		e.send(from, e.proposal)
	}
	e.cast[from] = ballot{vote: b.vote, state: proto.Looking}
	e.count(now)
}

// heardSettled: a voter follows or leads.
func (e *election) heardSettled(now time.Duration, from int64, b ballot) {
	if b.round == e.round {
		// Version 0 here is the reference's way too: among these only the leader is compared.
		e.cast[from] = ballot{vote: b.vote, state: b.state}
		if e.elected(e.cast, b) {
			e.decide(b.vote)
			return
		}
	} else {
		delete(e.cast, from) // it has left this round
	}
	if e.settled[from] != b {
		// The ensemble has a leader or is about to: ask it, which may have been
		// looking when we asked all, and all again soon.
		e.interval = e.minNotify
		e.resendAt = min(e.resendAt, now+e.interval)
		if l := b.leader; b.state == proto.Following && l != e.sid && l != from && !e.lost[l] && e.settled[l].state != proto.Leading {
			e.send(b.leader, e.proposal)
		}
	}
	e.settled[from] = b
	if e.elected(e.settled, b) {
		e.round = b.round
		e.decide(b.vote)
		return
	}
	e.count(now)
}

// elected says whether a quorum of the ballots is for what b is for, and the
// leader confirms it.
func (e *election) elected(bs ballots, b ballot) bool {
	own := e.own
	own.round = e.round
	return e.quorum(bs, b) && bs.confirmed(b, e.sid, own)
}

// count looks whether the proposal has won, or begins to wait for that.
func (e *election) count(now time.Duration) {
	switch {
	case !quorum.Reached(e.backs, e.committed, e.seen):
		e.finalizing = false
	case e.final():
		e.decide(e.proposal)
	case !e.finalizing || e.awaited != e.proposal:
		e.finalizing, e.awaited, e.finalizeAt = true, e.proposal, now+e.finalize
	}
}

// quorum says whether the ballots that match b are a quorum: to lead, in each
// membership; to follow, in the committed one. Whoever leads sees to its quorums
// itself. A proposed membership that only this server has seen may have come to
// nothing, and then there may never be a quorum of it.
func (e *election) quorum(bs ballots, b ballot) bool {
	seen := e.seen
	if b.leader != e.sid {
		seen = nil
	}
	return quorum.Reached(func(id int64) bool {
		c, ok := bs[id]
		return ok && b.matches(c)
	}, e.committed, seen)
}

// backs says whether a server stands behind the proposal: it votes for it, or
// has settled with that leader in this round, and the leader leads. Of those
// that have settled the reference compares the epoch too; that is a new one as
// soon as they are synchronised.
func (e *election) backs(id int64) bool {
	c, ok := e.cast[id]
	return ok && (c.vote == e.proposal || c.state != proto.Looking && c.leader == e.proposal.leader && e.leads())
}

// leads says whether the proposed leader says that it leads.
func (e *election) leads() bool {
	c := e.cast[e.proposal.leader]
	return c.state == proto.Leading && c.leader == e.proposal.leader
}

// final says, of a proposal that has a quorum, that there is nothing to wait
// for: it leads already, or all voters that may be elected stand behind it or
// follow it (in an epoch that we do not know yet), but for those whose connection
// is lost. The leader itself must: it would be dialled in vain.
func (e *election) final() bool {
	if e.leads() {
		return true
	}
	leader := e.proposal.leader
	for _, id := range e.voters {
		c := e.cast[id]
		follows := c.state == proto.Following && c.leader == leader
		if !e.backs(id) && !follows && e.candidate(id) && (!e.lost[id] || id == leader) {
			return false
		}
	}
	return true
}

// beats says whether new is better than old (section 3.3).
func (e *election) beats(new, old vote) bool {
	return e.committed.Weight(new.leader) != 0 && new.after(old)
}

// candidate says whether a voter may be elected, in this membership or the next.
func (e *election) candidate(id int64) bool {
	return e.committed.Weight(id) != 0 || e.seen != nil && e.seen.Weight(id) != 0
}
