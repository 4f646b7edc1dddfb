// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

func threeVoters() *quorum.Config {
	c := &quorum.Config{}
	for id := int64(1); id <= 3; id++ {
		c.Members = append(c.Members, quorum.Member{ID: id, Addrs: []quorum.Addr{{Host: "127.0.0.1", QuorumPort: int(1000 + id), ElectionPort: int(2000 + id)}}})
	}
	return c
}

// TestStaleVotesElectNobodyForLong: a wiped server that comes back is elected by
// what others said in an election that is over, and hears a moment later that
// they have a leader.
func TestStaleVotesElectNobodyForLong(t *testing.T) {
	b := newBench(t, Options{}, State{Sid: 2, Committed: threeVoters()})
	b.step(Notified{From: 1, Note: proto.Notification{State: proto.Looking, Leader: 2, ElectionEpoch: 1, Version: 2}})
	b.now += 300 * time.Millisecond
	b.step(Tick{})
	if b.status.Role != proto.Leading {
		t.Fatalf("stale votes do not elect: %+v", b.status)
	}
	b.step(Notified{From: 1, Note: proto.Notification{State: proto.Following, Leader: 3, ElectionEpoch: 4, PeerEpoch: 3, Version: 2}})
	if b.status.Role != proto.Leading {
		t.Fatalf("one follower of another is no quorum: %+v", b.status)
	}
	b.step(Notified{From: 3, Note: proto.Notification{State: proto.Leading, Leader: 3, ElectionEpoch: 4, PeerEpoch: 3, Version: 2}})
	if b.status.Role != proto.Looking {
		t.Fatalf("still %+v, though 1 and 3 have a leader", b.status)
	}
	b.elect(3, 3)
}

// TestRivalsOfThePastAreNoRivals: what servers followed in an earlier epoch does
// not unseat a leader that is about to begin a new one.
func TestRivalsOfThePastAreNoRivals(t *testing.T) {
	b := newBench(t, Options{}, State{Sid: 2, AcceptedEpoch: 4, CurrentEpoch: 4, Committed: threeVoters()})
	b.step(Notified{From: 1, Note: proto.Notification{State: proto.Looking, Leader: 2, ElectionEpoch: 1, PeerEpoch: 4, Version: 2}})
	b.now += 300 * time.Millisecond
	b.step(Tick{})
	for id, state := range map[int64]proto.PeerState{1: proto.Following, 3: proto.Leading} {
		b.step(Notified{From: id, Note: proto.Notification{State: state, Leader: 3, ElectionEpoch: 4, PeerEpoch: 3, Version: 2}})
	}
	if b.status.Role != proto.Leading {
		t.Fatalf("gave way to the past: %+v", b.status)
	}
}

// TestTruncToWhatWasNeverLogged: the log has less than the leader thinks, so the
// learner says again where it stands.
func TestTruncToWhatWasNeverLogged(t *testing.T) {
	b := newBench(t, Options{}, State{Sid: 1, AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: proto.NewZxid(1, 9), Committed: threeVoters()})
	at := proto.NewZxid(1, 3)
	b.restored = &at
	b.elect(3, 2)
	b.step(LinkUp{Link: 7, Dialed: true})
	b.step(Received{Link: 7, Packets: []Packet{{Packet: proto.Packet{Type: proto.PacketLeaderInfo, Zxid: epochZxid(2), Data: []byte{0, 1, 0, 0}}}}})
	b.step(Received{Link: 7, Packets: []Packet{packet(proto.PacketTrunc, proto.NewZxid(1, 5))}})
	if b.status.Role != proto.Looking {
		t.Fatalf("goes on with 1:3 where 1:5 was meant: %+v", b.status)
	}
	b.take(7)
	b.elect(3, 2)
	b.step(LinkUp{Link: 8, Dialed: true})
	b.step(Received{Link: 8, Packets: []Packet{{Packet: proto.Packet{Type: proto.PacketLeaderInfo, Zxid: epochZxid(2), Data: []byte{0, 1, 0, 0}}}}})
	for _, k := range b.take(8) {
		if k.Type == proto.PacketAckEpoch && k.Zxid != proto.NewZxid(1, 3) {
			t.Errorf("says it is at %s", short(k.Zxid))
		}
	}
}

