// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"
	"time"

	"paddock/internal/quorum"
	"paddock/jute"
	"paddock/proto"
)

// learner is a peer's part while it follows or observes (sections 5.3, 6.3).
//
// What a leader sends before NEWLEADER is its history. It is logged, and
// flushed, and then currentEpoch is saved, and only then NEWLEADER is
// acknowledged; the acknowledgement says all of that. What the leader proposes
// meanwhile waits until UPTODATE. None of it reaches the tree before UPTODATE,
// except after a SNAP: there the tree is the history, and goes to disk as a
// snapshot.
type learner struct {
	p      *Peer
	leader int64
	server int64         // whose learner it is: the leader, or an observer master
	dialAt time.Duration // when to dial; 0: it has
	began  time.Duration
	link   LinkID
	heard  time.Duration
	via    string

	observer bool
	epoch    int64 // offered, and accepted
	state    learnerState
	snap     bool       // the tree is ahead of the log until NEWLEADER
	tree     proto.Zxid // where the tree is, while snap
	upTo     proto.Zxid // where a DIFF says that the history ends
	previous proto.Zxid // of the proposals during synchronisation, for their order

	// Received during synchronisation and not logged; the first few are decided.
	early   []Entry
	decided int

	membership *quorum.Config // NEWLEADER's
	unacked    []proto.Zxid   // logged, on the way to the disk, to be acknowledged

	// A SNAP may show some of what was decided while it was sent, so a tree is not
	// shown before it has all that was decided by UPTODATE.
	shownAt proto.Zxid
	shown   bool
	syncs   []heldSync
	held    []Packet // behind a restore
	// Of an observer behind a master: what voters say of the leader.
	said      map[int64]said
	confirmed bool
	askAt     time.Duration
}

// heldSync is a leader's SYNC that waits for the tree: the transactions before
// it may be on their way to the disk.
type heldSync struct {
	packet proto.Packet
	zxid   proto.Zxid
}

type learnerState uint8

const (
	dialing   learnerState = iota
	sentInfo               // FOLLOWERINFO
	sentEpoch              // ACKEPOCH, or on its way when the epoch is saved
	history                // DIFF, TRUNC or SNAP has come
	saving                 // NEWLEADER has come, and is acknowledged when all is saved
	ackedHistory
	serving
)

func newLearner(p *Peer, leader int64) *learner {
	return &learner{p: p, leader: leader, server: leader, began: p.now, observer: p.role == proto.Observing, heard: p.now}
}

// start dials, once this peer is known to follow.
func (f *learner) start() {
	p := f.p
	wait := time.Duration(0)
	if f.observer {
		again := true
		if p.opt.MasterPort != 0 {
			f.server, again = p.masters.next(p)
		}
		if again {
			wait = p.part(p.opt.DialDelay)
		}
	}
	if wait == 0 {
		f.dial()
		return
	}
	f.dialAt = p.now + wait
	f.heard = f.dialAt
}

func (f *learner) dial() {
	p := f.p
	f.dialAt = 0
	m, ok := p.committed.Member(f.server)
	if !ok && p.seen != nil {
		m, ok = p.seen.Member(f.server)
	}
	if !ok {
		p.look(fmt.Sprintf("the elected leader %d is not in the membership", f.leader))
		return
	}
	d := &Dial{Leader: f.server, Member: m, Timeout: time.Duration(p.opt.ConnectLimit) * p.opt.Tick}
	if f.observer {
		d.Port = p.opt.MasterPort
	}
	p.out.Dial = d
}

func (f *learner) leave() {
	if f.link != 0 {
		f.p.close(f.link, "this server follows no more")
	}
}

