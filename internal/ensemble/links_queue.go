// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"paddock/internal/replica"
	"paddock/internal/sock"
)

// outbox is what waits to be written to one link. Small frames are gathered in
// one piece of memory, large ones are shared with other links.
type outbox struct {
	limit int
	fail  func(error) // ends the link

	mu     sync.Mutex
	wake   sync.Cond // something is queued, or closed
	queue  []segment
	busy   bool         // somebody writes: the writer, or who flushes
	now    *sock.Writer // of who flushes; nil: only the writer writes
	bytes  int          // queued, or being written
	items  int          // queued since some were last taken
	idle   []segment    // the writer's, to be used again
	closed bool

	company replica.Company // of the items that the writer takes
}

// segment is bytes or a body.
type segment struct {
	bytes []byte
	own   bool // bytes are from gathering, and may be appended to
	body  func(io.Writer) error
}

const (
	shareBytes  = 4 << 10 // frames from here on are not copied
	gatherBytes = 32 << 10
)

// gathering is memory in which small frames are put side by side.
var gathering = sync.Pool{New: func() any { return new([gatherBytes]byte) }}

func (o *outbox) init(limit int, fail func(error)) {
	o.limit, o.fail = limit, fail
	o.wake.L = &o.mu
}

// direct lets flush write to c.
func (o *outbox) direct(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = sock.NewWriter(c)
}

// put queues items for the writer, or ends a link whose peer does not keep up.
func (o *outbox) put(items []Item) { o.queueUp(items, true) }

// putLater is put for a caller that will flush.
func (o *outbox) putLater(items []Item) { o.queueUp(items, false) }

func (o *outbox) queueUp(items []Item, signal bool) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	before := o.bytes
	for i := range items {
		o.add(&items[i])
	}
	o.items += len(items)
	// What comes in one go is taken whole when nothing waits: a single frame may be
	// larger than any limit.
	over := before > 0 && o.bytes > o.limit
	waiting := o.bytes
	if signal {
		o.wake.Signal()
	}
	o.mu.Unlock()
	if over {
		o.fail(fmt.Errorf("the peer reads too slowly: %d bytes wait for it, at most %d may", waiting, o.limit))
	}
}

func (o *outbox) add(it *Item) {
	o.bytes += len(it.Frame)
	switch last := len(o.queue) - 1; {
	case it.Body != nil:
		o.queue = append(o.queue, segment{body: it.Body})
	case len(it.Frame) >= shareBytes:
		o.queue = append(o.queue, segment{bytes: it.Frame})
	case last >= 0 && o.queue[last].own && len(o.queue[last].bytes)+len(it.Frame) <= gatherBytes:
		o.queue[last].bytes = append(o.queue[last].bytes, it.Frame...)
	default:
		b := gathering.Get().(*[gatherBytes]byte)
		o.queue = append(o.queue, segment{bytes: append(b[:0], it.Frame...), own: true})
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.queue = nil
	o.wake.Signal()
}

// flush writes what the socket takes at once and leaves the rest to the writer.
// It does not block. Waking another goroutine for every few bytes costs more than
// to write them.
func (o *outbox) flush() {
	o.mu.Lock()
	if o.closed || o.busy || len(o.queue) == 0 { // who is busy looks again
		o.mu.Unlock()
		return
	}
	if o.now == nil || slices.ContainsFunc(o.queue, func(s segment) bool { return s.body != nil }) {
		o.wake.Signal()
		o.mu.Unlock()
		return
	}
	batch := o.queue
	o.queue, o.idle, o.busy = o.idle, nil, true
	o.items = 0
	o.mu.Unlock()

	written, part := 0, 0
	var err error
	for ; written < len(batch); written++ {
		if part, err = o.now.Try(batch[written].bytes); part < len(batch[written].bytes) {
			break
		}
	}
	o.mu.Lock()
	rest := batch[written:]
	if len(rest) > 0 {
		rest = slices.Clone(rest)
		rest[0].bytes = rest[0].bytes[part:]
		rest[0].own = false // its memory begins elsewhere
		o.bytes -= part
	}
	o.release(batch[:written])
	if len(rest) > 0 && !o.closed {
		o.queue = append(rest, o.queue...)
	}
	if len(o.queue) > 0 {
		o.wake.Signal()
	}
	o.mu.Unlock()
	if err != nil {
		o.fail(fmt.Errorf("writing: %w", err))
	}
}

// writeTo writes what is queued, all that there is at a time, until close or an
// error.
func (o *outbox) writeTo(c net.Conn) error {
	now := sock.NewWriter(c)
	var vec net.Buffers
	for {
		batch, ok := o.take()
		if !ok {
			return nil
		}
		if err := writeSegments(c, now, batch, &vec); err != nil {
			return err
		}
		o.done(batch)
	}
}

func (o *outbox) take() ([]segment, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for waited := false; (len(o.queue) == 0 || o.busy) && !o.closed; {
		o.wake.Wait()
		if !waited && len(o.queue) > 0 {
			waited = true
			c := o.company
			o.mu.Unlock()
			c.Await()
			o.mu.Lock()
		}
	}
	o.company.Had(o.items)
	o.items = 0
	batch := o.queue
	o.queue, o.idle, o.busy = o.idle, nil, true
	return batch, !o.closed
}

// done ends the writing of a batch.
func (o *outbox) done(batch []segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.release(batch)
}

// release gives the memory of what was written back; mu is held.
func (o *outbox) release(batch []segment) {
	for i := range batch {
		s := &batch[i]
		o.bytes -= len(s.bytes)
		if s.own {
			gathering.Put((*[gatherBytes]byte)(s.bytes[:gatherBytes]))
		}
		*s = segment{}
	}
	o.busy = false
	if !o.closed {
		o.idle = batch[:0]
	}
}

// writeSegments writes what the socket takes at once, if now is not nil, and waits
// for it with the rest: neighbouring bytes with one call.
func writeSegments(c net.Conn, now *sock.Writer, batch []segment, vec *net.Buffers) error {
	flush := func() error {
		if len(*vec) == 0 {
			return nil
		}
		all := *vec // WriteTo eats it from the front
		_, err := all.WriteTo(c)
		clear(*vec)
		*vec = (*vec)[:0]
		return err
	}
	for i := range batch {
		s := &batch[i]
		if s.body == nil {
			rest := s.bytes
			if now != nil && len(*vec) == 0 {
				n, err := now.Try(rest)
				if err != nil {
					return err
				}
				rest = rest[n:]
			}
			if len(rest) > 0 {
				*vec = append(*vec, rest)
			}
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		w := bufio.NewWriterSize(c, chunkBytes)
		if err := s.body(w); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return flush()
}
