// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"context"
	"errors"
	"net"

	"paddock/internal/quorum"
)

// dial makes a connection to p, at the addresses it gave itself or else those
// of the memberships. While a dial is under way there is no other: if it fails
// the addresses that p gave meanwhile are tried. mu is held.
func (b *Ballots) dial(p *peer, back []string) {
	if b.closed || b.peers[p.sid] != p {
		return
	}
	if p.dialing {
		if len(back) > 0 {
			p.redial = back
		}
		return
	}
	p.dialing = true
	era, hello := b.era, b.hello
	b.wg.Go(func() {
		c, known := b.connect(era, p, hello, back)
		if c == nil {
			return
		}
		if err := b.keep(era, p.sid, known, c); err != nil {
			b.quiet.warn(b.opt.Logger, "an election connection is given up", "sid", p.sid, "why", err)
		}
	})
}

// connect dials until it has succeeded or there is nothing more to try. It
// returns nil if there is no connection to keep: also when the peer, being
// higher, will dial back. known says whether a membership has the peer.
func (b *Ballots) connect(era context.Context, p *peer, hello []byte, back []string) (c *ballot, known bool) {
	for {
		members := b.opt.Lookup(p.sid)
		groups := [][]string{back}
		if len(back) == 0 {
			groups = addrGroups(members)
		}
		c, err := b.open(era, p.sid, hello, groups)
		if c != nil {
			return c, len(members) > 0 // keep ends the dial
		}
		if err != nil && era.Err() == nil {
			b.quiet.warn(b.opt.Logger, "no election connection", "sid", p.sid, "why", err)
		}
		var again bool
		if back, again = b.dialed(p, err == nil, len(members) > 0); !again {
			return nil, false
		}
	}
}

// dialed ends a dial that has made no connection, or says where to go on:
// nowhere in particular if the peer has dialled back and that connection is
// lost already, with something to be sent.
func (b *Ballots) dialed(p *peer, told, known bool) (back []string, again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	back, p.redial = p.redial, nil
	lost := p.lost && p.queued != nil && p.conn == nil
	p.lost = false
	if b.peers[p.sid] == p && (lost || back != nil && !told) {
		return back, true
	}
	p.dialing = false
	if !known && !p.unknown && b.peers[p.sid] == p {
		p.unknown = true
		b.unknown++
	}
	b.prune(p)
	return nil, false
}

// open makes one connection, by the first group of addresses that has one, and
// sends the opening message. The connection is nil if it is the peer's to make.
func (b *Ballots) open(era context.Context, sid int64, hello []byte, groups [][]string) (*ballot, error) {
	err := errors.New("no membership knows it")
	for _, addrs := range groups {
		var c net.Conn
		if c, err = b.openOne(era, addrs, hello); err != nil {
			continue
		}
		if sid > b.opt.Sid {
			c.Close() // the opening message has told it where to dial
			return nil, nil
		}
		return newBallot(c, bufio.NewReader(c)), nil
	}
	return nil, err
}

func addrGroups(members []quorum.Member) [][]string {
	var out [][]string
	for _, m := range members {
		var addrs []string
		for _, a := range m.Addrs {
			addrs = append(addrs, hostPort(a.Host, a.ElectionPort, false))
		}
		out = append(out, addrs)
	}
	return out
}

func (b *Ballots) openOne(era context.Context, addrs []string, hello []byte) (net.Conn, error) {
	ctx, cancel := withTimeout(era, b.opt.ConnectTimeout)
	defer cancel()
	raw, err := dialAny(ctx, addrs, b.opt.KeepAlive)
	if err != nil {
		return nil, err
	}
	setUp(raw, true, b.opt.KeepAlive)
	giveUpAfter(raw, unacknowledged)
	raw.SetDeadline(deadline(b.opt.HandshakeTimeout))
	c := raw
	if b.opt.Wrap != nil {
		c, err = b.opt.Wrap(raw, true)
	}
	if err == nil {
		_, err = c.Write(hello)
	}
	if err == nil {
		err = c.SetDeadline(deadline(0))
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}
