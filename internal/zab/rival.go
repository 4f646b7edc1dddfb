// SPDX-License-Identifier: Apache-2.0

package zab

import "paddock/proto"

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
