// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"paddock/internal/pipeline"
	"paddock/internal/sock"
)

// conn is one client's connection: a goroutine for its beginning and its end, which
// also reads it where that is not done in rounds, and a writer where the socket does
// not take everything at once.
type conn struct {
	srv    *Server
	nc     *net.TCPConn
	rc     syscall.RawConn
	client *pipeline.Client

	// The reader's.
	in       []byte // nil while the connection is idle: memory comes with traffic
	r, w     int    // what is in it
	readN    int
	readErr  error
	readFn   func(fd uintptr) bool
	burst    *pipeline.Burst
	answered bool // the handshake is through
	turns

	now *sock.Writer // the flusher's, whoever that is at the time; nil where there is none

	hanging atomic.Bool // close when all is written
	shut    atomic.Bool // nothing more is written
	why     atomic.Pointer[string]
}

// lingerTime is how long a closed connection may go on sending before it is
// cut: the peer is to see our last reply rather than a reset.
const lingerTime = 500 * time.Millisecond

// stuckTime bounds the writing of the last replies to a peer that is let go.
const stuckTime = 3 * time.Second

func (c *conn) serve() {
	defer c.srv.closed(c)
	defer c.nc.Close()
	defer c.release()
	c.nc.SetReadDeadline(time.Now().Add(c.srv.opt.HandshakeTimeout))
	why := c.handshake()
	if c.answered {
		c.srv.tell(c, "session attached")
		why = c.requests()
		c.srv.tell(c, "connection ends")
	}
	c.client.Detach()
	if why == "" {
		if w := c.why.Load(); w != nil {
			why = *w
		}
	}
	if why != "" {
		c.srv.complain(c, why)
	}
}

// handshake reads the first frame, or a four-letter word. It returns why the
// connection is to be closed, "" if that is nobody's fault.
func (c *conn) handshake() string {
	for c.w-c.r < 4 {
		if err := c.fill(); err != nil {
			return c.noHandshake(err)
		}
	}
	if word := string(c.in[c.r : c.r+4]); c.srv.opt.FourLetter != nil && IsFourLetter(word) {
		c.r += 4
		text := c.srv.opt.FourLetter(word)
		c.nc.SetWriteDeadline(time.Now().Add(stuckTime))
		c.nc.Write(text)
		c.goodbye()
		return ""
	} else if guess := foreign(c.in[c.r:c.w]); guess != "" {
		return guess
	}
	frame, why := c.frame()
	if frame == nil {
		return why
	}
	if len(frame) == 0 {
		return "empty first frame"
	}
	ok, why := c.srv.opt.Pipeline.Connect(c.client, frame)
	c.r += 4 + len(frame)
	if !ok {
		c.flush(true)
		c.goodbye()
		return why
	}
	select {
	case <-c.client.Ready():
	case <-c.srv.stopping:
		return ""
	}
	c.nc.SetReadDeadline(time.Time{})
	if c.shut.Load() { // it was refused, and that was the deadline of its goodbye
		c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	}
	c.flush(true)
	if c.hanging.Load() {
		c.linger()
	}
	c.answered = true
	return ""
}

func (c *conn) noHandshake(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no session after %v", c.srv.opt.HandshakeTimeout)
	case c.w > c.r:
		return "ended in the middle of its first frame"
	}
	return ""
}

// requests serves frame after frame until the connection ends.
func (c *conn) requests() string {
	for {
		if c.w > c.r {
			c.serveBuffered()
		}
		if err := c.await(); err != nil {
			if c.w > c.r && errors.Is(err, io.EOF) && !c.hanging.Load() {
				return "ended in the middle of a frame"
			}
			return ""
		}
		if c.hanging.Load() {
			c.r, c.w = 0, 0 // nothing more is heard
		}
	}
}

// serveBuffered serves the whole frames in the buffer and flushes the replies.
func (c *conn) serveBuffered() {
	if c.burst == nil {
		c.burst = new(pipeline.Burst)
	}
	c.client.Begin(c.burst)
	c.serveFrames(c.burst)
	c.client.End(c.burst)
	c.flush(true)
}

// serveFrames serves the whole frames in the buffer in a burst that has begun.
func (c *conn) serveFrames(burst *pipeline.Burst) {
	warm := 0
	for served := 1; c.w-c.r >= 4; served++ {
		if warm == 0 {
			warm = c.client.Warm(burst, c.in[c.r:c.w])
		}
		warm--
		if served%framesPerLook == 0 {
			c.look()
			if c.client.Out().Crowded() {
				c.client.End(burst)
				c.flush(true)
				if c.client.Out().Crowded() { // another is at it
					c.Waits()
					c.client.Out().WaitRoom()
				}
				c.client.Begin(burst)
			}
		}
		n := int(int32(binary.BigEndian.Uint32(c.in[c.r:])))
		if n < 0 || n > c.srv.opt.MaxFrame {
			c.Hangup(badLength(n, c.srv.opt.MaxFrame))
			c.r, c.w = 0, 0
			return
		}
		if c.w-c.r < 4+n {
			break
		}
		frame := c.in[c.r+4 : c.r+4+n]
		c.client.Serve(burst, frame)
		c.r += 4 + n
		if c.client.Gone() {
			c.r, c.w = 0, 0
			return
		}
	}
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
}

