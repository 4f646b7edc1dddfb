// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"paddock/internal/acl"
	"paddock/internal/session"
	"paddock/internal/watch"
	"paddock/proto"
)

// Link is the connection under a Client.
type Link interface {
	// Flush writes out what is queued without ever blocking: what the socket
	// does not take at once is written by a goroutine of the connection's own.
	Flush()
	// Hangup closes the connection once everything queued so far is written.
	// Why is for the log; "" for the ordinary end of a session.
	Hangup(why string)
	// Alive tells whether the peer is still there, as far as can be told without
	// reading. Reader only.
	Alive() bool
	// Waits is told by the reader that it is about to wait, and not for a lock: so
	// that whatever else it reads does not wait with it. No lock is held, and the
	// burst's view is closed.
	Waits()
	// Slow is told by whoever serves a request of the client that this may take
	// longer than others are to wait for.
	Slow()
	// Last is Hangup for a caller that sees to it that the queue is flushed.
	Last(why string)
}

// Client is one connection as the pipeline sees it: whose it is, what it has
// asked and not been answered, and what is to be sent to it.
//
// Its reader calls Serve for each frame. Replies and events are appended to
// the out-buffer by the reader (reads), the applier (writes, events) and, for
// reads that had to wait behind a write, by a goroutine that lives as long as
// they wait.
type Client struct {
	p       *Pipeline
	link    Link
	slot    uint32 // of the tree's lock
	Peer    string // address for logs and cons
	PeerIP  string
	Since   time.Time
	watches watch.Set
	ids     atomic.Pointer[[]acl.ID] // replaced, never changed

	// Set by the handshake, before the first request is served.
	session   *session.Session
	timeoutMs int32
	oldClient bool
	readOnly  bool          // was let in by a server without a quorum
	ready     chan struct{} // closed when the handshake is answered

	received atomic.Int64 // frames
	touched  atomic.Bool  // heard of since the last Touches
	reported atomic.Int64 // when the leader was last told of it, on the pipeline's clock; 0: as long as this server led
	revoked  atomic.Bool  // the session has ended or moved to another connection
	dead     atomic.Bool  // no reply is wanted any more
	waiting  atomic.Int32 // requests in the queue below
	gone     bool         // the reader saw a closeSession or a request that ends the connection; reader only

	mu       sync.Mutex // guards the queue; taken before out.mu
	head     *request
	tail     *request
	draining bool // a goroutine runs the reads at the head
	reads    int  // requests in the queue that need no log
	room     sync.Cond

	wire struct { // ids as a REQUEST has them; guarded by prep.mu
		of   *acl.ID
		info []proto.ClientInfo
	}

	out   Out
	dirty bool // in the applier's list of clients to flush; applier only
}

// NewClient starts the pipeline's part of a connection. peerIP is its address
// in the form of the ip scheme.
func (p *Pipeline) NewClient(link Link, peer, peerIP string) *Client {
	c := &Client{p: p, link: link, slot: p.slots.Add(1), Peer: peer, PeerIP: peerIP, Since: time.Now(), ready: make(chan struct{})}
	c.room.L = &c.mu
	ids := []acl.ID{{Scheme: "ip", ID: peerIP}}
	c.ids.Store(&ids)
	c.out.limit, c.out.all = p.opt.OutLimit, &p.outs
	c.out.room.L = &c.out.mu
	return c
}

// Watches is the index of the client's watches.
func (c *Client) Watches() *watch.Set { return &c.watches }

// Out is the client's out-buffer.
func (c *Client) Out() *Out { return &c.out }

// Session is the client's session, nil before the handshake is answered.
func (c *Client) Session() *session.Session {
	select {
	case <-c.ready:
		return c.session
	default:
		return nil
	}
}

// Ready is closed when the handshake has been answered.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// TimeoutMs is the session's negotiated timeout on this connection.
func (c *Client) TimeoutMs() int32 { return c.timeoutMs }

// IDs are the client's identities.
func (c *Client) IDs() []acl.ID { return *c.ids.Load() }

// Waiting is the number of requests that wait for a reply.
func (c *Client) Waiting() int { return int(c.waiting.Load()) }

// Gone tells that the client has ended its session or its connection by what
// it sent: the reader is to read no further.
func (c *Client) Gone() bool { return c.gone }

// Stats are the statistics of the connection.
func (c *Client) Stats() ConnStats {
	s := c.out.snapshot()
	return ConnStats{
		Received: c.received.Load(), Sent: s.Sent, LastOp: s.LastOp, LastXid: s.LastXid, LastZxid: s.LastZxid,
		LastResponse: c.p.started.Add(time.Duration(s.LastResponse)), LastLatency: time.Duration(s.LastLatency),
		MinLatency: time.Duration(s.MinLatency), MaxLatency: time.Duration(s.MaxLatency),
		TotalLatency: time.Duration(s.TotalLatency), Replies: s.Replies,
	}
}

// resetStats sets the counters of cons back.
func (c *Client) resetStats() {
	c.received.Store(0)
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.stats = connStats{}
}

// Detach ends the client: its watches go, its session stays.
func (c *Client) Detach() {
	c.dead.Store(true)
	c.p.watches.RemoveAll(c)
	if s := c.Session(); s != nil {
		s.Release(c)
	}
	c.out.Discard()
	c.p.retire(c)
	if c.p.ensemble {
		c.p.forgetQueue(c)
	}
}

const frameHeader = 4 + 16 // length, ReplyHeader

var zeroHeader [frameHeader]byte

// putHeader fills in the length and the ReplyHeader of the frame that begins
// at start of b.
func putHeader(b []byte, start int, xid int32, z proto.Zxid, code proto.Code) {
	h := b[start:]
	binary.BigEndian.PutUint32(h[0:], uint32(len(h)-4))
	binary.BigEndian.PutUint32(h[4:], uint32(xid))
	binary.BigEndian.PutUint64(h[8:], uint64(z))
	binary.BigEndian.PutUint32(h[16:], uint32(code))
}

// send queues one whole reply frame.
func (c *Client) send(r *request, z proto.Zxid, code proto.Code, body []byte, now int64) {
	b := c.out.begin()
	start := len(b)
	b = append(b, zeroHeader[:]...)
	b = append(b, body...)
	putHeader(b, start, r.xid, z, code)
	c.out.count(r, z, now)
	c.overflow(c.out.end(b))
}

// sendRaw queues bytes that are framed already.
func (c *Client) sendRaw(frame []byte) {
	b := c.out.begin()
	b = append(b, frame...)
	c.out.stats.Sent++
	c.overflow(c.out.end(b))
}

func (c *Client) overflow(yes bool) {
	if yes {
		c.p.counts.SlowReaders.Add(1)
		c.link.Hangup("does not read what it asked for: more than the limit waits to be sent")
	}
}
