// SPDX-License-Identifier: Apache-2.0

// Package zk is a client of ZooKeeper: of paddock and of Apache ZooKeeper.
//
//	c, err := zk.Connect(ctx, "10.0.0.1:2181,10.0.0.2:2181/app")
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	path, err := c.Create(ctx, "/lock-", nil, zk.OpenACL, zk.Ephemeral|zk.Sequential)
//
// A Client is one session. It keeps one connection to one of the servers and,
// when that breaks, goes to another with the same session: ephemeral znodes
// stay, watches are set again, credentials are shown again. The session ends
// with Close, when a server says that it expired, when nothing was heard of any
// server for 4/3 of its timeout, or when a credential is refused. Then every
// call fails with ErrClosed, ErrSessionExpired or ErrAuthFailed, for good: make
// a new Client.
//
// # Calls
//
// A Client may be used by many goroutines at once. Their requests share the
// connection without waiting for each other's replies, many to one write;
// requests of one goroutine are carried out in order.
//
// A call made while there is no connection waits for one. A call whose request
// was sent on a connection that broke fails with ErrConnectionLoss: whether a
// write was carried out is unknown, and a caller who repeats it must find out.
// A call returns as soon as its context ends; if the request was sent by then
// its outcome is unknown too, else it never will be sent.
//
// Errors are of type *Error; errors.Is(err, zk.ErrNoNode) and so on tell codes.
//
// # Watches
//
// GetWatch, ExistsWatch, ChildrenWatch and GetConfigWatch arm a watch and return
// a channel that receives exactly one Event, the change or the end of the
// session, and is then closed. AddWatch returns a Watcher, which stays. The
// channels never hold up the client: a one-shot channel has room for its event,
// a Watcher keeps a backlog as long as its reader needs.
//
// Each channel has its events in the order of the session. An event is in its
// channel before any call of the same client returns that can have seen the
// change. Between channels, Event.Zxid tells the order.
package zk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"paddock/proto"
)

// Client is a session with an ensemble. Make one with Connect.
type Client struct {
	opts   options
	log    *slog.Logger
	chroot string
	born   time.Time // origin of heard

	life context.Context // ends when the client is to stop at once
	kill context.CancelCauseFunc
	up   chan struct{} // closed with the first connection
	done chan struct{} // closed when the session is over
	kick chan struct{} // tells the writer that there is something to send

	servers serverList   // of the session's goroutine
	heard   atomic.Int64 // when a server was last heard of, since born

	mu        sync.Mutex
	state     State
	server    string        // connected to
	lastErr   error         // what ended the last connection, or attempt
	dead      error         // why the session is over
	closing   bool          // Close has begun: no new calls
	timeout   time.Duration // as negotiated; as asked for before that
	session   proto.SessionID
	passwd    []byte
	readWrite bool // the session was seen by a server that takes writes
	lastZxid  proto.Zxid
	lastXid   int32
	pending   []*request // not sent yet
	dropped   int        // of those, how many nobody waits for
	control   []*request // to be sent before those
	inFlight  fifo       // sent, in the order of their replies
	authSent  []*auth    // sent, answered out of turn
	auths     []*auth    // shown on every connection
	watches   watches
	adding    map[watchKey]int // addWatch requests under way
	listeners []*queue[SessionEvent]
}

// Connect opens a session with the servers of a connect string,
// "host[:port],host[:port]/chroot", and returns when it is established. It
// tries one server after the other until ctx ends or WithConnectRounds says
// stop. Once Connect has returned, ctx has no bearing on the client.
func Connect(ctx context.Context, servers string, opts ...Option) (*Client, error) {
	list, chroot, err := ParseServers(servers)
	if err != nil {
		return nil, err
	}
	o := defaults()
	for _, opt := range opts {
		opt(&o)
	}
	if o.timeout < time.Millisecond {
		return nil, fmt.Errorf("zk: session timeout %v is less than a millisecond", o.timeout)
	}
	c := &Client{
		opts: o, log: o.log, chroot: chroot, born: time.Now(),
		up: make(chan struct{}), done: make(chan struct{}), kick: make(chan struct{}, 1),
		servers: newServerList(list), timeout: o.timeout,
		session: o.session, passwd: o.passwd, readWrite: o.session != 0,
		watches: newWatches(), adding: map[watchKey]int{},
	}
	c.watches.rel = c.rel
	if c.passwd == nil {
		c.passwd = make([]byte, 16)
	}
	c.life, c.kill = context.WithCancelCause(context.Background())
	go c.run()
	select {
	case <-c.up:
		return c, nil
	case <-c.done:
		return nil, fmt.Errorf("zk: connect to %s: %w", servers, c.dead)
	case <-ctx.Done():
		err := c.because(ctx.Err())
		c.kill(ErrClosed)
		<-c.done
		return nil, fmt.Errorf("zk: connect to %s: %w", servers, err)
	}
}

// because adds to err what keeps the client from a connection.
func (c *Client) because(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastErr == nil || c.state != Disconnected {
		return err
	}
	return fmt.Errorf("%w (not connected: %v)", err, c.lastErr)
}

// closeWait bounds how long Close waits for the server.
const closeWait = 5 * time.Second

// Close ends the session on the server, with its ephemeral znodes, behind the
// calls made before it, and stops the client. If there is no connection, or it
// breaks, or nothing comes back in five seconds, the error says so and the
// session ends when it expires. A second Close waits for the first.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.dead != nil || c.closing {
		c.mu.Unlock()
		<-c.done
		return nil
	}
	c.closing = true
	if !c.state.connected() {
		c.mu.Unlock()
		c.kill(ErrClosed)
		<-c.done
		return &Error{Op: proto.OpCloseSession.String(), Code: ErrConnectionLoss, Cause: errors.New("not connected")}
	}
	r := newRequest(proto.OpCloseSession, nil)
	c.enqueue(r)
	c.mu.Unlock()
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	var err error
	select {
	case <-r.done:
		err = r.err
	case <-timer.C:
		err = context.DeadlineExceeded
	}
	c.kill(ErrClosed)
	<-c.done
	if err != nil {
		return fail(proto.OpCloseSession, "", err)
	}
	return nil
}

// Detach stops the client and leaves the session to its timeout, so that
// another can take it up WithSession.
func (c *Client) Detach() {
	c.kill(ErrClosed)
	<-c.done
}

// Done is closed when the session is over.
func (c *Client) Done() <-chan struct{} { return c.done }

// State is where the session stands now.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// SessionID names the session.
func (c *Client) SessionID() proto.SessionID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Passwd proves that the session is ours: see WithSession.
func (c *Client) Passwd() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.passwd...)
}

// SessionTimeout is what the server granted.
func (c *Client) SessionTimeout() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timeout
}

// Server is the "host:port" of the connection, or "".
func (c *Client) Server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// LastZxid is the newest state of the tree that a reply has shown.
func (c *Client) LastZxid() proto.Zxid {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastZxid
}

// Chroot is the prefix of every path, or "".
func (c *Client) Chroot() string { return c.chroot }
