// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"paddock/jute"
	"paddock/proto"
)

type learnerStage uint8

const (
	isNew    learnerStage = iota // nothing heard
	hasInfo                      // FOLLOWERINFO
	hasEpoch                     // ACKEPOCH
	inSync                       // sent NEWLEADER
	hasAcked                     // acknowledged it
	isServed                     // sent UPTODATE
)

// learnerLink is a learner as its leader knows it.
type learnerLink struct {
	link     LinkID
	sid      int64
	observer bool
	stage    learnerStage

	hasEpochNow bool // it counts for the new epoch
	last        proto.Zxid
	probing     bool
	forward     bool       // proposals and commits go to it
	sentUpTo    proto.Zxid // the last transaction sent
	acked       proto.Zxid

	heard    time.Duration
	deadline time.Duration // until when it counts as synced
	tracked  proto.Zxid    // a proposal whose ack is awaited
	since    time.Duration
	tracks   proto.Zxid // the last proposal sent

	rounds    []uint64 // pings sent and not answered
	confirmed uint64
}

// roster is the learners of a server that brings others up to date: of a leader,
// or of a follower that is an observer master.
type roster struct {
	p        *Peer
	learners []*learnerLink // in the order they came
	byLink   map[LinkID]*learnerLink
	unnamed  int64 // sids handed to learners without one, falling from -1
}

func newRoster(p *Peer) roster { return roster{p: p, byLink: map[LinkID]*learnerLink{}} }

func (r *roster) linkUp(id LinkID) {
	o := &r.p.opt
	f := &learnerLink{link: id, heard: r.p.now, deadline: r.p.now + o.init() + o.sync()}
	r.learners = append(r.learners, f)
	r.byLink[id] = f
}

// left forgets a learner whose connection has ended.
func (r *roster) left(ev LinkDown) {
	f := r.byLink[ev.Link]
	if f == nil {
		return
	}
	if f.stage >= hasEpoch {
		r.p.line(false, "a learner has left", "sid", f.sid, "because", ev.Err)
	}
	r.forget(f)
}

func (r *roster) forget(f *learnerLink) {
	delete(r.byLink, f.link)
	for i := range r.learners {
		if r.learners[i] == f {
			r.learners = append(r.learners[:i:i], r.learners[i+1:]...)
			break
		}
	}
}

// drop closes the link of a learner that is of no use.
func (r *roster) drop(f *learnerLink, why string) {
	r.p.line(true, "a learner is let go", "sid", f.sid, "because", why)
	r.p.close(f.link, why)
	r.forget(f)
}

// heard notes that a learner has sent something; nil for an unknown one.
func (r *roster) heard(id LinkID) *learnerLink {
	f := r.byLink[id]
	if f == nil {
		return nil
	}
	now, limit := r.p.now, r.p.opt.sync()
	f.heard = now
	f.deadline = max(f.deadline, now+limit)
	if f.stage >= hasAcked {
		f.deadline = now + limit
	}
	return f
}

// introduce reads a learner's first packet, or says why it cannot be one.
func (r *roster) introduce(f *learnerLink, k *Packet) (why string) {
	switch k.Type {
	case proto.PacketFollowerInfo:
	case proto.PacketObserverInfo:
		f.observer = true
	default:
		return fmt.Sprintf("its first packet is of type %d", k.Type)
	}
	var info proto.LearnerInfo
	switch len(k.Data) {
	case 20:
		if err := jute.Unmarshal(k.Data, &info); err != nil {
			return err.Error()
		}
	case 12:
		info.ServerID = int64(binary.BigEndian.Uint64(k.Data))
		info.Protocol = int32(binary.BigEndian.Uint32(k.Data[8:]))
	default: // of servers before 3.4, which know no LEADERINFO
		info.Protocol = 1
	}
	f.sid = info.ServerID
	switch {
	case info.Protocol < proto.QuorumProtocol:
		return "it speaks the protocol of servers before 3.4"
	case info.ConfigVersion > r.p.committed.Version:
		return "it knows a newer membership than this server"
	}
	if f.sid < 0 {
		r.unnamed--
		f.sid = r.unnamed
	}
	for _, g := range r.learners {
		if g != f && g.sid == f.sid && g.stage > isNew {
			r.drop(g, "it has connected again")
			break
		}
	}
	return ""
}

// offer sends a learner the epoch that it is to follow in.
func (r *roster) offer(f *learnerLink, epoch int64) {
	k := packet(proto.PacketLeaderInfo, epochZxid(epoch))
	k.Data = binary.BigEndian.AppendUint32(nil, uint32(proto.QuorumProtocol))
	r.p.send(f.link, k)
}

// position reads ACKEPOCH: where a learner stands. current is -1 of one that
// had accepted the epoch before.
func (f *learnerLink) position(k *Packet) (current int64, why string) {
	if k.Type != proto.PacketAckEpoch || len(k.Data) < 4 {
		return 0, fmt.Sprintf("it sent a packet of type %d for ACKEPOCH", k.Type)
	}
	f.last, f.stage, f.acked = k.Zxid, hasEpoch, 0
	return int64(int32(binary.BigEndian.Uint32(k.Data))), ""
}

func (r *roster) upToDate(f *learnerLink) {
	f.stage = isServed
	r.p.send(f.link, packet(proto.PacketUpToDate, -1))
	r.p.line(false, "a learner is up to date", "sid", f.sid, "observer", f.observer)
}

func (r *roster) dropOverdue() {
	if !slices.ContainsFunc(r.learners, func(f *learnerLink) bool { return r.overdue(f) != "" }) {
		return
	}
	for _, f := range slices.Clone(r.learners) { // drop takes them out
		if why := r.overdue(f); why != "" {
			r.drop(f, why)
		}
	}
}

// overdue says why a learner is given up, if it is.
func (r *roster) overdue(f *learnerLink) string {
	o := &r.p.opt
	limit := o.init()
	if f.stage >= hasAcked {
		limit = o.sync()
	}
	if r.p.now >= f.heard+limit {
		return fmt.Sprintf("nothing was heard of it for %s", limit)
	}
	if f.tracked != 0 && f.stage >= hasAcked && r.p.now >= f.since+o.sync() {
		return fmt.Sprintf("it has not acknowledged %s for %s", f.tracked, o.sync())
	}
	return ""
}

// nextOverdue is when the first learner will be, if nothing comes.
func (r *roster) nextOverdue() time.Duration {
	o := &r.p.opt
	at := never
	for _, f := range r.learners {
		limit := o.init()
		if f.stage >= hasAcked {
			limit = o.sync()
			if f.tracked != 0 {
				at = min(at, f.since+o.sync())
			}
		}
		at = min(at, f.heard+limit)
	}
	return at
}
