// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"sync"
	"sync/atomic"

	"paddock/internal/replica"
	"paddock/internal/zab"
)

// mailbox holds what has happened and not been stepped. Posting never blocks.
type mailbox struct {
	wake chan struct{} // capacity 1: there is something

	mu      sync.Mutex
	queue   []zab.Event
	spare   []zab.Event
	entries []zab.Entry // proposed after all of queue; they become one event

	// attended is set while somebody steps who looks again before it leaves.
	attended atomic.Bool

	proposed int             // entries since the last take
	company  replica.Company // of proposals in a take
	closed   bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post adds an event and announces it. After close it is dropped.
func (m *mailbox) post(ev zab.Event) {
	if m.put(ev) {
		m.announce()
	}
}

// put adds an event for a caller that takes a turn.
func (m *mailbox) put(ev zab.Event) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.seal()
	if s, ok := ev.(zab.Saved); ok && len(m.queue) > 0 {
		if _, again := m.queue[len(m.queue)-1].(zab.Saved); again {
			m.queue = m.queue[:len(m.queue)-1] // the later one says more
			ev = s
		}
	}
	m.queue = append(m.queue, ev)
	return true
}

// waiting tells whether there is something to take.
func (m *mailbox) waiting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)+len(m.entries) > 0
}

// propose adds transactions to those proposed just before them.
func (m *mailbox) propose(list []zab.Entry) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return
	}
	first := len(m.entries) == 0
	m.entries = append(m.entries, list...)
	m.proposed += len(list)
	m.mu.Unlock()
	if first {
		m.announce()
	}
}

// seal ends a run of proposals; mu is held.
func (m *mailbox) seal() {
	if len(m.entries) > 0 {
		m.queue = append(m.queue, zab.Propose{Entries: m.entries})
		m.entries = nil
	}
}

// await lets the clients that are about to propose run first, if there may be
// such: see replica.Company.
func (m *mailbox) await() {
	m.mu.Lock()
	c := m.company
	m.mu.Unlock()
	c.Await()
}

// announce rings for something that was put in, unless that is seen anyway.
func (m *mailbox) announce() {
	if !m.attended.Load() {
		m.ring()
	}
}

func (m *mailbox) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take returns what has happened since the last take. It is valid until the
// next one.
func (m *mailbox) take() []zab.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seal()
	if m.proposed > 0 {
		m.company.Had(m.proposed)
		m.proposed = 0
	}
	q := m.queue
	m.queue, m.spare = m.spare[:0], q
	clear(m.queue[:cap(m.queue)])
	return q
}

// close drops what is there and all that comes.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.queue, m.entries = true, nil, nil
}

// budget bounds the bytes that have been received and are not durable or
// applied. Who reads from a connection waits while it is overdrawn, so that a
// server whose disk is slow holds back its leader and not its memory.
type budget struct {
	limit int

	mu     sync.Mutex
	room   sync.Cond
	used   int
	closed bool
}

func newBudget(limit int) *budget {
	b := &budget{limit: limit}
	b.room.L = &b.mu
	return b
}

// add takes bytes, or gives them back where n is negative.
func (b *budget) add(n int) {
	b.mu.Lock()
	before := b.used
	b.used += n
	if before > b.limit && b.used <= b.limit {
		b.room.Broadcast()
	}
	b.mu.Unlock()
}

// wait blocks while more than the limit is used.
func (b *budget) wait() {
	b.mu.Lock()
	for b.used > b.limit && !b.closed {
		b.room.Wait()
	}
	b.mu.Unlock()
}

// close lets all who wait go, now and later.
func (b *budget) close() {
	b.mu.Lock()
	b.closed = true
	b.room.Broadcast()
	b.mu.Unlock()
}
