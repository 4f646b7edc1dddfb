// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
)

// outbox is what waits to be written to one link. Small frames are gathered in
// one piece of memory, large ones are shared with other links.
type outbox struct {
	limit int
	fail  func(error) // ends the link

	mu     sync.Mutex
	wake   sync.Cond // something is queued, or closed
	queue  []segment
	bytes  int       // queued, or being written
	idle   []segment // the writer's, to be used again
	closed bool
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

// put queues items, or ends a link whose peer does not keep up.
func (o *outbox) put(items []Item) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	before := o.bytes
	for i := range items {
		o.add(&items[i])
	}
	// What comes in one go is taken whole when nothing waits: a single frame may be
	// larger than any limit.
	over := before > 0 && o.bytes > o.limit
	waiting := o.bytes
	o.wake.Signal()
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

// writeTo writes what is queued, all that there is at a time, until close or an
// error.
func (o *outbox) writeTo(c net.Conn) error {
	var vec net.Buffers
	for {
		batch, ok := o.take()
		if !ok {
			return nil
		}
		if err := writeSegments(c, batch, &vec); err != nil {
			return err
		}
		o.done(batch)
	}
}

func (o *outbox) take() ([]segment, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.closed {
		o.wake.Wait()
	}
	batch := o.queue
	o.queue, o.idle = o.idle, nil
	return batch, !o.closed
}

// done gives a batch's memory back.
func (o *outbox) done(batch []segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range batch {
		s := &batch[i]
		o.bytes -= len(s.bytes)
		if s.own {
			gathering.Put((*[gatherBytes]byte)(s.bytes[:gatherBytes]))
		}
		*s = segment{}
	}
	if !o.closed {
		o.idle = batch[:0]
	}
}

// writeSegments writes neighbouring bytes with one call.
func writeSegments(c net.Conn, batch []segment, vec *net.Buffers) error {
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
			*vec = append(*vec, s.bytes)
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
