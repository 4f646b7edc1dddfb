// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"encoding/binary"
	"fmt"

	"paddock/proto"
)

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
