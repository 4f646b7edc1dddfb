// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"encoding/binary"
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

func (f *learner) leaderInfo(k *Packet) error {
	p := f.p
	epoch := int64(k.Zxid) >> 32
	switch {
	case k.Type != proto.PacketLeaderInfo:
		return fmt.Errorf("the leader sent a packet of type %d for LEADERINFO", k.Type)
	case epoch < p.accepted:
		return fmt.Errorf("the leader's epoch %d is before the accepted one, %d", epoch, p.accepted)
	}
	f.epoch, f.state = epoch, sentEpoch
	f.confirm()
	ack := func(current int64) {
		a := packet(proto.PacketAckEpoch, p.last)
		a.Data = binary.BigEndian.AppendUint32(nil, uint32(int32(current)))
		p.send(f.link, a)
	}
	if epoch == p.accepted {
		ack(-1)
		return nil
	}
	p.accepted = epoch
	p.disk(DiskOp{AcceptedEpoch: &epoch}, 0, func() { ack(p.current) })
	return nil
}

// first begins the synchronisation.
func (f *learner) first(k *Packet) error {
	p := f.p
	f.state = history
	p.epoch, p.stage = f.epoch, Synchronization
	switch k.Type {
	case proto.PacketDiff:
		f.via, f.upTo = "DIFF", k.Zxid
	case proto.PacketTrunc:
		f.via = "TRUNC"
		z := k.Zxid
		reload := p.applied > z
		if p.opt.Unsafe.KeepTruncated {
			reload = false
		}
		if p.volatile && !reload {
			p.cut(z) // which the disk never had
			break
		}
		volatile := p.volatile
		p.restore(Restore{Zxid: z, Reload: reload}, func(Restored) {
			if volatile || p.last != z {
				// The disk has less than the leader thinks, which sends what comes after z.
				p.look("the log has less than it was to be cut to", "zxid", p.last, "cut to", z)
				return
			}
			f.resume()
		})
		p.cut(z)
	case proto.PacketSnap:
		f.via = "SNAP"
		z := k.Zxid
		p.restore(Restore{Link: f.link, Zxid: z}, func(Restored) {
			f.snap, f.tree = true, z
			f.resume()
		})
	default:
		return fmt.Errorf("the leader sent a packet of type %d for DIFF, TRUNC or SNAP", k.Type)
	}
	p.became()
	return nil
}

func (f *learner) resume() {
	f.heard = f.p.now
	f.process(nil)
}

func (f *learner) synchronise(k *Packet) error {
	p := f.p
	e := Entry{Zxid: k.Zxid, Data: k.Data, Config: k.Config}
	switch k.Type {
	case proto.PacketProposal:
		return f.hear(e, false)
	case proto.PacketInform:
		return f.hear(e, true)
	case proto.PacketInformAndActivate:
		if len(k.Data) < 8 {
			return fmt.Errorf("INFORMANDACTIVATE %s without a leader", k.Zxid)
		}
		e.Data = k.Data[8:]
		if err := f.hear(e, true); err != nil {
			return err
		}
		return f.activate(k.Zxid, k.Config, k.Data)
	case proto.PacketCommit:
		if p.opt.Unsafe.DropEarlyCommit && f.state != history {
			return nil
		}
		return f.decide(k.Zxid)
	case proto.PacketCommitAndActivate:
		c := f.configOf(k.Zxid)
		if err := f.decide(k.Zxid); err != nil {
			return err
		}
		return f.activate(k.Zxid, c, k.Data)
	case proto.PacketNewLeader:
		return f.newLeader(k)
	case proto.PacketUpToDate:
		return f.upToDate()
	case proto.PacketRevalidate, proto.PacketSync:
		return nil // of requests that another role asked
	}
	return fmt.Errorf("the leader sent a packet of type %d during synchronisation", k.Type)
}

