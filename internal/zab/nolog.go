// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"time"

	"paddock/proto"
)

// logs tells whether this server logs what it is told. An observer need not: it
// promises nothing to anybody, and gets what it lacks from others. Then all that
// it is told counts as durable, for as long as it lives.
func (p *Peer) logs() bool { return !p.opt.NoLog || p.role != proto.Observing }

// saveVolatile is called before a volatile server looks for a leader. One that is
// still an observer goes on with what it has; one that is not any more is to
// stand for a history, which it puts on disk first: then it returns false.
func (p *Peer) saveVolatile() bool {
	p.cut(p.applied)
	if p.observer() {
		return true
	}
	p.volatile = false
	p.disk(DiskOp{Snapshot: true}, 0, nil)
	p.marks = append(p.marks, mark{op: p.ops, zxid: p.applied, snap: true})
	return false
}

// part is a random part of d.
func (p *Peer) part(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(p.opt.Rand.Int63n(int64(d)))
}
