// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// limits hold clients back when the server has too much to do
// (client-protocol.md section 10.5).
type limits struct {
	outstanding    atomic.Int64 // requests on their way through the log
	outstandingMax int64
	throttleMax    int64
	throttleStale  bool
	throttleLate   bool
	throttledWait  time.Duration
	largeFrom      int
	largeMax       int64
	large          atomic.Int64 // bytes of large requests on their way

	draining atomic.Bool // somebody waits for the last of them

	mu   sync.Mutex
	room *sync.Cond // outstanding has fallen
}

func (l *limits) init(o Options) {
	l.outstandingMax, l.throttleMax = int64(o.OutstandingMax), int64(o.ThrottleMax)
	l.throttleStale, l.throttledWait = o.ThrottleStale, o.ThrottledOpWait
	l.throttleLate = o.ThrottleLate
	l.largeFrom, l.largeMax = o.LargeThreshold, o.LargeMax
	l.room = sync.NewCond(&l.mu)
}

// admit waits until the request may go on. It returns false when the
// connection is to be closed instead, and has seen to that.
func (l *limits) admit(c *Client, b *Burst, r *request, size int) bool {
	if n := l.outstanding.Load(); l.outstandingMax > 0 && n >= l.outstandingMax && r.xid > 0 && c.waiting.Load() > 0 {
		c.propose(b)
		b.close()
		c.link.Flush()
		c.link.Waits()
		l.wait(l.outstandingMax)
	}
	if l.throttleMax > 0 {
		c.propose(b) // so that it counts
	}
	if l.throttleMax > 0 && l.outstanding.Load() >= l.throttleMax {
		c.propose(b)
		b.close()
		c.link.Flush()
		c.link.Waits()
		l.wait(l.throttleMax)
		late := l.throttleLate && c.p.nowNs()-b.arrived > int64(c.timeoutMs)*1e6
		if late || l.throttleStale && !c.link.Alive() {
			c.quit(b, "a request waited too long to be worth an answer")
			return false
		}
	}
	if l.largeFrom > 0 && size > l.largeFrom {
		if l.large.Load()+int64(size) > l.largeMax {
			c.p.counts.LargeRejected.Add(1)
			c.quit(b, "large request of "+itoa(size)+" bytes while others are in flight (largeRequestMaxBytes)")
			return false
		}
		if r.row.kind == kindWrite {
			l.large.Add(int64(size))
			r.large = int64(size)
		}
	}
	return true
}

// wait blocks until fewer than n requests are on their way.
func (l *limits) wait(n int64) {
	l.mu.Lock()
	for l.outstanding.Load() >= n {
		l.room.Wait()
	}
	l.mu.Unlock()
}

// drain blocks until no request is on its way, or ctx ends. New ones must have
// been stopped.
func (l *limits) drain(ctx context.Context) {
	// Set before outstanding is looked at; done looks in the other order, so one
	// of the two sees the other.
	l.draining.Store(true)
	defer context.AfterFunc(ctx, l.wake)()
	l.mu.Lock()
	for l.outstanding.Load() > 0 && ctx.Err() == nil {
		l.room.Wait()
	}
	l.mu.Unlock()
}

// wake lets all who wait look again. Under mu, so that nobody is between his
// look and his sleep.
func (l *limits) wake() {
	l.mu.Lock()
	l.room.Broadcast()
	l.mu.Unlock()
}

// done counts a batch of applied transactions out.
func (l *limits) done(batch []Proposal) {
	for i := range batch {
		l.release(batch[i].req)
	}
	l.less(int64(len(batch)))
}

// less counts n requests out.
func (l *limits) less(n int64) {
	before := l.outstanding.Add(-n) + n
	if l.outstandingMax > 0 && before >= l.outstandingMax || l.throttleMax > 0 && before >= l.throttleMax || l.draining.Load() {
		l.wake()
	}
}

func (l *limits) release(r *request) {
	if r.large > 0 {
		l.large.Add(-r.large)
		r.large = 0
	}
}

// abandon lets everybody who waits go: nothing will be applied any more.
func (l *limits) abandon() {
	l.outstanding.Store(-1 << 40)
	l.wake()
}

// TokenBucket limits the rate of new connections (client-protocol.md section
// 10.6).
type TokenBucket struct {
	Capacity, FillCount        int
	FillTime                   time.Duration
	NewCost, RenewCost         int
	FreezeTime                 time.Duration // between changes of the drop probability; <= 0 is off
	Increase, Decrease, Margin float64

	mu     sync.Mutex
	tokens int
	filled time.Time
	drop   float64 // probability
	froze  time.Time
}

// Take pays for one connection, or says that it must be dropped.
func (t *TokenBucket) Take(renew bool) bool { return t.take(renew, time.Now(), rand.Float64()) }

func (t *TokenBucket) take(renew bool, now time.Time, luck float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.filled.IsZero() {
		t.tokens, t.filled, t.froze = t.Capacity, now, now
	}
	if n := int(now.Sub(t.filled) / max(t.FillTime, time.Microsecond)); n > 0 {
		t.tokens = min(t.Capacity, t.tokens+min(n, t.Capacity+1)*t.FillCount)
		t.filled = t.filled.Add(time.Duration(n) * max(t.FillTime, time.Microsecond))
	}
	if t.FreezeTime > 0 && now.Sub(t.froze) >= t.FreezeTime {
		t.froze = now
		switch missing := float64(t.Capacity - t.tokens); {
		case t.tokens <= 0:
			t.drop = min(1, t.drop+t.Increase)
		case missing <= t.Margin*float64(t.Capacity):
			t.drop = max(0, t.drop-t.Decrease)
		}
	}
	if t.drop > 0 && luck < t.drop {
		return false
	}
	cost := t.NewCost
	if renew {
		cost = t.RenewCost
	}
	if t.tokens < cost {
		return false
	}
	t.tokens -= cost
	return true
}
