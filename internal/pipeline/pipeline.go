// SPDX-License-Identifier: Apache-2.0

// Package pipeline is the path of a request, the same for every kind of
// server:
//
//	Serve     a frame of a client: which operation, may it be served now       serve.go, ops.go
//	  read    answered at once from the tree, on the reader's goroutine        read.go
//	  write   prepare: checked against the tree and the proposals in flight,   prepare.go, inflight.go
//	          turned into a settled transaction with its zxid
//	          propose: handed to the Replicator, which calls Commit with
//	          batches of durable transactions, in order
//	          apply: tree moved on, events queued, replies queued              apply.go
//
// That is a single server's way. A member of an ensemble has a role that its
// driver gives it (ensemble.go). A leader prepares the writes of its clients
// and of its learners (remote.go); a learner forwards them (forward.go). On all
// of them CommitEntries applies what is decided, and a transaction that answers
// a request of a client here releases its reply (decided.go).
//
// Replies leave in the order of the requests (queue.go). A read waits only for
// writes of its own session.
package pipeline

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"paddock/internal/acl"
	"paddock/internal/session"
	"paddock/internal/tree"
	"paddock/internal/watch"
	"paddock/proto"
)

// Options of a Pipeline. Times are positive unless said otherwise.
type Options struct {
	Logger *slog.Logger
	ACL    *acl.Authority
	Tick   time.Duration

	ServerID                             int64 // in session ids
	MinSessionTimeout, MaxSessionTimeout time.Duration

	LocalSessions bool // new sessions of a member of an ensemble are local
	LocalUpgrades bool // and become global when they make an ephemeral znode

	ExtendedTypes bool // TTL znodes may be made
	EnforceQuota  bool
	Digest        bool // transactions carry the tree's digest
	LeaderAlone   bool // a leader serves no clients: they go to the other servers
	Reconfig      bool // reconfig is enabled: a single server answers "unimplemented" rather than "disabled"
	MaxRecord     int  // largest buffer or string in a request, bytes

	OutstandingMax int // requests in the pipeline above which clients with one in it are not read
	OutLimit       int // bytes that may wait for a client that does not read
	OutSum         int // bytes that may wait for all clients with more than 1 MiB waiting; 0 is any

	ThrottleMax      int           // requests in process at once; 0 is off
	ThrottleStale    bool          // a request of a connection that is gone is dropped while it waits
	ThrottleLate     bool          // so is one that waited for longer than its session's timeout
	ThrottledOpWait  time.Duration // a request that waited longer is answered ErrThrottled; 0 is off
	LargeThreshold   int           // bytes from which a request is large; <= 0 is off
	LargeMax         int64         // bytes of large requests in flight
	ContainerPeriod  time.Duration // between sweeps for containers and TTL znodes
	ContainerMax     int           // removals a minute
	ContainerUnused  time.Duration // age of a container that never had a child; 0 keeps it
	ConnectionBucket *TokenBucket  // nil is off

	// EnforceAuth refuses requests of clients without one of the required
	// schemes with this code; 0 is off.
	EnforceAuth proto.Code
}

// Replicator takes proposals to stable storage on a quorum.
type Replicator interface {
	// Propose is called in the order of the zxids, under the pipeline's lock.
	// The transactions are encoded before it returns, and the list is not kept.
	// When they are durable the pipeline's Commit is called with them.
	Propose(list []Proposal)
}

// Proposal is a settled transaction on its way.
type Proposal struct {
	Txn *proto.Txn
	req *request
}

// Pipeline serves the requests of one server. Use New.
type Pipeline struct {
	opt      Options
	tree     *tree.Tree
	watches  *watch.Table
	sessions *session.Tracker
	repl     Replicator
	started  time.Time
	slots    atomic.Uint32

	ensemble bool         // has a driver: set by StartEnsemble
	role     atomic.Int32 // a role; changed under prep.mu
	reign    atomic.Uint32
	flight   flight

	prep    preparer
	app     applier
	counts  Counts
	limits  limits
	outs    outSum
	nextSID atomic.Int64

	clientsMu sync.Mutex
	clients   map[*Client]struct{}
	over      atomic.Bool     // the log has failed
	retired   ConnStats       // sums over connections that are gone
	parted    map[int64]int32 // sessions (timeout in ms) touched over connections that are gone

	stop chan struct{}
	wg   sync.WaitGroup
}

// Counts are the pipeline's counters.
type Counts struct {
	Connections    atomic.Int64 // accepted handshakes
	SessionsOpened atomic.Int64
	SessionsClosed atomic.Int64
	Expired        atomic.Int64
	SlowReaders    atomic.Int64
	Throttled      atomic.Int64
	LargeRejected  atomic.Int64
	AuthFailed     atomic.Int64
	Commits        atomic.Int64
	Events         atomic.Int64
	Reaped         atomic.Int64

	// Transactions after which the tree's digest was not the one they carry.
	DigestMismatches atomic.Int64
}

