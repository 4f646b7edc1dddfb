// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"
	"math"
	"slices"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// Peer is one server's part in an ensemble. Use New, then Step.
//
// Its history is what the log on disk has: committed transactions, of which the
// newest are kept in window, and behind them pending ones, logged and not known
// to be committed. Pending transactions outlive an election: the next leader
// either commits them or has them cut off. A transaction is handed to the tree
// when it is decided and durable here, so the tree is never ahead of the log.
type Peer struct {
	opt Options
	sid int64
	now time.Duration
	out Out

	committed, seen *quorum.Config // seen is nil unless newer than committed

	accepted, current int64
	promised          int64 // the latest epoch that another voter is known to have accepted
	untrusted         bool

	last    proto.Zxid // last logged, or on its way to the log
	durable proto.Zxid // of those, what survives a crash
	decided proto.Zxid // committed by a quorum
	applied proto.Zxid // handed to the tree
	pending []Entry    // applied < zxid <= last
	window  window

	// The tree holds what the log does not: a SNAP was loaded that is not yet on
	// disk.
	treeDirty bool

	ops, saved uint64 // disk operations given out, and done
	marks      []mark // what waits for them, in order
	restoring  *restoring

	role     proto.PeerState
	stage    Stage
	settling bool // looking, and not yet voting: the log has to come to rest
	election *election
	lead     *leader
	learn    *learner
	master   *master // beside learn, of a follower that serves observers
	masters  masters
	lookAt   time.Duration // no election begins before
	volatile bool          // tree and history are past what the disk has: NoLog
	heir     int64         // a leader that hands over votes for this server; 0: nobody
	next     *vote         // the leader that a reconfig has named: there is no election
	epoch    int64         // agreed with the current leader
	heard    time.Duration // see Heard: in the last role that served
}

// mark is what follows when a disk operation is durable.
type mark struct {
	op   uint64
	zxid proto.Zxid // of an append: its last; of a snapshot: what it holds
	snap bool
	then func()
}

// restoring is a Restore that is not answered yet.
type restoring struct {
	snap, reload bool
	then         func(Restored) // nil once the role that asked is gone
}

// New returns a peer that has not begun: the first Step, of any event, does.
func New(opt Options, st State) *Peer {
	opt.defaults()
	p := &Peer{opt: opt, sid: st.Sid, accepted: st.AcceptedEpoch, current: st.CurrentEpoch, untrusted: st.Untrusted,
		last: st.LastZxid, durable: st.LastZxid, decided: st.LastZxid, applied: st.LastZxid,
		committed: st.Committed, window: window{max: opt.Window, maxBytes: opt.WindowBytes}, settling: true}
	if st.Seen != nil && st.Seen.Version > st.Committed.Version {
		p.seen = st.Seen
	}
	for _, e := range st.Tail {
		p.window.add(e)
	}
	if p.window.last() != p.last {
		p.window.clear()
	}
	p.window.trim(p.applied)
	p.election = newElection(electionOptions{sid: p.sid, minNotify: opt.MinNotify, maxNotify: opt.MaxNotify, finalize: opt.Finalize})
	p.election.membership(p.committed, p.seen)
	return p
}

// Step feeds one event at a time now, which never goes back, and returns what
// the driver is to do. Whatever must follow a disk write is returned only by
// the Step that is told of that write.
func (p *Peer) Step(now time.Duration, ev Event) *Out {
	p.now = max(p.now, now)
	p.begin()
	switch ev := ev.(type) {
	case Tick:
	case Notified:
		p.notified(ev)
	case Reachable:
		p.election.reachable(ev.Sid, ev.Up)
	case LinkUp:
		p.linkUp(ev)
	case LinkDown:
		p.linkDown(ev)
	case Received:
		p.received(ev)
	case Saved:
		p.save(ev.Ops)
	case Restored:
		p.wasRestored(ev)
	case Probed:
		if p.lead != nil {
			p.lead.probed(ev)
		} else if p.master != nil {
			p.master.probed(ev)
		}
	case Propose:
		if p.lead != nil {
			p.lead.propose(ev.Entries)
		}
	case Barrier:
		p.barrier(ev)
	case HandOver:
		if p.lead != nil {
			p.lead.handOver()
		}
	default:
		panic(fmt.Sprintf("zab: unknown event %T", ev))
	}
	p.time()
	return &p.out
}

// Heard is when this server last knew what its leader knows: a learner heard of
// its leader then, a leader of a quorum. While it serves nobody it is the end
// of the time when it did; 0 is its start.
func (p *Peer) Heard() time.Duration {
	switch {
	case p.stage != Broadcast:
	case p.learn != nil && p.learn.state == serving:
		return max(p.heard, p.learn.heard)
	case p.lead != nil && p.lead.serving:
		return max(p.heard, p.lead.lastHeard())
	}
	return p.heard
}