func (f *learner) linkUp(id LinkID) {
	p := f.p
	f.link, f.state, f.heard = id, sentInfo, p.now
	k := packet(proto.PacketFollowerInfo, epochZxid(p.accepted))
	if f.observer {
		k.Type = proto.PacketObserverInfo
	}
	k.Data = jute.Marshal(&proto.LearnerInfo{ServerID: p.sid, Protocol: proto.QuorumProtocol, ConfigVersion: p.committed.Version})
	p.send(id, k)
}

// A connection that ends before the leader has said a word is as good as one
// that was refused, and the leader may just not be there yet: a forwarder between
// them takes it in any case. A leader that had to be elected anew each time would
// be dialled too early each time.
const (
	redialFor   = 500 * time.Millisecond
	redialPause = 20 * time.Millisecond
)

func (f *learner) linkDown(ev LinkDown) {
	if f.link == 0 && f.state != dialing {
		return
	}
	up := f.link != 0
	f.link = 0
	if up && f.state == sentInfo && f.server == f.leader && f.p.now < f.began+redialFor {
		f.state, f.dialAt = dialing, f.p.now+redialPause
		f.heard = f.dialAt
		return
	}
	if up && f.server == f.leader { // one that is gone is not waited for
		f.p.election.reachable(f.leader, false)
	}
	f.p.look("the connection to the leader has ended", "leader", f.leader, "by way of", f.server, "err", ev.Err)
}

func (f *learner) limit() time.Duration {
	switch {
	case f.state == dialing:
		// The driver gives up dialling by itself.
		return f.p.opt.init() + time.Duration(f.p.opt.ConnectLimit)*f.p.opt.Tick
	case f.state < saving:
		return f.p.opt.init()
	case f.state == saving:
		return 2 * f.p.opt.init() // a snapshot may be on its way to the disk
	}
	return f.p.opt.sync()
}

func (f *learner) tick() {
	if f.dialAt != 0 && f.p.now >= f.dialAt {
		f.dial()
		if f.p.learn != f {
			return
		}
	}
	if f.p.now >= f.heard+f.limit() && f.p.restoring == nil {
		f.p.look(fmt.Sprintf("nothing was heard of the leader for %s", f.limit()), "leader", f.leader)
		return
	}
	f.ask()
}

func (f *learner) wake() time.Duration {
	if f.p.restoring != nil {
		return never
	}
	if f.dialAt != 0 {
		return f.dialAt
	}
	if f.state == serving && f.doubts() {
		return min(f.askAt, f.heard+f.limit())
	}
	return f.heard + f.limit()
}

func (f *learner) received(ev Received) {
	f.heard = f.p.now
	f.process(ev.Packets)
}

func (f *learner) process(packets []Packet) {
	p := f.p
	if len(f.held) > 0 {
		f.held = append(f.held, packets...)
		packets, f.held = f.held, nil
	}
	for i := range packets {
		if p.restoring != nil {
			f.held = append(f.held, packets[i:]...)
			return
		}
		if err := f.packet(&packets[i]); err != nil {
			p.look(err.Error(), "leader", f.leader)
		}
		if p.learn != f || p.out.Stop != nil {
			return
		}
	}
	f.flush()
	if p.master != nil {
		p.master.settle()
	}
	p.deliver()
	f.settle()
}

func (f *learner) packet(k *Packet) error {
	switch {
	case k.Type == proto.PacketPing:
		if f.state == serving {
			// The driver adds whom it heard of.
			f.p.send(f.link, Packet{Packet: proto.Packet{Type: proto.PacketPing, Zxid: k.Zxid, Data: k.Data, Auth: k.Auth}})
		}
		if f.p.master != nil {
			f.p.master.ping()
		}
		return nil
	case f.state == sentInfo:
		return f.leaderInfo(k)
	case f.state == sentEpoch:
		return f.first(k)
	case f.state == history || f.state == saving || f.state == ackedHistory:
		return f.synchronise(k)
	case f.state == serving:
		return f.broadcast(k)
	}
	return fmt.Errorf("the leader sent a packet of type %d before it was asked", k.Type)
}
