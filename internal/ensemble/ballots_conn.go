// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"paddock/proto"
)

// maxBallot is the largest body of an election message, in bytes.
const maxBallot = proto.NotificationMax

// ballot is one connection of the election port.
type ballot struct {
	conn    net.Conn
	r       *bufio.Reader
	arrival uint64        // counts what was accepted; 0: dialled by this server
	wake    chan struct{} // has room for one: there may be something to send
	dead    chan struct{} // closed by close
	once    sync.Once
	done    chan struct{} // closed when reader and writer have ended
}

func newBallot(c net.Conn, r *bufio.Reader) *ballot {
	return &ballot{conn: c, r: r, wake: make(chan struct{}, 1), dead: make(chan struct{}), done: make(chan struct{})}
}

func (c *ballot) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close ends reader and writer.
func (c *ballot) close() {
	c.once.Do(func() {
		close(c.dead)
		c.conn.Close()
	})
}

// accept gives a connection from outside a goroutine of its own.
func (b *Ballots) accept(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		c.Close()
		return
	}
	era := b.era
	b.arrivals++
	arrival := b.arrivals
	b.strangers.add(c)
	b.wg.Go(func() { b.greet(era, c, arrival) })
}

// unacknowledged is how long the system of a peer may be silent about a vote. A
// server that is only slow has a system that answers.
const unacknowledged = 3 * time.Second

// greet reads the opening message of a connection and decides who keeps it
// (section 2.2).
func (b *Ballots) greet(era context.Context, raw net.Conn, arrival uint64) {
	setUp(raw, true, b.opt.KeepAlive)
	giveUpAfter(raw, unacknowledged)
	raw.SetDeadline(deadline(b.opt.HandshakeTimeout))
	c, err := raw, error(nil)
	if b.opt.Wrap != nil {
		c, err = b.opt.Wrap(raw, false)
	}
	var r *bufio.Reader
	var sid int64
	var back []string
	if err == nil {
		r = bufio.NewReader(c)
		sid, back, err = readHello(r)
	}
	if known := b.strangers.remove(raw); err == nil && !known {
		err = errStranger
	}
	if err == nil {
		err = c.SetDeadline(deadline(0))
	}
	if err == nil {
		in := newBallot(c, r)
		in.arrival = arrival
		err = b.challenge(era, sid, back, in)
	}
	if err != nil {
		raw.Close()
		b.quiet.warn(b.opt.Logger, "a connection to the election port is refused", "peer", raw.RemoteAddr(), "why", err)
	}
}

// challenge keeps a connection that a higher sid has made, for as long as it
// lasts, and dials back to a lower one.
func (b *Ballots) challenge(era context.Context, sid int64, back []string, c *ballot) error {
	switch {
	case sid == b.opt.Sid:
		return fmt.Errorf("the peer has this server's own id %d", sid)
	case sid == anonymous || sid < 0:
		return errors.New("the peer is an observer without an id, which cannot be dialled back")
	}
	known := len(b.opt.Lookup(sid)) > 0
	if sid > b.opt.Sid {
		return b.keep(era, sid, known, c)
	}
	// The lower one would not have dialled if it had a connection. Nobody can tell
	// for how long the old one has been dead.
	c.conn.Close()
	old, err := b.closeFor(era, sid, known, c)
	if err != nil {
		return err
	}
	if old != nil {
		<-old.done
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p, err := b.admit(era, sid, known, c)
	if err == nil && p.conn == nil {
		b.dial(p, back)
	}
	return err
}

// closeFor closes the connection to sid, if there is one, because of c.
func (b *Ballots) closeFor(era context.Context, sid int64, known bool, c *ballot) (old *ballot, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, err := b.admit(era, sid, known, c)
	if err != nil || p.conn == nil {
		return nil, err
	}
	p.conn.close()
	return p.conn, nil
}

// keep makes c the connection to sid and reads from it until it ends.
func (b *Ballots) keep(era context.Context, sid int64, known bool, c *ballot) error {
	p, err := b.take(era, sid, known, c)
	if err != nil {
		c.close()
		return err
	}
	b.opt.Logger.Info("election connection", "sid", sid, "peer", c.conn.RemoteAddr())
	written := make(chan error, 1)
	go func() {
		err := b.write(p, c)
		c.close()
		written <- err
	}()
	why := b.read(sid, c)
	c.close()
	if err := <-written; err != nil {
		why = err // it was the first, or says the same
	}
	b.leave(p)
	b.opt.Logger.Info("election connection ended", "sid", sid, "peer", c.conn.RemoteAddr(), "why", why)
	close(c.done)
	return nil
}

// take gives c its place, after the connection that it replaces has ended.
func (b *Ballots) take(era context.Context, sid int64, known bool, c *ballot) (*peer, error) {
	for {
		p, old, err := b.tryTake(era, sid, known, c)
		if old == nil || err != nil {
			return p, err
		}
		<-old.done
	}
}

// tryTake closes the connection that is in the way, or gives c its place.
func (b *Ballots) tryTake(era context.Context, sid int64, known bool, c *ballot) (p *peer, old *ballot, err error) {
	b.telling.Lock()
	defer b.telling.Unlock()
	b.mu.Lock()
	p, err = b.admit(era, sid, known, c)
	if err == nil {
		if old = p.conn; old != nil {
			old.close()
		} else {
			p.conn = c
		}
		if c.arrival == 0 && old == nil {
			p.dialing, p.lost = false, false
		}
	}
	b.mu.Unlock()
	if err == nil && old == nil && b.opt.Up != nil {
		b.opt.Up(sid)
	}
	return p, old, err
}

// leave gives up the place of p's connection.
func (b *Ballots) leave(p *peer) {
	b.telling.Lock()
	defer b.telling.Unlock()
	b.mu.Lock()
	p.conn = nil
	p.lost = p.dialing
	b.prune(p)
	now := b.peers[p.sid] // another one after a Reset
	none := now == nil || now.conn == nil
	b.mu.Unlock()
	if none && b.opt.Down != nil {
		b.opt.Down(p.sid)
	}
}

// read delivers messages until the connection ends.
func (b *Ballots) read(sid int64, c *ballot) error {
	for {
		body, err := readBallot(c.r)
		if err != nil {
			return err
		}
		b.opt.Received(sid, body)
	}
}

// readBallot reads one frame.
func readBallot(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n < 1 || n > maxBallot {
		return nil, fmt.Errorf("an election message of %d bytes; 1 to %d are accepted", n, maxBallot)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return body, nil
}

// write sends what is queued, one message at a time, until the connection ends.
// With nothing queued at its beginning it repeats the last message: the peer
// may have lost it with the connection before.
func (b *Ballots) write(p *peer, c *ballot) error {
	var frame []byte
	for first := true; ; first = false {
		body := b.next(p, first)
		if body == nil {
			select {
			case <-c.wake:
				continue
			case <-c.dead:
				return nil
			}
		}
		frame = binary.BigEndian.AppendUint32(frame[:0], uint32(len(body)))
		frame = append(frame, body...)
		c.conn.SetWriteDeadline(deadline(b.opt.HandshakeTimeout))
		if _, err := c.conn.Write(frame); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
}

// next takes the message out of the queue. It is nil if there is none.
func (b *Ballots) next(p *peer, again bool) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.queued != nil {
		p.last, p.queued = p.queued, nil
		return p.last
	}
	if again {
		return p.last
	}
	return nil
}
