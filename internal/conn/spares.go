// SPDX-License-Identifier: Apache-2.0

package conn

import "sync/atomic"

// spares are goroutines that have served a connection and wait for another. Where
// sessions come and go, each would need a new one, which has its stack copied until
// it is large enough for a handshake.
type spares struct {
	next    chan *conn
	waiting atomic.Int32
}

// sparesMost is how many wait, with a stack of some KiB each.
const sparesMost = 32

// serve has c served by one of them, or by a new one.
func (s *spares) serve(c *conn) {
	select {
	case s.next <- c:
	default:
		go s.run(c)
	}
}

// run serves c and then whom it is given, until the server stops or enough others
// wait.
func (s *spares) run(c *conn) {
	stopping := c.srv.stopping
	for {
		c.serve()
		c = nil // or it would be kept while this one waits
		if s.waiting.Add(1) > sparesMost {
			s.waiting.Add(-1)
			return
		}
		select {
		case c = <-s.next:
			s.waiting.Add(-1)
		case <-stopping:
			return
		}
	}
}
