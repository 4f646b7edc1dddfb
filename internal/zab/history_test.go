// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"encoding/binary"
	"testing"
	"time"

	"paddock/proto"
)

// A leader's history from earlier epochs is sent with commits, before a quorum
// has the new epoch. A learner of Apache's acknowledges it by its ack of
// NEWLEADER and says no more of it: that is no learner that hangs.
func TestHistoryIsAcknowledgedWithTheEpoch(t *testing.T) {
	members := leading(t).p.committed
	b := newBench(t, Options{}, State{Sid: 2, Committed: members})
	from := func(link LinkID, typ proto.PacketType, z proto.Zxid, data []byte) {
		k := packet(typ, z)
		k.Data = data
		if typ == proto.PacketNewLeader {
			k.Config = members
		}
		b.step(Received{Link: link, Packets: []Packet{k}})
	}
	// It follows 3, which goes away before it has told that 1:2 and 1:3 are committed.
	b.elect(3, 0)
	b.step(LinkUp{Link: 7, Dialed: true})
	from(7, proto.PacketLeaderInfo, proto.NewZxid(1, 0), []byte{0, 1, 0, 0})
	from(7, proto.PacketDiff, 0, nil)
	from(7, proto.PacketNewLeader, proto.NewZxid(1, 0), []byte(members.String()))
	from(7, proto.PacketUpToDate, -1, nil)
	for c := uint32(1); c <= 3; c++ {
		from(7, proto.PacketProposal, proto.NewZxid(1, c), []byte{byte(c)})
	}
	from(7, proto.PacketCommit, proto.NewZxid(1, 1), nil)
	b.step(LinkDown{Link: 7})

	round := b.p.election.round
	b.step(Notified{From: 1, Note: proto.Notification{State: proto.Looking, Leader: 2, Zxid: proto.NewZxid(1, 3), ElectionEpoch: round, PeerEpoch: 1, Version: 2}})
	b.now += 300 * time.Millisecond
	b.step(Tick{})
	receive := func(typ proto.PacketType, z proto.Zxid, data []byte) { from(1, typ, z, data) }
	info := binary.BigEndian.AppendUint64(nil, 1)
	info = binary.BigEndian.AppendUint32(info, 0x10000)
	info = binary.BigEndian.AppendUint64(info, 0)
	b.step(LinkUp{Link: 1})
	receive(proto.PacketFollowerInfo, proto.NewZxid(1, 0), info)
	receive(proto.PacketAckEpoch, proto.NewZxid(1, 1), binary.BigEndian.AppendUint32(nil, 1))
	if got, want := b.heard(1), "LEADERINFO 2:0, DIFF 1:3, PROPOSAL 1:2, COMMIT 1:2, PROPOSAL 1:3, COMMIT 1:3, NEWLEADER 2:0"; got != want {
		t.Fatalf("sent %s, want %s", got, want)
	}
	receive(proto.PacketAck, proto.NewZxid(2, 0), nil)
	if b.status.Role != proto.Leading || b.status.Stage != Broadcast {
		t.Fatalf("does not lead: %+v", b.status)
	}
	for range 20 { // four times syncLimit
		b.now += time.Second
		b.step(Tick{})
		for _, k := range b.take(1) {
			if k.Type == proto.PacketPing {
				receive(proto.PacketPing, k.Zxid, nil)
			}
		}
	}
	if b.status.Role != proto.Leading {
		t.Errorf("a follower that answers every ping was given up: %+v", b.status)
	}
}
