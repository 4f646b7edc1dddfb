// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"encoding/binary"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/jute"
	"paddock/proto"
)

// What simulated ensembles have found, each in the fewest steps that show it.

func threeMembers(version int64, observers ...int64) *quorum.Config {
	c := &quorum.Config{Version: version}
	for id := int64(1); id <= 3; id++ {
		observer := false
		for _, o := range observers {
			observer = observer || o == id
		}
		c.Members = append(c.Members, testMember(id, observer))
	}
	return c
}

func withZxid(t proto.PacketType, epoch, counter uint32, data ...byte) Packet {
	k := packet(t, proto.NewZxid(epoch, counter))
	k.Data = data
	return k
}

// following is a learner, sid 1, that has accepted epoch 1 of server 2 on link
// 7. It saves by itself until b.manual is set.
func following(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, Options{}, State{Sid: 1, Committed: threeMembers(0)})
	b.elect(2, 0)
	b.step(LinkUp{Link: 7, Dialed: true})
	b.hear(withZxid(proto.PacketLeaderInfo, 1, 0, 0, 1, 0, 0))
	return b
}

func (b *bench) hear(packets ...Packet) {
	b.t.Helper()
	b.step(Received{Link: 7, Packets: packets})
}

// A SYNC may come in one burst with the transactions before it, which are not
// durable yet, and so not in the tree that the client will read.
func TestSyncIsHandedOnBehindWhatItFollows(t *testing.T) {
	b := following(t)
	b.hear(withZxid(proto.PacketDiff, 0, 0))
	b.hear(withZxid(proto.PacketNewLeader, 1, 0))
	b.hear(packet(proto.PacketUpToDate, -1))
	if b.status.Stage != Broadcast {
		t.Fatalf("does not serve: %+v", b.status)
	}
	out := b.p.Step(b.now, Received{Link: 7, Packets: []Packet{
		withZxid(proto.PacketProposal, 1, 1, 'x'), withZxid(proto.PacketCommit, 1, 1), packet(proto.PacketSync, 0)}})
	if len(out.Replies) != 0 || len(out.Commit) != 0 {
		t.Errorf("before it is durable: %d replies, %d commits", len(out.Replies), len(out.Commit))
	}
	out = b.p.Step(b.now, Saved{b.ops + 1})
	if len(out.Replies) != 1 || len(out.Commit) != 1 {
		t.Errorf("when it is durable: %d replies, %d commits, want one of each", len(out.Replies), len(out.Commit))
	}
}

// A SNAP may show some of what is decided while it is sent. Nobody may see that
// tree before the rest has come.
func TestFuzzyTreeIsNotShown(t *testing.T) {
	b := following(t)
	b.hear(withZxid(proto.PacketSnap, 1, 5))
	b.hear(withZxid(proto.PacketProposal, 1, 6, 'x'))
	b.hear(withZxid(proto.PacketNewLeader, 1, 0))
	b.manual = true
	b.hear(withZxid(proto.PacketCommit, 1, 6), packet(proto.PacketUpToDate, -1))
	if b.status.Stage == Broadcast {
		t.Error("serves before 1:6 is in the tree")
	}
	b.step(Saved{b.ops})
	if b.status.Stage != Broadcast || len(b.commit) != 1 {
		t.Errorf("with 1:6 in the tree: stage %d, commits %v", b.status.Stage, b.commit)
	}
}

// A quorum of followers may be faster than the leader's own disk.
func TestBarrierWaitsForTheLeadersTree(t *testing.T) {
	b := leading(t)
	b.manual = true
	b.propose(1)
	b.step(Barrier{Token: 5})
	for _, ev := range []Event{
		Received{Link: 1, Packets: []Packet{withZxid(proto.PacketAck, 1, 1), withZxid(proto.PacketPing, 1, 1)}},
		Received{Link: 2, Packets: []Packet{withZxid(proto.PacketAck, 1, 1), withZxid(proto.PacketPing, 1, 1)}},
	} {
		if out := b.p.Step(b.now, ev); len(out.Passed) != 0 {
			t.Fatal("passed before 1:1 is in the leader's tree")
		}
	}
	if out := b.p.Step(b.now, Saved{b.ops}); len(out.Passed) != 1 || len(out.Commit) != 1 {
		t.Errorf("with 1:1 durable: passed %v, %d commits", out.Passed, len(out.Commit))
	}
}

// info is a follower's first packet.
func info(sid int64, accepted uint32) Packet {
	return withZxid(proto.PacketFollowerInfo, accepted, 0, jute.Marshal(&proto.LearnerInfo{ServerID: sid, Protocol: proto.QuorumProtocol})...)
}

