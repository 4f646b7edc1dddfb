// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"

	"paddock/proto"
)

// Order judges the frames of one connection as they come: each reply answers
// the oldest request that is unanswered, and zxids never fall, events included.
// The zero Order is ready for a new connection; carry Last over to the next
// connection of the same session.
type Order struct {
	Last    proto.Zxid // the newest that was shown
	pending []int32
	at      int
}

// Sent notes a request by its xid.
func (o *Order) Sent(xid int32) { o.pending = append(o.pending, xid) }

// Pending is the number of requests without a reply.
func (o *Order) Pending() int { return len(o.pending) - o.at }

// Drop forgets the requests that nobody will answer, with their connection.
func (o *Order) Drop() { o.pending, o.at = o.pending[:0], 0 }

// Received judges one frame.
func (o *Order) Received(f Frame) error {
	if f.Xid != proto.XidEvent {
		if o.Pending() == 0 {
			return fmt.Errorf("a reply to xid %d, and nothing was asked", f.Xid)
		}
		if want := o.pending[o.at]; f.Xid != want {
			return fmt.Errorf("a reply to xid %d before that to %d", f.Xid, want)
		}
		if o.at++; o.at == len(o.pending) {
			o.Drop()
		}
	}
	if f.Zxid <= 0 {
		return nil // names none: an event made up on reconnect, a reply to auth
	}
	if f.Zxid < o.Last {
		return fmt.Errorf("xid %d: zxid %v after %v", f.Xid, f.Zxid, o.Last)
	}
	o.Last = f.Zxid
	return nil
}
