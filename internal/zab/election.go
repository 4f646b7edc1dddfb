// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"math"
	"slices"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// never is a wake time that does not come.
const never = time.Duration(math.MaxInt64)

// askEvery bounds the wait between two questions of a server that does not
// vote. Nobody tells it of an election unasked, so with the reference's minute
// it would join up to a minute after the ensemble is back.
const askEvery = 5 * time.Second

// electionOptions are the settings of an election; none may be negative.
type electionOptions struct {
	sid       int64
	minNotify time.Duration // first wait before the vote is sent again: 200 ms
	maxNotify time.Duration // longest, as it doubles: 60 s
	finalize  time.Duration // how long a quorum waits for a better vote: 200 ms
}

// election is fast leader election (quorum-protocol.md section 3) of one
// server. It looks from begin on until decided, and otherwise answers those
// that look. Memberships come first.
//
// An election is for speed, not for safety: a server that leads without having
// the newest history of a quorum is found out in discovery (section 5.2), which
// costs time. So what is done here faster than in the reference is measured by
// whether servers still agree at the first try:
//
//   - A quorum waits (finalize) because a better vote may be on its way to some
//     of its servers, and they would turn away from the leader that the others
//     follow. Within a round a server's vote only ever gets better, and any vote
//     starts with the server it is for. So when all candidates stand behind one
//     vote there is no better one in this round, and nothing to wait for
//     (final). A candidate whose connection is known to be lost is not waited
//     for; if it is alive after all and better, it is a late joiner, as after the
//     wait.
//   - The wait is over at a fixed time. The reference begins it again with each
//     message; but a message that is no better vote says nothing new about who
//     might still come with one.
//   - The reference loses what arrives in the wait; here it is counted as at any
//     other time. So a server of a later round, or one that has settled, is not
//     overheard, and the count is taken back when a server changed its mind.
//   - The first vote of a server in a round is answered with ours, unless we just
//     sent it to all: the server may not have been looking when we did, and would
//     have to wait until one of us sends again. It is answered once, so two
//     servers do not answer each other for ever.
type election struct {
	electionOptions

	committed, seen *quorum.Config // seen is nil unless newer
	voters          []int64        // of both, rising
	config          string         // text of committed

	looking bool
	state   proto.PeerState // Looking but not looking: has not begun
	current vote            // what the server has settled with, or the end of the last election
	found   bool            // current is to be taken from decided
	round   int64           // "logicalclock": of this election, or the last

	own      vote    // what this server would stand for alone
	proposal vote    // what it stands for
	cast     ballots // of this round
	settled  ballots // of servers that follow or lead, of any round

	finalizing bool // a quorum stands behind the proposal
	awaited    vote // what finalizing waits for
	finalizeAt time.Duration
	resendAt   time.Duration
	interval   time.Duration // until the next resend

	lost map[int64]bool    // voters whose connection was lost and that have not been heard of since
	told map[int64]telling // what servers that do not vote were told in this search
	out  []Vote
}

func newElection(o electionOptions) *election {
	return &election{electionOptions: o, cast: ballots{}, settled: ballots{}, lost: map[int64]bool{},
		told: map[int64]telling{}}
}

// membership sets the committed configuration and, if a newer one was proposed,
// the last seen. Quorums are needed in both. It may change at any time; when
// the voters differ while the server looks, the owner begins again.
func (e *election) membership(committed, seen *quorum.Config) {
	if seen != nil && seen.Version <= committed.Version {
		seen = nil
	}
	e.committed, e.seen, e.config = committed, seen, committed.String()
	e.voters = committed.Voters()
	if seen != nil {
		e.voters = append(e.voters, seen.Voters()...)
		slices.Sort(e.voters)
		e.voters = slices.Compact(e.voters)
	}
}

// begin starts to look for a leader, or starts over: a new round, in which this
// server first stands for own (section 3.2; its round is not used).
func (e *election) begin(now time.Duration, own vote) {
	e.looking, e.state, e.found = true, proto.Looking, false
	e.round++
	e.own, e.interval, e.finalizing = own, e.minNotify, false
	clear(e.cast)
	clear(e.settled)
	clear(e.told)
	e.propose(now, own)
	e.count(now)
}

