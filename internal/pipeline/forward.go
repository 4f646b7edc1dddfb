// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"slices"

	"paddock/internal/acl"
	"paddock/jute"
	"paddock/proto"
)

// Uplink is how a learner's pipeline reaches its leader. Calls never block and
// come from any goroutine, one at a time but for Flush; their order is the order on
// the wire.
type Uplink interface {
	// Forward sends a REQUEST (quorum-protocol.md section 4.2). body is what
	// follows the client's RequestHeader, and of a createSession the timeout; it
	// and ids are not changed afterwards. A sync (OpSync) is answered by Synced,
	// all others by the transaction they become.
	Forward(session int64, cxid int32, op proto.OpCode, body []byte, ids []proto.ClientInfo)
	// Revalidate sends a REVALIDATE; it is answered by Revalidated.
	Revalidate(session int64, timeoutMs int32)
	// Flush sends what was given to the others so far: only then it is sure to go.
	Flush()
}

// waiter is who waits for a sync that was forwarded: one of the two.
type waiter struct {
	r *request
	u *resume
}

// admitted leaves out the requests that a member of an ensemble does not take,
// and marks the others as counted; prep.mu is held.
func (p *Pipeline) admitted(batch []*request) []*request {
	return slices.DeleteFunc(batch, func(r *request) bool {
		out := false
		switch {
		case r.client != nil:
			// Something that it sent before may have been dropped.
			out = r.op != proto.OpCreateSession && r.client.revoked.Load()
		case !p.is(leading):
			out = true // nobody learns from this server any more, and it decides nothing
		case !r.remote:
			out = r.reign != p.reign.Load()
		}
		if r.counted = !out; out {
			p.limits.release(r)
		}
		return out
	})
}

// forward puts writes and syncs into their clients' queues and sends them to
// the leader, if there is one; prep.mu is held.
func (p *Pipeline) forward(batch []*request) {
	for _, r := range batch {
		if !r.upgrade {
			p.limits.outstanding.Add(1)
		}
		switch code := unfit(r); {
		case r.op == proto.OpCreateSession:
			p.flight.open(r)
		case code != proto.OK:
			p.settle(r)
			r.code, r.isWrite, r.frame = code, false, noFrame[:]
			r.client.enqueue(r)
			continue
		default:
			r.client.enqueue(r)
		}
		if p.is(learning) {
			p.sendUp(r)
		}
	}
}

// unfit declines a write that the leader is not to see: what cannot be read, and
// what a leader of the reference would log and then stop at
// (client-protocol.md section 14).
func unfit(r *request) proto.Code {
	if r.op != proto.OpMulti && makesEphemeral(r) && r.client.session.Local() {
		return proto.ErrEphemeralOnLocal // in a multi it is for the leader to say where that fails
	}
	switch q := r.rec.(type) {
	case *proto.Create:
		if q.Path == unfitPath {
			return proto.ErrBadArguments
		}
	case *proto.CreateTTL:
		if q.Path == unfitPath || q.TTL < 0 {
			return proto.ErrBadArguments
		}
	}
	if r.op == proto.OpMulti && r.code != proto.OK {
		return proto.ErrMarshalling
	}
	for i := range r.subs {
		switch s := &r.subs[i]; {
		case s.path == unfitPath && s.create.op != 0, s.op == proto.OpCreateTTL && s.create.ttl < 0:
			return proto.ErrBadArguments
		}
	}
	return proto.OK
}

// unfitPath would be the limits for the quota of no path.
const unfitPath = proto.QuotaPath + "/" + proto.LimitsNode

// sendUp forwards one request; prep.mu is held.
func (p *Pipeline) sendUp(r *request) {
	c, body := r.client, r.body
	if r.upgrade {
		r.via = viaUplink
		p.prep.up.Forward(r.session, r.xid, r.op, body, nil)
		return
	}
	c.mu.Lock()
	r.via = viaUplink
	dropped := r.dropped
	c.mu.Unlock()
	if dropped {
		return
	}
	var ids []proto.ClientInfo
	if r.op != proto.OpCreateSession {
		ids = c.wireIDs(r.ids)
	}
	if r.sync {
		body = r.frame[8:]
		p.prep.syncs = append(p.prep.syncs, waiter{r: r})
	}
	p.prep.up.Forward(r.session, r.xid, r.op, body, ids)
}

