// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"paddock/proto"
	"paddock/zk"
)

const (
	// HeldTimeout is that of the sessions which must survive: the server is to
	// grant it.
	HeldTimeout = 10 * time.Minute
	// opTimeout is when a server counts as stuck.
	opTimeout = 30 * time.Second
)

// Workload is several clients that write to one server after the other.
type Workload struct {
	Ledger *Ledger
	Filler int // znodes' data are this many bytes longer at most

	writers []*writer
	shared  []*shared
	queues  []*queue
	addr    string

	// What follows is guarded by the ledger's lock.
	own  map[int64]bool // sessions of the writers
	busy map[int64]bool // sessions that a writer is at, or has been in this life
}

// writer is one of the clients: one session, one request at a time.
type writer struct {
	w   *Workload
	l   *Ledger
	id  int
	rng *rand.Rand

	lease     *lease // nil until it is opened
	registers []*register
	pairs     []*pair

	// Of the current life.
	ctx  context.Context
	stop context.CancelFunc
	c    *zk.Client
	over bool
}

// NewWorkload makes n writers, which draw from rng.
func NewWorkload(n int, rng *rand.Rand) *Workload {
	l := NewLedger()
	w := &Workload{Ledger: l, own: map[int64]bool{}, busy: map[int64]bool{}}
	for _, p := range []string{"/registers", "/shared", "/queues", "/pairs", leaseHome} {
		l.use(p)
	}
	for i := range 2 {
		s := &shared{path: fmt.Sprintf("/shared/%d", i), base: -1, asked: map[string]bool{}, acked: map[int32]string{}}
		q := &queue{path: l.use(fmt.Sprintf("/queues/%d", i)), asked: map[string]bool{}, items: map[string]*item{}}
		w.shared, w.queues = append(w.shared, s), append(w.queues, q)
		l.subjects = append(l.subjects, s, q)
	}
	for i := range n {
		c := &writer{w: w, l: l, id: i, rng: rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))}
		for j := range 3 {
			r := &register{path: fmt.Sprintf("/registers/%d-%d", i, j), version: -1, acl: aclText(zk.OpenACL)}
			c.registers = append(c.registers, r)
			l.subjects = append(l.subjects, r)
		}
		p := &pair{path: l.use(fmt.Sprintf("/pairs/%d", i)), count: -1}
		c.pairs = append(c.pairs, p)
		l.subjects = append(l.subjects, p)
		w.writers = append(w.writers, c)
	}
	return w
}

// Run lets all writers write to the server at addr until they have lost it or
// ctx ends.
func (w *Workload) Run(ctx context.Context, addr string) {
	w.addr = addr
	clear(w.busy)
	var all sync.WaitGroup
	for _, c := range w.writers {
		all.Go(func() { c.run(ctx) })
	}
	all.Wait()
}

func (w *writer) run(ctx context.Context) {
	w.ctx, w.stop = context.WithCancel(ctx)
	defer w.stop()
	w.over = false
	c, err := w.connect(HeldTimeout, w.lease)
	if err != nil {
		if w.lease != nil && isCode(err, zk.ErrSessionExpired) {
			w.l.Fault("lost: session %s cannot be taken up: %v", proto.SessionID(w.lease.id), err)
		}
		return
	}
	defer c.Detach()
	w.c = c
	if w.lease == nil {
		w.lease = w.enter(c, w.w.own)
	}
	w.prepare()
	for !w.over && w.ctx.Err() == nil {
		switch k := w.rng.IntN(20); {
		case k < 7:
			w.register()
		case k < 10:
			w.shared()
		case k < 15:
			w.queue()
		case k < 18:
			w.pair()
		case k < 19 && len(w.lease.held) < 4:
			if !w.hold(c, w.lease) {
				return
			}
		default:
			w.guest()
		}
	}
}

// prepare creates the parents.
func (w *writer) prepare() {
	for _, p := range []string{"/registers", "/shared", "/queues", "/queues/0", "/queues/1", "/pairs", leaseHome, fmt.Sprintf("/pairs/%d", w.id)} {
		_, err := w.c.Create(w.ctx, p, nil, zk.OpenACL, 0)
		if !isCode(err, zk.ErrNodeExists) && !w.done(err, "creating %s", p) {
			return
		}
	}
}

func (w *writer) filler() string { return strings.Repeat("·", w.rng.IntN(1+w.w.Filler/2)) }

// done tells whether a request was carried out. If not, this writer's life is
// over; and if the server refused it there is something wrong, since no
// request of the workload is to be refused.
func (w *writer) done(err error, format string, args ...any) bool {
	if err == nil {
		return true
	}
	w.over = true
	if !isUnknown(err) {
		w.l.Fault("%s: %v", fmt.Sprintf(format, args...), err)
	}
	return false
}

// isUnknown tells that a request may have been carried out, or not.
func isUnknown(err error) bool {
	return errors.Is(err, zk.ErrConnectionLoss) || errors.Is(err, zk.ErrClosed) || errors.Is(err, context.Canceled)
}

func isCode(err error, code proto.Code) bool { return errors.Is(err, code) }
