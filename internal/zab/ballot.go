// SPDX-License-Identifier: Apache-2.0

package zab

import "paddock/proto"

// untrusted is the zxid of a server whose data directory may have been wiped:
// it votes for nobody and nobody votes for it (quorum-protocol.md section 3.5).
const untrusted proto.Zxid = -1

// vote is what a server stands for (section 3.1).
type vote struct {
	leader    int64      // proposed; -2^63 of a server that is no candidate
	zxid      proto.Zxid // last logged of the proposed leader
	round     int64      // electionEpoch: which election of the sender it belongs to
	peerEpoch int64      // currentEpoch of the proposed leader
}

// after says whether v comes after o in the order of votes, all signed
// (section 3.3). It does not know of weights.
func (v vote) after(o vote) bool {
	if v.peerEpoch != o.peerEpoch {
		return v.peerEpoch > o.peerEpoch
	}
	if v.zxid != o.zxid {
		return v.zxid > o.zxid
	}
	return v.leader > o.leader
}

// ballot is a vote as a server has cast it.
type ballot struct {
	vote
	state   proto.PeerState
	version int32 // of the notification; 0 where section 3.5 says so
}

// matches says whether two ballots are for the same outcome (section 3.5). Of
// servers that have settled, the round and the zxid may differ: those that
// joined later know neither as the first did.
func (b ballot) matches(o ballot) bool {
	switch {
	case b.state == proto.Looking || o.state == proto.Looking:
		return b.vote == o.vote
	case (b.version > 0) != (o.version > 0):
		return b.leader == o.leader
	}
	return b.leader == o.leader && b.peerEpoch == o.peerEpoch
}

// ballots are the last of each server, by its sid.
type ballots map[int64]ballot

// confirmed says whether the leader itself stands behind b: a quorum that
// follows a server which does not know that it leads, or no longer does, leads
// nowhere. own is what this server stands for alone in its round: if it is the
// leader, that must be what it was elected with. The reference compares only the
// round; so a leader that comes back in the round of its past election leads
// learners that are about to notice that it was gone.
func (bs ballots) confirmed(b ballot, self int64, own vote) bool {
	if b.leader == self {
		return b.vote == own
	}
	return bs[b.leader].state == proto.Leading
}
