// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"paddock/internal/zab"
	"paddock/proto"
)

// short writes events in a line.
func short(events []zab.Event) string {
	var out []string
	for _, ev := range events {
		switch ev := ev.(type) {
		case zab.Propose:
			zxids := make([]string, len(ev.Entries))
			for i, e := range ev.Entries {
				zxids[i] = fmt.Sprint(int64(e.Zxid))
			}
			out = append(out, "propose "+strings.Join(zxids, ","))
		case zab.Saved:
			out = append(out, fmt.Sprintf("saved %d", ev.Ops))
		case zab.Barrier:
			out = append(out, fmt.Sprintf("barrier %d", ev.Token))
		default:
			out = append(out, fmt.Sprintf("%T", ev))
		}
	}
	return strings.Join(out, "; ")
}

func TestMailboxKeepsTheOrderAndMergesNeighbours(t *testing.T) {
	propose := func(z int) func(*mailbox) {
		return func(m *mailbox) { m.propose([]zab.Entry{{Zxid: proto.Zxid(z)}}) }
	}
	post := func(ev zab.Event) func(*mailbox) { return func(m *mailbox) { m.post(ev) } }
	for _, tc := range []struct {
		name string
		do   []func(*mailbox)
		want string
	}{
		{"nothing", nil, ""},
		{"proposals in a row", []func(*mailbox){propose(1), propose(2), propose(3)}, "propose 1,2,3"},
		{"a barrier between proposals", []func(*mailbox){propose(1), post(zab.Barrier{Token: 7}), propose(2), propose(3)},
			"propose 1; barrier 7; propose 2,3"},
		{"the last word of the disk counts", []func(*mailbox){post(zab.Saved{Ops: 1}), post(zab.Saved{Ops: 3}), propose(1), post(zab.Saved{Ops: 4})},
			"saved 3; propose 1; saved 4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMailbox()
			for _, do := range tc.do {
				do(m)
			}
			select {
			case <-m.wake:
				if len(tc.do) == 0 {
					t.Error("rings without a reason")
				}
			default:
				if len(tc.do) > 0 {
					t.Error("does not ring")
				}
			}
			if got := short(m.take()); got != tc.want {
				t.Errorf("took %q, want %q", got, tc.want)
			}
			if got := m.take(); len(got) != 0 {
				t.Errorf("took %q again", short(got))
			}
		})
	}
}

func TestMailboxClosed(t *testing.T) {
	m := newMailbox()
	m.propose([]zab.Entry{{Zxid: 1}})
	m.post(zab.Tick{})
	m.close()
	m.propose([]zab.Entry{{Zxid: 2}})
	m.post(zab.Tick{})
	if got := m.take(); len(got) != 0 {
		t.Errorf("a closed mailbox gives %q", short(got))
	}
}

// Many hands post; each one's events stay in their order.
func TestMailboxOfMany(t *testing.T) {
	const hands, each = 4, 2000
	m := newMailbox()
	var wg sync.WaitGroup
	for h := range hands {
		wg.Go(func() {
			for i := range each {
				m.post(zab.Barrier{Token: uint64(h)<<32 | uint64(i)})
			}
		})
	}
	var next [hands]uint64
	deadline := time.After(20 * time.Second)
	for got := 0; got < hands*each; {
		select {
		case <-m.wake:
		case <-deadline:
			t.Fatalf("%d of %d events came", got, hands*each)
		}
		for _, ev := range m.take() {
			token := ev.(zab.Barrier).Token
			h, i := token>>32, token&0xffffffff
			if i != next[h] {
				t.Fatalf("event %d of hand %d comes after %d", i, h, next[h])
			}
			next[h]++
			got++
		}
	}
	wg.Wait()
}

func TestBudgetHoldsBack(t *testing.T) {
	b := newBudget(100)
	b.add(100)
	b.wait() // not past the limit
	b.add(1)
	passed := make(chan struct{})
	go func() { b.wait(); close(passed) }()
	select {
	case <-passed:
		t.Fatal("does not hold back")
	case <-time.After(20 * time.Millisecond):
	}
	b.add(-1)
	<-passed
	b.add(50)
	b.close()
	b.wait() // nobody is held back at the end
}
