// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync"
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

	ConnectTimeout   time.Duration // 0: the system's
	HandshakeTimeout time.Duration // for the opening message, and to get rid of a frame; 0: for ever
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

	// Up is called when there is a connection to sid, Down when there is none any
	// more; one that is replaced goes down first. Neither may block or call back.
	// May be nil.
	Up, Down func(sid int64)

	// Failed is told that Reset could not listen anew. May be nil.
	Failed func(err error)

	// Listen, if not nil, stands for net.Listen.
	Listen func(addr string) (net.Listener, error)
	// Wrap, if not nil, is given every new connection before its first byte.
	Wrap func(c net.Conn, dialed bool) (net.Conn, error)
}

// Ballots is the election port: at most one connection to each other server,
// always made by the one with the higher sid, on which both send their votes.
// Per server it keeps one message to be sent, and the last that was.
//
// It has a goroutine for each listening address, one for each dial, and for each
// connection a reader and a writer. Use OpenBallots.
type Ballots struct {
	opt       BallotOptions
	strangers strangers
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	quiet     quiet

	// telling is held while a connection takes its place or leaves it and Up or
	// Down says so, so that the last call tells what is. Taken before mu.
	telling sync.Mutex

	mu        sync.Mutex
	closed    bool
	own       []quorum.Addr
	hello     []byte // opening message
	listeners []net.Listener
	peers     map[int64]*peer
	unknown   int                // peers that no membership knows
	arrivals  uint64             // connections accepted
	era       context.Context    // ends with the next Reset
	endEra    context.CancelFunc // and what was dialled or accepted before counts no more
}

const (
	electionStrangers = 128 // connections that have not sent their opening message
	unknownPeers      = 64  // servers that no membership knows: joiners, or liars
)

// OpenBallots listens on the election port. It returns an error when that has
// not become possible after BindRetry attempts, or ctx has ended.
func OpenBallots(ctx context.Context, opt BallotOptions) (*Ballots, error) {
	if opt.BindDelay == 0 {
		opt.BindDelay = time.Second
	}
	b := &Ballots{opt: opt, strangers: strangers{max: electionStrangers}}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.begin(opt.Own)
	lns, err := b.bind(ctx, opt.Own)
	if err != nil {
		b.cancel()
		return nil, err
	}
	b.serve(b.era, lns)
	return b, nil
}

// begin starts an era. mu is held, or nobody else knows of b.
func (b *Ballots) begin(own []quorum.Addr) {
	b.own = slices.Clone(own)
	b.hello = appendHello(nil, b.opt.Sid, own, b.opt.MultiAddress)
	b.peers = map[int64]*peer{}
	b.unknown = 0
	b.era, b.endEra = context.WithCancel(b.ctx)
}

// ErrElectionPort is in the error of an election port that cannot be opened.
var ErrElectionPort = errors.New("the election port cannot be opened")

// bindError says why; that it is about the election port is in what it wraps.
type bindError struct{ why error }

func (e *bindError) Error() string   { return e.why.Error() }
func (e *bindError) Unwrap() []error { return []error{ErrElectionPort, e.why} }

// bind listens, as often as it may try.
func (b *Ballots) bind(ctx context.Context, own []quorum.Addr) ([]net.Listener, error) {
	var addrs []string
	for _, a := range own {
		addrs = append(addrs, hostPort(a.Host, a.ElectionPort, b.opt.ListenOnAllIPs))
	}
	for try := 1; ; try++ {
		lns, err := listenAll(b.opt.Listen, "election port", addrs)
		if len(lns) > 0 {
			if err != nil {
				b.opt.Logger.Warn("some addresses of the election port could not be opened", "err", err)
			}
			return lns, nil
		}
		if try == b.opt.BindRetry {
			return nil, &bindError{fmt.Errorf("%d attempts to listen failed: %w", try, err)}
		}
		b.opt.Logger.Warn("the election port could not be opened", "err", err, "attempt", try, "again_in", b.opt.BindDelay)
		pause := time.NewTimer(b.opt.BindDelay)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, fmt.Errorf("%w; the last attempt: %w", ctx.Err(), err)
		}
	}
}

// serve accepts on lns unless the era they were opened in has passed.
func (b *Ballots) serve(era context.Context, lns []net.Listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if era.Err() != nil {
		closeListeners(lns)
		return
	}
	b.listeners = lns
	for _, ln := range lns {
		b.wg.Go(func() { acceptFrom(ln, b.opt.Logger, "election", b.accept) })
	}
}