// hear keeps a transaction of the leader's history, or one it proposes
// meanwhile.
func (f *learner) hear(e Entry, decided bool) error {
	// The first is taken as it is; a hole after that would stay for ever
	// (ZOOKEEPER-4925).
	if f.previous != 0 && e.Zxid != f.previous+1 && e.Zxid.Epoch() <= f.previous.Epoch() {
		return fmt.Errorf("the leader sent %s after %s", e.Zxid, f.previous)
	}
	f.previous = e.Zxid
	f.p.proposed(e.Config)
	f.early = append(f.early, e)
	if decided {
		return f.decide(e.Zxid)
	}
	return nil
}

// decide notes that the next transaction is committed.
func (f *learner) decide(z proto.Zxid) error {
	p := f.p
	if f.decided >= len(f.early) || f.early[f.decided].Zxid != z {
		return fmt.Errorf("the leader committed %s, which is not the next of its proposals", z)
	}
	if !f.snap {
		f.decided++
		return nil
	}
	// After a SNAP the history goes into the tree; some of it may be there.
	e := f.early[f.decided]
	f.early = f.early[1:]
	p.out.Commit = append(p.out.Commit, e)
	p.window.add(e)
	f.tree = max(f.tree, z)
	return nil
}

// newLeader makes the history durable, then acknowledges it.
func (f *learner) newLeader(k *Packet) error {
	p := f.p
	if f.state != history {
		return fmt.Errorf("the leader sent NEWLEADER twice")
	}
	if k.Zxid != epochZxid(f.epoch) {
		return fmt.Errorf("the leader sent NEWLEADER %s in epoch %d", k.Zxid, f.epoch)
	}
	f.state = saving
	if k.Config != nil {
		f.membership = k.Config
		p.proposed(k.Config)
	}
	epoch := f.epoch
	ack := func() {
		f.state = ackedHistory
		f.heard = p.now
		p.send(f.link, packet(proto.PacketAck, epochZxid(epoch)))
	}
	saveEpoch := func(then func()) {
		p.current = epoch
		p.disk(DiskOp{CurrentEpoch: &epoch}, 0, then)
	}
	unsafe := p.opt.Unsafe
	if f.snap { // the defects were those of a DIFF
		unsafe.AckNewLeaderBeforeLog, unsafe.AckBeforeSync = false, false
	}
	if unsafe.EpochBeforeLog {
		saveEpoch(nil)
	}
	switch {
	case f.snap:
		if p.last > f.tree {
			// The log has what the leader never had.
			z := f.tree
			p.disk(DiskOp{Truncate: &z}, 0, nil)
		}
		f.snap = false
		z := f.tree
		p.disk(DiskOp{Snapshot: true}, 0, nil)
		p.marks = append(p.marks, mark{op: p.ops, zxid: z, snap: true})
	case unsafe.AckNewLeaderBeforeLog: // it is logged after UPTODATE, with the rest
	default:
		if err := f.log(f.decided); err != nil {
			return err
		}
		if p.last < f.upTo {
			return fmt.Errorf("the leader's history was to reach %s and ends with %s", f.upTo, p.last)
		}
	}
	switch {
	case unsafe.AckNewLeaderBeforeLog || unsafe.AckBeforeSync:
		ack()
		if !unsafe.EpochBeforeLog {
			saveEpoch(nil)
		}
	case unsafe.EpochBeforeLog:
		if n := len(p.marks); n > 0 {
			p.marks[n-1].then = ack
		} else {
			ack()
		}
	default:
		saveEpoch(ack)
	}
	return nil
}

// log appends the first n of what was received early. What the log has already
// was sent twice, which must be borne.
func (f *learner) log(n int) error {
	p := f.p
	entries := f.early[:n:n]
	f.early, f.decided = f.early[n:], 0
	for len(entries) > 0 && entries[0].Zxid <= p.last {
		entries = entries[1:]
	}
	if len(entries) > 0 && !follows(p.last, entries[0].Zxid) {
		return fmt.Errorf("the leader sent %s to a log that ends with %s", entries[0].Zxid, p.last)
	}
	p.append(entries, nil)
	return nil
}

