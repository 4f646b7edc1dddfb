// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync"

	"paddock/internal/acl"
	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// request is one request that waits for its turn to be answered: a write on
// its way through the log, or a request behind one.
type request struct {
	client *Client // nil: a learner's, or the server's own (expiry, reaper)
	xid    int32
	op     proto.OpCode
	ids    []acl.ID // as they were when the frame was read
	start  int64    // ns on the pipeline's clock, when it arrived

	// Of a write.
	row     *opRow
	session int64
	rec     jute.Record // as decoded; its strings and data lie in the request's own copy of the frame
	subs    []subOp     // of a multi
	txn     proto.Txn
	room    *room // nil in a request that did not come from the pool
	large   int64 // bytes counted in limits.large

	code proto.Code // what the reply says

	frame   []byte // of a request that needs no log
	own     []byte // room for it
	isWrite bool   // it waits for something from outside: its transaction, or the answer to a sync
	next    *request

	// Of a member of an ensemble. What its client's mu guards may also be
	// changed while nobody else can know the request.
	upgrade bool   // it makes a local session global; such a request has no client
	sync    bool   // needs no log, but isWrite until the leader has answered
	dropped bool   // it is in no queue and nobody waits for it; guarded by the client's mu
	counted bool   // in limits.outstanding; guarded by the client's mu
	via     via    // where it was sent; guarded by the client's mu
	remote  bool   // a learner asked; such a request has no client
	from    member // that learner
	reign   uint32 // of the server's own: that of the leadership that asks
	body    []byte // what follows the header, for the leader
}

var requests = sync.Pool{New: func() any { return &request{room: new(room)} }}

func newRequest() *request { return requests.Get().(*request) }

// room is where the records of the commonest writes lie, so that they cost no
// memory of their own: as decoded, and of the transaction.
type room struct {
	set       proto.SetData
	setTxn    proto.SetDataTxn
	create    proto.Create
	createTxn proto.CreateTxn
	del       proto.PathVersion
	delTxn    proto.DeleteTxn
	ids       [2]acl.ID // of a learner's client
}

// free gives the request back; nobody looks at it any more.
func (r *request) free() {
	if r.room == nil {
		return
	}
	if r.isWrite || r.rec != nil {
		*r.room = room{}
	}
	subs, own := r.subs, r.own
	if cap(subs) > subsKept {
		subs = nil
	}
	clear(subs)
	if cap(own) > frameKept {
		own = nil
	}
	*r = request{subs: subs[:0], room: r.room, own: own[:0]}
	requests.Put(r)
}

// later is a copy of a request that needs no log, which outlives its burst.
func (r *request) later(frame []byte) *request {
	q := newRequest()
	subs, room, own := q.subs, q.room, append(q.own, frame...)
	*q = *r
	q.subs, q.room, q.own, q.frame = subs, room, own, own
	return q
}

// frameKept is how long a frame may be that a request keeps room for.
const frameKept = 512

// subsKept is how many steps of a multi a request keeps room for.
const subsKept = 32

// A client's queue holds its unanswered requests in order. A write leaves it
// when it is applied. A request that needs no log runs when all before it are
// answered and before anything behind it is applied, so that it sees exactly
// the writes its session sent before it:
//
//   - the applier, about to apply a write, first runs what its client has
//     ahead of it (runAhead);
//   - what stands behind the last applied write is run by a goroutine that
//     lives as long as there is any (drain).
//
// Locks are taken in the order tree, queue, out-buffer. Whoever takes a request
// off the queue to run it is inside a view of the tree, or is the applier: so
// no write can be applied between the taking and the running.

// push puts a request that needs no log at the end of the client's queue, and
// waits while there are too many. Reader only.
func (c *Client) push(r *request) {
	c.mu.Lock()
	c.append(r)
	many := c.reads > readsQueued
	c.mu.Unlock()
	if many {
		c.link.Waits()
		c.mu.Lock()
		for c.reads > readsQueued && !c.p.over.Load() {
			c.room.Wait()
		}
		c.mu.Unlock()
	}
}

// enqueue puts a request at the end of the client's queue.
func (c *Client) enqueue(r *request) {
	c.mu.Lock()
	c.append(r)
	c.mu.Unlock()
}