// framesPerLook is how many requests of a burst are served between two looks at
// the time and at what waits to be written.
const framesPerLook = 8

func badLength(n, limit int) string {
	return fmt.Sprintf("frame length %d is outside 0..%d (jute.maxbuffer)", n, limit)
}

// frame reads one whole frame and returns its payload, or nil and why not.
func (c *conn) frame() ([]byte, string) {
	n := int(int32(binary.BigEndian.Uint32(c.in[c.r:])))
	if n < 0 || n > c.srv.opt.MaxFrame {
		return nil, badLength(n, c.srv.opt.MaxFrame)
	}
	for c.w-c.r < 4+n {
		if err := c.fill(); err != nil {
			return nil, c.noHandshake(err)
		}
	}
	return c.in[c.r+4 : c.r+4+n], ""
}

// makeRoom prepares the buffer for the next read. It grows by what has really
// arrived, so that a length alone costs nothing.
func (c *conn) makeRoom() {
	switch {
	case c.in == nil:
		c.in = getBuffer()
		c.r, c.w = 0, 0
	case c.w < len(c.in):
	case c.r > 0:
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	default:
		b := make([]byte, min(2*len(c.in), c.srv.opt.MaxFrame+4+len(c.in)))
		copy(b, c.in)
		putBuffer(c.in)
		c.in = b
	}
}

// release gives the buffer back while it is empty.
func (c *conn) release() {
	if c.in != nil && (c.r == c.w || c.shut.Load()) {
		putBuffer(c.in)
		c.in, c.r, c.w = nil, 0, 0
	}
}

// flush writes what is queued, waiting for the socket where it must: a reader
// that waits here asks for no more.
func (c *conn) flush(reader bool) {
	for {
		b := c.client.Out().Take()
		if b == nil {
			break
		}
		if reader && len(b.Bytes) > sock.Most {
			c.Slow()
		}
		n, err := c.tryWrite(b.Bytes)
		if err == nil && n < len(b.Bytes) {
			if reader {
				c.Waits()
			}
			_, err = c.nc.Write(b.Bytes[n:])
		}
		if err != nil {
			c.client.Out().Discard()
		}
		if !c.client.Out().Put(b) {
			break
		}
	}
	c.settle()
}

// tryWrite writes what the socket takes at once. The caller is the flusher.
func (c *conn) tryWrite(b []byte) (int, error) {
	if c.now == nil {
		return 0, nil
	}
	return c.now.Try(b)
}

// Flush writes what is queued without waiting for the socket.
func (c *conn) Flush() {
	for {
		b := c.client.Out().Take()
		if b == nil {
			break
		}
		n, err := c.tryWrite(b.Bytes)
		if err != nil {
			c.client.Out().Discard()
		} else if n < len(b.Bytes) {
			go func() {
				if c.hanging.Load() {
					c.nc.SetWriteDeadline(time.Now().Add(stuckTime))
				}
				if _, err := c.nc.Write(b.Bytes[n:]); err != nil {
					c.client.Out().Discard()
				}
				c.client.Out().Put(b)
				c.flush(false)
			}()
			return
		}
		if !c.client.Out().Put(b) {
			break
		}
	}
	c.settle()
}

// Hangup closes the connection once what is queued is written.
func (c *conn) Hangup(why string) {
	if c.hang(why) {
		go func() {
			c.nc.SetWriteDeadline(time.Now().Add(stuckTime))
			c.flush(false)
		}()
	}
}

// Last has the next flush that leaves nothing behind close the connection.
func (c *conn) Last(why string) { c.hang(why) }

func (c *conn) hang(why string) (first bool) {
	if why != "" {
		c.why.CompareAndSwap(nil, &why)
	}
	return !c.hanging.Swap(true)
}

// settle ends a connection that hangs up and has nothing left to write. Every
// flusher comes by here after its turn, so one of them sees both.
func (c *conn) settle() {
	if c.hanging.Load() && c.client.Out().Idle() {
		c.linger()
	}
}

// linger says goodbye: the peer sees the end of our bytes, and the reader
// leaves when it sees the end of theirs or has waited long enough.
func (c *conn) linger() {
	c.hanging.Store(true)
	if !c.shut.Swap(true) {
		c.nc.CloseWrite()
		c.nc.SetReadDeadline(time.Now().Add(lingerTime))
		c.recall()
	}
}

// goodbye is linger for the reader, which hears the peer out.
func (c *conn) goodbye() {
	c.linger()
	for c.fill() == nil {
		c.r, c.w = 0, 0
	}
}
