// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"paddock/internal/pipeline"
	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/jute"
	"paddock/proto"
)

// became gives the pipeline its part in the ensemble, and takes it away.
func (d *Driver) became(s zab.Status) {
	was := d.status
	d.status = s
	d.open(d.wanted(s))
	serves := s.Stage == zab.Broadcast
	same := was.Role == s.Role && was.Epoch == s.Epoch && was.Link == s.Link
	if was.Stage == zab.Broadcast && !(serves && same) {
		d.opt.Pipeline.Pause()
		d.upstream.Store(nil)
	}
	if d.readOnly && s.Role != proto.Looking {
		d.readOnly = false
		d.view.setReadOnly(false)
		d.opt.Pipeline.Pause()
	}
	d.readOnlyAt = 0
	if s.Role == proto.Looking && !d.readOnly && d.opt.ReadOnlyAfter > 0 {
		d.readOnlyAt = d.now() + d.opt.ReadOnlyAfter
	}
	if serves && !(was.Stage == zab.Broadcast && same) {
		d.serve(s)
	}
	d.view.store(s, d.now())
	d.log.Info("Peer state changed: "+stateText(s), "leader", s.Leader, "epoch", s.Epoch, "zxid", s.Zxid)
}

// serve begins a reign, this server's own or that of another.
func (d *Driver) serve(s zab.Status) {
	d.showMembership()
	epoch := proto.Zxid(s.Epoch << 32)
	if s.Role == proto.Leading {
		d.opt.Pipeline.Lead(leadership{d}, epoch)
		return
	}
	d.upstream.Store(&upstream{link: s.Link})
	d.opt.Pipeline.Learn(uplink{d}, epoch)
}

// letGo looks for clients that this server should not keep any longer, and says
// when to look again.
func (d *Driver) letGo(now time.Duration) time.Duration {
	if d.restoring { // the pipeline is being filled
		return now + d.opt.Zab.Tick/4
	}
	return now + d.opt.Pipeline.LetGo(now-d.peer.Heard())
}

// adopt takes over memberships.
func (d *Driver) adopt(committed, seen *quorum.Config) {
	before := d.view.membership()
	d.view.adopt(committed, seen)
	if seen != nil && d.opt.Seen != nil {
		if err := d.opt.Seen(seen); err != nil {
			d.fail(fmt.Errorf("the proposed membership cannot be kept: %w", err))
			return
		}
	}
	if committed == nil {
		return
	}
	if d.opt.Membership != nil {
		if err := d.opt.Membership(committed); err != nil {
			d.fail(fmt.Errorf("the membership cannot be kept: %w", err))
			return
		}
	}
	if !before.SameMembers(committed) {
		d.rebind()
	}
	was, _ := before.Member(d.opt.Sid)
	if is, ok := committed.Member(d.opt.Sid); ok && is.Client != nil && (was.Client == nil || *is.Client != *was.Client) && d.opt.ClientPort != nil {
		d.opt.ClientPort(*is.Client)
	}
}

// rebind makes the election port anew for other members (section 3.9).
func (d *Driver) rebind() {
	own, err := d.own()
	if err != nil {
		d.log.Warn("this server is not a member: its election port stays as it is", "err", err)
		return
	}
	d.ballots.Reset(own.Addrs)
}

// showMembership writes the committed membership into /zookeeper/config of this
// server's tree, without a transaction (section 13.4). The tree's digest does
// not count that znode.
func (d *Driver) showMembership() {
	c := d.view.membership()
	w := d.opt.Tree.Write(nil)
	defer w.Close()
	set := proto.SetDataTxn{Path: proto.ConfigPath, Data: []byte(c.String()), Version: -1}
	w.ApplyOp(&proto.Txn{Zxid: proto.Zxid(c.Version), Time: time.Now().UnixMilli()}, proto.SubTxn{Type: proto.OpSetData, Body: &set})
}

// leadership is what the pipeline of a leader proposes to.
type leadership struct{ *Driver }

