// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"

	"paddock/internal/tree"
	"paddock/internal/watch"
)

// Restore replaces the tree by what load makes of it, which gets an empty
// Loader and need not close it. It is called while no leader is served. With an
// error the tree is not to be served.
//
// The changes between the two trees are not known one by one. So three kinds of
// clients are hung up on: those with an unanswered write that was on its way,
// those with a watch, which may have missed its event and will learn of it when
// they set it again, and those that have seen more than the new tree has.
func (p *Pipeline) Restore(load func(*tree.Loader) error) error {
	l := p.tree.Load()
	l.Reset()
	if err := load(l); err != nil {
		l.Writer.Close()
		return fmt.Errorf("loading a new tree: %w", err)
	}
	l.Close()
	v := p.tree.View(0)
	known, last := v.Sessions(), v.Zxid()
	v.Close()
	p.app.fuzzy, p.app.differs = fuzzyMost, false

	watching := map[*Client]bool{}
	p.watches.ByWatcher(func(w watch.Watcher, _ string) { watching[w.(*Client)] = true })
	pr := &p.prep
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.applied.Store(int64(last))
	for _, c := range p.roll() {
		switch {
		case c.hasSent():
			p.drop(c, "it has a request of unknown outcome: the server's data was replaced")
		case watching[c]:
			p.drop(c, "it has watches that may have missed events: the server's data was replaced")
		case c.out.snapshot().LastZxid > last:
			p.drop(c, "it has seen zxids after "+last.String()+": the server's data was replaced")
		}
	}
	for _, r := range p.flight.takeOpening(func(r *request) bool { return r.via != viaNothing }) {
		r.client.refuse("the server's data was replaced")
		p.settle(r)
	}
	p.settleFlight()
	p.settleUpgrades(known)
	p.resetSessions(known)
	return nil
}

// hasSent tells whether a write of the client was proposed or forwarded and is
// not answered.
func (c *Client) hasSent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := c.head; r != nil; r = r.next {
		if r.isWrite && !r.sync && r.via != viaNothing {
			return true
		}
	}
	return false
}
