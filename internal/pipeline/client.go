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
	c.out.limit = p.opt.OutLimit
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

// Out is a connection's out-buffer. Whoever appends holds mu; the one flusher
// takes the whole buffer away and writes it without the lock.
type Out struct {
	mu    sync.Mutex
	buf   *Buffer // nil: nothing is queued
	limit int     // bytes above which the reader of the other end counts as stuck
	full  bool    // the limit was passed, or nothing more is to be sent
	busy  bool    // somebody is writing
	shut  bool    // what is queued is written, and nothing more is queued

	room sync.Cond // a flusher has taken what was there

	stats connStats
}

// connStats is ConnStats while it is counted, times in ns on the pipeline's
// clock.
type connStats struct {
	Sent         int64
	LastOp       proto.OpCode
	LastXid      int32 // of the last request with a positive one; 0: none
	LastZxid     proto.Zxid
	LastResponse int64
	LastLatency  int64
	MinLatency   int64
	MaxLatency   int64
	TotalLatency int64
	Replies      int64
}

// ConnStats is what cons tells of a connection.
type ConnStats struct {
	Received     int64 // frames
	Sent         int64
	LastOp       proto.OpCode
	LastXid      int32
	LastZxid     proto.Zxid
	LastResponse time.Time
	LastLatency  time.Duration
	MinLatency   time.Duration
	MaxLatency   time.Duration
	TotalLatency time.Duration
	Replies      int64
}

func (o *Out) snapshot() connStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stats
}

// Buffer is what a flusher takes from an out-buffer.
type Buffer struct{ Bytes []byte }

var outBuffers = sync.Pool{New: func() any { return &Buffer{make([]byte, 0, 8<<10)} }}

func (o *Out) size() int {
	if o.buf == nil {
		return 0
	}
	return len(o.buf.Bytes)
}

// begin takes the lock and returns the buffer to append to.
func (o *Out) begin() []byte {
	o.mu.Lock()
	if o.buf == nil {
		o.buf = outBuffers.Get().(*Buffer)
	}
	return o.buf.Bytes
}

// end puts the buffer back with what was appended and gives the lock back. It
// reports whether the buffer has passed its limit just now.
func (o *Out) end(b []byte) (overflow bool) {
	if !o.full && o.limit > 0 && len(b) > o.limit {
		o.full, overflow = true, true
		o.room.Broadcast()
	}
	if o.full {
		o.buf = nil
	} else if !o.shut {
		o.buf.Bytes = b
	}
	o.mu.Unlock()
	return overflow
}

// Take hands the bytes to be written to the caller, who becomes the flusher and
// calls Put when it has written them. It returns nil when there is nothing or
// another is at it.
func (o *Out) Take() *Buffer {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy || o.size() == 0 {
		return nil
	}
	b := o.buf
	o.buf, o.busy = nil, true
	o.room.Broadcast()
	return b
}

// Put ends a flusher's turn with buffer b; more tells that bytes came in
// meanwhile, and that the caller is to Take again.
func (o *Out) Put(b *Buffer) (more bool) {
	if cap(b.Bytes) <= 64<<10 {
		b.Bytes = b.Bytes[:0]
		outBuffers.Put(b)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = false
	return o.size() > 0
}

// Idle tells that nothing is queued and nobody is writing.
func (o *Out) Idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.busy && o.size() == 0
}

// close drops all that comes, and not what is queued: a request was left without
// an answer, and none behind it may have one.
func (o *Out) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shut = true
}

// Discard drops what is queued and all that comes.
func (o *Out) Discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full, o.buf = true, nil
	o.room.Broadcast()
}

// crowded is how many bytes may wait before no further read is answered: a
// client that asks for much at once gets it as fast as it takes it.
const crowded = 1 << 20

// Crowded tells that it is time to WaitRoom.
func (o *Out) Crowded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size() > crowded
}

// WaitRoom blocks while the buffer is crowded. The caller has seen to it that
// somebody is flushing, and holds no view.
func (o *Out) WaitRoom() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.size() > crowded && !o.full {
		o.room.Wait()
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

// count records a reply in the statistics; the lock is held.
func (o *Out) count(r *request, z proto.Zxid, now int64) {
	s := &o.stats
	lat := now - r.start
	s.LastOp, s.LastResponse, s.LastLatency = r.op, now, lat
	if r.xid > 0 { // those of pings and the like are negative
		s.LastXid = r.xid
	}
	if z > 0 {
		s.LastZxid = z
	}
	if s.Replies == 0 || lat < s.MinLatency {
		s.MinLatency = lat
	}
	s.MaxLatency = max(s.MaxLatency, lat)
	s.TotalLatency += lat
	s.Replies++
	s.Sent++
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
