// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"time"

	"paddock/internal/acl"
	"paddock/proto"
)

// request is one request that waits for its turn to be answered: a write on
// its way through the log, or a request behind one.
type request struct {
	client *Client // nil: the server's own (expiry, reaper)
	xid    int32
	op     proto.OpCode
	ids    []acl.ID // as they were when the frame was read
	start  time.Time

	txn   proto.Txn
	code  proto.Code // what the reply says
	subs  []subOp    // of a multi
	large int64      // bytes counted in limits.large

	frame []byte // of a request that runs here, when its turn comes

	isWrite bool
	done    bool       // the write is applied and reply is what it answers
	zxid    proto.Zxid // of the reply
	reply   []byte     // kept only while an earlier request is unanswered
	next    *request
}

// push puts a request at the end of the client's queue. Reader only.
func (c *Client) push(r *request) {
	c.mu.Lock()
	if c.tail == nil {
		c.head = r
	} else {
		c.tail.next = r
	}
	c.tail = r
	c.waiting.Add(1)
	if !r.isWrite {
		c.advance()
	}
	c.mu.Unlock()
}

// pop drops the head; c.mu is held. The reply has been queued by now: a reader
// that sees the queue empty may answer at once.
func (c *Client) pop() {
	if c.head = c.head.next; c.head == nil {
		c.tail = nil
	}
	c.waiting.Add(-1)
}

// complete answers an applied write, at once if its turn has come. Applier
// only. body is copied.
func (c *Client) complete(r *request, z proto.Zxid, code proto.Code, body []byte, now time.Time) {
	c.mu.Lock()
	if c.head != r {
		r.done, r.zxid, r.code = true, z, code
		r.reply = append([]byte(nil), body...)
		c.mu.Unlock()
		return
	}
	c.answer(r, z, code, body, now)
	c.pop()
	c.advance()
	c.mu.Unlock()
}

// advance answers the writes at the head that are done, and has a goroutine
// run the reads there; c.mu is held.
func (c *Client) advance() {
	if c.draining {
		return
	}
	for c.head != nil {
		r := c.head
		if !r.isWrite {
			c.draining = true
			go c.drain()
			return
		}
		if !r.done {
			return
		}
		c.answer(r, r.zxid, r.code, r.reply, time.Now())
		c.pop()
	}
}

// drain runs the requests at the head of the queue that need no log.
func (c *Client) drain() {
	for {
		c.mu.Lock()
		r := c.head
		if r == nil || r.isWrite {
			c.draining = false
			c.advance()
			c.mu.Unlock()
			c.link.Flush()
			return
		}
		c.mu.Unlock()
		c.local(r)
		c.mu.Lock()
		c.pop()
		c.mu.Unlock()
	}
}

// local runs a request that waited and needs no log.
func (c *Client) local(r *request) {
	if c.dead.Load() {
		return
	}
	var b burst
	c.run(&b, r, r.frame)
	b.close()
}

// answer queues the reply of a write.
func (c *Client) answer(r *request, z proto.Zxid, code proto.Code, body []byte, now time.Time) {
	if c.dead.Load() {
		return
	}
	c.send(r, z, code, body, now)
	if r.op == proto.OpCloseSession {
		c.link.Hangup("")
	}
}
