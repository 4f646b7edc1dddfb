// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// ballots is the election connection from one server to another
// (quorum-protocol.md section 2.3): one message waits at most, an older one is
// dropped for it, and the last one is sent again when the connection comes back.
type ballots struct {
	from, to *server
	last     *proto.Notification
	up       bool          // as from sees it
	arrives  time.Duration // of the last one on its way: none overtakes another
	epoch    int           // of the connection: what was on its way is lost with it
}

// vote sends note.
func (r *run) vote(from *server, v zab.Vote) {
	to := r.server(v.To)
	if to == nil || to == from {
		return
	}
	b := from.ballots[to.index]
	note := v.Note
	b.last = &note
	if r.chance(r.set.loss) { // pushed out by the next one, or lost with the connection
		r.trace("lost vote", from.id, to.id, int64(note.Zxid))
		return
	}
	r.post(b, note)
	if r.chance(r.set.again) {
		r.after(r.between(time.Millisecond, 500*time.Millisecond), func() { r.resend(b) })
	}
}

func (r *run) post(b *ballots, note proto.Notification) {
	if !b.to.alive || r.cut[b.from.index][b.to.index] {
		return
	}
	b.arrives = max(b.arrives+1, r.now+r.delay())
	epoch, gen := b.epoch, b.to.gen
	r.at(b.arrives, func() {
		if b.epoch != epoch || b.to.gen != gen || r.cut[b.from.index][b.to.index] {
			return
		}
		b.to.reachable(b.from, true)
		if b.from.alive && !r.cut[b.to.index][b.from.index] {
			b.from.reachable(b.to, true)
		}
		b.to.step(zab.Notified{From: b.from.id, Note: note, Config: r.parse(note.Config)})
	})
}

// resend is what a connection does first that has come back.
func (r *run) resend(b *ballots) {
	if b.last != nil && b.from.alive {
		r.post(b, *b.last)
	}
}

// reachable notes that the connection to another server is there or gone.
func (s *server) reachable(to *server, up bool) {
	b := s.ballots[to.index]
	if b.up == up {
		return
	}
	b.up = up
	b.epoch++
	s.step(zab.Reachable{Sid: to.id, Up: up})
	if up {
		s.r.resend(b)
	}
}

// parse reads a membership, nil if there is none or it cannot be read.
func (r *run) parse(text string) *quorum.Config {
	if c, ok := r.parsed[text]; ok {
		return c
	}
	c, err := quorum.Parse(text)
	if err != nil {
		c = nil
	}
	r.parsed[text] = c
	return c
}