// begin clears the output of the step before. What was handed out in it is the
// driver's: only the outermost slices are used again.
func (p *Peer) begin() {
	o := &p.out
	clear(o.Commit)
	clear(o.Disk)
	clear(o.Send)
	*o = Out{Close: o.Close[:0], Commit: o.Commit[:0], Disk: o.Disk[:0], Votes: o.Votes[:0], Send: o.Send[:0],
		Probe: o.Probe[:0], Requests: o.Requests[:0], Replies: o.Replies[:0], Passed: o.Passed[:0], Failed: o.Failed[:0], Log: o.Log[:0]}
}

// time does what is due and says when to come again.
func (p *Peer) time() {
	if p.out.Stop != nil {
		return
	}
	if p.settling {
		p.settle()
	}
	p.election.tick(p.now)
	p.elected()
	if p.lead != nil {
		p.lead.tick()
	}
	if p.learn != nil {
		p.learn.tick()
	}
	if p.master != nil {
		p.master.dropOverdue()
	}
	if p.settling { // a role was left just now
		p.settle()
	}
	p.out.Votes = append(p.out.Votes, p.election.take()...)
	wake := p.election.wake()
	if p.lead != nil {
		wake = min(wake, p.lead.wake())
	}
	if p.learn != nil {
		wake = min(wake, p.learn.wake())
	}
	if p.master != nil {
		wake = min(wake, p.master.nextOverdue())
	}
	if p.settling && p.lookAt > p.now {
		wake = min(wake, p.lookAt)
	}
	p.out.Wake = wake
}

// look leaves the current role and starts to look for a leader, once what was
// to be logged is on disk: the vote stands for it.
func (p *Peer) look(why string, args ...any) {
	if p.role == proto.Looking {
		return
	}
	p.heard = p.Heard()
	p.line(why != "handing over", "looking for a leader", append([]any{"because", why}, args...)...)
	if p.lead != nil {
		p.lead.leave()
	}
	if p.learn != nil {
		p.learn.leave()
	}
	if p.master != nil {
		p.master.leave()
	}
	if p.role == proto.Observing && p.next == nil {
		p.lookAt = p.now + p.part(p.opt.LookDelay)
	}
	p.lead, p.learn, p.master = nil, nil, nil
	if p.restoring != nil {
		p.restoring.then = nil
	}
	p.dropMarks()
	p.role, p.stage, p.settling = proto.Looking, Election, true
	p.election.settle(proto.Looking, vote{}) // nobody is to be told of the leader that was
	p.became()
}

// dropMarks keeps of what waits for the disk only what the history needs.
func (p *Peer) dropMarks() {
	for i := range p.marks {
		p.marks[i].then = nil
	}
}

// settle begins the election when the log is at rest.
func (p *Peer) settle() {
	if p.restoring != nil || p.saved != p.ops && !p.opt.Unsafe.StaleVote {
		return
	}
	if p.opt.Unsafe.StaleVote {
		p.cut(p.durable) // though more is on its way to the log
	}
	if p.treeDirty {
		// What was loaded from the old leader is nowhere on disk.
		p.restore(Restore{Zxid: p.last, Reload: true}, nil)
		return
	}
	if p.volatile && !p.saveVolatile() {
		return
	}
	if p.next == nil && p.now < p.lookAt {
		return
	}
	p.settling = false
	if next := p.next; next != nil {
		p.next = nil
		p.take(*next)
		return
	}
	p.election.begin(p.now, p.ownVote())
	p.elected()
}

// appoint leaves the current role for one under the leader that a reconfig has
// named, without an election (section 13.4).
func (p *Peer) appoint(leader int64) {
	p.next = &vote{leader: leader, zxid: p.last, round: p.election.round, peerEpoch: p.current}
	p.look("the membership has given this server or its leader another part", "leader", leader)
}

// restore asks for another state of log and tree; then runs unless the role
// ends before.
func (p *Peer) restore(r Restore, then func(Restored)) {
	p.out.Restore = &r
	p.restoring = &restoring{snap: r.Link != 0, reload: r.Reload, then: then}
}

// wasRestored goes on where a Restore was asked for.
func (p *Peer) wasRestored(ev Restored) {
	r := p.restoring
	p.restoring = nil
	switch {
	case r == nil:
		panic("zab: a restore that nobody asked for")
	case r.snap:
		p.treeDirty = ev.Err == nil || !p.opt.Unsafe.KeepHalfTree
		p.window.clear()
		if ev.Err != nil {
			p.look("the leader's tree could not be loaded", "err", ev.Err)
			return
		}
	case ev.Err != nil:
		p.out.Stop = ev.Err
		return
	default:
		p.cut(ev.Zxid)
		if r.reload {
			p.treeDirty, p.volatile = false, false
			p.durable, p.decided, p.applied, p.pending = p.last, p.last, p.last, nil
		}
	}
	if r.then != nil {
		r.then(ev)
	}
}

