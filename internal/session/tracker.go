// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math"
	"sync"
	"sync/atomic"
)

// Tracker knows the sessions of a server and when each expires: at the end of
// the tick in which its timeout passes after its last touch, so between timeout
// and timeout + tick after it (client-protocol.md section 10.1).
//
// Sessions wait in buckets, one for each tick's end. A touch only notes the new
// deadline; the session moves when its bucket comes up. So a touch takes no
// lock, and Expire looks only at sessions of buckets that came up: at each
// session about once in its timeout.
type Tracker struct {
	tick int64 // ms

	mu      sync.RWMutex
	byID    map[int64]*Session
	buckets map[int64]*Session // tick's end to the first of a ring of sessions
}

// Session is one session of a Tracker.
type Session struct {
	id       int64
	tracker  *Tracker
	deadline atomic.Int64 // ms, the end of a tick
	bucket   atomic.Int64 // where it waits, never after deadline for long, or nowhere; changed under tracker.mu
	owner    atomic.Pointer[any]
	timeout  int32 // ms
	closing  atomic.Bool
	scope    atomic.Int32 // scope.go

	prev, next *Session // in the bucket's ring; guarded by tracker.mu
}

// nowhere is the bucket of a session that waits no more.
const nowhere = math.MinInt64

// NewTracker returns a Tracker without sessions. tickMs is the server's
// tickTime in milliseconds.
func NewTracker(tickMs int64) *Tracker {
	return &Tracker{tick: max(tickMs, 1), byID: map[int64]*Session{}, buckets: map[int64]*Session{}}
}

// end is the end of the tick in which ms lies.
func (t *Tracker) end(ms int64) int64 { return (ms/t.tick + 1) * t.tick }

// Add tracks a session from now on and returns it. A session that is tracked
// already is touched, is global from now on, and keeps the timeout it was first
// added with.
func (t *Tracker) Add(id int64, timeoutMs int32, now int64) *Session {
	s := t.add(id, timeoutMs, now)
	s.scope.Store(global)
	return s
}

func (t *Tracker) add(id int64, timeoutMs int32, now int64) *Session {
	t.mu.Lock()
	s := t.byID[id]
	if s == nil {
		s = &Session{id: id, tracker: t, timeout: timeoutMs}
		s.deadline.Store(t.end(now + int64(timeoutMs)))
		s.bucket.Store(nowhere)
		t.byID[id] = s
		t.place(s)
		t.mu.Unlock()
		return s
	}
	t.mu.Unlock()
	s.Touch(now, timeoutMs)
	return s
}

// Get returns the session, closing or not, or nil.
func (t *Tracker) Get(id int64) *Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// Remove forgets the session: it is closed.
func (t *Tracker) Remove(id int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil {
		delete(t.byID, id)
		t.unlink(s)
	}
}

// Reset begins anew with the sessions of known (timeouts in ms): none of them
// is closing, each has its full timeout from now on, and owners are kept. All
// others are forgotten and returned, but those that are not global: they stay,
// and have their full timeout as well.
func (t *Tracker) Reset(known map[int64]int32, now int64) (gone []*Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.byID {
		if _, ok := known[id]; ok {
			continue
		}
		t.unlink(s)
		switch s.scope.Load() {
		case global:
			delete(t.byID, id)
			gone = append(gone, s)
		case local, rising:
			s.deadline.Store(t.end(now + int64(s.timeout)))
			t.place(s)
		}
	}
	for id, ms := range known {
		s := t.byID[id]
		if s == nil {
			s = &Session{id: id, tracker: t, timeout: ms}
			s.bucket.Store(nowhere)
			t.byID[id] = s
		}
		t.unlink(s)
		s.scope.Store(global)
		s.closing.Store(false)
		s.deadline.Store(t.end(now + int64(ms)))
		t.place(s)
	}
	return gone
}

// Len is the number of sessions, closing ones included.
func (t *Tracker) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byID)
}

// Each visits every session, closing ones included. No lock is held while
// visit runs.
func (t *Tracker) Each(visit func(*Session)) {
	t.mu.RLock()
	all := make([]*Session, 0, len(t.byID))
	for _, s := range t.byID {
		all = append(all, s)
	}
	t.mu.RUnlock()
	for _, s := range all {
		visit(s)
	}
}

// Expire marks each session whose deadline has come as closing and yields it;
// sessions that were closing before are passed over. A session stays known
// until Remove. No lock is held while yield runs.
func (t *Tracker) Expire(now int64, yield func(*Session)) {
	for _, s := range t.due(now) {
		if s.End() || s.SetClosing() {
			yield(s)
		}
	}
}

