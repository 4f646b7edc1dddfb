// SPDX-License-Identifier: Apache-2.0

package session

// A session of an ensemble is global: its beginning and its end are
// transactions, and the leader says when it expires. Or it is local
// (client-protocol.md section 2.8): one server knows it, and says so itself. A
// local session may become global, once.
const (
	global int32 = iota
	local
	rising // was local, and is to be global: that is not decided yet
	over   // was local, and has ended
)

// AddLocal tracks a new local session.
func (t *Tracker) AddLocal(id int64, timeoutMs int32, now int64) *Session {
	s := t.add(id, timeoutMs, now)
	s.scope.Store(local)
	return s
}

// Count is the number of sessions, closing ones included; those that are to be
// global count as local until they are.
func (t *Tracker) Count() (globals, locals int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, s := range t.byID {
		if s.Global() {
			globals++
		} else {
			locals++
		}
	}
	return globals, locals
}

// Global tells whether all servers know the session.
func (s *Session) Global() bool { return s.scope.Load() == global }

// Local tells whether the session is local and may stay so.
func (s *Session) Local() bool { return s.scope.Load() == local }

// Ended tells whether the session was local and has ended.
func (s *Session) Ended() bool { return s.scope.Load() == over }

// Raise begins to make a local session global, which Add or Reset completes; it
// reports false if the session is not local (any more).
func (s *Session) Raise() bool { return s.scope.CompareAndSwap(local, rising) }

// End ends a local session, and reports whether it did. It stays known until
// Remove.
func (s *Session) End() bool { return s.end(local) }

// Fail ends a session that was to be global; it reports whether it did.
func (s *Session) Fail() bool { return s.end(rising) }

func (s *Session) end(from int32) bool {
	if !s.scope.CompareAndSwap(from, over) {
		return false
	}
	s.closing.Store(true)
	return true
}
