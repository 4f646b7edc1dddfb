// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"
	"slices"

	"paddock/proto"
)

// master is a follower's service to observers (section 9): it brings them to
// its own history and tells them what its leader commits, so that the leader
// has fewer to tell. It exists while this server follows and is up to date.
//
// The reference keeps transactions that were told for a while, for observers
// between their synchronisation and the first transaction told. Here there is
// nothing between: a learner is brought up to date, and told from then on, in
// one step.
type master struct {
	roster
	queue []Packet // decided, to be told to observers
}

func newMaster(p *Peer) *master { return &master{roster: newRoster(p)} }

func (m *master) leave() {
	for _, f := range m.learners {
		m.p.close(f.link, "this server follows no more")
	}
}

func (m *master) received(ev Received) {
	f := m.heard(ev.Link)
	for i := range ev.Packets {
		if m.byLink[ev.Link] != f || f == nil {
			return // dropped by what came before
		}
		m.packet(f, &ev.Packets[i])
	}
}

func (m *master) packet(f *learnerLink, k *Packet) {
	switch {
	case f.stage == isNew:
		why := m.introduce(f, k)
		if why == "" && !f.observer {
			why = "it wants to follow: only observers are served here"
		}
		if why != "" {
			m.drop(f, why)
			return
		}
		f.stage = hasInfo
		m.offer(f, m.p.epoch)
	case f.stage == hasInfo:
		if _, why := f.position(k); why != "" {
			m.drop(f, why)
			return
		}
		m.bringReady()
	case k.Type == proto.PacketAck:
		m.ack(f, k.Zxid)
	case k.Type == proto.PacketPing:
		if len(k.Data) > 0 {
			m.pass(f, k)
		}
	case k.Type == proto.PacketRequest || k.Type == proto.PacketRevalidate:
		m.pass(f, k)
	default:
		m.drop(f, fmt.Sprintf("it sent a packet of type %d", k.Type))
	}
}

// pass hands to the driver what goes on to the leader.
func (m *master) pass(f *learnerLink, k *Packet) {
	m.p.out.Requests = append(m.p.out.Requests, Forwarded{f.link, f.sid, k.Packet})
}

// bringReady brings observers up to date that wait for it. One that is ahead of
// this server in the epoch that both are in was told more by another server: it
// waits until this one has caught up, where the reference cuts it back.
func (m *master) bringReady() {
	p := m.p
	for _, f := range m.learners {
		if f.stage != hasEpoch || f.probing || int64(f.last.Epoch()) == p.epoch && f.last > p.decided {
			continue
		}
		m.flush() // what is decided is in the history that it is sent
		h := p.historyTo(p.applied)
		m.execute(f, h, PlanSync(f.last, h, p.opt.ForceSnap, p.opt.DiskSync, nil))
	}
}

func (m *master) probed(ev Probed) {
	f := m.byLink[ev.Link]
	if f == nil || !f.probing {
		return
	}
	f.probing = false
	m.flush()
	h := m.p.historyTo(m.p.applied)
	m.execute(f, h, PlanSync(f.last, h, m.p.opt.ForceSnap, true, &ev))
}

// ack is an observer's word that it has the history; it gives none for what it
// is told after that.
func (m *master) ack(f *learnerLink, z proto.Zxid) {
	switch {
	case z != epochZxid(m.p.epoch):
		m.drop(f, fmt.Sprintf("it acknowledged %s, and is an observer", z))
	case f.stage == inSync:
		f.stage = hasAcked
		m.upToDate(f)
	}
}

// decided tells the observers that the leader has committed z; heir is what a
// COMMITANDACTIVATE carries, nil of a COMMIT.
func (m *master) decided(z proto.Zxid, heir []byte) {
	if len(m.learners) == 0 {
		return
	}
	p := m.p
	e := p.pending[p.pendingAfter(z-1)]
	k := proposal(proto.PacketInform, e)
	if heir != nil {
		k.Type, k.Data = proto.PacketInformAndActivate, append(slices.Clip(heir), e.Data...)
	}
	m.queue = append(m.queue, k)
}

// flush sends what was decided.
func (m *master) flush() {
	if len(m.queue) == 0 {
		return
	}
	for _, f := range m.learners {
		if f.forward {
			m.p.send(f.link, m.queue...)
			f.sentUpTo = m.p.decided
		}
	}
	m.queue = nil
}

// answer passes on the leader's SYNC or REVALIDATE to the observer that asked,
// behind what was committed before.
func (m *master) answer(k *Packet) {
	if m.byLink[k.For] != nil {
		m.flush()
		m.p.send(k.For, Packet{Packet: k.Packet})
	}
}

// settle tells what was decided to those who are up to date, and brings up to
// date those whom that lets go on.
func (m *master) settle() {
	m.flush()
	m.bringReady()
}

// ping is called at each PING of the leader, every half tick. Without one the
// observers are not pinged either: an observer takes what it hears for a sign
// that its leader hears of its clients (Heard).
func (m *master) ping() {
	m.flush()
	for _, f := range m.learners {
		if f.stage >= inSync {
			m.p.send(f.link, packet(proto.PacketPing, m.p.decided))
		}
	}
}

// masters is the list of servers that an observer asks to be its master, one
// after the other.
type masters struct {
	voters []int64 // of whom the list is made
	order  []int64
	at     int
}

// next is the server to ask now; round says that all had their turn.
func (l *masters) next(p *Peer) (sid int64, round bool) {
	if v := p.committed.Voters(); !slices.Equal(v, l.voters) {
		l.voters, l.order, l.at = v, slices.Clone(v), 0
		p.opt.Rand.Shuffle(len(l.order), func(i, j int) { l.order[i], l.order[j] = l.order[j], l.order[i] })
	}
	if len(l.order) == 0 {
		return 0, true
	}
	if l.at == len(l.order) {
		l.at, round = 0, true
	}
	l.at++
	return l.order[l.at-1], round
}