// TestDiffThatEndsEarly: a history that does not reach what DIFF said is not
// acknowledged; the leader would count on what is missing.
func TestDiffThatEndsEarly(t *testing.T) {
	b := newBench(t, Options{}, State{Sid: 1, AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: proto.NewZxid(1, 2), Committed: threeVoters()})
	b.elect(3, 2)
	b.step(LinkUp{Link: 7, Dialed: true})
	one := proposal(proto.PacketProposal, Entry{Zxid: proto.NewZxid(1, 3), Data: []byte("txn")})
	b.step(Received{Link: 7, Packets: []Packet{{Packet: proto.Packet{Type: proto.PacketLeaderInfo, Zxid: epochZxid(2), Data: []byte{0, 1, 0, 0}}}}})
	b.step(Received{Link: 7, Packets: []Packet{packet(proto.PacketDiff, proto.NewZxid(1, 4)), one, packet(proto.PacketCommit, one.Zxid),
		packet(proto.PacketNewLeader, epochZxid(2))}})
	if b.status.Role != proto.Looking {
		t.Fatalf("goes on without 1:4: %+v", b.status)
	}
	for _, k := range b.take(7) {
		if k.Type == proto.PacketAck {
			t.Errorf("acknowledged %s", short(k.Zxid))
		}
	}
}

// TestObserverLearnsWhoLeads: stale votes named another leader than the one whose
// epoch the observer is served by a master. It asks until a quorum has told it.
func TestObserverLearnsWhoLeads(t *testing.T) {
	members := threeVoters()
	members.Members = append(members.Members, quorum.Member{ID: 4, Addrs: []quorum.Addr{{Host: "127.0.0.1", QuorumPort: 1004, ElectionPort: 2004}}, Observer: true})
	b := newBench(t, Options{MasterPort: 99}, State{Sid: 4, AcceptedEpoch: 1, CurrentEpoch: 1, Committed: members})
	b.elect(2, 1)
	b.now += time.Second // observers wait a little before they dial
	b.step(Tick{})
	b.step(LinkUp{Link: 7, Dialed: true})
	b.step(Received{Link: 7, Packets: []Packet{{Packet: proto.Packet{Type: proto.PacketLeaderInfo, Zxid: epochZxid(3), Data: []byte{0, 1, 0, 0}}},
		packet(proto.PacketDiff, 0), packet(proto.PacketNewLeader, epochZxid(3))}})
	b.votes = nil
	b.step(Received{Link: 7, Packets: []Packet{packet(proto.PacketUpToDate, -1)}})
	b.step(Tick{})
	if len(b.votes) != 3 || b.votes[0].Note.State != proto.Looking {
		t.Fatalf("asked %v", b.votes)
	}
	say := func(id int64, state proto.PeerState, peerEpoch int64) {
		b.step(Notified{From: id, Note: proto.Notification{State: state, Leader: 3, ElectionEpoch: 4, PeerEpoch: peerEpoch, Version: 2}})
	}
	say(1, proto.Following, 3)
	say(3, proto.Leading, 2) // of an epoch that is over
	if b.status.Stage != Broadcast || b.status.Leader != 2 {
		t.Fatalf("%+v", b.status)
	}
	say(3, proto.Leading, 3)
	if b.status.Leader != 3 {
		t.Fatalf("%+v", b.status)
	}
	b.votes = nil
	for range 4 {
		b.now += askEvery / 2
		b.step(Received{Link: 7, Packets: []Packet{packet(proto.PacketPing, epochZxid(3))}})
	}
	if len(b.votes) != 0 {
		t.Errorf("asks again: %v", b.votes)
	}
}