// ownVote is what this server proposes at the start of an election (section 3.2).
func (p *Peer) ownVote() vote {
	v := vote{leader: p.sid, zxid: p.last, peerEpoch: p.current}
	switch {
	case p.observer():
		v.leader, v.zxid, v.peerEpoch = math.MinInt64, math.MinInt64, math.MinInt64
	case !p.committed.IsVoter(p.sid):
		v.leader = math.MinInt64
	case p.untrusted:
		v.zxid = -1
	}
	if p.heir != 0 {
		v.leader = p.heir
	}
	return v
}

// observer tells whether this server is one by its own line.
func (p *Peer) observer() bool {
	for _, c := range []*quorum.Config{p.committed, p.seen} {
		if c == nil {
			continue
		}
		if m, ok := c.Member(p.sid); ok {
			return m.Observer
		}
	}
	return p.opt.Observer
}

func (p *Peer) notified(ev Notified) {
	if p.opt.Reconfig && ev.Config != nil && p.role == proto.Looking && ev.Config.Version > p.committed.Version {
		p.adopt(ev.Config)
	}
	switch {
	case p.lead != nil:
		p.lead.rival(ev)
	case p.learn != nil:
		p.learn.rival(ev)
	}
	p.election.notified(p.now, ev.From, ev.Note)
	p.elected()
}

// elected takes the role that the election ended with.
func (p *Peer) elected() {
	if p.role != proto.Looking || p.settling {
		return
	}
	v, ok := p.election.decided()
	if !ok {
		return
	}
	p.take(v)
}

// take leads or follows as v says.
func (p *Peer) take(v vote) {
	switch {
	case v.leader == p.sid:
		p.role = proto.Leading
	case p.observer():
		p.role = proto.Observing
	default:
		p.role = proto.Following
	}
	p.heir = 0
	p.stage = Discovery
	p.election.settle(p.role, v)
	if p.role == proto.Leading {
		p.lead = newLeader(p)
		p.became()
		p.lead.start()
		return
	}
	p.learn = newLearner(p, v.leader)
	p.became()
	p.learn.start()
}

// status tells the driver.
func (p *Peer) became() {
	s := &Status{Role: p.role, Stage: p.stage, Epoch: p.epoch, Zxid: p.decided, Voting: p.committed.IsVoter(p.sid)}
	switch {
	case p.lead != nil:
		s.Leader = p.sid
	case p.learn != nil:
		s.Leader, s.Link, s.Master, s.SyncVia = p.learn.leader, p.learn.link, p.learn.server, p.learn.via
	}
	p.out.Became = s
}

func (p *Peer) linkUp(ev LinkUp) {
	switch {
	case ev.Master && p.master != nil:
		p.master.linkUp(ev.Link)
	case !ev.Dialed && !ev.Master && p.lead != nil:
		p.lead.linkUp(ev.Link)
	case ev.Dialed && p.learn != nil && p.learn.link == 0:
		p.learn.linkUp(ev.Link)
	default:
		p.close(ev.Link, "this server has no use for the connection now")
	}
}

func (p *Peer) linkDown(ev LinkDown) {
	switch {
	case p.lead != nil && ev.Link != 0:
		p.lead.linkDown(ev)
	case p.learn != nil && p.learn.link == ev.Link:
		p.learn.linkDown(ev)
	case p.master != nil:
		p.master.left(ev)
	}
}

func (p *Peer) received(ev Received) {
	switch {
	case p.lead != nil:
		p.lead.received(ev)
	case p.learn != nil && p.learn.link == ev.Link:
		p.learn.received(ev)
	case p.master != nil:
		p.master.received(ev)
	}
}

func (p *Peer) barrier(ev Barrier) {
	if p.lead != nil && p.lead.serving {
		p.lead.barrier(ev)
	} else if ev.Link == 0 {
		p.out.Failed = append(p.out.Failed, ev.Token)
	}
}

func (p *Peer) send(link LinkID, packets ...Packet) {
	if k := len(p.out.Send); k > 0 && p.out.Send[k-1].Link == link {
		s := &p.out.Send[k-1]
		s.Packets = append(slices.Clip(s.Packets), packets...)
		return
	}
	p.out.Send = append(p.out.Send, Sending{Link: link, Packets: packets})
}

func (p *Peer) close(link LinkID, why string) { p.out.Close = append(p.out.Close, Closing{link, why}) }

func (p *Peer) line(warn bool, text string, args ...any) {
	p.out.Log = append(p.out.Log, Line{warn, text, args})
}

// packet is one without data.
func packet(t proto.PacketType, z proto.Zxid) Packet {
	return Packet{Packet: proto.Packet{Type: t, Zxid: z}}
}

// epochZxid is the zxid that stands for an epoch as a whole.
func epochZxid(epoch int64) proto.Zxid { return proto.Zxid(epoch << 32) }
