// SPDX-License-Identifier: Apache-2.0

// Package ensemble is a server among several: it drives the consensus core
// (internal/zab) with real connections, disks and clocks, and is what makes the
// proposals of the pipeline durable on a quorum.
//
//	clients ─▶ pipeline ─Propose─▶ mailbox ─▶ loop ── peer.Step ─┬▶ disk: log, epochs, snapshots
//	                ▲                 ▲                          ├▶ links: quorum port
//	                └── CommitEntries ┼──────────────────────────┤
//	                                  └── Saved, Received, … ◀───┴▶ ballots: election port
//
//	loop.go      steps the peer, one goroutine at a time, and does what comes out, in order
//	disk.go      one goroutine writes: appends that wait share one flush
//	machine.go   roles, forwarding and sessions: the pipeline's side
//	sync.go      trees and ranges of the log, to and from other servers
//	ballots.go   the election port
//	links.go     the quorum port
//
// The loop never waits for a disk or a peer. What is received and not yet
// durable is bounded by not reading further from the connections.
package ensemble

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"paddock/internal/pipeline"
	"paddock/internal/quorum"
	"paddock/internal/replica"
	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/internal/zab"
	"paddock/jute"
)

// Options of a Driver.
type Options struct {
	Logger *slog.Logger
	Sid    int64

	// Zab and State are the peer's. The clock of the peer starts with the driver.
	Zab   zab.Options
	State zab.State

	Store    *storage.Store
	Tree     *tree.Tree
	Pipeline *pipeline.Pipeline
	Keeper   *replica.Keeper
	Flush    replica.Flush

	Ballots BallotOptions // but for Sid, Logger, Own, Lookup and the callbacks
	Links   LinkOptions   // but for Logger and the callbacks

	// SizeFactor bounds the log that a learner is sent, in sizes of the newest
	// snapshot; 0 is no bound, < 0 sends none.
	SizeFactor float64

	// ReadOnlyAfter is how long there must be no leader before clients that accept
	// a server without a quorum are served reads; 0 is never.
	ReadOnlyAfter time.Duration

	// MinVoters is how many a reconfig must leave: 2, or 1 with
	// standaloneEnabled=false.
	MinVoters int
	// Membership makes a committed membership durable, Seen a proposed one, or with
	// the committed one takes that back; nil where memberships do not change. They
	// are called in order, by the loop.
	Membership, Seen func(*quorum.Config) error

	// ClientPort is told that a membership has given this server another address
	// for its clients; nil where it has none.
	ClientPort func(to quorum.HostPort)

	// OnFatal is told once that the server cannot go on: nothing is acknowledged
	// from then on.
	OnFatal func(error)
}

// stepper is zab.Peer, or a test's script.
type stepper interface {
	Step(now time.Duration, ev zab.Event) *zab.Out
	Heard() time.Duration
}

// Driver runs one server of an ensemble. Use Start.
type Driver struct {
	opt     Options
	log     *slog.Logger
	peer    stepper
	started time.Time

	mail    *mailbox
	budget  *budget
	disk    *disk
	links   *Links
	ballots *Ballots
	opened  chan struct{} // closed when ballots is set
	batch   Batch

	stop    context.Context
	cancel  context.CancelFunc
	loop    sync.WaitGroup
	helpers sync.WaitGroup // probes, and the rest that may not hold up the loop
	failed  atomic.Pointer[error]
	closing sync.Once

	// Whoever steps the peer holds it; below it is what steps and chores use.
	stepping   sync.Mutex
	wake       time.Duration // when the peer wants to be stepped
	armed      time.Duration // when run comes by itself
	unsent     []zab.LinkID  // links that were sent to and not flushed
	status     zab.Status
	port       port          // that is open
	listenAt   time.Duration // when to try to listen again; 0: not at all
	letGoAt    time.Duration // when to look for clients that are not to be kept longer
	readOnlyAt time.Duration // when to serve reads without a leader; 0: not at all
	readOnly   bool          // that is so
	restoring  bool          // tree and log are being brought to another state

	decided []pipeline.Entry // of commit
	coder   jute.Coder       // of Propose; here, since on the stack it would not stay there
	entries []zab.Entry      // likewise
	asked   []pipeline.Asked // by learners, in this step

	dialMu sync.Mutex
	dialed zab.LinkID // of the newest Dial; 0 once it is up or has failed

	upstream atomic.Pointer[upstream] // to the leader, while this server serves as a learner

	view view // what others may look at
}

