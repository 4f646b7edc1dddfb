// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"paddock/zk"
)

// A crew is the workers of one ensemble, some on each server.
type crew struct {
	c       *cluster
	workers []*worker
	// fresh is off while servers are frozen or cut off: a leader that does not
	// know yet that it was replaced answers a sync, and its reads are old.
	fresh atomic.Bool
	gap   gaps

	stop    chan struct{}
	wg      sync.WaitGroup
	running bool
}

// sessionTimeout is longer than any fault that the tests make.
const sessionTimeout = 20 * time.Second

// newCrew connects n workers, the first ones each to another server, and lets them make
// their subtrees.
func newCrew(c *cluster, n int) *crew {
	c.t.Helper()
	cr := &crew{c: c}
	cr.fresh.Store(true)
	for i := range n {
		home := c.servers[i%len(c.servers)].addr()
		w := &worker{
			crew: cr, client: c.connect(home, sessionTimeout), root: fmt.Sprintf("/w%d", i),
			rng: rand.New(rand.NewPCG(uint64(i), uint64(n))), known: map[string]value{}, heard: map[*worker]int64{},
		}
		cr.workers = append(cr.workers, w)
		must(c.t, w.settleIn())
	}
	c.t.Cleanup(cr.halt)
	return cr
}

// connect opens a session that may go to every server and begins at one.
func (c *cluster) connect(home string, timeout time.Duration) *zk.Client {
	c.t.Helper()
	var dials atomic.Int32
	dial := func(ctx context.Context, server string) (net.Conn, error) {
		if dials.Add(1) == 1 {
			server = home
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", server)
	}
	return c.open(strings.Join(c.addrs(), ","), timeout, zk.WithDialer(dial))
}

// connectTo opens a session that stays with one server.
func (c *cluster) connectTo(s *server, timeout time.Duration) *zk.Client {
	c.t.Helper()
	return c.open(s.addr(), timeout)
}

func (c *cluster) open(servers string, timeout time.Duration, opts ...zk.Option) *zk.Client {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := zk.Connect(ctx, servers, append(opts, zk.WithSessionTimeout(timeout))...)
	if err != nil {
		c.t.Fatalf("no session at %s: %v\n%s", servers, err, c.state())
	}
	c.t.Cleanup(cl.Detach)
	return cl
}

// start lets all workers work until halt.
func (cr *crew) start() {
	cr.stop, cr.running = make(chan struct{}), true
	cr.gap.begin()
	for _, w := range cr.workers {
		cr.wg.Go(func() {
			for {
				select {
				case <-cr.stop:
					return
				default:
				}
				if err := w.step(); err != nil {
					cr.c.note("%s: %v", w.root, err)
					cr.c.t.Errorf("%s, session %v: %v", w.root, w.client.SessionID(), err)
					return
				}
			}
		})
	}
}

// halt ends the work; requests without an answer have been looked into by then.
func (cr *crew) halt() {
	if cr.running {
		close(cr.stop)
		cr.wg.Wait()
		cr.running = false
		cr.gap.end()
	}
}

// acked is how many writes were acknowledged so far.
func (cr *crew) acked() int { return cr.gap.count() }

// more waits until n more writes were acknowledged, or for a while where a server
// is broken: the others may be too few without it.
func (cr *crew) more(n int) {
	cr.c.t.Helper()
	from, begun := cr.acked(), time.Now()
	cr.c.until(fmt.Sprintf("%d more writes", n), func() bool {
		return cr.acked() >= from+n || cr.c.t.Failed() || cr.c.broken() && time.Since(begun) > 2*givenUp
	})
	if cr.c.t.Failed() {
		cr.c.t.FailNow()
	}
}

// gaps measures the time between acknowledged writes, of all sessions together.
type gaps struct {
	mu      sync.Mutex
	n       int
	last    time.Time // of the last write; zero: not measuring
	longest time.Duration
	at      time.Time // when the longest began
}

func (g *gaps) begin() { g.mu.Lock(); defer g.mu.Unlock(); g.last = time.Now() }

func (g *gaps) ack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	g.look()
}

func (g *gaps) look() {
	now := time.Now()
	if !g.last.IsZero() {
		if d := now.Sub(g.last); d > g.longest {
			g.longest, g.at = d, g.last
		}
	}
	g.last = now
}

func (g *gaps) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	g.last = time.Time{}
}

func (g *gaps) count() int { g.mu.Lock(); defer g.mu.Unlock(); return g.n }

// lap returns the longest gap since the last lap, one that still lasts included.
func (g *gaps) lap() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.longest
	if !g.last.IsZero() {
		d = max(d, time.Since(g.last))
	}
	g.longest = 0
	return d
}