// A follower that has what a quorum has decided, and the leader's own disk has
// not, may have been one of that quorum: it is not cut back.
func TestDecidedIsNotCutBack(t *testing.T) {
	b := leading(t)
	b.manual = true
	b.propose(1, 2, 3)
	b.acked(1, 2)
	b.acked(2, 3)
	b.step(LinkUp{Link: 9})
	b.step(Received{Link: 9, Packets: []Packet{info(3, 1)}})
	b.step(Received{Link: 9, Packets: []Packet{withZxid(proto.PacketAckEpoch, 1, 3, 0xff, 0xff, 0xff, 0xff)}})
	got := b.take(9)
	if len(got) < 2 || got[1].Type != proto.PacketTrunc || got[1].Zxid != proto.NewZxid(1, 2) {
		t.Fatalf("sent %+v, want LEADERINFO and TRUNC 1:2", got)
	}
	if got[2].Type != proto.PacketProposal || got[2].Zxid != proto.NewZxid(1, 3) {
		t.Errorf("then type %d %s, want PROPOSAL 1:3", got[2].Type, short(got[2].Zxid))
	}
}

// A voter that has accepted a later epoch can't follow this leader, ever.
func TestLeaderGivesWayToALaterEpoch(t *testing.T) {
	b := leading(t)
	b.step(LinkUp{Link: 9})
	b.step(Received{Link: 9, Packets: []Packet{info(3, 6)}})
	if b.status.Role != proto.Looking {
		t.Fatalf("goes on: %+v", b.status)
	}
	b.step(Notified{From: 1, Note: proto.Notification{State: proto.Looking, Leader: 2, ElectionEpoch: b.p.election.round, PeerEpoch: 1, Version: 2}})
	b.now += 300 * time.Millisecond
	b.step(Tick{})
	b.step(LinkUp{Link: 10})
	b.step(Received{Link: 10, Packets: []Packet{info(1, 1)}})
	if b.p.accepted != 7 {
		t.Errorf("the next epoch is %d, want 7", b.p.accepted)
	}
}

// reigning is a leader, sid 2, that followers 1 and 3 have elected and follow on
// links of their numbers, in epoch 1.
func reigning(t *testing.T, committed, seen *quorum.Config) *bench {
	t.Helper()
	b := newBench(t, Options{Reconfig: true}, State{Sid: 2, Committed: committed, Seen: seen})
	for _, id := range []int64{1, 3} {
		b.step(Notified{From: id, Note: proto.Notification{State: proto.Looking, Leader: 2, ElectionEpoch: 1, Version: 2}})
	}
	b.now += 300 * time.Millisecond
	b.step(Tick{})
	for _, id := range []int64{1, 3} {
		b.step(LinkUp{Link: LinkID(id)})
		b.step(Received{Link: LinkID(id), Packets: []Packet{info(id, 0)}})
	}
	for _, id := range []int64{1, 3} {
		b.step(Received{Link: LinkID(id), Packets: []Packet{withZxid(proto.PacketAckEpoch, 0, 0, binary.BigEndian.AppendUint32(nil, 0)...)}})
	}
	for _, id := range []int64{1, 3} {
		b.step(Received{Link: LinkID(id), Packets: []Packet{withZxid(proto.PacketAck, 1, 0)}})
	}
	if b.status.Role != proto.Leading || b.status.Stage != Broadcast {
		t.Fatalf("does not lead: %+v", b.status)
	}
	return b
}

// A membership that is part of the history may have no vote for the leader who
// brings it.
func TestLeaderWithoutAVoteGivesUp(t *testing.T) {
	b := reigning(t, threeMembers(1<<32), threeMembers(1<<32|9, 2))
	for range 4 {
		b.now += 500 * time.Millisecond
		b.step(Tick{})
	}
	if b.status.Role == proto.Leading {
		t.Error("leads on, and can commit nothing")
	}
}

// A membership that was proposed is not needed to follow a leader: if it was cut
// off, there may never be a quorum of it, and here it would take this server's own
// vote. But what others say of theirs does not tell that it was: they may follow,
// have the epoch of their last vote and not know yet what they are about to be
// told. A server that forgot it on their word would lead without it, though it is
// part of the history, and its quorums would be the old ones.
func TestProposedMembershipIsNeitherNeededToFollowNorForgotten(t *testing.T) {
	for _, version := range []int64{1<<32 | 9, 2<<32 | 9} {
		now := threeMembers(1 << 32)
		b := newBench(t, Options{Reconfig: true}, State{Sid: 1, Committed: now, Seen: threeMembers(version, 3)})
		for id := int64(2); id <= 3; id++ {
			state := proto.Following
			if id == 2 {
				state = proto.Leading
			}
			b.step(Notified{From: id, Config: now, Note: proto.Notification{State: state, Leader: 2, ElectionEpoch: 1, PeerEpoch: 2, Version: 2}})
		}
		if b.status.Role != proto.Following || b.p.seen == nil || b.p.seen.Version != version {
			t.Errorf("proposed as %x: seen %v, %+v", version, b.p.seen, b.status)
		}
	}
}

