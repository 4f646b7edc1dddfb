// SPDX-License-Identifier: Apache-2.0

package pipeline

import "time"

// Clients are kept through an election: their requests wait, their pings are
// answered. But a session is expired by the leader, wherever that is, and a
// client whose pings are answered here does not look for it. So a server that
// has lost the others must let a client go while there is time left to move.
//
// The leader counts a session's timeout from when it was last told of it. A
// client's own library gives a server up after two thirds of the timeout
// without a word, and moves in the rest; a client is let go when the leader may
// have heard nothing of it for as long.

// patience is how long a client with this timeout is kept.
func patience(timeoutMs int32) time.Duration {
	return time.Duration(timeoutMs) * time.Millisecond * 2 / 3
}

// LetGo hangs up on the clients whose sessions may soon end elsewhere; unheard
// is the time since this server knew what its leader knows: a leader, since it
// heard of a quorum. A local session ends nowhere else, but its client may want
// to. Up to a tick it is no silence, since a leader speaks twice in
// one. It returns when to ask again.
//
// While an election is on, handshakes are refused once it takes longer than any
// client should wait.
func (p *Pipeline) LetGo(unheard time.Duration) (again time.Duration) {
	if unheard < p.opt.Tick {
		return p.opt.Tick - unheard
	}
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	again = p.opt.Tick
	if p.is(readOnly) {
		return again
	}
	now := time.Duration(p.nowNs())
	for _, c := range p.roll() {
		since := time.Duration(c.reported.Load())
		if since == 0 || p.is(leading) || c.session.Local() {
			since = now - unheard
		}
		if left := since + patience(c.timeoutMs) - now; left > 0 {
			again = min(again, left)
		} else {
			p.drop(c, "this server has no word of a leader, its session may end elsewhere")
		}
	}
	if !p.is(looking) || p.prep.shut {
		return again
	}
	if left := patience(int32(p.opt.MinSessionTimeout.Milliseconds())) - unheard; left > 0 {
		return min(again, left)
	}
	p.prep.shut = true
	p.turnAway("this server has no leader")
	return again
}
