// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"paddock/jute"
	"paddock/proto"
)

// serve runs one connection, reading on this goroutine and writing on another,
// and returns what ended it.
func (c *Client) serve(conn net.Conn, server string, resp *proto.ConnectResponse) error {
	c.established(server, resp)
	timeout := time.Duration(resp.TimeOut) * time.Millisecond
	ctx, cancel := context.WithCancelCause(c.life)
	context.AfterFunc(ctx, func() { conn.Close() })
	written := make(chan struct{})
	go func() {
		defer close(written)
		cancel(c.write(ctx, conn, min(timeout/3, maxPing)))
	}()
	if resp.ReadOnly {
		go c.seekReadWrite(ctx, cancel)
	}
	cancel(c.read(&heardConn{c, conn, timeout * 2 / 3}))
	<-written
	why := context.Cause(ctx)
	if found, ok := why.(*readWriteServer); ok {
		c.servers.preferred = found.server
	}
	c.lost(server, why)
	return why
}

// maxPing bounds the time without a request.
const maxPing = 10 * time.Second

var pingFrame = func() []byte {
	r := newRequest(proto.OpPing, nil)
	r.setXid(proto.XidPing)
	return r.frame
}()

// write sends what is queued, all that there is in one write, and a ping when
// nothing was sent for the time ping.
func (c *Client) write(ctx context.Context, conn net.Conn, ping time.Duration) error {
	timer := time.NewTimer(ping)
	defer timer.Stop()
	var buf []byte
	for {
		if ctx.Err() != nil {
			return ctx.Err() // what is queued is for the next connection
		}
		buf = c.take(buf[:0])
		if len(buf) == 0 {
			select {
			case <-c.kick:
				continue
			case <-timer.C:
				buf = append(buf, pingFrame...)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if _, err := conn.Write(buf); err != nil {
			return err
		}
		timer.Reset(ping)
		if cap(buf) > 2*sendBatch {
			buf = nil
		}
	}
}

// heardConn notes that the server lives whenever bytes come, and gives up when
// none come for the time silence.
type heardConn struct {
	c       *Client
	conn    net.Conn
	silence time.Duration
}

func (h *heardConn) Read(b []byte) (int, error) {
	h.conn.SetReadDeadline(time.Now().Add(h.silence))
	n, err := h.conn.Read(b)
	if n > 0 {
		h.c.hear()
	}
	if e, ok := err.(net.Error); ok && e.Timeout() {
		err = fmt.Errorf("nothing heard from the server for %v", h.silence)
	}
	return n, err
}

const replyHeader = 16

// read takes frames apart until the connection ends.
func (c *Client) read(conn io.Reader) error {
	br := bufio.NewReaderSize(conn, 32<<10)
	for {
		head, err := br.Peek(4)
		if err != nil {
			return err
		}
		n := int(int32(binary.BigEndian.Uint32(head)))
		if n < replyHeader || n > c.opts.maxReply {
			return &errProtocol{fmt.Sprintf("frame of %d bytes is out of range (limit %d)", n, c.opts.maxReply)}
		}
		if head, err = br.Peek(4 + replyHeader); err != nil {
			return err
		}
		var h proto.ReplyHeader
		if err := jute.Unmarshal(head[4:], &h); err != nil {
			return err
		}
		br.Discard(4 + replyHeader)
		var body []byte
		if n > replyHeader {
			body = make([]byte, n-replyHeader)
			if _, err := io.ReadFull(br, body); err != nil {
				return err
			}
		}
		if err := c.received(&h, body); err != nil {
			return err
		}
	}
}

func (c *Client) received(h *proto.ReplyHeader, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch h.Xid {
	case proto.XidPing:
		return nil
	case proto.XidEvent:
		var ev proto.WatcherEvent
		d := jute.RawDecoder(body)
		ev.Fields(&d)
		if d.Err() != nil {
			return &errProtocol{"watch event: " + d.Err().Error()}
		}
		// The zxid of an event does not count as seen: other events of the
		// same transaction may still be on their way (section 11.5).
		c.watches.fire(&ev, h.Zxid)
		return nil
	case proto.XidAuth:
		return c.authAnswered(h.Err)
	}
	return c.reply(h, body)
}

// reply gives the reply to the request that is first in line.
func (c *Client) reply(h *proto.ReplyHeader, body []byte) error {
	r := c.inFlight.front()
	if r == nil {
		return &errProtocol{fmt.Sprintf("reply to xid %d, and nothing was asked", h.Xid)}
	}
	if r.xid != h.Xid {
		return &errProtocol{fmt.Sprintf("reply to xid %d, xid %d is due", h.Xid, r.xid)}
	}
	c.inFlight.pop()
	if h.Zxid > 0 {
		c.lastZxid = h.Zxid
	}
	r.code, r.zxid, r.body = h.Err, h.Zxid, body
	var err error
	if r.arm != nil && !r.abandoned {
		err = r.arm(h.Err)
	}
	r.finish()
	return err
}