// New returns a pipeline on t. Start begins its work.
func New(t *tree.Tree, opt Options) *Pipeline {
	p := &Pipeline{opt: opt, tree: t, watches: watch.New(), sessions: session.NewTracker(opt.Tick.Milliseconds()),
		started: time.Now(), clients: map[*Client]struct{}{}, stop: make(chan struct{})}
	p.limits.init(opt)
	p.outs.limit = int64(opt.OutSum)
	p.flight.opening, p.parted = map[int64]*request{}, map[int64]int32{}
	p.nextSID.Store(session.FirstID(opt.ServerID, time.Now().UnixMilli()))
	p.app.init(p)
	return p
}

// Start serves: proposals go to repl, known sessions begin their full timeout,
// and expiry and reaper run until Stop.
func (p *Pipeline) Start(repl Replicator) {
	p.repl = repl
	v := p.tree.View(0)
	p.prep.init(v.Zxid(), v.Digest())
	known := v.Sessions()
	var orphans []int64
	v.EachEphemeral(func(s int64, _ []string) {
		if _, ok := known[s]; !ok {
			orphans = append(orphans, s)
		}
	})
	v.Close()
	now := p.nowMs()
	for id, ms := range known {
		p.sessions.Add(id, ms, now)
	}
	for _, id := range orphans {
		p.opt.Logger.Warn("ephemeral znodes of a session that does not exist are removed", "session", proto.SessionID(id))
		p.closeSession(id)
	}
	p.background()
}

// background starts what only a leader, or a single server, has to do.
func (p *Pipeline) background() {
	p.wg.Add(2)
	go p.expireSessions()
	go p.reap()
}

// Stop ends expiry and reaper. Requests may still be served.
func (p *Pipeline) Stop() {
	close(p.stop)
	p.wg.Wait()
}

// nowNs is the pipeline's clock: monotonic nanoseconds since it was made.
func (p *Pipeline) nowNs() int64 { return int64(time.Since(p.started)) }

// nowMs is the monotonic clock in milliseconds.
func (p *Pipeline) nowMs() int64 { return time.Since(p.started).Milliseconds() }

// Started is when the clock of the sessions' deadlines was at 0.
func (p *Pipeline) Started() time.Time { return p.started }

// Tree is the tree served.
func (p *Pipeline) Tree() *tree.Tree { return p.tree }

// Watches is the table of watches.
func (p *Pipeline) Watches() *watch.Table { return p.watches }

// Sessions is the table of sessions.
func (p *Pipeline) Sessions() *session.Tracker { return p.sessions }

// Counts are the pipeline's counters.
func (p *Pipeline) Counts() *Counts { return &p.counts }

// Outstanding is the number of requests on their way through the log.
func (p *Pipeline) Outstanding() int { return int(p.limits.outstanding.Load()) }

// EachClient calls yield with every client past its handshake.
func (p *Pipeline) EachClient(yield func(*Client)) {
	p.clientsMu.Lock()
	defer p.clientsMu.Unlock()
	for c := range p.clients {
		yield(c)
	}
}

func (p *Pipeline) enlist(c *Client) {
	p.clientsMu.Lock()
	defer p.clientsMu.Unlock()
	p.clients[c] = struct{}{}
}

// retire takes a client off the list and keeps its sums.
func (p *Pipeline) retire(c *Client) {
	p.clientsMu.Lock()
	defer p.clientsMu.Unlock()
	if _, ok := p.clients[c]; ok {
		delete(p.clients, c)
		p.retired.add(c.Stats())
		p.partTouched(c)
	}
}

// Totals sums the statistics of all connections since start or ResetTotals.
func (p *Pipeline) Totals() ConnStats {
	p.clientsMu.Lock()
	defer p.clientsMu.Unlock()
	sum := p.retired
	for c := range p.clients {
		sum.add(c.Stats())
	}
	return sum
}

// ResetTotals sets the statistics of all connections back (srst, crst).
func (p *Pipeline) ResetTotals() {
	p.clientsMu.Lock()
	defer p.clientsMu.Unlock()
	p.retired = ConnStats{}
	for c := range p.clients {
		c.resetStats()
	}
}

func (s *ConnStats) add(o ConnStats) {
	s.Received += o.Received
	s.Sent += o.Sent
	if o.Replies == 0 {
		return
	}
	if s.Replies == 0 || o.MinLatency < s.MinLatency {
		s.MinLatency = o.MinLatency
	}
	s.MaxLatency = max(s.MaxLatency, o.MaxLatency)
	s.TotalLatency += o.TotalLatency
	s.Replies += o.Replies
}

// Abandon ends the service after the log has failed: no proposal is taken, no
// reply is sent, every connection is closed.
func (p *Pipeline) Abandon() {
	p.prep.mu.Lock()
	p.prep.closed = true
	p.prep.mu.Unlock()
	p.over.Store(true)
	p.limits.abandon()
	p.EachClient(func(c *Client) {
		c.mu.Lock()
		c.room.Broadcast()
		c.mu.Unlock()
		c.link.Hangup("")
	})
}

// Drain takes no more proposals and waits until those on their way are
// answered, or ctx ends. Requests that wait for the end of an election are
// dropped.
func (p *Pipeline) Drain(ctx context.Context) {
	p.prep.mu.Lock()
	p.prep.closed = true
	if p.is(looking) {
		p.dismiss("")
	}
	p.prep.mu.Unlock()
	p.limits.drain(ctx)
}