// follows tells whether z can be the transaction after last: the next, or the
// first of a later epoch.
func follows(last, z proto.Zxid) bool {
	return z == last+1 || z.Epoch() > last.Epoch() && z.Counter() == 1
}

// upToDate begins to serve: all that was acknowledged with NEWLEADER is
// committed.
func (f *learner) upToDate() error {
	p := f.p
	if f.state != ackedHistory {
		return fmt.Errorf("the leader sent UPTODATE before NEWLEADER was acknowledged")
	}
	f.state = serving
	p.stage = Broadcast
	if p.opt.Unsafe.HolesInWindow {
		p.window.unseen = p.last
	}
	p.decided = p.last
	if p.opt.Reconfig && f.membership != nil && f.membership.Version > p.committed.Version {
		if f.major(f.membership, f.leader) {
			return fmt.Errorf("the membership has given this server another part")
		}
		p.adopt(f.membership)
	}
	p.forgetSeen(p.committed.Version, f.epoch)
	p.send(f.link, packet(proto.PacketAck, epochZxid(f.epoch)))
	p.election.setPeerEpoch(f.epoch)
	early, decided := f.early, f.decided
	f.early, f.decided = nil, 0
	for i, e := range early {
		if err := f.logProposal(e); err != nil {
			return err
		}
		if i < decided {
			p.decided = max(p.decided, e.Zxid)
		}
	}
	f.shownAt = p.decided
	p.deliver()
	f.settle()
	return nil
}

// settle does what waited for the tree.
func (f *learner) settle() {
	p := f.p
	if f.state == serving && !f.shown && p.applied >= f.shownAt {
		f.shown = true
		p.became()
		if !f.observer && p.opt.MasterPort != 0 {
			p.master = newMaster(p)
		}
		p.line(false, "following", "leader", f.leader, "epoch", f.epoch, "by", f.via, "zxid", p.last)
	}
	for len(f.syncs) > 0 && p.applied >= f.syncs[0].zxid {
		p.out.Replies = append(p.out.Replies, f.syncs[0].packet)
		f.syncs = f.syncs[1:]
	}
}

// broadcast handles what comes while serving.
func (f *learner) broadcast(k *Packet) error {
	p := f.p
	e := Entry{Zxid: k.Zxid, Data: k.Data, Config: k.Config}
	switch k.Type {
	case proto.PacketProposal:
		return f.logProposal(e)
	case proto.PacketCommit:
		return f.commit(k.Zxid, nil)
	case proto.PacketCommitAndActivate:
		c := f.configOf(k.Zxid)
		if err := f.commit(k.Zxid, k.Data); err != nil {
			return err
		}
		return f.activate(k.Zxid, c, k.Data)
	case proto.PacketInform:
		return f.inform(e)
	case proto.PacketInformAndActivate:
		if len(k.Data) < 8 {
			return fmt.Errorf("INFORMANDACTIVATE %s without a leader", k.Zxid)
		}
		e.Data = k.Data[8:]
		if err := f.inform(e); err != nil {
			return err
		}
		return f.activate(k.Zxid, k.Config, k.Data)
	case proto.PacketSync, proto.PacketRevalidate:
		if k.For != 0 {
			if p.master != nil {
				p.master.answer(k)
			}
			return nil
		}
		if k.Type == proto.PacketRevalidate {
			p.out.Replies = append(p.out.Replies, k.Packet)
			return nil
		}
		f.syncs = append(f.syncs, heldSync{k.Packet, p.decided})
		return nil
	case proto.PacketUpToDate:
		return nil
	}
	return fmt.Errorf("the leader sent a packet of type %d", k.Type)
}

