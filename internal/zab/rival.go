// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"math"

	"paddock/proto"
)

// rival looks at what others say while this server waits for a quorum to follow
// it. A server that joins a running ensemble may have been elected by stale votes
// (section 2.3) before the answers of those that have a leader arrive: where a
// quorum has another one, who says so itself, nobody will come, and waiting for
// them until initLimit serves no one.
func (l *leader) rival(ev Notified) {
	if l.synchronise || ev.Note.State != proto.Leading && ev.Note.State != proto.Following || ev.Note.PeerEpoch < l.p.current {
		return
	}
	if l.follows == nil {
		l.follows = map[int64]int64{}
	}
	other := ev.Note.Leader
	l.follows[ev.From] = other
	if other == l.p.sid || l.follows[other] != other {
		return
	}
	if l.p.committed.Quorum(func(id int64) bool { return l.follows[id] == other && id != l.p.sid }) {
		l.p.look("a quorum follows another leader", "leader", other)
	}
}

// said is whom a voter follows, and since which epoch.
type said struct{ leader, peerEpoch int64 }

// rival looks at what voters say while this server observes behind a master. It
// may have been told of a leader by stale votes; behind the port of that one it
// would have noticed, but a master serves observers of the leader that it has.
func (f *learner) rival(ev Notified) {
	if !f.doubts() || ev.Note.State != proto.Leading && ev.Note.State != proto.Following {
		return
	}
	if f.said == nil {
		f.said = map[int64]said{}
	}
	f.said[ev.From] = said{ev.Note.Leader, ev.Note.PeerEpoch}
	f.confirm()
}

// doubts tells whether this server knows its leader by hearsay.
func (f *learner) doubts() bool { return f.p.opt.MasterPort != 0 && f.observer && !f.confirmed }

// confirm takes for the leader whom a quorum, and that server, say to lead the
// epoch that is served.
func (f *learner) confirm() {
	if f.state < sentEpoch {
		return
	}
	for _, s := range f.said {
		if s.peerEpoch != f.epoch || f.said[s.leader] != s ||
			!f.p.committed.Quorum(func(id int64) bool { return f.said[id] == s }) {
			continue
		}
		f.confirmed = true
		if s.leader != f.leader {
			f.leader = s.leader
			if f.shown {
				f.p.became()
			}
		}
		return
	}
}

// ask asks all voters whom they follow, now and then, while that is in doubt.
func (f *learner) ask() {
	if f.state != serving || !f.doubts() || f.p.now < f.askAt {
		return
	}
	f.askAt = f.p.now + askEvery
	for _, id := range f.p.committed.Voters() {
		f.p.out.Votes = append(f.p.out.Votes, Vote{To: id, Note: proto.Notification{State: proto.Looking, Leader: math.MinInt64, Zxid: math.MinInt64,
			ElectionEpoch: f.p.election.round, PeerEpoch: math.MinInt64, Version: 2, Config: f.p.committed.String()}})
	}
}
