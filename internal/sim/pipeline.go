// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"paddock/internal/check"
	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// pipeline is what a server does for clients: on a leader it settles
// transactions and numbers them, on a learner it forwards.
type pipeline struct {
	serving bool
	term    int // counts the times this server began to serve
	waiting []*request

	// A leader's.
	next     proto.Zxid  // the last one given out
	inFlight state       // the tree after all that is proposed
	batch    []zab.Entry // settled and not proposed
	token    uint64

	syncs []*request // a learner's, in the order they were asked
}

// request is one operation of a client on its way.
type request struct {
	client  *client
	session proto.SessionID
	cxid    int32
	op      check.Op
	index   int // in the history
	token   uint64
}

func (p *pipeline) reset() { *p = pipeline{term: p.term} }

// lose gives up on all that is on its way: nobody will know how it went.
func (p *pipeline) lose() {
	lost := append(p.waiting, p.syncs...)
	p.reset()
	for _, q := range lost {
		q.client.lost(q.session)
	}
}

// serve begins to serve clients.
func (s *server) serve() {
	s.serving = true
	s.term++
	if s.machine.half {
		s.fail("serves half a tree")
		return
	}
	if s.machine.at.zxid < s.machine.fuzzy {
		s.fail("serves a tree of %s that shows some of %s", short(s.machine.at.zxid), short(s.machine.fuzzy))
		return
	}
	s.r.holds(s)
	if s.status.Role == proto.Leading {
		s.next = proto.NewZxid(uint32(s.status.Epoch), 0)
		s.inFlight = s.machine.state
		s.r.reigns(s)
	}
}

// submit takes a client's request.
func (s *server) submit(q *request) {
	leading := s.status.Role == proto.Leading
	switch {
	case q.op.Type == proto.OpGetData && leading:
		s.token++
		q.token = s.token
		s.syncs = append(s.syncs, q)
		s.step(zab.Barrier{Token: q.token})
	case q.op.Type == proto.OpGetData:
		s.syncs = append(s.syncs, q)
		s.ask(0, q.packet(proto.OpSync))
	case leading:
		s.waiting = append(s.waiting, q)
		s.settle(q.session, q.cxid, q.op)
		s.propose()
	default:
		s.waiting = append(s.waiting, q)
		s.ask(0, q.packet(q.op.Type))
	}
}

// ask sends a request to the leader, or to an observer master; asker is whose it
// is, 0 for this server's own. The leader does not say whom a SYNC is for.
func (s *server) ask(asker zab.LinkID, p proto.Packet) {
	if e := s.end(s.status.Link); e != nil && opOf(p) == proto.OpSync {
		e.asked = append(e.asked, asker)
	}
	s.send(s.status.Link, zab.Packet{Packet: p})
}

func opOf(p proto.Packet) proto.OpCode {
	return proto.OpCode(int32(binary.BigEndian.Uint32(p.Data[12:])))
}

// packet is the REQUEST of a forwarded operation. Behind the header is a form
// of our own: the consensus core does not look at it.
func (q *request) packet(t proto.OpCode) proto.Packet {
	b := binary.BigEndian.AppendUint64(nil, uint64(q.session))
	for _, v := range []int32{q.cxid, int32(t), int32(q.op.Node), q.op.Value, q.op.Version} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return proto.Packet{Type: proto.PacketRequest, Zxid: -1, Data: b}
}

