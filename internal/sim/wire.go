// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"paddock/internal/zab"
	"paddock/proto"
)

// wire is what one end of a connection has sent, as far as the protocol demands
// something of it (quorum-protocol.md section 14, "TLA+ system spec").
type wire struct {
	acked    proto.Zxid
	proposed proto.Zxid
	pending  []proto.Zxid // proposals that no COMMIT followed
}

// sends looks at a packet when the peer gives it out.
func (r *run) sends(e *end, p *zab.Packet) {
	if !r.set.asserts || p.Body.Log {
		return
	}
	s := e.s
	switch p.Type {
	case proto.PacketTrunc:
		r.sendsBack(s, e.peer.s, p.Zxid)
		return
	case proto.PacketAck:
	default:
		return
	}
	if p.Zxid.Counter() == 0 {
		if s.disk.current != int64(p.Zxid.Epoch()) {
			s.fail("acknowledges epoch %x with currentEpoch %x on disk", p.Zxid.Epoch(), s.disk.current)
		}
		r.joins(s, int64(p.Zxid.Epoch()))
		return
	}
	if !s.disk.has(p.Zxid) {
		s.fail("acknowledges %s, which is not on its disk", short(p.Zxid))
	}
	if w := &e.wire; w.acked != 0 && !follows(w.acked, p.Zxid) {
		s.fail("acknowledges %s after %s", short(p.Zxid), short(w.acked))
	}
	e.wire.acked = p.Zxid
}

// writes looks at a packet when it goes out.
func (r *run) writes(e *end, p *zab.Packet) {
	if !r.set.asserts {
		return
	}
	w := &e.wire
	switch p.Type {
	case proto.PacketProposal:
		if w.proposed != 0 && !follows(w.proposed, p.Zxid) {
			e.s.fail("sends server %d proposal %s after %s", e.peer.s.id, short(p.Zxid), short(w.proposed))
		}
		w.proposed = p.Zxid
		w.pending = append(w.pending, p.Zxid)
	case proto.PacketCommit, proto.PacketCommitAndActivate:
		if len(w.pending) == 0 || w.pending[0] != p.Zxid {
			e.s.fail("sends server %d COMMIT %s, proposed are %v", e.peer.s.id, short(p.Zxid), w.pending)
			return
		}
		w.pending = w.pending[1:]
	case proto.PacketInform, proto.PacketInformAndActivate:
		if w.proposed != 0 && !follows(w.proposed, p.Zxid) {
			e.s.fail("informs server %d of %s after %s", e.peer.s.id, short(p.Zxid), short(w.proposed))
		}
		w.proposed = p.Zxid
	}
}
