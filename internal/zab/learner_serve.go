// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"encoding/binary"
	"fmt"

	"paddock/internal/quorum"
	"paddock/proto"
)

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
