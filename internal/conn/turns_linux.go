// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"io"
	"sync/atomic"
	"syscall"
	"time"

	"paddock/internal/pipeline"
	"paddock/internal/sock"
)

// turns is whose turn it is to read a connection. Whoever has claimed it is its
// reader: its own goroutine in the beginning and in the end, workers between.
type turns struct {
	rounds *rounds // nil: its own goroutine reads it
	state  atomic.Uint32
	back   chan struct{} // closed when it is its own goroutine's again
	fetch  func(fd uintptr)
	fd     int
	toEnd  bool    // the reader is not to stop before there is nothing more
	by     *worker // the reader, unless it is its own goroutine
}

const (
	claimed  = 1 << iota
	pending  // something came in since it was claimed
	recalled // its own goroutine wants it back
)

func (c *conn) startTurns(p *rounds) {
	c.rounds = p
	c.state.Store(claimed)
	c.back = make(chan struct{})
	c.fetch = func(fd uintptr) { c.readN, c.readErr = sock.Read(fd, c.in[c.w:]) }
}

// claim makes the caller the reader of c, unless another is, who then looks once
// more. end tells that there is an end or an error behind the bytes.
func (c *conn) claim(end bool) bool {
	for {
		s := c.state.Load()
		switch {
		case s&claimed != 0:
			if c.state.CompareAndSwap(s, s|pending) {
				return false
			}
		case c.state.CompareAndSwap(s, claimed):
			c.toEnd = end
			return true
		}
	}
}

// recall makes the connection's own goroutine its reader, as soon as another has
// had its turn.
func (c *conn) recall() {
	s := c.state.Or(recalled | claimed)
	if s&(recalled|claimed) == 0 {
		c.rounds.giveBack(c)
	}
}

// await returns when there is more to serve, or why there will not be.
func (c *conn) await() error {
	if c.rounds.add(c) {
		<-c.back
		if c.readErr != nil {
			return c.readErr
		}
	}
	return c.fill()
}

// Waits is called by the reader when it is about to wait: what it does for others
// is done by others.
func (c *conn) Waits() {
	if c.by != nil {
		c.by.settle()
		c.by.p.relieve()
	}
}

// Slow is called where a request is about to take long: others are not to wait for it.
func (c *conn) Slow() {
	if c.rounds != nil {
		c.rounds.relieve()
	}
}

// look is called by the reader now and then.
func (c *conn) look() {
	if c.by != nil {
		c.by.look()
	}
}

// worker is a goroutine that serves connections in turn.
type worker struct {
	p      *rounds
	begun  time.Time // the round, or when it last looked
	burst  pipeline.Burst
	last   *pipeline.Client // that was served in it
	held   []*conn          // claimed until what they wrote is proposed
	buffer []byte
}

// serve reads from c once and serves what came.
func (w *worker) serve(c *conn) {
	c.by = w
	more := w.read(c)
	c.by = nil
	switch {
	case c.readErr != nil || c.state.Load()&recalled != 0:
		w.settle()
		c.state.Or(recalled)
		w.p.giveBack(c)
	case more:
		w.settle()
		w.p.again(c)
	case w.burst.Gathered():
		w.held = append(w.held, c)
	default:
		w.p.leave(c)
	}
}

// look has another go on with the round if this one takes long.
func (w *worker) look() {
	if now := time.Now(); now.Sub(w.begun) > lateAfter {
		w.begun = now
		w.p.relieve()
	}
}

func (w *worker) read(c *conn) (more bool) {
	if c.in == nil {
		if c.in = w.buffer; c.in == nil {
			c.in = getBuffer()
		}
		c.r, c.w, w.buffer = 0, 0, nil
	} else {
		c.makeRoom()
	}
	full := min(len(c.in)-c.w, sock.Most)
	if err := c.rc.Control(c.fetch); err != nil {
		c.readErr = err
	}
	switch {
	case c.readErr == syscall.EAGAIN:
		c.readErr = nil
	case c.readErr != nil:
	case c.readN == 0:
		c.readErr = io.EOF
	default:
		more = c.readN >= full || c.toEnd
		c.w += c.readN
		if c.hanging.Load() {
			c.r, c.w = 0, 0 // nothing more is heard
			break
		}
		w.last = c.client
		c.client.Begin(&w.burst)
		c.serveFrames(&w.burst)
		c.client.Pause(&w.burst)
		c.flush(true)
	}
	if c.r == c.w {
		if w.buffer == nil && len(c.in) == bufferBytes {
			w.buffer = c.in
		} else {
			putBuffer(c.in)
		}
		c.in, c.r, c.w = nil, 0, 0
	}
	return more
}

// settle proposes what was gathered: from then on nobody waits for this worker.
func (w *worker) settle() {
	if w.last != nil {
		w.last.End(&w.burst)
	}
}

// release lets others read those whose writes are proposed.
func (w *worker) release() {
	for _, c := range w.held {
		w.p.leave(c)
	}
	clear(w.held)
	w.held = w.held[:0]
}
