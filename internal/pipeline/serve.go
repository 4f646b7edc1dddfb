// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"
	"time"

	"paddock/internal/acl"
	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// Burst is what the requests of one read from a socket share: a view of the
// tree, so that a run of reads takes the lock once, and the time. The reader
// calls End before it waits for more.
//
// A reader of several clients may serve one after the other in one burst, so that
// their writes are prepared together: it calls Begin and Pause for each, and End,
// of any of them, for all. Until the writes of a client are proposed nobody else
// may be its reader.
type Burst struct {
	// Proposed, if there is one, is called when the writes gathered so far have
	// been proposed.
	Proposed func()

	arrived int64 // ns on the pipeline's clock
	burst
}

// Gathered tells whether there are writes that are not proposed yet.
func (b *Burst) Gathered() bool { return len(b.writes) > 0 }

// Begin starts a burst: its requests have arrived now.
func (c *Client) Begin(b *Burst) { b.arrived = c.p.nowNs() }

type burst struct {
	req    request    // the one being served, when it is not a write
	dec    jute.Coder // its decoder
	view   tree.View
	opened bool
	reads  int

	borrowed bool // the view is another's to close

	warmth uint32 // keeps Warm from being optimised away

	writes []*request // decoded, to be prepared together
}

// readsPerView bounds how long a burst keeps the applier out.
const readsPerView = 64

func (b *burst) open(c *Client) tree.View {
	if b.opened && !b.borrowed && b.reads >= readsPerView {
		b.close()
	}
	if !b.opened {
		b.view, b.opened, b.reads = c.p.tree.View(c.slot), true, 0
	}
	b.reads++
	return b.view
}

func (b *burst) close() {
	if b.opened && !b.borrowed {
		b.view.Close()
		b.opened = false
	}
}

// Pause lets the applier in, and leaves the writes that were gathered.
func (c *Client) Pause(b *Burst) { b.close() }

// End ends a burst.
func (c *Client) End(b *Burst) {
	c.propose(b)
	b.close()
}

// Serve takes one frame (without its length) of a client past its handshake.
// The frame's memory is the caller's again when it returns. Reader only.
func (c *Client) Serve(b *Burst, frame []byte) {
	if c.gone {
		return
	}
	c.received.Add(1)
	if len(frame) < 8 {
		c.quit(b, "frame of "+itoa(len(frame))+" bytes is too short for a request")
		return
	}
	xid, op, body := int32(binary.BigEndian.Uint32(frame)), proto.OpCode(binary.BigEndian.Uint32(frame[4:])), frame[8:]
	row := lookup(op)
	r := &b.req
	if row.kind == kindWrite {
		r = newRequest()
	}
	r.client, r.xid, r.op, r.row, r.start, r.code = c, xid, op, row, b.arrived, proto.OK
	switch op {
	case proto.OpAuth:
		b.close()
		c.auth(r, body)
		return
	case proto.OpSASL:
		b.close()
		c.sasl(r, body)
		return
	}
	if code := c.p.opt.EnforceAuth; code != 0 && !c.p.opt.ACL.Enforced(c.IDs()) {
		b.close()
		c.send(r, 0, code, nil, c.p.nowNs())
		c.quit(b, "did not authenticate with a required scheme")
		return
	}
	if c.revoked.Load() {
		c.quit(b, "")
		return
	}
	c.session.Touch(b.arrived/1e6, c.timeoutMs)
	if !c.touched.Load() {
		c.touched.Store(true)
	}
	if row.slow || len(frame) > slowFrame {
		c.link.Slow()
	}
	l := &c.p.limits
	if !l.admit(c, b, r, len(frame)) {
		return
	}
	r.ids = c.IDs()
	switch {
	case l.throttledWait > 0 && row.kind != kindPing && r.op != proto.OpCloseSession && time.Duration(c.p.nowNs()-b.arrived) > l.throttledWait:
		c.p.counts.Throttled.Add(1)
		r.code = proto.ErrThrottled
		c.behind(b, r, frame)
	case row.kind == kindWrite:
		c.submit(b, r, body)
	case row.kind == kindSync && c.p.ensemble:
		c.sync(b, r, frame)
	case row.kind == kindPing && c.p.is(looking):
		c.pingHeld(b, r)
	default:
		c.behind(b, r, frame)
	}
}

// Others are not to wait for requests of so many bytes, nor for so many children.
const (
	slowFrame    = 8 << 10
	slowChildren = 1000
)

