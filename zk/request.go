// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"paddock/jute"
	"paddock/proto"
)

// request is one frame to the server and the wait for its reply. Its fields
// belong to Client.mu until done has a value, then to the one who waits.
type request struct {
	frame []byte // length, xid (filled in when sent), opcode, record
	xid   int32
	auth  *auth // an auth packet: answered under its own xid
	// arm runs when the reply is in, before the next frame is read, under
	// Client.mu, and only if somebody still waits. An error drops the connection.
	arm func(proto.Code) error

	sent, abandoned, finished bool

	done chan struct{} // room for one
	code proto.Code
	zxid proto.Zxid
	body []byte
	err  error // no reply will come
}

// frameHeader is the length and the RequestHeader.
const frameHeader = 12

func newRequest(op proto.OpCode, rec jute.Record) *request {
	size := frameHeader
	if rec != nil {
		size += jute.Size(rec)
	}
	b := make([]byte, frameHeader, size)
	if rec != nil {
		b = jute.Append(b, rec)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	binary.BigEndian.PutUint32(b[8:], uint32(op))
	return &request{frame: b, done: make(chan struct{}, 1)}
}

func (r *request) setXid(xid int32) {
	r.xid = xid
	binary.BigEndian.PutUint32(r.frame[4:], uint32(xid))
}

// finish ends the wait. Client.mu is held.
func (r *request) finish() {
	r.finished = true
	r.done <- struct{}{}
}

// call sends one request, waits for its reply and decodes it into resp, which
// may be nil. path is for the error only.
func (c *Client) call(ctx context.Context, op proto.OpCode, path string, req, resp jute.Record, arm func(proto.Code) error) error {
	_, err := c.callCode(ctx, op, path, req, resp, arm)
	return err
}

// callCode is call for those who take some codes for an answer: the code comes
// back beside the error.
func (c *Client) callCode(ctx context.Context, op proto.OpCode, path string, req, resp jute.Record, arm func(proto.Code) error) (proto.Code, error) {
	if err := ctx.Err(); err != nil {
		return 0, fail(op, path, err)
	}
	r := newRequest(op, req)
	r.arm = arm
	if err := c.submit(r); err != nil {
		return 0, fail(op, path, err)
	}
	if err := c.wait(ctx, r); err != nil {
		return 0, fail(op, path, err)
	}
	if r.code != proto.OK {
		return r.code, fail(op, path, r.code)
	}
	if resp == nil {
		return proto.OK, nil
	}
	d := jute.RawDecoder(r.body)
	resp.Fields(&d)
	if d.Err() != nil {
		return 0, &Error{Op: op.String(), Path: path, Code: ErrMarshalling, Cause: fmt.Errorf("reply: %w", d.Err())}
	}
	return proto.OK, nil
}

func (c *Client) submit(r *request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.submitLocked(r)
}

func (c *Client) submitLocked(r *request) error {
	if c.dead != nil {
		return c.dead
	}
	if c.closing {
		return ErrClosed
	}
	c.enqueue(r)
	return nil
}

func (c *Client) enqueue(r *request) {
	c.pending = append(c.pending, r)
	c.wake()
}

func (c *Client) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// wait returns when r is answered, when it never will be, or when ctx ends.
func (c *Client) wait(ctx context.Context, r *request) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	if c.abandon(r) {
		return c.because(ctx.Err())
	}
	<-r.done
	return r.err
}

// abandon tells that nobody waits for r any more; false if it is finished.
func (c *Client) abandon(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.finished {
		return false
	}
	r.abandoned = true
	if r.sent {
		return true
	}
	// Callers that give up during a long outage must not pile up.
	if c.dropped++; c.dropped > 16 && c.dropped > len(c.pending)/2 {
		kept := c.pending[:0]
		for _, r := range c.pending {
			if !r.abandoned {
				kept = append(kept, r)
			}
		}
		clear(c.pending[len(kept):])
		c.pending, c.dropped = kept, 0
	}
	return true
}

// sendBatch bounds one write, so that what is not sent yet stays queued.
const sendBatch = 256 << 10

// take appends to b the frames to send now and counts them as in flight.
func (c *Client) take(b []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.control) > 0 && len(b) < sendBatch {
		r := c.control[0]
		c.control = c.control[1:]
		if r.auth != nil {
			r.setXid(proto.XidAuth)
			c.authSent = append(c.authSent, r.auth)
		} else {
			c.setOnItsWay(r)
		}
		b = append(b, r.frame...)
	}
	n := 0
	for n < len(c.pending) && len(b) < sendBatch {
		r := c.pending[n]
		n++
		if r.abandoned {
			c.dropped--
			continue
		}
		c.setOnItsWay(r)
		b = append(b, r.frame...)
		r.frame = nil
	}
	rest := copy(c.pending, c.pending[n:])
	clear(c.pending[rest:])
	c.pending = c.pending[:rest]
	return b
}

func (c *Client) setOnItsWay(r *request) {
	if c.lastXid == math.MaxInt32 {
		c.lastXid = 0
	}
	c.lastXid++
	r.setXid(c.lastXid)
	r.sent = true
	c.inFlight.push(r)
}

// fifo is a queue of requests that reuses its memory.
type fifo struct {
	items []*request
	head  int
}

func (f *fifo) len() int { return len(f.items) - f.head }

func (f *fifo) push(r *request) {
	if f.head > 0 && len(f.items) == cap(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, r)
}

func (f *fifo) front() *request {
	if f.len() == 0 {
		return nil
	}
	return f.items[f.head]
}

func (f *fifo) pop() *request {
	r := f.items[f.head]
	f.items[f.head] = nil
	f.head++
	if f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	}
	return r
}
