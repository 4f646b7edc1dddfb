// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"

	"paddock/internal/acl"
	"paddock/jute"
	"paddock/proto"
)

// refusedRow declines a request with the code it has: its origin waits for a
// transaction.
var refusedRow = opRow{kind: kindWrite, prepare: func(_ *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	return 0, nil, r.code
}}

// Asked is a learner's REQUEST.
type Asked struct {
	From    int64 // the learner's sid
	Session int64
	Cxid    int32
	Op      proto.OpCode
	Body    []byte
	IDs     []proto.ClientInfo
}

// Remote takes what learners ask for, at the leader. Nobody is answered here: the
// transaction that a request becomes, of an error if need be, is the answer at
// the origin. Syncs do not come here: the driver has the core answer them. Bodies
// are copied.
func (p *Pipeline) Remote(list []Asked) {
	var (
		batch [writesPerPropose]*request
		n     int
		now   = p.nowNs()
	)
	for i := range list {
		q := &list[i]
		if q.Op == proto.OpSync || !p.is(leading) {
			continue
		}
		r := newRequest()
		r.remote, r.from, r.session, r.xid, r.op = true, member(q.From), q.Session, q.Cxid, q.Op
		r.isWrite, r.start, r.ids = true, now, identities(r.room.ids[:0], q.IDs)
		if r.code = p.readRemote(r, q.Body); r.code != proto.OK {
			p.opt.Logger.Warn("a learner's request is declined", "from", q.From, "session", proto.SessionID(q.Session), "op", q.Op, "why", r.code)
			r.row = &refusedRow
		}
		batch[n] = r
		if n++; n == len(batch) {
			p.propose(batch[:]...)
			n = 0
		}
	}
	if n > 0 {
		p.propose(batch[:n]...)
	}
}

// readRemote finds the row and decodes the body.
func (p *Pipeline) readRemote(r *request, body []byte) proto.Code {
	if r.op == proto.OpCreateSession {
		if len(body) < 4 {
			return proto.ErrMarshalling
		}
		r.row, r.rec = &openSessionRow, &proto.CreateSessionTxn{TimeOut: int32(binary.BigEndian.Uint32(body))}
		return proto.OK
	}
	if r.row = lookup(r.op); r.row.kind != kindWrite {
		return proto.ErrUnimplemented
	}
	// The transaction keeps parts of it until it is applied.
	d := jute.AliasDecoder(append(make([]byte, 0, len(body)), body...))
	d.Limit(p.opt.MaxRecord)
	if code := r.row.decode(r, &d); code != proto.OK {
		return code
	}
	return r.code // of a multi: whether its steps could be read
}

// identities appends ids to out.
func identities(out []acl.ID, ids []proto.ClientInfo) []acl.ID {
	for _, id := range ids {
		out = append(out, acl.ID{Scheme: id.Scheme, ID: id.User})
	}
	return out
}

// checkRemote is checkSession for a learner's request: its session is alive and
// belongs to that learner, or to nobody yet.
func (x *prep) checkRemote() proto.Code {
	if !x.req.remote {
		return proto.OK // the server itself asks
	}
	s := x.p.sessions.Get(x.session)
	switch {
	case s == nil && x.p.elsewhere(x.session):
		return proto.OK
	case s == nil || s.Closing() || s.Local():
		return proto.ErrSessionExpired
	case !s.Claim(x.req.from):
		return proto.ErrSessionMoved
	}
	return proto.OK
}

// RevalidateRemote tells at the leader whether a session is alive; if so it
// belongs to that learner from now on, and a client here that had it is hung up
// on.
func (p *Pipeline) RevalidateRemote(from, session int64, timeoutMs int32) (valid bool) {
	s := p.sessions.Get(session)
	if s == nil || s.Closing() || s.Local() {
		return false
	}
	s.Touch(p.nowMs(), max(0, timeoutMs))
	old := s.Owner()
	s.SetOwner(member(from))
	if c, ok := old.(*Client); ok {
		c.revoked.Store(true)
		c.link.Hangup("")
	}
	return true
}

// reconfig prepares a change of the membership. Permission comes last, as with
// the reference: who may not still learns what else is wrong.
func (x *prep) reconfig(l Reconfigurer, q *proto.Reconfig) (proto.OpCode, jute.Record, proto.Code) {
	if c := x.checkSession(); c != proto.OK {
		return 0, nil, c
	}
	config, code := l.Reconfigure(q, x.zxid)
	if code != proto.OK {
		return 0, nil, code
	}
	node := x.get(proto.ConfigPath)
	switch {
	case !node.exists:
		return 0, nil, proto.ErrNoNode
	case !x.may(node.acl, proto.PermWrite):
		return 0, nil, proto.ErrNoAuth
	}
	const version = -1 // as it stays for ever
	next := node
	next.st.Version, next.st.Mzxid, next.st.Mtime = version, x.zxid, x.now
	next.dataLen = int32(len(config))
	x.put(proto.ConfigPath, &node, &next)
	return proto.OpReconfig, &proto.SetDataTxn{Path: proto.ConfigPath, Data: config, Version: version}, proto.OK
}
