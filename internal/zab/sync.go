// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"slices"

	"paddock/internal/quorum"
	"paddock/proto"
)

func sameQuorumPorts(a, b []quorum.Addr) bool {
	return slices.EqualFunc(a, b, func(x, y quorum.Addr) bool { return x.Host == y.Host && x.QuorumPort == y.QuorumPort })
}

// available is what this leader can bring a learner up to date with now.
func (l *leader) available() History {
	last := l.history
	if l.serving {
		last = max(l.p.applied, l.proposedBefore())
	}
	return l.p.historyTo(last)
}

// historyTo is what this server can bring a learner up to date with, when its
// tree is at last.
func (p *Peer) historyTo(last proto.Zxid) History {
	h := History{Last: last, Min: last, Max: last}
	if !p.window.empty() {
		h.Min, h.Max = p.window.first(), p.window.last()
	}
	// What a quorum has decided counts, be this server's own disk behind or not: a
	// learner that has it must not be cut back, it may be one of that quorum.
	decided := p.pending[:p.pendingAfter(p.decided)]
	if len(decided) > 0 {
		if p.window.empty() {
			h.Min = decided[0].Zxid
		}
		h.Max = max(h.Max, decided[len(decided)-1].Zxid)
	}
	// Both are parts of one history, and either may end first: before a leader
	// serves its window reaches past what it knows to be decided.
	h.Around = func(z proto.Zxid) (prev proto.Zxid) {
		if n := p.window.after(z); n > 0 {
			prev = p.window.entries[n-1].Zxid
		}
		if n := min(p.pendingAfter(z), len(decided)); n > 0 {
			prev = max(prev, decided[n-1].Zxid)
		}
		return prev
	}
	return h
}

// proposedBefore is the zxid that stands for a reign without transactions.
func (l *leader) proposedBefore() proto.Zxid { return epochZxid(l.p.epoch) }

// bring brings a learner up to date, or asks the log what it takes.
func (l *leader) bring(f *learnerLink) {
	h := l.available()
	l.execute(f, h, PlanSync(f.last, h, l.p.opt.ForceSnap, l.p.opt.DiskSync, nil))
}

func (l *leader) probed(ev Probed) {
	f := l.byLink[ev.Link]
	if f == nil || !f.probing {
		return
	}
	f.probing = false
	// The window may have moved on meanwhile, but never past what the log has.
	h := l.available()
	l.execute(f, h, PlanSync(f.last, h, l.p.opt.ForceSnap, true, &ev))
}

// execute sends what the plan says, and from then on all that is proposed and
// decided. All of it is one step: nothing can be decided in between.
func (r *roster) execute(f *learnerLink, h History, plan SyncPlan) {
	p := r.p
	if plan.Type == 0 {
		f.probing = true
		p.out.Probe = append(p.out.Probe, Probe{f.link, f.last})
		return
	}
	packets := []Packet{packet(plan.Type, plan.Zxid)}
	from := plan.From
	switch {
	case plan.Type == proto.PacketSnap:
		// The tree may be ahead of this by the time it is sent; it is never behind.
		from = p.applied
	case plan.Log:
		from = h.Min - 1
		if h.Around(h.Min) != h.Min { // nothing is kept, not even the last
			from = min(h.Max, p.applied) // the first may stand for a reign without transactions
		}
		packets = append(packets, Packet{Body: Body{Log: true, After: plan.After, UpTo: from}})
	}
	sent, open := from, false
	both := func(e Entry) {
		packets = append(packets, proposal(proto.PacketProposal, e), packet(proto.PacketCommit, e.Zxid))
		sent = e.Zxid
	}
	for _, e := range p.window.entries[p.window.after(from):] {
		both(e)
	}
	// What is decided and not applied yet goes the same way; what is only proposed
	// goes to those who will acknowledge it.
	for _, e := range p.pending {
		switch {
		case e.Zxid <= sent:
		case e.Zxid <= p.decided:
			both(e)
		case !f.observer:
			packets = append(packets, proposal(proto.PacketProposal, e))
			sent, open = e.Zxid, true
		}
	}
	// A learner takes what NEWLEADER carries for committed when it is told
	// UPTODATE. Before this leader serves that is what a quorum acknowledges; a
	// reconfig of its own reign is a proposal like others, and may come to nothing.
	c := p.committed
	if p.seen != nil && p.stage != Broadcast {
		c = p.seen
	}
	k := packet(proto.PacketNewLeader, epochZxid(p.epoch))
	k.Data = []byte(c.String())
	k.Config = c
	p.send(f.link, append(packets, k)...)
	f.stage, f.forward, f.sentUpTo = inSync, true, sent
	f.acked = 0
	if open { // what came with its commit is acknowledged by the ack of NEWLEADER alone
		r.track(f, sent)
	}
	p.line(false, "bringing a learner up to date", "sid", f.sid, "by", plan.String(), "its zxid", f.last)
}