// wireIDs is ids as a REQUEST has them; prep.mu is held. A client's ids rarely
// change, so the last are kept.
func (c *Client) wireIDs(ids []acl.ID) []proto.ClientInfo {
	if len(ids) == 0 {
		return nil
	}
	if c.wire.of != &ids[0] || len(c.wire.info) != len(ids) {
		info := make([]proto.ClientInfo, len(ids))
		for i, id := range ids {
			info[i] = proto.ClientInfo{Scheme: id.Scheme, User: id.ID}
		}
		c.wire.of, c.wire.info = &ids[0], info
	}
	return c.wire.info
}

// sync has a sync wait for the leader: in its client's queue it is a write until
// then, and a read from then on.
func (c *Client) sync(b *Burst, r *request, frame []byte) {
	if c.readOnly {
		c.declineWrite(b, r)
		return
	}
	var q proto.Path
	d := jute.AliasDecoder(frame[8:])
	d.Limit(c.p.opt.MaxRecord)
	if q.Fields(&d); d.Err() != nil {
		r.code = proto.ErrMarshalling
		c.behind(b, r, noFrame[:])
		return
	}
	c.propose(b)
	if c.gone {
		return
	}
	b.close()
	s := new(request)
	*s = *r
	s.frame, s.session, s.isWrite, s.sync = append([]byte(nil), frame...), c.session.ID(), true, true
	if !c.p.propose(s) {
		c.gone = true
	}
}

// pingHeld answers a ping while requests before it wait for a leader: clients
// know a ping's reply by its xid, wherever it comes.
func (c *Client) pingHeld(b *Burst, r *request) {
	c.propose(b)
	r.xid = proto.XidPing
	// Not by a view: the tree may be closed while it is replaced.
	c.send(r, proto.Zxid(c.p.prep.applied.Load()), proto.OK, nil, c.p.nowNs())
}

// barrier asks the leadership about a sync of a client here; prep.mu is held.
func (p *Pipeline) barrier(r *request, fresh bool) {
	pr := &p.prep
	if fresh {
		r.client.enqueue(r)
	}
	pr.token++
	pr.tokens[pr.token] = r
	pr.lead.Barrier(pr.token)
}

// Passed answers Leadership.Barrier.
func (p *Pipeline) Passed(token uint64) {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	if r := p.prep.tokens[token]; r != nil {
		delete(p.prep.tokens, token)
		r.client.passed(r)
	}
}

// BarrierFailed answers Leadership.Barrier. If the leadership is over the sync
// waits for the next leader; otherwise its client is hung up on.
func (p *Pipeline) BarrierFailed(token uint64) {
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	if r := p.prep.tokens[token]; r != nil && p.is(leading) {
		delete(p.prep.tokens, token)
		p.drop(r.client, "its sync could not be confirmed")
	}
}

// Synced says that the oldest sync that was forwarded has come back.
func (p *Pipeline) Synced() {
	pr := &p.prep
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if !p.is(learning) || len(pr.syncs) == 0 {
		return // of a leader that is not followed any more
	}
	w := pr.syncs[0]
	pr.syncs[0] = waiter{}
	if pr.syncs = pr.syncs[1:]; len(pr.syncs) == 0 {
		pr.syncs = nil
	}
	if w.r != nil {
		w.r.client.passed(w.r)
		return
	}
	w.u.synced = true
	p.taken(w.u)
}

// passed lets a sync run in its turn.
func (c *Client) passed(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.isWrite && !r.dropped {
		c.release(r)
		c.startDrain()
	}
}

// release makes a sync a request like others that need no log; c.mu is held.
func (c *Client) release(r *request) {
	r.isWrite = false
	c.reads++
	c.p.settle(r)
}
