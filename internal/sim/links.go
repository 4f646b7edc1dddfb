// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// end is one server's end of a connection of the quorum port: a stream of
// packets in order, which may break at any moment and then has lost a suffix.
type end struct {
	id   zab.LinkID
	s    *server
	gen  int // of the server
	peer *end
	open bool // as this server sees it
	told bool // its server has heard of it

	// The sending half.
	out      []zab.Packet
	writing  bool // a turn of the writer is asked for
	observer bool // INFORM takes the place of PROPOSAL and COMMIT
	arrives  time.Duration
	stalled  [][]parcel // sent into a partition

	// The receiving half.
	broken  bool // what is on its way to here is lost
	in      []parcel
	reading bool // a turn of the reader is asked for
	loading bool // a SNAP was read, its body was not
	body    *snap
	asked   []zab.LinkID // whose syncs have gone this way, 0: this server's own

	wire wire // what the protocol demands of this end
}

// parcel is a packet on the wire; end of stream has none.
type parcel struct {
	packet zab.Packet
	body   *snap
	eof    bool
}

var (
	errEOF     = errors.New("the other side has closed the connection")
	errReset   = errors.New("connection reset")
	errBroken  = errors.New("the connection broke off in the middle of a tree")
	errPurged  = errors.New("the log does not go back so far any more")
	errRefused = errors.New("connection refused")
)

// dial answers Out.Dial: several tries, then none.
func (r *run) dial(s *server, d zab.Dial) {
	s.dialing++
	n, gen, deadline := s.dialing, s.gen, r.now+d.Timeout
	for _, e := range s.ends {
		if !e.told {
			e.close() // of an earlier dial
			break
		}
	}
	to := r.server(d.Leader)
	tries := 0
	var try func()
	try = func() {
		if s.gen != gen || s.dialing != n {
			return
		}
		tries++
		switch {
		case to != nil && to.listening(d.Port != 0) && !r.cut[s.index][to.index] && !r.cut[to.index][s.index]:
			r.connect(s, to, d.Port != 0)
		case tries >= 5 || d.Port != 0 || r.now >= deadline:
			s.step(zab.LinkDown{Err: errRefused})
		default:
			r.after(r.between(r.set.tick/20, r.set.tick/5), try)
		}
	}
	r.after(r.delay(), try)
}

func (r *run) connect(s, to *server, master bool) {
	mine, theirs := r.newEnd(s), r.newEnd(to)
	mine.peer, theirs.peer = theirs, mine
	theirs.told = true
	r.trace("connected", s.id, to.id, int64(mine.id))
	to.ends = append(to.ends, theirs)
	s.ends = append(s.ends, mine)
	to.step(zab.LinkUp{Link: theirs.id, Master: master})
	r.after(r.delay(), func() {
		if mine.gen == s.gen && mine.open {
			mine.told = true
			s.step(zab.LinkUp{Link: mine.id, Dialed: true})
		}
	})
}

func (r *run) newEnd(s *server) *end {
	r.links++
	return &end{id: r.links, s: s, gen: s.gen, open: true}
}

// end finds a link by its id; nil if it is gone.
func (s *server) end(id zab.LinkID) *end {
	for _, e := range s.ends {
		if e.id == id {
			return e
		}
	}
	return nil
}

// send queues packets for the writer of the link.
func (s *server) send(id zab.LinkID, packets ...zab.Packet) {
	e := s.end(id)
	if e == nil {
		return
	}
	for i := range packets {
		s.r.sends(e, &packets[i])
	}
	e.out = append(e.out, packets...)
	if !e.writing {
		e.writing = true
		s.later(s.r.between(0, s.r.set.turn), e.write)
	}
}

// write is a turn of the writer: everything queued goes out, with bodies as
// they are at this moment.
func (e *end) write() {
	e.writing = false
	if !e.open {
		return
	}
	var out []parcel
	queued := e.out
	e.out = nil
	for i, p := range queued {
		switch {
		case p.Body.Log:
			more, ok := e.expand(p.Body)
			if !ok { // purged since the log was asked
				e.peer.reset()
				e.s.later(0, func() { e.down(errPurged) })
				return
			}
			out = append(out, more...)
		case p.Type == proto.PacketSnap:
			e.transmit(out)
			e.out, e.writing = queued[i+1:], true
			e.serialize(p)
			return
		default:
			e.s.r.writes(e, &p)
			out = append(out, parcel{packet: p})
		}
	}
	e.transmit(out)
}

// serialize writes a SNAP: its zxid is that of the tree when it begins, and by
// the end it shows later transactions too.
func (e *end) serialize(p zab.Packet) {
	begun := e.s.machine.at
	p.Zxid = begun.zxid
	e.s.later(e.s.r.between(0, e.s.r.set.snapTime), func() {
		if !e.open {
			return
		}
		if e.s.machine.half {
			e.s.fail("sends half a tree")
			return
		}
		s := e.s.machine.snapshot(begun)
		s.foreign = true
		e.transmit([]parcel{{packet: p, body: &s}})
		e.write()
	})
}

