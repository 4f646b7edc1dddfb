// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"context"
	"log/slog"
	"net"
	"time"

	"paddock/internal/quorum"
)

// BallotOptions say how Ballots talks to the other members.
type BallotOptions struct {
	Sid    int64
	Logger *slog.Logger

	// Own is where this server is to be found: it listens on the election ports,
	// and tells them to those it dials, host names as they are configured.
	Own            []quorum.Addr
	ListenOnAllIPs bool          // listen on the ports of Own, whatever the address
	BindRetry      int           // attempts to listen; 0: for ever
	BindDelay      time.Duration // between them; 0: 1 s

	ConnectTimeout   time.Duration
	HandshakeTimeout time.Duration // for the opening message, and for a frame to be taken off our hands
	KeepAlive        bool
	MultiAddress     bool // tell all of Own, not the first only

	// Lookup returns what the memberships say of a server: the committed one, then
	// the last seen one if it is absent there or has another address. They are
	// tried in that order.
	Lookup func(sid int64) []quorum.Member

	// Received is given each message, by a goroutine of that connection: while it
	// blocks nothing more is read from that peer. Order holds for each sid. It keeps
	// body.
	Received func(from int64, body []byte)

	// Up is called when a connection to sid is made or replaced, Down when there is
	// none any more. Neither may block. May be nil.
	Up, Down func(sid int64)

	// Listen, if not nil, stands for net.Listen.
	Listen func(addr string) (net.Listener, error)
	// Wrap, if not nil, is given every new connection before its first byte.
	Wrap func(c net.Conn, dialed bool) (net.Conn, error)
}

// OpenBallots listens on the election port. It returns an error when that has
// not become possible after BindRetry attempts, or ctx has ended.
func OpenBallots(ctx context.Context, opt BallotOptions) (*Ballots, error) { panic("later") }

// Ballots is the election port.
type Ballots struct{}

// Send queues a message for a server in place of one that is still queued, and
// dials where there is no connection. It does not block. It keeps body. A
// message to this server itself is given to Received at once.
func (b *Ballots) Send(to int64, body []byte) { panic("later") }

// Connected tells whether there is a connection to sid.
func (b *Ballots) Connected(sid int64) bool { panic("later") }

// Reset drops every connection and every message queued or remembered, and
// listens anew, on own. That is due whenever the members have changed (section
// 3.9).
func (b *Ballots) Reset(ctx context.Context, own []quorum.Addr) error { panic("later") }

// Close ends listening and all connections, and returns when no callback will
// come any more.
func (b *Ballots) Close() { panic("later") }
