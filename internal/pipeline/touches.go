// SPDX-License-Identifier: Apache-2.0

package pipeline

// Touch says that a session was heard of.
type Touch struct {
	Session   int64
	TimeoutMs int32
}

// Touches are the sessions that a learner has heard of since the last call, one
// entry each: the answer to a PING (quorum-protocol.md section 4.2).
func (p *Pipeline) Touches() []Touch {
	p.clientsMu.Lock()
	defer p.clientsMu.Unlock()
	now := p.nowNs()
	var list []Touch
	for c := range p.clients {
		if !c.session.Local() && c.touched.Swap(false) {
			c.reported.Store(now)
			list = append(list, Touch{c.session.ID(), c.timeoutMs})
			delete(p.parted, c.session.ID())
		}
	}
	for id, ms := range p.parted {
		list = append(list, Touch{id, ms})
	}
	clear(p.parted)
	return list
}

// partTouched keeps the touch of a connection that is gone; clientsMu is held.
func (p *Pipeline) partTouched(c *Client) {
	if p.ensemble && !c.readOnly && c.touched.Load() && p.is(learning) && !c.session.Local() {
		p.parted[c.session.ID()] = c.timeoutMs
	}
}

// TouchRemote takes a learner's touches at the leader.
func (p *Pipeline) TouchRemote(from int64, touches []Touch) {
	now := p.nowMs()
	for _, t := range touches {
		if s := p.sessions.Get(t.Session); s != nil && !s.Local() {
			s.Touch(now, max(0, t.TimeoutMs))
		}
	}
}