func closeListeners(lns []net.Listener) {
	for _, ln := range lns {
		ln.Close()
	}
}

// Addrs are the addresses that are listened on.
func (b *Ballots) Addrs() []net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []net.Addr
	for _, ln := range b.listeners {
		out = append(out, ln.Addr())
	}
	return out
}

// Send queues a message for a server in place of one that is still queued, and
// dials where there is no connection. It does not block. It keeps body. A
// message to this server itself is given to Received at once.
func (b *Ballots) Send(to int64, body []byte) {
	if len(body) == 0 || len(body) > maxBallot {
		b.opt.Logger.Error("an election message cannot be sent", "to", to, "bytes", len(body), "max", maxBallot)
		return
	}
	if to == b.opt.Sid {
		b.opt.Received(to, body)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	p := b.peer(to)
	p.queued = body
	if p.conn != nil {
		p.conn.nudge()
		return
	}
	b.dial(p, nil)
}

// Connected tells whether there is a connection to sid.
func (b *Ballots) Connected(sid int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[sid]
	return p != nil && p.conn != nil
}

// Reset drops every connection and every message queued or remembered, and
// listens on own where that is another address than before: as is due whenever
// the members have changed (section 3.9). Connections are made again when there
// is something to send. It does not block; Failed is told if own cannot be
// listened on.
func (b *Ballots) Reset(own []quorum.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	same := slices.Equal(b.own, own) && len(b.listeners) > 0
	b.drop()
	b.begin(own)
	if same {
		return
	}
	closeListeners(b.listeners)
	b.listeners = nil
	era := b.era
	b.wg.Go(func() {
		lns, err := b.bind(era, own)
		switch {
		case err == nil:
			b.serve(era, lns)
		case era.Err() == nil && b.opt.Failed != nil:
			b.opt.Failed(err)
		}
	})
}

// drop ends the era and its connections. mu is held.
func (b *Ballots) drop() {
	b.endEra()
	b.strangers.closeAll()
	for _, p := range b.peers {
		if p.conn != nil {
			p.conn.close()
		}
	}
}

// Close ends listening and all connections, and returns when no callback will
// come any more. So it must not be called by one, nor while one waits for the
// caller.
func (b *Ballots) Close() {
	b.mu.Lock()
	b.closed = true
	b.drop()
	closeListeners(b.listeners)
	b.listeners = nil
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
}

// peer is what is known of another server in one era. Guarded by Ballots.mu.
type peer struct {
	sid     int64
	queued  []byte   // to be sent; nil: nothing
	last    []byte   // the last that was given to a connection; nil: nothing
	conn    *ballot  // nil: none
	dialing bool     // at most one dial at a time
	redial  []string // where a dial that was asked for meanwhile is to go
	lost    bool     // a connection has ended since the dial began
	arrival uint64   // of the newest connection that was accepted
	unknown bool     // it counts in Ballots.unknown
}

// peer returns the entry of sid. mu is held.
func (b *Ballots) peer(sid int64) *peer {
	p := b.peers[sid]
	if p == nil {
		p = &peer{sid: sid}
		b.peers[sid] = p
	}
	return p
}

// admit returns the entry of the server that c comes from or leads to. It
// refuses if the era has ended, if a connection that arrived later than c has
// been seen (they are greeted in any order), or if there are too many servers
// that no membership knows. mu is held.
func (b *Ballots) admit(era context.Context, sid int64, known bool, c *ballot) (*peer, error) {
	if era.Err() != nil {
		return nil, errors.New("the members have changed, or the port is closed")
	}
	p := b.peers[sid]
	if p == nil && !known {
		if b.unknown >= unknownPeers {
			return nil, fmt.Errorf("too many servers that no membership knows; this one says that it is %d", sid)
		}
		b.unknown++
		p = b.peer(sid)
		p.unknown = true
	}
	if p == nil {
		p = b.peer(sid)
	}
	if c.arrival != 0 {
		if c.arrival < p.arrival {
			return nil, fmt.Errorf("server %d has come again since", sid)
		}
		p.arrival = c.arrival
	}
	return p, nil
}

// prune forgets a server that no membership knows and that nothing is going on
// with. mu is held.
func (b *Ballots) prune(p *peer) {
	if p.unknown && p.conn == nil && !p.dialing && b.peers[p.sid] == p {
		delete(b.peers, p.sid)
		b.unknown--
	}
}

// anonymous is the sid of an observer that has none.
const anonymous = math.MaxInt64