// forwarded is a REQUEST of a learner, at its leader or observer master.
func (s *server) forwarded(f zab.Forwarded) {
	if f.Packet.Type != proto.PacketRequest {
		return // a touch table
	}
	if s.status.Role != proto.Leading {
		s.ask(f.Link, f.Packet)
		return
	}
	b := f.Packet.Data
	num := func(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
	t := proto.OpCode(num(12))
	if t == proto.OpSync {
		s.step(zab.Barrier{Link: f.Link})
		return
	}
	if s.serving {
		s.settle(proto.SessionID(binary.BigEndian.Uint64(b)), num(8), check.Op{Type: t, Node: int(num(16)), Value: num(20), Version: num(24)})
	}
}

// settle makes a transaction of an operation, by the tree and what is in flight.
func (s *server) settle(session proto.SessionID, cxid int32, op check.Op) {
	t := proto.Txn{Session: int64(session), Cxid: cxid, Time: int64(s.r.now), Type: op.Type}
	n := s.inFlight[op.Node]
	data := strconv.AppendInt(nil, int64(op.Value), 10)
	switch {
	case op.Type == proto.OpCreate && n.exists:
		t.Type, t.Body = proto.OpError, &proto.ErrorTxn{Err: proto.ErrNodeExists}
	case op.Type == proto.OpCreate:
		t.Body = &proto.CreateTxn{Path: pathOf(op.Node), Data: data}
	case !n.exists:
		t.Type, t.Body = proto.OpError, &proto.ErrorTxn{Err: proto.ErrNoNode}
	case op.Version != -1 && op.Version != n.version:
		t.Type, t.Body = proto.OpError, &proto.ErrorTxn{Err: proto.ErrBadVersion}
	case op.Type == proto.OpDelete:
		t.Body = &proto.DeleteTxn{Path: pathOf(op.Node)}
	default:
		t.Body = &proto.SetDataTxn{Path: pathOf(op.Node), Data: data, Version: n.version + 1}
	}
	s.number(t, nil)
}

// number gives a transaction its zxid and digest.
func (s *server) number(t proto.Txn, c *quorum.Config) {
	s.next++
	t.Zxid = s.next
	if c != nil {
		c = c.WithVersion(int64(t.Zxid))
		t.Body = &proto.SetDataTxn{Path: proto.ConfigPath, Data: []byte(c.String()), Version: -1}
	}
	s.inFlight.apply(&t)
	t.Digest = proto.TxnDigest{Version: proto.DigestVersion, Tree: s.inFlight.digest()}
	s.batch = append(s.batch, zab.Entry{Zxid: t.Zxid, Data: t.Append(nil), Config: c})
}

// propose hands what is settled to the peer.
func (s *server) propose() {
	if len(s.batch) > 0 {
		b := s.batch
		s.batch = nil
		s.step(zab.Propose{Entries: b})
	}
}

// reconfig asks for another membership, as an administrator may.
func (s *server) reconfig(to *quorum.Config) {
	committed, seen := s.disk.committed, s.disk.seen
	next, err := quorum.Next(committed, seen, quorum.Ask{From: -1, Full: true, Members: memberLines(to)}, 2, s.synced)
	if err != nil {
		s.r.trace("no reconfig", s.id, 0, 0)
		return
	}
	s.r.trace("reconfig", s.id, int64(len(next.Members)), int64(len(next.Voters())))
	s.number(proto.Txn{Time: int64(s.r.now), Type: proto.OpReconfig}, next)
	s.propose()
}

func memberLines(c *quorum.Config) string {
	var text string
	for _, l := range c.Lines() {
		text += l + "\n"
	}
	return text
}

// synced tells which servers are in step with this leader.
func (s *server) synced(id int64) bool {
	o := s.r.server(id)
	return o == s || o != nil && o.serving && o.status.Leader == s.id && o.status.Epoch == s.status.Epoch
}

// answer replies to the client whose write was applied here.
func (s *server) answer(e zab.Entry) {
	t := &s.machine.at.txn
	i := slices.IndexFunc(s.waiting, func(q *request) bool { return int64(q.session) == t.Session && q.cxid == t.Cxid })
	if i < 0 {
		return
	}
	q := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	q.client.answered(q, result(t))
}

// result is what a client is told of its write.
func result(t *proto.Txn) check.Result {
	r := check.Result{Zxid: t.Zxid}
	switch b := t.Body.(type) {
	case *proto.ErrorTxn:
		r.Code = b.Err
	case *proto.SetDataTxn:
		r.Version = b.Version
	}
	return r
}

// reply is a leader's SYNC: the oldest sync of this learner is answered.
func (s *server) reply(p proto.Packet) {
	if p.Type != proto.PacketSync || !s.serving {
		return
	}
	if len(s.syncs) == 0 {
		s.fail("is sent a SYNC that it did not ask for")
		return
	}
	q := s.syncs[0]
	s.syncs = s.syncs[1:]
	s.read(q)
}

// passed is a barrier of this leader.
func (s *server) passed(token uint64) {
	i := slices.IndexFunc(s.syncs, func(q *request) bool { return q.token == token })
	if i < 0 {
		if s.serving {
			s.fail("passes a barrier %d that nobody waits for", token)
		}
		return // it has left its role with this very step
	}
	q := s.syncs[i]
	s.syncs = slices.Delete(s.syncs, i, i+1)
	s.read(q)
}

func (s *server) failedBarrier(token uint64) {
	i := slices.IndexFunc(s.syncs, func(q *request) bool { return q.token == token })
	if i >= 0 {
		q := s.syncs[i]
		s.syncs = slices.Delete(s.syncs, i, i+1)
		q.client.lost(q.session)
	}
}

// read answers from the tree as it is.
func (s *server) read(q *request) {
	if s.machine.at.zxid < s.machine.fuzzy {
		s.fail("reads a tree of %s that shows some of %s", short(s.machine.at.zxid), short(s.machine.fuzzy))
		return
	}
	r := check.Result{Zxid: s.machine.at.zxid}
	if n := s.machine.state[q.op.Node]; n.exists {
		r.Value, r.Version = n.value, n.version
	} else {
		r.Code = proto.ErrNoNode
	}
	q.client.answered(q, r)
}

func (q *request) String() string {
	return fmt.Sprintf("%v %d: %v /%d", q.session, q.cxid, q.op.Type, q.op.Node)
}