// tick does what is due by now. A membership that changed counts from the next
// tick on.
func (e *election) tick(now time.Duration) {
	if !e.looking {
		return
	}
	e.count(now)
	switch {
	case !e.looking:
	case e.finalizing && now >= e.finalizeAt:
		e.decide(e.proposal)
	case !e.finalizing && now >= e.resendAt:
		e.interval = min(2*e.interval, e.longest())
		e.broadcast(now)
	}
}

// longest is the longest wait before the vote is sent again.
func (e *election) longest() time.Duration {
	if e.isVoter(e.sid) {
		return e.maxNotify
	}
	return min(e.maxNotify, askEvery)
}

// wake is when tick is needed next, on the clock of now.
func (e *election) wake() time.Duration {
	switch {
	case !e.looking:
		return never
	case e.finalizing:
		return e.finalizeAt
	}
	return e.resendAt
}

// reachable says that the election connection to a server has come up, or was
// lost. A server that was never connected counts as about to come, and is
// waited for: at the start of an ensemble the best may be the last. The owner
// also reports the loss of the leader's quorum connection here, before begin.
func (e *election) reachable(sid int64, up bool) {
	if up || !e.isVoter(sid) {
		delete(e.lost, sid)
		return
	}
	e.lost[sid] = true
	if e.finalizing && e.final() {
		e.decide(e.proposal)
	}
}

// decided returns the vote that won, once.
func (e *election) decided() (vote, bool) {
	if !e.found {
		return vote{}, false
	}
	e.found = false
	return e.current, true
}

// settle says that the server is in a role, standing for v: after decided, or
// without an election after a reconfig (section 13.4). It looks no longer.
func (e *election) settle(state proto.PeerState, v vote) {
	e.stop()
	e.found, e.state, e.current = false, state, v
}

// setPeerEpoch changes the vote that others are answered with to the epoch
// agreed on with the leader, at the end of synchronisation. Round and zxid stay
// as elected (section 3.5).
func (e *election) setPeerEpoch(epoch int64) { e.current.peerEpoch = epoch }

// take returns the messages to be sent since the last call. The slice is used
// again by whatever is called next.
func (e *election) take() []Vote {
	out := e.out
	e.out = e.out[:0]
	return out
}

// decide ends the search. The queue of the reference is thrown away here; ours
// holds nothing.
func (e *election) decide(v vote) {
	e.stop()
	e.found, e.current = true, v
	switch m, ok := e.committed.Member(e.sid); {
	case v.leader == e.sid:
		e.state = proto.Leading
	case ok && m.Observer:
		e.state = proto.Observing
	default:
		e.state = proto.Following
	}
}

func (e *election) stop() {
	e.looking, e.finalizing = false, false
	clear(e.cast)
	clear(e.settled)
}

// propose makes v this server's vote in the round and tells all voters, itself
// too.
func (e *election) propose(now time.Duration, v vote) {
	v.round = e.round
	e.proposal = v
	if e.isVoter(e.sid) && e.isVoter(v.leader) && e.own.zxid != untrusted {
		e.cast[e.sid] = ballot{vote: v, state: proto.Looking}
	}
	e.broadcast(now)
}

// broadcast sends the proposal to all voters (section 3.4, end).
func (e *election) broadcast(now time.Duration) {
	for _, id := range e.voters {
		if id != e.sid {
			e.send(id, e.proposal)
		}
	}
	e.resendAt = now + e.interval
}

func (e *election) send(to int64, v vote) {
	e.out = append(e.out, Vote{To: to, Note: proto.Notification{State: e.state, Leader: v.leader, Zxid: v.zxid,
		ElectionEpoch: v.round, PeerEpoch: v.peerEpoch, Version: 2, Config: e.config}})
}

func (e *election) isVoter(id int64) bool {
	_, ok := slices.BinarySearch(e.voters, id)
	return ok
}
