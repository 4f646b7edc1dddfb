// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"encoding/binary"
	"fmt"
	"slices"

	"paddock/proto"
)

// propose logs transactions and sends them to the followers.
func (l *leader) propose(entries []Entry) {
	p := l.p
	if !l.serving || l.mute || l.leaving || len(entries) == 0 || entries[0].Zxid != l.proposed+1 {
		return // of an earlier reign, or one that is over: proposed again by the next
	}
	for i := range entries {
		if entries[i].Zxid.Counter() > p.opt.CounterMax || entries[i].Zxid != l.proposed+proto.Zxid(i+1) {
			l.proposeAll(entries[:i])
			l.roll()
			return
		}
	}
	l.proposeAll(entries)
	if l.proposed.Counter() >= p.opt.CounterMax {
		l.roll()
	}
}

func (l *leader) proposeAll(entries []Entry) {
	if len(entries) == 0 {
		return
	}
	p := l.p
	l.proposed = entries[len(entries)-1].Zxid
	p.append(entries, nil)
	var packets []Packet
	for _, e := range entries {
		packets = append(packets, proposal(proto.PacketProposal, e))
		if e.Config != nil {
			l.reconfig = e.Zxid
			p.proposed(e.Config)
		}
	}
	for _, f := range l.learners {
		if f.forward && !f.observer {
			p.send(f.link, packets...)
			l.track(f, l.proposed)
		}
	}
	if p.opt.Unsafe.AckBeforeFlush {
		l.advance()
	}
}

func (r *roster) track(f *learnerLink, z proto.Zxid) {
	f.sentUpTo = z
	f.tracks = z
	if f.tracked == 0 {
		f.tracked, f.since = z, r.p.now
	}
}

func proposal(t proto.PacketType, e Entry) Packet {
	return Packet{Packet: proto.Packet{Type: t, Zxid: e.Zxid, Data: e.Data}, Config: e.Config}
}

// ack is a follower's word that it has all up to z on disk.
func (l *leader) ack(f *learnerLink, z proto.Zxid) {
	if f.stage == inSync {
		if z != epochZxid(l.p.epoch) {
			l.drop(f, fmt.Sprintf("it acknowledged %s before the new epoch", z))
			return
		}
		f.stage = hasAcked
		f.deadline = l.p.now + l.p.opt.sync()
		if f.tracked != 0 {
			f.since = l.p.now
		}
		l.checkNewLeader()
		if l.serving && f.stage == hasAcked {
			l.upToDate(f)
		}
		return
	}
	switch {
	case f.stage < inSync:
		l.drop(f, "it acknowledged what was not sent")
	case z.Counter() == 0 || z <= f.acked: // the second one of the epoch
	case z > f.sentUpTo:
		l.drop(f, fmt.Sprintf("it acknowledged %s, which was not sent", z))
	default:
		f.acked = z
		if f.tracked != 0 && z >= f.tracked {
			if f.tracked = 0; f.tracks > z {
				f.tracked, f.since = f.tracks, l.p.now
			}
		}
	}
}

// saved is called when this server's own disk has more.
func (l *leader) saved() { l.advance() }

// advance commits what quorums have (section 10.2). Acks rise in order, so that
// one stands for all before it.
func (l *leader) advance() {
	p := l.p
	if !l.serving {
		return
	}
	for !l.mute && p.decided < p.last {
		z := l.quorumZxid()
		if z <= p.decided {
			break
		}
		if l.reconfig != 0 && p.decided < l.reconfig && z >= l.reconfig {
			z = l.reconfig
		}
		l.commit(z)
	}
	p.deliver()
	l.passBarriers()
	l.tryLeave()
}

