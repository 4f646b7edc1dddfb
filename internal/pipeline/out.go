// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"paddock/proto"
)

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

	all     *outSum
	counted int // bytes of buf that are in all
	writing int // and of what a flusher has

	stats connStats
}

// outSum is what waits for all clients together that have much waiting.
type outSum struct {
	limit int64
	bytes atomic.Int64
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
// reports whether a limit was passed just now.
func (o *Out) end(b []byte) (overflow bool) {
	if !o.full && !o.fits(len(b)) {
		o.full, overflow = true, true
		o.room.Broadcast()
	}
	if o.full {
		o.buf = nil
		o.uncount(&o.counted)
	} else if !o.shut {
		o.buf.Bytes = b
	}
	o.mu.Unlock()
	return overflow
}

// fits tells whether n bytes may wait here. Where all clients together have too
// much waiting it is one of those with more than a little that goes: the one that
// would have more now.
func (o *Out) fits(n int) bool {
	if o.limit > 0 && n > o.limit {
		return false
	}
	if n <= crowded {
		return true
	}
	sum := o.all.bytes.Add(int64(n - o.counted))
	o.counted = n
	return o.all.limit == 0 || sum <= o.all.limit
}

func (o *Out) uncount(n *int) {
	if *n > 0 {
		o.all.bytes.Add(int64(-*n))
		*n = 0
	}
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
	o.writing, o.counted = o.counted, 0
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
	o.uncount(&o.writing)
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
	o.uncount(&o.counted)
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