// submit decodes a write. It is prepared with those that follow it in the
// burst.
func (c *Client) submit(b *Burst, r *request, body []byte) {
	if r.op == proto.OpCloseSession && c.leaves(b, r) {
		return
	}
	if c.readOnly {
		c.declineWrite(b, r)
		return
	}
	// The transaction keeps parts of the request until it is applied.
	d := &b.dec
	r.body = append(make([]byte, 0, len(body)), body...)
	*d = jute.AliasDecoder(r.body)
	d.Limit(c.p.opt.MaxRecord)
	if code := r.row.decode(r, d); code != proto.OK {
		c.p.limits.release(r)
		r.code = code
		c.behind(b, r, noFrame[:])
		return
	}
	r.isWrite, r.session = true, c.session.ID()
	b.writes = append(b.writes, r)
	if r.op == proto.OpCloseSession {
		c.gone = true
		c.propose(b)
	} else if len(b.writes) >= writesPerPropose {
		c.propose(b)
	}
}

var noFrame [8]byte

// writesPerPropose bounds how long a burst keeps other writers out.
const writesPerPropose = 32

// propose prepares the writes that the burst has gathered.
func (c *Client) propose(b *Burst) {
	if len(b.writes) > 0 {
		b.close()
		if !c.p.propose(b.writes...) {
			for _, r := range b.writes {
				r.client.gone = true // a reply to anything behind them would be out of order
			}
		}
		clear(b.writes)
		b.writes = b.writes[:0]
		if b.Proposed != nil {
			b.Proposed()
		}
	}
}

// behind runs a request now, or queues it behind the writes before it.
func (c *Client) behind(b *Burst, r *request, frame []byte) {
	c.propose(b)
	if c.gone {
		return
	}
	if c.waiting.Load() == 0 && !c.p.is(looking) {
		c.run(&b.burst, r, frame)
	} else {
		b.close()
		c.push(r.later(frame))
	}
	if r.row.kind == kindUnknown {
		c.gone = true
	}
}

// run answers a request that needs no log.
func (c *Client) run(b *burst, r *request, frame []byte) {
	body := frame[8:]
	if r.code != proto.OK { // settled when it was read
		c.sendNow(b, r, r.code)
		return
	}
	row := r.row
	switch row.kind {
	case kindRead, kindSync:
		c.read(b, r, row, body)
	case kindPing:
		r.xid = proto.XidPing
		c.sendNow(b, r, proto.OK)
	case kindLocal:
		row.local(c, b, r, body)
	default:
		c.send(r, -1, proto.ErrUnimplemented, nil, c.p.nowNs())
		c.link.Hangup("unknown operation " + r.op.String())
	}
}

// sendNow answers without a record, with the zxid of the tree as it stands.
func (c *Client) sendNow(b *burst, r *request, code proto.Code) {
	c.send(r, b.open(c).Zxid(), code, nil, c.p.nowNs())
}

// read runs one read inside the burst's view. The reply is queued before the
// view can close, so that no event of the watch it arms can overtake it.
func (c *Client) read(b *burst, r *request, row *opRow, body []byte) {
	d := &b.dec
	*d = jute.AliasDecoder(body)
	d.Limit(c.p.opt.MaxRecord)
	v := b.open(c)
	out := c.out.begin()
	start := len(out)
	out = append(out, zeroHeader[:]...)
	out, code := row.read(c, v, r, d, out)
	if code != proto.OK && r.op != proto.OpMultiRead {
		out = out[:start+frameHeader]
	}
	z := v.Zxid()
	putHeader(out, start, r.xid, z, code)
	c.out.count(r, z, r.start)
	over := c.out.end(out)
	c.overflow(over)
}

// quit has the connection closed without a further reply.
func (c *Client) quit(b *Burst, why string) {
	c.propose(b)
	b.close()
	c.gone = true
	c.link.Hangup(why)
}

// auth handles an auth packet as soon as it is read: its reply may overtake
// those of requests before it, and only frames after it profit.
func (c *Client) auth(r *request, body []byte) {
	var a proto.Auth
	if err := jute.Unmarshal(body, &a); err != nil {
		c.gone = true
		c.link.Hangup("auth packet cannot be read: " + err.Error())
		return
	}
	ids, outcome := c.p.opt.ACL.Authenticate(a.Scheme, a.Auth, c.PeerIP, c.IDs())
	switch outcome {
	case acl.Granted:
		c.ids.Store(&ids)
		c.send(r, 0, proto.OK, nil, c.p.nowNs())
		return
	case acl.Refused:
		c.send(r, 0, proto.ErrAuthFailed, nil, c.p.nowNs())
	}
	c.p.counts.AuthFailed.Add(1)
	c.gone = true
	c.link.Hangup("authentication with scheme " + quote(a.Scheme) + " failed")
}

// sasl answers a SASL packet as a server without SASL does: with a null token
// and no error.
func (c *Client) sasl(r *request, body []byte) {
	var t proto.SASLToken
	if err := jute.Unmarshal(body, &t); err != nil {
		c.gone = true
		c.link.Hangup("sasl packet cannot be read: " + err.Error())
		return
	}
	c.send(r, 0, proto.OK, []byte{0xff, 0xff, 0xff, 0xff}, c.p.nowNs())
}