// quorumZxid is the last zxid that has the quorums it needs.
func (l *leader) quorumZxid() proto.Zxid {
	p := l.p
	at := func(sid int64) int64 {
		if sid == p.sid {
			if p.opt.Unsafe.AckBeforeFlush {
				return int64(p.last)
			}
			return int64(p.durable)
		}
		best := int64(-1 << 63)
		for _, f := range l.learners {
			if f.sid == sid && !f.observer {
				best = max(best, int64(f.acked))
			}
		}
		return best
	}
	z := proto.Zxid(p.committed.CommittedUpTo(at))
	if l.old != nil && z > p.decided {
		if o := proto.Zxid(l.old.CommittedUpTo(at)); o < min(z, l.oldUpTo) {
			z = o
		}
	}
	if p.seen != nil && l.reconfig != 0 && z >= l.reconfig {
		z = max(l.reconfig-1, min(z, proto.Zxid(p.seen.CommittedUpTo(at))))
	}
	return min(z, p.last)
}

// commit decides all up to z, and tells.
func (l *leader) commit(z proto.Zxid) {
	p := l.p
	var commits, informs []Packet
	activated := false
	informing := slices.ContainsFunc(l.learners, func(f *learnerLink) bool { return f.forward && f.observer })
	for _, e := range p.pending {
		if e.Zxid <= p.decided {
			continue
		}
		if e.Zxid > z {
			break
		}
		if e.Config != nil && e.Zxid == l.reconfig {
			activated = true
			heir := l.heirOf(e)
			id := binary.BigEndian.AppendUint64(nil, uint64(heir))
			c := packet(proto.PacketCommitAndActivate, e.Zxid)
			c.Data = id
			i := packet(proto.PacketInformAndActivate, e.Zxid)
			i.Data = append(id[:8:8], e.Data...)
			i.Config = e.Config
			commits, informs = append(commits, c), append(informs, i)
			if heir != p.sid {
				l.mute, l.heir = true, heir
			}
			continue
		}
		commits = append(commits, packet(proto.PacketCommit, e.Zxid))
		if informing {
			informs = append(informs, proposal(proto.PacketInform, e))
		}
	}
	p.decided = z
	if l.old != nil && z >= l.oldUpTo {
		l.old = nil
	}
	for _, f := range l.learners {
		switch {
		case !f.forward:
		case f.observer:
			l.tell(f, informs)
			f.sentUpTo = z
		default:
			l.tell(f, commits)
		}
	}
	if activated {
		l.reconfig = 0
		l.old, l.oldUpTo = p.committed, l.proposed
		if l.oldUpTo <= z {
			l.old = nil
		}
		if p.seen != nil {
			p.adopt(p.seen)
		}
	}
}

// tell sends what was decided to a learner. A learner of Apache's takes the
// answers to what it forwarded in the order in which it did that, and is lost in
// it for ever when a write overtakes a sync. So a sync is answered before the
// first transaction that was proposed after it. That may be sooner than a
// quorum has answered a ping, and needs none: a quorum has followed this leader
// after the sync came, when it took that transaction.
func (l *leader) tell(f *learnerLink, decided []Packet) {
	kept := l.barriers[:0]
	for _, b := range l.barriers {
		at := slices.IndexFunc(decided, func(k Packet) bool { return k.Zxid > b.zxid })
		if b.Link != f.link || at < 0 {
			kept = append(kept, b)
			continue
		}
		l.p.send(f.link, decided[:at:at]...)
		l.p.send(f.link, packet(proto.PacketSync, 0))
		decided = decided[at:]
	}
	l.barriers = kept
	l.p.send(f.link, decided...)
}

// heirOf chooses who leads under a new membership: this server if it still
// votes, else the voter that has acknowledged most.
func (l *leader) heirOf(e Entry) int64 {
	if e.Config.IsVoter(l.p.sid) {
		was, _ := l.p.committed.Member(l.p.sid)
		is, _ := e.Config.Member(l.p.sid)
		if sameQuorumPorts(was.Addrs, is.Addrs) {
			return l.p.sid
		}
	}
	heir, most := l.p.sid, proto.Zxid(0)
	for _, f := range l.learners {
		if !f.observer && e.Config.IsVoter(f.sid) && f.acked >= e.Zxid && (f.acked > most || f.acked == most && f.sid > heir) {
			heir, most = f.sid, f.acked
		}
	}
	return heir
}
