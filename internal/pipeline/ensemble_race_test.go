// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paddock/proto"
)

// TestConcurrentClients has clients of all servers write, read and sync as fast
// as they are answered, each on a goroutine of its own, through elections, lost
// messages and broken links. No request is executed twice, and no answer is lost
// but those of connections that were hung up on.
func TestConcurrentClients(t *testing.T) {
	e := led(t)
	setup := e.leader.open()
	const clients = 9
	for i := range clients {
		setup.ask(mk(fmt.Sprint("/c", i), 0))
	}
	var (
		done     sync.WaitGroup
		left     atomic.Int32
		answered atomic.Int32
	)
	left.Store(clients)
	for i := range clients {
		s := e.members[i%3]
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		done.Go(func() {
			defer left.Add(-1)
			path := fmt.Sprint("/c", i)
			var w *caller
			for range 300 {
				for w == nil || w.isHung() {
					if w != nil {
						w.c.Detach()
					}
					w = s.call(proto.ConnectRequest{})
					until(t, func() bool { return w.ready() || w.isHung() })
				}
				var x []int32
				for range 1 + rnd.IntN(6) {
					switch rnd.IntN(4) {
					case 0:
						x = append(x, w.send(get(path, rnd.IntN(2) == 0)))
					case 1:
						x = append(x, w.send(syncOf(path)))
					default:
						x = append(x, w.send(set(path, "data", -1)))
					}
				}
				until(t, func() bool { _, ok := w.got(x[len(x)-1]); return ok || w.isHung() })
				if w.isHung() {
					continue
				}
				for _, xid := range x {
					if a, ok := w.got(xid); !ok || a.code != proto.OK {
						t.Errorf("client %d: xid %d is answered %t, %v", i, xid, ok, a.code)
					}
					answered.Add(1)
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(9, 9))
	for round := 0; left.Load() > 0; round++ {
		for range rnd.IntN(40) {
			s := e.members[rnd.IntN(3)]
			s.rise(rnd.IntN(8))
			e.decide(rnd.IntN(8))
			s.sink(rnd.IntN(8))
		}
		switch k := rnd.IntN(100); {
		case k < 50:
			e.settle()
		case k < 53:
			n := e.proposed()
			e.elect(e.members[rnd.IntN(3)], e.decided+rnd.IntN(n-e.decided+1))
		case k < 56:
			if s := e.members[rnd.IntN(3)]; s != e.leader {
				s.p.Pause()
				e.join(s)
			}
		}
	}
	done.Wait()
	e.settle()
	for session, counts := range e.executed() {
		for xid, n := range counts {
			if n > 1 && xid != 0 {
				t.Errorf("request %d of session %x is executed %d times", xid, session, n)
			}
		}
	}
	if answered.Load() < 1000 {
		t.Errorf("%d answers", answered.Load())
	}
	await(t, "the last connections to end", func() bool { e.settle(); return e.leader.p.Outstanding() == 0 })
	t.Logf("%d answers, %d transactions, %d epochs", answered.Load(), len(e.log), e.epoch>>32)
	e.same()
}

// until waits for ok on a goroutine that is not the test's.
func until(t *testing.T, ok func() bool) {
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			t.Error("waited in vain")
			return
		}
	}
}