// launch notes that writes of the client are proposed, and puts them at the end
// of its queue if they are fresh.
func (c *Client) launch(list []Proposal, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range list {
		p.req.via = viaProposal
		if fresh && p.req.op != proto.OpCreateSession {
			c.append(p.req)
		}
	}
}

// append is enqueue with c.mu held.
func (c *Client) append(r *request) {
	if c.tail == nil {
		c.head = r
	} else {
		c.tail.next = r
	}
	c.tail = r
	c.waiting.Add(1)
	if !r.isWrite {
		c.reads++
	}
	c.startDrain()
}

// readsQueued is how many requests that need no log a client may have behind
// its writes before it is read no further. It bounds what the applier may have
// to run for one client before it can apply that client's next write.
const readsQueued = 32

// pop drops the head; c.mu is held. Its reply has been queued by now: a reader
// that sees the queue empty may answer at once.
func (c *Client) pop() {
	if !c.head.isWrite {
		if c.reads--; c.reads == readsQueued {
			c.room.Signal()
		}
	}
	if c.head = c.head.next; c.head == nil {
		c.tail = nil
	}
	c.waiting.Add(-1)
}

// startDrain has a goroutine run what is at the head, if that needs no log and
// no election is on; c.mu is held.
func (c *Client) startDrain() {
	if c.head != nil && !c.head.isWrite && !c.draining && !c.p.is(looking) {
		c.draining = true
		go c.drain()
	}
}

// drain runs the requests at the head of the queue that need no log.
func (c *Client) drain() {
	for {
		var b burst
		v := b.open(c)
		c.mu.Lock()
		held := c.p.is(looking)
		for i := 0; i < readsPerView && !held && !c.out.Crowded() && c.runHead(v); i++ {
		}
		more := !held && c.head != nil && !c.head.isWrite
		c.draining = more
		c.mu.Unlock()
		b.close()
		c.link.Flush()
		if !more {
			return
		}
		c.out.WaitRoom()
	}
}

// runHead runs the request at the head inside v, if it needs no log; c.mu is
// held.
func (c *Client) runHead(v tree.View) bool {
	r := c.head
	if r == nil || r.isWrite {
		return false
	}
	if !c.dead.Load() {
		b := burst{view: v, opened: true, borrowed: true}
		c.run(&b, r, r.frame)
	}
	c.pop()
	if !r.sync { // who was asked about that one may still know it
		r.free()
	}
	return true
}

// runAhead runs what stands before the write r, which is about to be applied.
// Applier only; v is its own view.
func (c *Client) runAhead(r *request, v tree.View) {
	c.mu.Lock()
	for c.head != r && !r.dropped {
		if q := c.head; q != nil && q.sync && q.isWrite {
			// A write that it sent after the sync is decided. So was all before that
			// write, in the reign of the leader that proposed it.
			c.release(q)
		}
		if !c.runHead(v) {
			break
		}
	}
	c.mu.Unlock()
}

// complete answers the write that was just applied, the head of the queue, and
// takes it off; it reports false if nobody waits for it any more. A few light
// reads that stand behind it are answered with it: that takes less than to wake
// another goroutine for them, and all of it is one write to the socket. Applier
// only; v is its own view. body is copied.
func (c *Client) complete(r *request, v tree.View, z proto.Zxid, code proto.Code, body []byte, now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.dropped {
		return false
	}
	if c.head != r {
		panic("pipeline: a write is applied out of its session's order")
	}
	switch {
	case c.dead.Load():
	case code == proto.ErrSessionMoved:
		c.revoked.Store(true)
		c.out.close()
		c.link.Hangup("its session has moved to another server")
	default:
		c.send(r, z, code, body, now)
		if r.op == proto.OpCloseSession {
			c.link.Last("")
		}
	}
	c.pop()
	if !c.p.is(looking) {
		for n := 0; n < readsWithWrite && c.head != nil && c.head.light() && !c.out.Crowded() && c.runHead(v); n++ {
		}
	}
	c.startDrain()
	return true
}

// readsWithWrite is how many reads the applier answers with the write before
// them: others wait for it.
const readsWithWrite = 4

// light tells whether a request that needs no log takes no longer for a large
// tree than for a small one.
func (r *request) light() bool {
	switch r.op {
	case proto.OpGetData, proto.OpExists, proto.OpGetACL, proto.OpPing:
		return true
	}
	return false
}
