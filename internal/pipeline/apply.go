// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"

	"paddock/internal/session"
	"paddock/internal/tree"
	"paddock/internal/watch"
	"paddock/jute"
	"paddock/proto"
)

// applier moves the tree on by committed transactions, queues their events and
// the replies of the clients that asked for them. One goroutine calls Apply.
type applier struct {
	p     *Pipeline
	body  []byte    // scratch for one reply
	dirty []*Client // to be flushed when the readers are let in

	zxid  proto.Zxid // of the transaction being applied
	event []byte     // the frame of the event being told, encoded once for all who hear it
	eType proto.EventType
	ePath string

	acl, parentACL []proto.ACL // who may hear of it
	visit          func(watch.Watcher, proto.EventType, string)

	ended []*session.Session // closed in this batch

	decided // of a member of an ensemble
}

func (a *applier) init(p *Pipeline) {
	a.p = p
	a.visit = a.tell
}

// Commit applies durable transactions in the order of their zxids. One
// goroutine calls it.
func (p *Pipeline) Commit(batch []Proposal) {
	a := &p.app
	now := p.nowNs()
	w := p.tree.Write(a)
	for i := range batch {
		a.one(w, batch[i].req, now)
	}
	w.Close()
	a.release(len(batch), batch[len(batch)-1].Txn.Zxid)
	p.limits.done(batch)
	for i := range batch {
		batch[i].req.free()
	}
}

// release tells the world of n transactions that were applied, last the last of
// them: the readers have been let in.
func (a *applier) release(n int, last proto.Zxid) {
	p := a.p
	p.prep.applied.Store(int64(last))
	p.counts.Commits.Add(int64(n))
	for _, s := range a.ended {
		p.endSession(s)
	}
	clear(a.ended)
	a.ended = a.ended[:0]
	for _, c := range a.dirty {
		c.dirty = false
	}
	flushAll(a.dirty)
	clear(a.dirty)
	a.dirty = a.dirty[:0]
}

func (a *applier) one(w tree.Writer, r *request, now int64) {
	a.apply(w, &r.txn, r, r.code, now)
}

// apply moves the tree on by t and answers r, which asked for it; r is nil if
// nobody here did. code is what t says of its success. It reports whether r is
// done with, and not dropped before.
func (a *applier) apply(w tree.Writer, t *proto.Txn, r *request, code proto.Code, now int64) bool {
	a.zxid = t.Zxid
	var c *Client
	if r != nil {
		c = r.client
	}
	if c != nil {
		c.runAhead(r, w.View())
	}
	a.body = a.body[:0]
	switch {
	case t.Type == proto.OpMulti:
		code = a.multi(w, t)
	case code == proto.OK:
		n := w.ApplyOp(t, proto.SubTxn{Type: t.Type, Body: t.Body})
		if c != nil {
			a.body = result(w.View(), a.body, t.Type, t.Body, n)
		}
	}
	w.Done(t.Zxid)
	switch t.Type {
	case proto.OpCreateSession:
		a.opened(t, c)
		return true
	case proto.OpCloseSession:
		if s := a.p.sessions.Get(t.Session); s != nil {
			a.ended = append(a.ended, s)
		}
	}
	if c == nil {
		return true
	}
	done := c.complete(r, w.View(), t.Zxid, code, a.body, now)
	a.touch(c)
	return done
}

func (a *applier) touch(c *Client) {
	if !c.dirty {
		c.dirty = true
		a.dirty = append(a.dirty, c)
	}
}

// result appends the response record of one write, or of one step of a multi,
// that created or changed znode n.
func result(v tree.View, b []byte, op proto.OpCode, body jute.Record, n tree.Ref) []byte {
	switch op {
	case proto.OpCreate:
		return appendString(b, body.(*proto.CreateTxn).Path)
	}
	if n == 0 { // a delete; or the tree is not what the leader's is
		return b
	}
	switch op {
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return appendStat(appendString(b, v.Path(n)), v.Stat(n))
	case proto.OpSetData, proto.OpSetACL:
		return appendStat(b, v.Stat(n))
	case proto.OpReconfig:
		return appendStat(appendBuffer(b, v.Data(n)), v.Stat(n))
	}
	return b
}

// multi applies all steps, or reports why there are none. It returns
// ErrSessionMoved if that is why: such a multi is not answered.
func (a *applier) multi(w tree.Writer, t *proto.Txn) (code proto.Code) {
	body := t.Body.(*proto.MultiTxn)
	if body.Failed() {
		why := proto.OK
		for i := range body.Ops {
			if e, ok := body.Ops[i].Body.(*proto.ErrorTxn); ok {
				why = e.Err
			}
			if why == proto.ErrSessionMoved {
				code = why
			}
			a.body = appendMultiError(a.body, why)
		}
	} else {
		for i := range body.Ops {
			n := w.ApplyOp(t, body.Ops[i])
			op := body.Ops[i].Type
			typ := op
			if op == proto.OpCreateContainer || op == proto.OpCreateTTL {
				typ = proto.OpCreate2
			}
			a.body = appendMultiHeader(a.body, proto.MultiHeader{Type: typ})
			a.body = result(w.View(), a.body, op, body.Ops[i].Body, n)
		}
	}
	a.body = appendMultiHeader(a.body, proto.MultiEnd)
	return code
}

// Created, Deleted and DataChanged are the tree's announcements.

func (a *applier) Created(path string, list, parent []proto.ACL) {
	a.acl, a.parentACL, a.event = list, parent, a.event[:0]
	a.p.watches.Created(path, a.visit)
}

func (a *applier) Deleted(path string, list, parent []proto.ACL) {
	a.acl, a.parentACL, a.event = list, parent, a.event[:0]
	a.p.watches.Deleted(path, a.visit)
}

func (a *applier) DataChanged(path string, list []proto.ACL) {
	a.acl, a.event = list, a.event[:0]
	a.p.watches.DataChanged(path, a.visit)
}

// tell queues one event to one client, if it may read what the event is about.
func (a *applier) tell(w watch.Watcher, e proto.EventType, path string) {
	c := w.(*Client)
	list := a.acl
	if e == proto.EventChildrenChanged {
		list = a.parentACL
	}
	if !a.p.opt.ACL.Allowed(list, proto.PermRead, c.IDs()) {
		return
	}
	if len(a.event) == 0 || a.eType != e || a.ePath != path {
		a.event = appendEvent(a.event[:0], e, a.zxid, path)
		a.eType, a.ePath = e, path
	}
	a.p.counts.Events.Add(1)
	c.sendRaw(a.event)
	a.touch(c)
}

// opened answers a handshake that asked for a new session; c is nil if it came
// to another server.
func (a *applier) opened(t *proto.Txn, c *Client) {
	p := a.p
	s := p.sessions.Add(t.Session, t.Body.(*proto.CreateSessionTxn).TimeOut, p.nowMs())
	p.counts.SessionsOpened.Add(1)
	if c == nil || c.dead.Load() {
		return // a session without a client will expire by itself
	}
	c.welcome(s)
	a.touch(c)
}

// appendConnectResponse appends the frame that answers a handshake.
func appendConnectResponse(b []byte, r *proto.ConnectResponse) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(r.TimeOut))
	b = binary.BigEndian.AppendUint64(b, uint64(r.SessionID))
	b = appendBuffer(b, r.Passwd)
	if !r.OldClient {
		ro := byte(0)
		if r.ReadOnly {
			ro = 1
		}
		b = append(b, ro)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}