// A membership that was proposed in an earlier epoch, and is no part of the history
// of the leader that a quorum follows, is forgotten for good: the driver is told, so
// that a server that starts again does not lead with it.
func TestProposedMembershipThatCameToNothingIsTakenBack(t *testing.T) {
	for _, c := range []struct {
		name          string
		seen, leaders int64 // versions
		gone          bool
	}{
		{"proposed in the epoch before", 1<<32 | 9, 1 << 32, true},
		{"proposed in this epoch", 2<<32 | 9, 1 << 32, false},
		{"part of the history", 1<<32 | 9, 1<<32 | 9, true},
		{"an older one is", 1<<32 | 9, 1<<32 | 5, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Options{Reconfig: true}, State{Sid: 1, Committed: threeMembers(1 << 32), Seen: threeMembers(c.seen)})
			leaders := threeMembers(c.leaders)
			kept := b.p.seen // on disk
			step := func(ev Event) {
				out := b.p.Step(b.now, ev)
				if out.Seen != nil {
					kept = out.Seen
				}
				if kept != nil && kept.Version <= b.p.committed.Version {
					kept = nil
				}
				if b.ops += uint64(len(out.Disk)); len(out.Disk) > 0 {
					b.step(Saved{b.ops})
				}
			}
			b.elect(2, 2)
			step(LinkUp{Link: 7, Dialed: true})
			newLeader := packet(proto.PacketNewLeader, proto.NewZxid(2, 0))
			newLeader.Data, newLeader.Config = []byte(leaders.String()), leaders
			for _, k := range []Packet{withZxid(proto.PacketLeaderInfo, 2, 0, 0, 1, 0, 0), packet(proto.PacketDiff, 0), newLeader, packet(proto.PacketUpToDate, -1)} {
				step(Received{Link: 7, Packets: []Packet{k}})
			}
			if b.p.learn == nil || b.p.learn.state != serving {
				t.Fatal("does not serve")
			}
			if (b.p.seen == nil) != c.gone || (kept == nil) != c.gone {
				t.Errorf("remembers %v, keeps %v", b.p.seen, kept)
			}
		})
	}
}

// A learner that comes while a reconfig is not decided must not take it for
// committed: it may never be.
func TestPendingMembershipIsNotHandedOnAsCommitted(t *testing.T) {
	b := reigning(t, threeMembers(1<<32), nil)
	b.manual = true
	z := proto.NewZxid(1, 1)
	b.step(Propose{[]Entry{{Zxid: z, Data: []byte("reconfig"), Config: threeMembers(int64(z), 3)}}})
	b.step(LinkUp{Link: 9})
	b.step(Received{Link: 9, Packets: []Packet{info(4, 1)}})
	b.step(Received{Link: 9, Packets: []Packet{withZxid(proto.PacketAckEpoch, 0, 0, 0xff, 0xff, 0xff, 0xff)}})
	for _, k := range b.take(9) {
		if k.Type == proto.PacketNewLeader && k.Config.Version != 1<<32 {
			t.Errorf("NEWLEADER carries version %x, committed is %x", k.Config.Version, int64(1<<32))
		}
	}
}

// A leader whose window is empty, after a reload, sends its log to the end: the
// last transaction has no other place to come from.
func TestLogIsSentToItsEndWhereNothingIsKept(t *testing.T) {
	last := proto.NewZxid(6, 10)
	b := newBench(t, Options{}, State{Sid: 2, AcceptedEpoch: 6, CurrentEpoch: 6, LastZxid: last, Committed: threeMembers(0)})
	for _, id := range []int64{1, 3} {
		b.step(Notified{From: id, Note: proto.Notification{State: proto.Looking, Leader: 2, Zxid: last, ElectionEpoch: 1, PeerEpoch: 6, Version: 2}})
	}
	b.now += 300 * time.Millisecond
	b.step(Tick{})
	b.step(LinkUp{Link: 1})
	b.step(LinkUp{Link: 3})
	b.step(Received{Link: 1, Packets: []Packet{info(1, 6)}})
	b.step(Received{Link: 3, Packets: []Packet{info(3, 5)}})
	b.step(Received{Link: 1, Packets: []Packet{withZxid(proto.PacketAckEpoch, 6, 10, 0, 0, 0, 6)}})
	behind := proto.NewZxid(5, 14)
	out := b.p.Step(b.now, Received{Link: 3, Packets: []Packet{packet(proto.PacketAckEpoch, behind)}})
	if len(out.Probe) != 0 {
		t.Fatal("an ACKEPOCH without data was taken")
	}
	b.step(LinkUp{Link: 4})
	b.step(Received{Link: 4, Packets: []Packet{info(3, 5)}})
	out = b.p.Step(b.now, Received{Link: 4, Packets: []Packet{withZxid(proto.PacketAckEpoch, 5, 14, 0, 0, 0, 5)}})
	if len(out.Probe) != 1 {
		t.Fatalf("the log was not asked: %+v", out)
	}
	b.take(4)
	b.step(Probed{Link: 4, Usable: true, Prev: behind, Next: proto.NewZxid(6, 1)})
	for _, k := range b.take(4) {
		if k.Body.Log {
			if k.Body.After != behind || k.Body.UpTo < last {
				t.Errorf("the log is sent after %s up to %s, its end is %s", short(k.Body.After), short(k.Body.UpTo), short(last))
			}
			return
		}
	}
	t.Error("no part of the log was sent")
}
