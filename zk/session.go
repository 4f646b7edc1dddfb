// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"paddock/jute"
	"paddock/proto"
)

// run keeps the session connected until it is over. It is the session's
// goroutine: one connection at a time, from handshake to loss.
func (c *Client) run() {
	defer close(c.done)
	failures := 0 // in a row
	for first := true; ; first = false {
		err := c.pause(first, failures)
		if err == nil {
			err = c.connection(&failures)
		}
		if errors.Is(err, ErrSessionExpired) || errors.Is(err, ErrAuthFailed) || c.life.Err() != nil || c.isClosing() {
			c.die(err)
			return
		}
		if n := c.opts.rounds; n > 0 && failures >= n*len(c.servers.all) && !c.wasUp() {
			c.die(err)
			return
		}
	}
}

// connection goes through the life of one connection. failures is set to the
// number of attempts in a row that did not last.
func (c *Client) connection(failures *int) error {
	server := c.servers.next()
	conn, resp, err := c.open(server)
	if err != nil {
		*failures++
		c.log.Info("zk: cannot connect", "server", server, "err", err)
		c.mu.Lock()
		if c.dead == nil {
			c.lastErr = fmt.Errorf("%s: %w", server, err)
			err = c.lastErr
		}
		c.mu.Unlock()
		return err
	}
	begun := time.Now()
	err = c.serve(conn, server, resp)
	c.log.Info("zk: connection lost", "server", server, "session", c.SessionID(), "err", err)
	if *failures++; time.Since(begun) > time.Second {
		*failures = 0 // a server that keeps dropping us is to be left in peace
	}
	return err
}

// Waits between attempts: the first is short, so that the loss of one server
// of several is hardly felt, but not nothing, so that its clients do not all
// arrive at the next one in the same moment.
const (
	minPause = 20 * time.Millisecond
	maxPause = time.Second
)

// pause waits before an attempt, and tells if the session is over.
func (c *Client) pause(first bool, failures int) error {
	if first {
		return nil
	}
	d := min(maxPause, minPause<<min(failures, 10))
	d = d/2 + rand.N(d/2)
	left, expires := c.untilExpiry()
	if expires && left < d {
		d = left
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.life.Done():
		return context.Cause(c.life)
	}
	if left, expires := c.untilExpiry(); expires && left <= 0 {
		return fmt.Errorf("%w: no server was heard for 4/3 of the session timeout", ErrSessionExpired)
	}
	return nil
}

// untilExpiry is how long the session lasts if no server is heard; false if
// there is no session yet.
func (c *Client) untilExpiry() (time.Duration, bool) {
	c.mu.Lock()
	timeout, has := c.timeout, c.session != 0
	c.mu.Unlock()
	heard := time.Duration(c.heard.Load())
	return heard + timeout*4/3 - time.Since(c.born), has
}

func (c *Client) hear() { c.heard.Store(int64(time.Since(c.born))) }

func (c *Client) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

func (c *Client) wasUp() bool {
	select {
	case <-c.up:
		return true
	default:
		return false
	}
}

// open connects to server and takes up, or begins, the session.
func (c *Client) open(server string) (net.Conn, *proto.ConnectResponse, error) {
	c.mu.Lock()
	limit := c.timeout / time.Duration(len(c.servers.all))
	req := proto.ConnectRequest{
		LastZxidSeen: int64(c.lastZxid),
		TimeOut:      int32(min(c.opts.timeout.Milliseconds(), 1<<31-1)),
		Passwd:       make([]byte, 16),
		ReadOnly:     c.opts.readOnly,
	}
	if c.readWrite {
		req.SessionID, req.Passwd = int64(c.session), c.passwd
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.life, limit)
	defer cancel()
	reach := ctx // a server that is reached has been heard, and puts off the expiry
	if left, expires := c.untilExpiry(); expires && left < limit {
		var cancel context.CancelFunc
		reach, cancel = context.WithTimeout(ctx, left)
		defer cancel()
	}
	conn, err := c.opts.dial(reach, server)
	if err != nil {
		return nil, nil, err
	}
	c.hear()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	resp, err := handshake(conn, &req)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		if cause := context.Cause(c.life); cause != nil {
			err = cause
		} else if ctx.Err() != nil {
			err = fmt.Errorf("no answer in %v", limit)
		}
		return nil, nil, err
	}
	c.hear()
	return conn, resp, nil
}

// handshake is the exchange before any header (client-protocol.md section 2).
func handshake(conn net.Conn, req *proto.ConnectRequest) (*proto.ConnectResponse, error) {
	frame := jute.Append(make([]byte, 4), req)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if _, err := conn.Write(frame); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		if err == io.EOF {
			return nil, errors.New("the server closed the connection instead of opening a session")
		}
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n < 0 || n > 1024 {
		return nil, &errProtocol{fmt.Sprintf("handshake of %d bytes", n)}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	var resp proto.ConnectResponse
	if err := jute.Unmarshal(body, &resp); err != nil {
		return nil, &errProtocol{"handshake: " + err.Error()}
	}
	if resp.TimeOut <= 0 {
		return nil, fmt.Errorf("%w, says the server", ErrSessionExpired)
	}
	return &resp, nil
}

// established is the begin of a connection: credentials and watches go ahead
// of what waits to be sent.
func (c *Client) established(server string, resp *proto.ConnectResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = proto.SessionID(resp.SessionID)
	c.passwd = append([]byte(nil), resp.Passwd...)
	c.timeout = time.Duration(resp.TimeOut) * time.Millisecond
	state := Connected
	if resp.ReadOnly {
		state = ConnectedReadOnly
	} else {
		c.readWrite = true
	}
	c.control = c.control[:0]
	for _, a := range c.auths {
		c.control = append(c.control, a.request())
	}
	for _, rec := range c.watches.batches(c.lastZxid) {
		c.control = append(c.control, setWatchesRequest(rec))
	}
	c.log.Info("zk: connected", "server", server, "session", c.session, "timeout", c.timeout, "readOnly", resp.ReadOnly)
	c.setState(state, server, nil)
	if !c.wasUp() {
		close(c.up)
	}
}

// lost ends what was in flight with the connection.
func (c *Client) lost(server string, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setState(Disconnected, server, why)
	c.server = ""
	c.control = nil
	c.authSent = nil
	c.failInFlight(why)
}

func (c *Client) failInFlight(why error) {
	for c.inFlight.len() > 0 {
		r := c.inFlight.pop()
		r.err = &lossError{why}
		r.finish()
	}
}

// die is the end of the session.
func (c *Client) die(why error) {
	state := Closed
	switch {
	case c.life.Err() != nil || c.isClosing():
		why = ErrClosed
	case errors.Is(why, ErrSessionExpired):
		state = Expired
	case errors.Is(why, ErrAuthFailed):
		state = AuthFailed
	}
	c.kill(why)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = why
	c.setState(state, "", why)
	c.failInFlight(why)
	for _, r := range c.pending {
		r.err = why
		if !r.finished {
			r.finish()
		}
	}
	c.pending = nil
	for _, a := range c.auths {
		a.settle(why)
	}
	c.auths = nil
	c.log.Info("zk: session over", "session", c.session, "state", state, "err", why)
}
