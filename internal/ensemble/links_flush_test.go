// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bytes"
	"io"
	"testing"

	"paddock/internal/zab"
	"paddock/proto"
)

// TestFlushKeepsTheOrder mixes what the caller writes itself, what the writer
// writes and bodies, more than the socket takes, to a peer that reads nothing at
// first.
func TestFlushKeepsTheOrder(t *testing.T) {
	noLeak(t)
	read := make(chan struct{})
	leader := newLinkRig(t, nil)
	learner := newLinkRig(t, func(o *LinkOptions) {
		received := o.Received
		o.Received = func(k zab.LinkID, p []zab.Packet) { <-read; received(k, p) }
	})
	to, from := pair(t, leader, learner, leader.listen())
	const n = 3_000
	for i := range n {
		item := Item{Frame: Encode(proposal(i, i*7%9_000))}
		switch {
		case i%97 == 0:
			frame := item.Frame
			leader.SendLater(to, Item{Body: func(w io.Writer) error { _, err := w.Write(frame); return err }})
		case i%5 == 0:
			leader.Send(to, item)
		default:
			leader.SendLater(to, item)
		}
		if i%3 == 0 {
			leader.Flush(to)
		}
	}
	leader.Flush(to)
	close(read)
	for i, p := range learner.packets(from, n) {
		if p.Zxid != proto.Zxid(i) || !bytes.Equal(p.Data, bytes.Repeat([]byte{byte(i)}, i*7%9_000)) {
			t.Fatalf("packet %d is %s with %d bytes", i, p.Zxid, len(p.Data))
		}
	}
	for _, e := range leader.snapshot() {
		if e.what == "down" {
			t.Errorf("the link has ended: %v", e.err)
		}
	}
}

// TestFlushOfAClosedLink says that the end comes as Down, whoever notices.
func TestFlushOfAClosedLink(t *testing.T) {
	noLeak(t)
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	to, from := pair(t, leader, learner, leader.listen())
	learner.Close(from, "away")
	leader.down(to, "")
	leader.SendLater(to, Item{Frame: Encode(proposal(1, 1))})
	leader.Flush(to)
}
