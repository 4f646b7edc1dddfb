// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"log/slog"
	"net"
	"time"

	"paddock/proto"
)

// Defaults of the options.
const (
	DefaultSessionTimeout = 30 * time.Second
	DefaultMaxReply       = 16 << 20 // bytes
)

// Option changes how a Client connects.
type Option func(*options)

type options struct {
	timeout  time.Duration // of the session, as asked for
	dial     Dialer
	log      *slog.Logger
	readOnly bool
	session  proto.SessionID
	passwd   []byte
	maxReply int
	rounds   int
}

// Dialer opens a connection to server, "host:port". It must give up when ctx
// ends.
type Dialer func(ctx context.Context, server string) (net.Conn, error)

func defaults() options {
	return options{
		timeout: DefaultSessionTimeout,
		dial: func(ctx context.Context, server string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", server)
		},
		log:      slog.New(slog.DiscardHandler),
		maxReply: DefaultMaxReply,
	}
}

// WithSessionTimeout asks for a session that outlives d without contact. The
// server may settle for another: see Client.SessionTimeout.
func WithSessionTimeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// WithDialer opens connections with dial: for TLS, a proxy, or a test.
func WithDialer(dial Dialer) Option { return func(o *options) { o.dial = dial } }

// WithLogger logs each change of the connection's state. Without it the client
// is silent.
func WithLogger(log *slog.Logger) Option { return func(o *options) { o.log = log } }

// WithReadOnly accepts a server that has lost its quorum and serves reads only.
// The client keeps looking for one that takes writes and moves to it.
func WithReadOnly() Option { return func(o *options) { o.readOnly = true } }

// WithSession takes up an existing session: one of a client that was Detached,
// or of a process that is gone. Watches are not taken up, they belong to the
// client that set them.
func WithSession(id proto.SessionID, passwd []byte) Option {
	return func(o *options) { o.session, o.passwd = id, append([]byte(nil), passwd...) }
}

// WithMaxReply is the largest frame accepted from a server, in bytes
// (jute.maxbuffer of other clients). A larger one drops the connection, and
// fails what was waiting for replies with ErrConnectionLoss.
func WithMaxReply(bytes int) Option { return func(o *options) { o.maxReply = bytes } }

// WithConnectRounds makes Connect give up when every server has failed n times.
// Without it, and for every later connection, only a context ends the trying.
func WithConnectRounds(n int) Option { return func(o *options) { o.rounds = n } }