// Start begins to take part in the ensemble. It returns when the election port
// is open, or cannot be opened.
func Start(ctx context.Context, opt Options) (*Driver, error) {
	return start(ctx, opt, zab.New(opt.Zab, opt.State))
}

func start(ctx context.Context, opt Options, peer stepper) (*Driver, error) {
	d := &Driver{opt: opt, log: opt.Logger, peer: peer, started: time.Now(), mail: newMailbox(), opened: make(chan struct{}), budget: newBudget(backlogBytes)}
	d.stop, d.cancel = context.WithCancel(context.Background())
	d.view.init(opt.State.Committed, opt.State.Seen)
	d.readOnlyAt = opt.ReadOnlyAfter
	d.disk = &disk{store: opt.Store, keeper: opt.Keeper, flush: opt.Flush, budget: d.budget,
		saved: d.saved, fail: d.fail}
	d.disk.start()
	l := opt.Links
	l.Logger = opt.Logger
	l.Up, l.Received, l.Loaded, l.Down = d.linkUp, d.received, d.loaded, d.linkDown
	d.links = NewLinks(l)
	own, err := d.own()
	if err == nil {
		b := opt.Ballots
		b.Sid, b.Logger, b.Own, b.Lookup = opt.Sid, opt.Logger, own.Addrs, d.view.lookup
		b.Received, b.Failed = d.notified, d.fail
		b.Up = func(sid int64) { d.mail.post(zab.Reachable{Sid: sid, Up: true}) }
		b.Down = d.lost
		d.ballots, err = OpenBallots(ctx, b)
		close(d.opened)
	}
	if err != nil {
		d.links.Shutdown("this server has not started")
		d.disk.close()
		d.cancel()
		return nil, err
	}
	opt.Pipeline.StartEnsemble()
	d.loop.Add(1)
	go d.run()
	return d, nil
}

// backlogBytes is how much may be received and not yet durable before
// connections are read no further.
const backlogBytes = 64 << 20

// own is this server's own line of the membership.
func (d *Driver) own() (quorum.Member, error) {
	for _, m := range d.view.lookup(d.opt.Sid) {
		return m, nil
	}
	return quorum.Member{}, fmt.Errorf("server %d is not in the membership", d.opt.Sid)
}

// now is the peer's clock.
func (d *Driver) now() time.Duration { return time.Since(d.started) }

// fail ends the service: what cannot be logged, or contradicts what was decided,
// must not be answered. It may be called by any goroutine.
func (d *Driver) fail(err error) {
	if d.failed.CompareAndSwap(nil, &err) {
		d.mail.close()
		d.cancel()
		d.opt.OnFatal(err)
	}
}

// Close leaves the ensemble: connections end, what was to be written is written.
// It returns when nothing of the driver runs any more. Log, keeper and pipeline
// are the owner's to close, after it. Closing twice does nothing.
func (d *Driver) Close() error {
	d.closing.Do(func() {
		d.cancel()
		d.mail.close()
		d.loop.Wait()
		d.budget.close()
		d.links.Shutdown("this server is ending")
		d.ballots.Close()
		d.helpers.Wait()
		d.disk.close()
	})
	if e := d.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// Fsyncs is the number of flushes of the log so far.
func (d *Driver) Fsyncs() int64 { return d.opt.Store.Log().Stats().Count.Load() }
