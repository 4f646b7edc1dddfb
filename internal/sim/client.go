// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"paddock/internal/check"
	"paddock/proto"
)

// client is one client: a session on some server until it is lost, then
// another. What was on its way when it is lost has no known outcome.
type client struct {
	r       *run
	number  int
	session proto.SessionID // 0: none
	server  *server
	term    int // of that server
	cxid    int32
	open    []*request
	most    int           // requests on their way at once
	sent    time.Duration // arrival of the last request: none overtakes another
	back    time.Duration // likewise for replies
}

// live asks for things, again and again.
func (c *client) live() {
	r := c.r
	if r.quiet {
		return
	}
	r.after(r.between(r.set.think/4, r.set.think), c.live)
	if c.session == 0 {
		c.connect()
		return
	}
	if len(c.open) >= c.most {
		if r.now-r.history[c.open[0].index].Call > r.set.patience {
			c.leave()
		}
		return
	}
	if r.chance(0.01) { // some move on for no reason
		c.leave()
		return
	}
	c.ask(c.random())
}

// connect begins a session on some server that serves.
func (c *client) connect() {
	s := c.r.servers[c.r.rng.Intn(len(c.r.servers))]
	if !s.alive || !s.serving || s.paused {
		return
	}
	c.r.sessions++
	c.session, c.cxid = c.r.sessions, 0
	c.server, c.term = s, s.term
	c.open, c.sent, c.back = nil, 0, 0
}

func (c *client) leave() { c.session, c.server, c.open = 0, nil, nil }

// lost is the end of a connection, unless it is over already.
func (c *client) lost(session proto.SessionID) {
	if c.session == session {
		c.leave()
	}
}

func (c *client) random() check.Op {
	r := c.r
	op := check.Op{Node: r.rng.Intn(check.Nodes), Version: -1}
	if r.chance(0.3) {
		op.Version = int32(r.rng.Intn(4))
	}
	switch r.rng.Intn(10) {
	case 0, 1:
		op.Type, op.Version = proto.OpCreate, 0
	case 2:
		op.Type = proto.OpDelete
	case 3, 4:
		op.Type, op.Version = proto.OpGetData, 0
	default:
		op.Type = proto.OpSetData
	}
	if op.Type == proto.OpCreate || op.Type == proto.OpSetData {
		r.values++
		op.Value = r.values
	}
	return op
}

// ask sends one request.
func (c *client) ask(op check.Op) {
	r := c.r
	c.cxid++
	q := &request{client: c, session: c.session, cxid: c.cxid, op: op, index: len(r.history)}
	r.history = append(r.history, check.Entry{Client: c.number, Session: q.session, Xid: q.cxid, Op: op,
		Result: check.Result{Unknown: true}, Call: r.now})
	c.open = append(c.open, q)
	s, term := c.server, c.term
	c.sent = max(c.sent+1, r.now+r.delay())
	r.at(c.sent, func() {
		s.when(s.gen, func() {
			if !s.serving || s.term != term {
				c.lost(q.session)
				return
			}
			s.submit(q)
		})
	})
}

// answered sends a reply on its way.
func (c *client) answered(q *request, res check.Result) {
	r := c.r
	if c.session != q.session {
		return
	}
	c.back = max(c.back+1, r.now+r.delay())
	r.at(c.back, func() {
		if c.session != q.session {
			return
		}
		r.history[q.index].Result, r.history[q.index].Return = res, r.now
		r.traceAnswer(q, res)
		for i := range c.open {
			if c.open[i] == q {
				c.open = append(c.open[:i:i], c.open[i+1:]...)
				break
			}
		}
	})
}
