// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"errors"
	"testing"

	"paddock/proto"
)

// A leader that is not there yet is dialled again, for a while; one that has
// spoken is not, and neither is one that stays away.
func TestLeaderIsDialledAgain(t *testing.T) {
	_, members := mastered(t)
	b := newBench(t, Options{}, State{Sid: 1, Committed: members})
	b.elect(3, 0)
	gone := errors.New("closed")
	link, dials := LinkID(1), 0
	for ; b.status.Role == proto.Following; link++ {
		if b.dialed == nil {
			b.now = b.wake
			b.step(Tick{})
		}
		if b.dialed == nil || b.dialed.Leader != 3 {
			t.Fatalf("dialled %+v", b.dialed)
		}
		b.dialed = nil
		dials++
		b.step(LinkUp{Link: link, Dialed: true})
		b.step(LinkDown{Link: link, Err: gone})
	}
	if dials != int(redialFor/redialPause)+1 {
		t.Errorf("dialled %d times", dials)
	}
	b.elect(3, 0)
	b.step(LinkUp{Link: link, Dialed: true})
	b.step(Received{Link: link, Packets: []Packet{packet(proto.PacketLeaderInfo, epochZxid(1))}})
	b.step(LinkDown{Link: link, Err: gone})
	if b.status.Role != proto.Looking {
		t.Errorf("still %+v", b.status)
	}
}
