// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// How a connection ended, as the client sees it.
const (
	stillOpen = ""
	endFIN    = "fin"
	endRST    = "rst"
	endClient = "closed by the client"
)

// Conn is a raw client connection: frames in, frames out, and how it ended. One goroutine uses it.
type Conn struct {
	SessionID int64 // of the last ConnectResponse; 0 before and after a refusal
	Passwd    []byte

	c   net.Conn
	buf []byte // received, not yet taken
	end string // stillOpen, endFIN or endRST
}

// Dial connects to the server at addr (host:port).
func Dial(addr string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &Conn{c: c}, nil
}

// Send writes b as it is. A connection that the server has closed swallows it; Ended tells.
func (c *Conn) Send(b []byte) {
	c.c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.c.Write(b); err != nil && c.end == stillOpen {
		c.end = endRST
	}
}

// Frame returns the next frame, length prefix included, or nil when none is complete by the deadline or before the end
// of the stream.
func (c *Conn) Frame(deadline time.Time) []byte {
	for {
		if len(c.buf) >= 4 {
			n := int64(binary.BigEndian.Uint32(c.buf)) + 4
			if int64(len(c.buf)) >= n {
				f := c.buf[:n:n]
				c.buf = c.buf[n:]
				return f
			}
		}
		if !c.fill(deadline) {
			return nil
		}
	}
}

// AwaitEnd reads until the server closes or the deadline passes and returns what came in before.
func (c *Conn) AwaitEnd(deadline time.Time) []byte {
	for c.fill(deadline) {
	}
	rest := c.buf
	c.buf = nil
	return rest
}

// Ended says how the server closed the connection ("fin", "rst"), or "" while nobody has seen it close.
func (c *Conn) Ended() string { return c.end }

// Close closes the client's side. What was learnt from the connection stays.
func (c *Conn) Close() {
	c.c.Close()
	if c.end == stillOpen {
		c.end = endClient
	}
}

// fill waits for more bytes; false at the deadline or the end.
func (c *Conn) fill(deadline time.Time) bool {
	if c.end != stillOpen {
		return false
	}
	chunk := make([]byte, 64<<10)
	c.c.SetReadDeadline(deadline)
	n, err := c.c.Read(chunk)
	c.buf = append(c.buf, chunk[:n]...)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n > 0
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		c.end = endRST
	case errors.Is(err, io.EOF):
		c.end = endFIN
	default:
		c.end = err.Error()
	}
	return n > 0
}

// learn keeps the session id and the password of a ConnectResponse frame.
func (c *Conn) learn(frame []byte) {
	if len(frame) >= 4+4+4+8+4+16 {
		c.SessionID = int64(binary.BigEndian.Uint64(frame[12:]))
		c.Passwd = frame[24:40:40]
	}
}

// FourLetterWord sends word to the server at addr and returns everything it answers.
func FourLetterWord(addr string, word []byte) (string, error) {
	c, err := Dial(addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.Send(word)
	text := c.AwaitEnd(time.Now().Add(10 * time.Second))
	if c.end == stillOpen {
		return string(text), errors.New("the server left the connection open")
	}
	return string(text), nil
}

// splitFrames cuts b at its length prefixes. What is not a whole frame comes last.
func splitFrames(b []byte) [][]byte {
	var out [][]byte
	for len(b) >= 4 {
		n := int64(binary.BigEndian.Uint32(b)) + 4
		if n > int64(len(b)) {
			break
		}
		out, b = append(out, b[:n]), b[n:]
	}
	if len(b) > 0 {
		out = append(out, b)
	}
	return out
}