// logProposal logs a proposal and acknowledges it when it is durable.
func (f *learner) logProposal(e Entry) error {
	p := f.p
	if e.Zxid <= p.last {
		// Part of the tree that came, or sent twice: the leader waits for the ack
		// all the same.
		if !f.observer {
			f.unacked = append(f.unacked, e.Zxid)
		}
		return nil
	}
	if !follows(p.last, e.Zxid) {
		return fmt.Errorf("the leader proposed %s after %s", e.Zxid, p.last)
	}
	p.proposed(e.Config)
	// One append for all of a batch.
	if n := len(p.out.Disk); p.logs() && n > 0 && p.out.Disk[n-1].Append != nil && len(p.marks) > 0 && p.marks[len(p.marks)-1].op == p.ops {
		d := &p.out.Disk[n-1]
		d.Append = append(d.Append, e)
		p.marks[len(p.marks)-1].zxid = e.Zxid
		p.last = e.Zxid
		p.pending = append(p.pending, e)
	} else {
		p.append([]Entry{e}, nil)
	}
	if !f.observer {
		if p.opt.Unsafe.AckBeforeFlush {
			p.send(f.link, packet(proto.PacketAck, e.Zxid))
		} else {
			f.unacked = append(f.unacked, e.Zxid)
		}
	}
	return nil
}

// saved acknowledges what has become durable.
func (f *learner) saved() { f.flush() }

func (f *learner) flush() {
	if f.state != serving {
		return
	}
	n := 0
	for n < len(f.unacked) && f.unacked[n] <= f.p.durable {
		n++
	}
	if n == 0 {
		return
	}
	acks := make([]Packet, n)
	for i := range acks {
		acks[i] = packet(proto.PacketAck, f.unacked[i])
	}
	if f.unacked = f.unacked[n:]; len(f.unacked) == 0 {
		f.unacked = nil
	}
	f.p.send(f.link, acks...)
}

// commit decides the next pending transaction.
func (f *learner) commit(z proto.Zxid, heir []byte) error {
	p := f.p
	if z <= p.decided {
		return nil // of the history
	}
	if !follows(p.decided, z) || z > p.last {
		return fmt.Errorf("the leader committed %s, the last one committed is %s and the last one proposed %s", z, p.decided, p.last)
	}
	p.decided = z
	if p.master != nil {
		p.master.decided(z, heir)
	}
	return nil
}

// inform logs a transaction that is decided.
func (f *learner) inform(e Entry) error {
	if err := f.logProposal(e); err != nil {
		return err
	}
	f.p.decided = max(f.p.decided, e.Zxid)
	return nil
}

// configOf is the membership of a reconfig on its way.
func (f *learner) configOf(z proto.Zxid) *quorum.Config {
	for _, list := range [][]Entry{f.early, f.p.pending} {
		for i := range list {
			if list[i].Zxid == z {
				return list[i].Config
			}
		}
	}
	return nil
}

// activate takes on a membership that was decided. When it gives this server or
// its leader another part, the new part is taken at once, without an election
// (section 13.4).
func (f *learner) activate(z proto.Zxid, c *quorum.Config, data []byte) error {
	p := f.p
	if c == nil || len(data) < 8 {
		return fmt.Errorf("reconfig %s without a membership or a leader", z)
	}
	heir := int64(binary.BigEndian.Uint64(data))
	major := f.major(c, heir)
	p.adopt(c)
	if !major {
		return nil
	}
	if f.state != serving {
		return fmt.Errorf("the membership has given this server another part")
	}
	if p.master != nil {
		p.master.settle()
	}
	p.deliver()
	p.appoint(heir)
	return nil
}

// major tells whether c or the leader it comes with changes this server's part.
func (f *learner) major(c *quorum.Config, heir int64) bool {
	m, ok := c.Member(f.p.sid)
	observer := f.p.opt.Observer
	if ok {
		observer = m.Observer
	}
	return heir != f.leader || observer != f.observer
}
