// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync"

	"paddock/proto"
)

// via is where a write was sent.
type via uint8

const (
	viaNothing  via = iota // it waits for a leader
	viaProposal            // proposed by this server
	viaUplink              // forwarded to the leader
)

// flight is what the applier of a member of an ensemble must know of requests
// on their way: those that no client's queue has, and those that have a zxid.
// Its lock is taken last.
type flight struct {
	mu      sync.Mutex
	own     []*request         // proposals of this server, in zxid order
	from    int                // first of own that is not decided
	lost    []*request         // proposals that were passed over
	opening map[int64]*request // handshakes that ask for a session, and upgrades
}

// launch notes proposals.
func (f *flight) launch(list []Proposal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range list {
		r := p.req
		if r.upgrade {
			r.via = viaProposal
		}
		f.own = append(f.own, r)
		if r.op == proto.OpCreateSession && (r.client != nil || r.upgrade) {
			f.opening[r.session] = r
		}
	}
}

// open notes a handshake that asks for a session.
func (f *flight) open(r *request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opening[r.session] = r
}

// land returns the proposal of this server that transaction z is, or nil. Those
// before it are not decided any more: z is of a later epoch.
func (f *flight) land(z proto.Zxid) (r *request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; f.from < len(f.own) && f.own[f.from].txn.Zxid < z; f.from++ {
		f.lost = append(f.lost, f.own[f.from])
		f.own[f.from] = nil
	}
	if f.from == len(f.own) || f.own[f.from].txn.Zxid != z {
		return nil
	}
	r = f.own[f.from]
	f.own[f.from] = nil
	f.from++
	switch {
	case f.from == len(f.own):
		f.own, f.from = f.own[:0], 0
	case f.from > 4096 && f.from > len(f.own)/2:
		n := copy(f.own, f.own[f.from:])
		clear(f.own[n:])
		f.own, f.from = f.own[:n], 0
	}
	return r
}

// clear forgets all proposals and returns those not decided.
func (f *flight) clear() []*request {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := append(f.lost, f.own[f.from:]...)
	f.own, f.from, f.lost = nil, 0, nil
	return left
}

// arrived takes out the handshake or upgrade that waits for a session, if there
// is one and typ, of the transaction, can be what became of it.
func (f *flight) arrived(session int64, typ proto.OpCode) *request {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.opening[session]
	if r != nil && r.upgrade && typ != proto.OpCreateSession {
		return nil // a request that the session sent before has failed
	}
	if r != nil {
		delete(f.opening, session)
	}
	return r
}

func (f *flight) listOpening() (list []*request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.opening {
		list = append(list, r)
	}
	return list
}

// takeOpening takes out the handshakes for which which is true; nil is all.
// Upgrades stay: their sessions outlive connections.
func (f *flight) takeOpening(which func(*request) bool) (list []*request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, r := range f.opening {
		if !r.upgrade && (which == nil || which(r)) {
			delete(f.opening, id)
			list = append(list, r)
		}
	}
	return list
}

// settle counts a request out, once.
func (p *Pipeline) settle(r *request) {
	if r.counted {
		r.counted = false
		p.limits.release(r)
		p.limits.less(1)
	}
}

// clearQueue drops all that a client waits for; c.mu is held.
func (c *Client) clearQueue() {
	n := int32(0)
	for r := c.head; r != nil; r = r.next {
		r.dropped = true
		c.p.settle(r)
		n++
	}
	c.head, c.tail, c.reads = nil, nil, 0
	c.waiting.Add(-n)
	c.room.Broadcast()
}

// forgetQueue drops what a client that is gone waits for. A leader's proposals
// stay: the transaction comes, or the leadership ends.
func (p *Pipeline) forgetQueue(c *Client) {
	if c.waiting.Load() == 0 {
		return
	}
	p.prep.mu.Lock()
	defer p.prep.mu.Unlock()
	if !p.is(leading) {
		c.mu.Lock()
		c.clearQueue()
		c.mu.Unlock()
	}
}