// Propose encodes each transaction once, for the log and for all followers;
// those proposed together share memory.
func (l leadership) Propose(list []pipeline.Proposal) {
	l.entries = l.entries[:0] // one at a time: see pipeline.Replicator
	var room []byte
	for i, p := range list {
		if cap(room)-len(room) < roomPerProposal/2 { // to grow it would copy it
			room = make([]byte, 0, roomPerProposal*(len(list)-i))
		}
		l.coder = jute.Encoder(room)
		p.Txn.Encode(&l.coder)
		all := l.coder.Bytes()
		b := all[len(room):len(all):len(all)]
		room = all
		l.view.proposal(len(b))
		e := zab.Entry{Zxid: p.Txn.Zxid, Data: b}
		if p.Txn.Type == proto.OpReconfig {
			e.Config = membershipOfTxn(b)
			l.view.proposed(e.Config)
		}
		l.entries = append(l.entries, e)
	}
	l.mail.propose(l.entries)
	clear(l.entries)
}

// roomPerProposal is what most transactions fit into: a path, some hundred bytes
// of data.
const roomPerProposal = 256

// Reconfigure checks a change of the membership that is to be transaction z, and
// returns its text.
func (l leadership) Reconfigure(q *proto.Reconfig, z proto.Zxid) (config []byte, code proto.Code) {
	text := func(s string) string {
		if jute.IsNull(s) {
			return ""
		}
		return s
	}
	ask := quorum.Ask{From: q.CurConfigID, Full: !jute.IsNull(q.NewMembers), Members: text(q.NewMembers), Joining: text(q.Joining), Leaving: text(q.Leaving)}
	committed, pending := l.view.memberships()
	next, err := quorum.Next(committed, pending, ask, l.opt.MinVoters, l.view.synced(l.opt.Sid))
	for refused, code := range reconfigCodes {
		if errors.Is(err, refused) {
			l.log.Warn("a reconfig is refused", "why", err)
			return nil, code
		}
	}
	if err != nil {
		l.log.Warn("a reconfig is refused", "why", err)
		return nil, proto.ErrBadArguments
	}
	return []byte(next.WithVersion(int64(z)).String()), proto.OK
}

// reconfigCodes are the answers of client-protocol.md section 4.2.
var reconfigCodes = map[error]proto.Code{
	quorum.ErrReconfigPending: proto.ErrReconfigInProgress, quorum.ErrOtherVersion: proto.ErrBadVersion,
	quorum.ErrBadMembers: proto.ErrBadArguments, quorum.ErrBadID: proto.ErrMarshalling, quorum.ErrNoQuorum: proto.ErrNewConfigNoQuorum,
}

// Barrier is answered by Passed or BarrierFailed.
func (l leadership) Barrier(token uint64) { l.mail.post(zab.Barrier{Token: token}) }

// uplink is how the pipeline of a learner reaches the leader. What is sent when
// the link is gone is lost; the pipeline sends it again to the next leader.
type uplink struct{ *Driver }

func (u uplink) Forward(session int64, cxid int32, op proto.OpCode, body []byte, ids []proto.ClientInfo) {
	b := make([]byte, 0, requestHead+len(body))
	b = binary.BigEndian.AppendUint64(b, uint64(session))
	b = binary.BigEndian.AppendUint32(b, uint32(cxid))
	b = binary.BigEndian.AppendUint32(b, uint32(op))
	u.post(proto.Packet{Type: proto.PacketRequest, Zxid: -1, Data: append(b, body...), Auth: ids})
}

func (u uplink) Revalidate(session int64, timeoutMs int32) {
	b := binary.BigEndian.AppendUint64(nil, uint64(session))
	u.post(proto.Packet{Type: proto.PacketRevalidate, Zxid: -1, Data: binary.BigEndian.AppendUint32(b, uint32(timeoutMs))})
}

func (u uplink) post(p proto.Packet) {
	if up := u.upstream.Load(); up != nil {
		up.ask(u.links, 0, &p)
	}
}

func (u uplink) Flush() {
	if up := u.upstream.Load(); up != nil {
		u.links.Flush(up.link)
	}
}

// requestHead are the bytes of a REQUEST before the client's own: session, cxid,
// operation.
const requestHead = 8 + 4 + 4