// expand puts the transactions of a range of the log in place of the packet
// that stands for them.
func (e *end) expand(b zab.Body) (out []parcel, ok bool) {
	entries, ok := e.s.disk.after(b.After, b.UpTo)
	if !ok {
		return nil, false
	}
	add := func(t proto.PacketType, z proto.Zxid, data []byte) {
		p := zab.Packet{Packet: proto.Packet{Type: t, Zxid: z, Data: data}}
		e.s.r.writes(e, &p)
		out = append(out, parcel{packet: p})
	}
	for _, t := range entries {
		if e.observer {
			add(proto.PacketInform, t.Zxid, t.Data)
		} else {
			add(proto.PacketProposal, t.Zxid, t.Data)
			add(proto.PacketCommit, t.Zxid, nil)
		}
	}
	return out, true
}

func (e *end) transmit(p []parcel) {
	if len(p) == 0 {
		return
	}
	r, to := e.s.r, e.peer
	e.arrives = max(e.arrives+1, r.now+r.delay())
	r.at(e.arrives, func() {
		if r.cut[e.s.index][to.s.index] || len(e.stalled) > 0 {
			e.stalled = append(e.stalled, p)
			return
		}
		to.arrive(p)
	})
}

func (e *end) arrive(p []parcel) {
	if !e.broken && e.open && e.gen == e.s.gen {
		e.in = append(e.in, p...)
		e.wake()
	}
}

// thaw delivers what a partition held up.
func (e *end) thaw() {
	held := e.stalled
	e.stalled = nil
	for _, p := range held {
		e.peer.arrive(p)
	}
}

func (e *end) wake() {
	if !e.reading && !e.loading && len(e.in) > 0 {
		e.reading = true
		e.s.later(e.s.r.between(0, e.s.r.set.turn), e.read)
	}
}

// read is a turn of the reader: all that has arrived, up to a SNAP.
func (e *end) read() {
	e.reading = false
	if !e.open || e.loading {
		return
	}
	var got []zab.Packet
	for len(e.in) > 0 && !e.loading && !e.in[0].eof {
		p := e.in[0]
		e.in = e.in[1:]
		if p.packet.Type == proto.PacketSnap {
			e.loading, e.body = true, p.body
		}
		if p.packet.Type == proto.PacketObserverInfo {
			e.observer = true
		}
		got = append(got, e.s.r.withConfig(p.packet))
		if p.packet.Type == proto.PacketSync && len(e.asked) > 0 {
			got[len(got)-1].For, e.asked = e.asked[0], e.asked[1:]
		}
	}
	if len(got) > 0 {
		e.s.step(zab.Received{Link: e.id, Packets: got})
	}
	if e.open && !e.loading && len(e.in) > 0 && e.in[0].eof {
		e.down(errEOF)
	}
}

// loaded goes on after the body of a SNAP.
func (e *end) loaded() {
	e.loading, e.body = false, nil
	e.wake()
}

// down ends the link as its server sees it. One that ends before its server has
// heard of it never was one: the dial has failed, then.
func (e *end) down(err error) {
	if !e.open || e.gen != e.s.gen {
		return
	}
	e.drop()
	down := zab.LinkDown{Err: err}
	if e.told {
		down.Link = e.id
	}
	e.s.step(down)
}

func (e *end) drop() {
	e.open, e.broken, e.out, e.in = false, true, nil, nil
	e.s.ends = slices.DeleteFunc(e.s.ends, func(x *end) bool { return x == e })
}

// close is Out.Close: the other side reads what is on its way and then the end
// of the stream, or learns of a reset sooner than that.
func (e *end) close() {
	if !e.open {
		return
	}
	r := e.s.r
	e.drop()
	if r.chance(0.5) {
		e.transmit([]parcel{{eof: true}})
	} else {
		e.peer.reset()
	}
}

// reset breaks the stream to this end: what is on its way is lost, and unless
// the path is cut the server hears of it.
func (e *end) reset() {
	r := e.s.r
	r.after(r.delay(), func() {
		if r.cut[e.peer.s.index][e.s.index] { // it is heard of when the path is whole again
			e.peer.stalled = [][]parcel{{{eof: true}}}
			return
		}
		e.broken = true
		e.s.later(0, func() { e.down(errReset) })
	})
}

// breakLink cuts a connection for both.
func (e *end) breakLink() {
	e.reset()
	e.peer.reset()
}

// withConfig adds the membership that a packet brings, as a driver does that
// has read it.
func (r *run) withConfig(p zab.Packet) zab.Packet {
	p.Config, p.Body = nil, zab.Body{}
	switch p.Type {
	case proto.PacketNewLeader:
		p.Config = r.parse(string(p.Data))
	case proto.PacketProposal, proto.PacketInform:
		p.Config = r.membershipOf(p.Data)
	case proto.PacketInformAndActivate:
		if len(p.Data) > 8 {
			p.Config = r.membershipOf(p.Data[8:])
		}
	}
	return p
}

// membershipOf is what a transaction makes the membership; nil for all but a
// reconfig.
func (r *run) membershipOf(txn []byte) *quorum.Config {
	const typeAt = 8 + 4 + 8 + 8
	if len(txn) < typeAt+4 || proto.OpCode(binary.BigEndian.Uint32(txn[typeAt:])) != proto.OpReconfig {
		return nil
	}
	t, err := proto.DecodeTxn(txn)
	if err != nil {
		return nil
	}
	return r.parse(string(t.Body.(*proto.SetDataTxn).Data))
}