// ExpireLocal is Expire at a server that decides the end of local sessions
// only. Others whose deadline has come wait for Reset.
func (t *Tracker) ExpireLocal(now int64, yield func(*Session)) {
	for _, s := range t.due(now) {
		if s.End() {
			yield(s)
		}
	}
}

// due takes out the sessions whose deadline has come.
func (t *Tracker) due(now int64) (due []*Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for end, first := range t.buckets {
		if end > now {
			continue
		}
		// The ring is emptied from its front; a session touched since goes into
		// a bucket later than now, and so not into this one.
		for s := first; s != nil; s = t.buckets[end] {
			t.unlink(s)
			if s.deadline.Load() > now {
				t.place(s)
			} else {
				due = append(due, s)
			}
		}
	}
	return due
}

// Next is when Expire must be called next, after a call at now: at the end of
// the current tick.
func (t *Tracker) Next(now int64) (at int64) { return t.end(now) }

// place puts a session that is nowhere into the bucket of its deadline.
func (t *Tracker) place(s *Session) {
	end := s.deadline.Load()
	for {
		s.bucket.Store(end)
		// A touch stores the deadline, then looks at the bucket; here it is the
		// other way round, so one of the two sees an earlier deadline.
		again := s.deadline.Load()
		if again >= end {
			break
		}
		end = again
	}
	first := t.buckets[end]
	if first == nil {
		s.prev, s.next = s, s
		t.buckets[end] = s
		return
	}
	s.prev, s.next = first.prev, first
	s.prev.next, first.prev = s, s
}

// unlink takes a session out of its bucket, if it is in one.
func (t *Tracker) unlink(s *Session) {
	end := s.bucket.Load()
	if end == nowhere {
		return
	}
	switch {
	case s.next == s:
		delete(t.buckets, end)
	case t.buckets[end] == s:
		t.buckets[end] = s.next
		fallthrough
	default:
		s.prev.next, s.next.prev = s.next, s.prev
	}
	s.prev, s.next = nil, nil
	s.bucket.Store(nowhere)
}

// hasten moves a session whose deadline is before its bucket.
func (t *Tracker) hasten(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := s.bucket.Load(); at != nowhere && s.deadline.Load() < at {
		t.unlink(s)
		t.place(s)
	}
}

// Touch says that the client was heard of, on a connection with this timeout,
// which may differ from the one the session began with. It takes no lock unless
// the deadline comes nearer, as a shorter timeout makes it.
func (s *Session) Touch(now int64, timeoutMs int32) {
	end := s.tracker.end(now + int64(timeoutMs))
	if s.deadline.Load() != end { // most touches are in the tick of the one before
		s.deadline.Store(end)
	}
	if end < s.bucket.Load() {
		s.tracker.hasten(s)
	}
}

// ID is the session's number.
func (s *Session) ID() int64 { return s.id }

// Timeout is the one the session was added with, in milliseconds.
func (s *Session) Timeout() int32 { return s.timeout }

// Deadline is when the session expires unless it is touched before.
func (s *Session) Deadline() (at int64) { return s.deadline.Load() }

// Closing tells whether the end of the session is decided.
func (s *Session) Closing() bool { return s.closing.Load() }

// SetClosing decides the end of the session; it reports whether that is new.
func (s *Session) SetClosing() bool { return s.closing.CompareAndSwap(false, true) }

// Owner is what the session is attached to, a connection or a server, or nil.
func (s *Session) Owner() any {
	if p := s.owner.Load(); p != nil {
		return *p
	}
	return nil
}

// SetOwner attaches the session; nil detaches it.
func (s *Session) SetOwner(owner any) {
	if owner == nil {
		s.owner.Store(nil)
		return
	}
	s.owner.Store(&owner)
}

// Claim attaches the session to owner if it is attached to nobody; it reports
// whether it is attached to owner now.
func (s *Session) Claim(owner any) bool {
	for {
		p := s.owner.Load()
		if p != nil {
			return *p == owner
		}
		mine := owner // a copy that may escape, so that the common case does not allocate
		if s.owner.CompareAndSwap(nil, &mine) {
			return true
		}
	}
}

// Release detaches the session from owner, unless it has moved on to another;
// it reports whether it did.
func (s *Session) Release(owner any) bool {
	p := s.owner.Load()
	return p != nil && *p == owner && s.owner.CompareAndSwap(p, nil)
}