// requests serves what learners ask their leader for, or has it asked.
func (d *Driver) requests(list []zab.Forwarded) {
	for i := range list {
		if f := list[i]; d.status.Role == proto.Leading {
			d.request(f)
		} else {
			d.relay(f)
		}
	}
	d.propose()
}

// propose hands the writes that learners have asked for to the pipeline, those
// of a step together.
func (d *Driver) propose() {
	if len(d.asked) > 0 {
		d.opt.Pipeline.Remote(d.asked)
		clear(d.asked)
		d.asked = d.asked[:0]
	}
}

// request serves what a learner asks this leader for.
func (d *Driver) request(f zab.Forwarded) {
	if f.Packet.Type != proto.PacketRequest {
		d.propose() // all is served in the order in which it came
	}
	data := f.Packet.Data
	pipe := d.opt.Pipeline
	switch f.Packet.Type {
	case proto.PacketRequest:
		if len(data) < requestHead {
			d.links.Close(f.Link, fmt.Sprintf("it sent a request of %d bytes", len(data)))
			return
		}
		session, cxid := int64(binary.BigEndian.Uint64(data)), int32(binary.BigEndian.Uint32(data[8:]))
		op := proto.OpCode(binary.BigEndian.Uint32(data[12:]))
		if op == proto.OpSync {
			d.propose() // what this learner has asked for so far: it comes before the sync
			d.view.pendingSyncs.Add(1)
			d.mail.post(zab.Barrier{Link: f.Link})
			return
		}
		d.asked = append(d.asked, pipeline.Asked{From: f.Sid, Session: session, Cxid: cxid, Op: op, Body: data[requestHead:], IDs: f.Packet.Auth})
	case proto.PacketRevalidate:
		if len(data) != 12 {
			d.links.Close(f.Link, fmt.Sprintf("it sent a REVALIDATE of %d bytes", len(data)))
			return
		}
		session := int64(binary.BigEndian.Uint64(data))
		valid := pipe.RevalidateRemote(f.Sid, session, int32(binary.BigEndian.Uint32(data[8:])))
		b := append(make([]byte, 0, 9), data[:8]...)
		if valid {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		d.links.Send(f.Link, Item{Frame: Encode(&proto.Packet{Type: proto.PacketRevalidate, Zxid: -1, Data: b})})
	case proto.PacketPing:
		touches, err := parseTouches(data)
		if err != nil {
			d.links.Close(f.Link, err.Error())
			return
		}
		pipe.TouchRemote(f.Sid, touches)
	}
}

// reply hands the leader's answers to this learner's pipeline.
func (d *Driver) reply(p *proto.Packet) {
	switch {
	case p.Type == proto.PacketSync:
		d.opt.Pipeline.Synced()
	case p.Type == proto.PacketRevalidate && len(p.Data) == 9:
		d.opt.Pipeline.Revalidated(int64(binary.BigEndian.Uint64(p.Data)), p.Data[8] != 0)
	default:
		d.links.Close(d.status.Link, fmt.Sprintf("the leader sent a REVALIDATE of %d bytes", len(p.Data)))
	}
}

// touchBytes is one entry of a PING's table (section 4.2): a session and its
// timeout in ms.
const touchBytes = 8 + 4

func parseTouches(b []byte) ([]pipeline.Touch, error) {
	if len(b)%touchBytes != 0 {
		return nil, fmt.Errorf("it sent a PING with a table of %d bytes", len(b))
	}
	out := make([]pipeline.Touch, 0, len(b)/touchBytes)
	for ; len(b) > 0; b = b[touchBytes:] {
		out = append(out, pipeline.Touch{Session: int64(binary.BigEndian.Uint64(b)), TimeoutMs: int32(binary.BigEndian.Uint32(b[8:]))})
	}
	return out, nil
}

// appendTouches is never nil: a learner without any sends an empty table.
func appendTouches(touches []pipeline.Touch) []byte {
	b := make([]byte, 0, touchBytes*len(touches))
	for _, t := range touches {
		b = binary.BigEndian.AppendUint64(b, uint64(t.Session))
		b = binary.BigEndian.AppendUint32(b, uint32(t.TimeoutMs))
	}
	return b
}
