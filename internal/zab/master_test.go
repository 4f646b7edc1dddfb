// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/jute"
	"paddock/proto"
)

const masterPort = 2191

// mastered is the recording of an observer behind a follower.
func mastered(t *testing.T) (rows []row, members *quorum.Config) {
	rows = recording(t, "observer-master")
	for _, r := range rows {
		if r.Type == proto.PacketNewLeader {
			members = r.Config
		}
	}
	return rows, members
}

// The observer of the recording, with its requests left out: they are the
// pipeline's.
func TestObserverBehindMasterAsRecorded(t *testing.T) {
	rows, members := mastered(t)
	b := newBench(t, Options{MasterPort: masterPort}, State{Sid: 4, Committed: members})
	b.elect(3, 0)
	if d := b.dialed; d == nil || d.Port != masterPort || !members.IsVoter(d.Leader) || d.Member.ID != d.Leader {
		t.Fatalf("dialled %+v, want the observer master of a voter", d)
	}
	b.step(LinkUp{Link: 7, Dialed: true})
	for i := range rows {
		r := &rows[i]
		switch {
		case r.From == "leader":
			b.step(Received{Link: 7, Packets: []Packet{r.Packet}})
			continue
		case r.Type == proto.PacketRequest:
			continue
		}
		if sent := b.sent[7]; len(sent) == 0 || !same(sent[0], r) {
			t.Fatalf("packet %d: sent %v, the recorded observer sent type %d zxid %s", i, sent, r.Type, short(r.Zxid))
		}
		b.sent[7] = b.sent[7][1:]
	}
	if got := fmt.Sprint(b.commit); got != "[0x100000001 0x100000002 0x100000003 0x100000004]" {
		t.Errorf("committed %s", got)
	}
	if b.status.Leader != 3 || b.status.Master != b.dialed.Leader || b.status.Role != proto.Observing {
		t.Errorf("in the end: %+v", b.status)
	}
}

// masterBench is a bench whose server 1 follows server 3 in epoch 1, up to date
// with an empty history, as observer master.
func masterBench(t *testing.T, opt Options, members *quorum.Config) *bench {
	opt.MasterPort = masterPort
	b := newBench(t, opt, State{Sid: 1, Committed: members})
	b.elect(3, 0)
	b.step(LinkUp{Link: 1, Dialed: true})
	for _, k := range []Packet{packet(proto.PacketLeaderInfo, epochZxid(1)), packet(proto.PacketDiff, 0), packet(proto.PacketNewLeader, epochZxid(1)),
		packet(proto.PacketUpToDate, -1)} {
		b.step(Received{Link: 1, Packets: []Packet{k}})
	}
	if b.status.Role != proto.Following || b.status.Stage != Broadcast {
		t.Fatalf("does not follow: %+v", b.status)
	}
	b.take(1)
	return b
}

// The master of the recording: what its leader sends it is derived from what it
// sent its observer.
func TestMasterAsRecorded(t *testing.T) {
	rows, members := mastered(t)
	b := masterBench(t, Options{}, members)
	b.step(LinkUp{Link: 2, Master: true})
	var passed []string
	for i := range rows {
		r := &rows[i]
		if r.From == "learner" {
			b.requests = nil
			b.step(Received{Link: 2, Packets: []Packet{r.Packet}})
			for _, q := range b.requests {
				if q.Link != 2 || q.Sid != 4 || !slices.Equal(q.Packet.Data, r.Data) {
					t.Errorf("packet %d: passed on %+v", i, q)
				}
				passed = append(passed, fmt.Sprint(q.Packet.Type))
			}
			continue
		}
		switch r.Type {
		case proto.PacketPing:
			b.step(Received{Link: 1, Packets: []Packet{packet(proto.PacketPing, r.Zxid)}})
		case proto.PacketSync:
			k := packet(proto.PacketSync, 0)
			k.For = 2
			b.step(Received{Link: 1, Packets: []Packet{k}})
		case proto.PacketInform:
			k := r.Packet
			k.Type = proto.PacketProposal
			b.step(Received{Link: 1, Packets: []Packet{k}})
			if n := len(b.sent[2]); n != 0 {
				t.Fatalf("packet %d: a proposal was told before its commit", i)
			}
			b.step(Received{Link: 1, Packets: []Packet{packet(proto.PacketCommit, r.Zxid)}})
		}
		if sent := b.sent[2]; len(sent) == 0 || !same(sent[0], r) {
			t.Fatalf("packet %d: sent %v\nthe recorded master sent type %d zxid %s", i, sent, r.Type, short(r.Zxid))
		}
		b.sent[2] = b.sent[2][1:]
	}
	if n := len(b.sent[2]); n != 0 {
		t.Errorf("%d packets more than recorded", n)
	}
	if got := strings.Join(passed, " "); got != "1 1 1 1 1" {
		t.Errorf("passed on packets of types %s", got)
	}
}

// observes attaches an observer that has accepted nothing to a master, up to
// ACKEPOCH.
func (b *bench) observes(link LinkID, sid int64, last proto.Zxid) {
	b.t.Helper()
	b.step(LinkUp{Link: link, Master: true})
	k := packet(proto.PacketObserverInfo, 0)
	k.Data = jute.Marshal(&proto.LearnerInfo{ServerID: sid, Protocol: proto.QuorumProtocol})
	b.step(Received{Link: link, Packets: []Packet{k}})
	a := packet(proto.PacketAckEpoch, last)
	a.Data = binary.BigEndian.AppendUint32(nil, 1)
	b.step(Received{Link: link, Packets: []Packet{a}})
}

// types are the packets sent on a link since the last call, with their zxids.
func (b *bench) types(link LinkID) string {
	var out []string
	for _, k := range b.take(link) {
		out = append(out, fmt.Sprintf("%d@%s", k.Type, short(k.Zxid)))
	}
	return strings.Join(out, " ")
}

// decidedPackets are a leader's proposals and commits of transactions of epoch
// 1.
func decidedPackets(from, to uint32) (list []Packet) {
	for c := from; c <= to; c++ {
		z := proto.NewZxid(1, c)
		list = append(list, Packet{Packet: proto.Packet{Type: proto.PacketProposal, Zxid: z, Data: []byte{byte(c)}}}, packet(proto.PacketCommit, z))
	}
	return list
}

// A sync of an observer is answered between what was committed before and what
// was committed after it; one of the follower's own waits for its disk.
func TestMasterKeepsTheOrderOfAnswers(t *testing.T) {
	_, members := mastered(t)
	b := masterBench(t, Options{}, members)
	b.observes(2, 4, 0)
	b.step(Received{Link: 2, Packets: []Packet{packet(proto.PacketAck, epochZxid(1))}})
	if got := b.types(2); got != "17@1:0 13@0:0 10@1:0 12@4294967295:ffffffff" {
		t.Fatalf("brought up to date by %s", got)
	}
	b.manual = true
	list := decidedPackets(1, 2)
	sync, valid, own := packet(proto.PacketSync, 0), packet(proto.PacketRevalidate, -1), packet(proto.PacketSync, 0)
	sync.For, valid.For = 2, 2
	list = append(list, own, sync, valid)
	list = append(list, decidedPackets(3, 3)...)
	b.step(Received{Link: 1, Packets: list})
	if got, want := b.types(2), "8@1:1 8@1:2 7@0:0 6@4294967295:ffffffff 8@1:3"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if len(b.commit) != 0 || len(b.replies) != 0 {
		t.Errorf("committed %v and answered %v before the disk has it", b.commit, b.replies)
	}
	b.step(Saved{b.ops})
	if len(b.commit) != 3 || len(b.replies) != 1 {
		t.Errorf("committed %v and answered %v", b.commit, b.replies)
	}
}

// An observer that is ahead waits for this follower to catch up; the reference
// would have it forget what was committed.
func TestMasterWaitsToCatchUp(t *testing.T) {
	_, members := mastered(t)
	b := masterBench(t, Options{}, members)
	b.step(Received{Link: 1, Packets: decidedPackets(1, 2)})
	b.observes(2, 4, proto.NewZxid(1, 4))
	if got := b.types(2); got != "17@1:0" {
		t.Fatalf("sent %s", got)
	}
	b.step(Received{Link: 1, Packets: decidedPackets(3, 3)})
	if got := b.types(2); got != "" {
		t.Fatalf("sent %s", got)
	}
	b.step(Received{Link: 1, Packets: decidedPackets(4, 4)})
	if got := b.types(2); got != "13@1:4 10@1:0" {
		t.Errorf("brought up to date by %s", got)
	}
	b.step(Received{Link: 1, Packets: decidedPackets(5, 5)})
	if got := b.types(2); got != "8@1:5" {
		t.Errorf("told %s", got)
	}
}

// Observers that missed something get it from the window, and from the log; what
// was only proposed is not told.
func TestMasterBringsUpToDate(t *testing.T) {
	_, members := mastered(t)
	b := masterBench(t, Options{}, members)
	b.step(Received{Link: 1, Packets: decidedPackets(1, 3)})
	b.step(Received{Link: 1, Packets: decidedPackets(4, 4)[:1]})
	b.observes(2, 4, proto.NewZxid(1, 1))
	if got, want := b.types(2), "17@1:0 13@1:3 2@1:2 4@1:2 2@1:3 4@1:3 10@1:0"; got != want {
		t.Errorf("brought up to date by %s, want %s", got, want)
	}
	b.step(Received{Link: 1, Packets: decidedPackets(4, 4)[1:]})
	if got := b.types(2); got != "8@1:4" {
		t.Errorf("told %s", got)
	}
	// One that comes again takes the place of its first connection.
	b.observes(3, 4, proto.NewZxid(1, 4))
	if !slices.Equal(b.closed, []LinkID{2}) {
		t.Errorf("closed %v", b.closed)
	}
	if got, want := b.types(3), "17@1:0 13@1:4 10@1:0"; got != want {
		t.Errorf("brought up to date by %s, want %s", got, want)
	}
}

// Whoever does not belong here, or breaks the rules, is let go; so are all when
// the leader is gone.
func TestMasterLetsGo(t *testing.T) {
	_, members := mastered(t)
	served := func(b *bench) {
		b.observes(2, 4, 0)
		b.step(Received{Link: 2, Packets: []Packet{packet(proto.PacketAck, epochZxid(1))}})
	}
	for name, do := range map[string]func(b *bench){
		"a follower": func(b *bench) {
			b.step(LinkUp{Link: 2, Master: true})
			k := packet(proto.PacketFollowerInfo, 0)
			k.Data = jute.Marshal(&proto.LearnerInfo{ServerID: 2, Protocol: proto.QuorumProtocol})
			b.step(Received{Link: 2, Packets: []Packet{k}})
		},
		"one that knows a newer membership": func(b *bench) {
			b.step(LinkUp{Link: 2, Master: true})
			k := packet(proto.PacketObserverInfo, 0)
			k.Data = jute.Marshal(&proto.LearnerInfo{ServerID: 4, Protocol: proto.QuorumProtocol, ConfigVersion: 7})
			b.step(Received{Link: 2, Packets: []Packet{k}})
		},
		"one that acknowledges a transaction": func(b *bench) {
			served(b)
			b.step(Received{Link: 1, Packets: decidedPackets(1, 1)})
			b.step(Received{Link: 2, Packets: []Packet{packet(proto.PacketAck, proto.NewZxid(1, 1))}})
		},
		"a silent one": func(b *bench) {
			served(b)
			for range 12 { // pings of the leader come all the while
				b.now += b.p.opt.Tick / 2
				b.step(Received{Link: 1, Packets: []Packet{packet(proto.PacketPing, 0)}})
			}
		},
		"the leader is gone": func(b *bench) {
			served(b)
			b.step(LinkDown{Link: 1, Err: fmt.Errorf("gone")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := masterBench(t, Options{}, members)
			do(b)
			if !slices.Contains(b.closed, 2) {
				t.Errorf("closed %v", b.closed)
			}
			if b.p.master != nil && len(b.p.master.learners) != 0 {
				t.Errorf("still serves %d", len(b.p.master.learners))
			}
		})
	}
	b := newBench(t, Options{}, State{Sid: 1, Committed: members})
	b.step(LinkUp{Link: 9, Master: true})
	if !slices.Equal(b.closed, []LinkID{9}) {
		t.Errorf("a server that does not follow closed %v", b.closed)
	}
}

// A change of the membership reaches an observer with the leader that it names.
func TestMasterTellsOfReconfig(t *testing.T) {
	_, members := mastered(t)
	b := masterBench(t, Options{Reconfig: true}, members)
	b.observes(2, 4, 0)
	b.step(Received{Link: 2, Packets: []Packet{packet(proto.PacketAck, epochZxid(1))}})
	b.take(2)
	next := *members
	next.Version = 0x100000001
	z := proto.NewZxid(1, 1)
	c := packet(proto.PacketCommitAndActivate, z)
	c.Data = binary.BigEndian.AppendUint64(nil, 3)
	b.step(Received{Link: 1, Packets: []Packet{{Packet: proto.Packet{Type: proto.PacketProposal, Zxid: z, Data: []byte("txn")}, Config: &next}, c}})
	sent := b.take(2)
	if len(sent) != 1 || sent[0].Type != proto.PacketInformAndActivate || string(sent[0].Data) != "\x00\x00\x00\x00\x00\x00\x00\x03txn" {
		t.Errorf("told %+v", sent)
	}
}

// An observer tries all voters in turn, in an order of its own, and waits a
// little after each failure, and more after each round.
func TestObserverTriesEveryMaster(t *testing.T) {
	_, members := mastered(t)
	b := newBench(t, Options{MasterPort: masterPort, LookDelay: 200 * time.Millisecond, DialDelay: time.Hour}, State{Sid: 4, Committed: members})
	b.step(Tick{})
	tried := map[int64]int{}
	for round := range 2 {
		for i := range members.Voters() {
			b.dialed = nil
			b.elect(3, 0)
			if first := round > 0 && i == 0; first == (b.dialed != nil) {
				t.Fatalf("round %d, try %d: dialled %v at once", round, i, b.dialed)
			}
			for limit := b.now + time.Hour; b.dialed == nil && b.now < limit; {
				b.now = b.wake
				b.step(Tick{})
			}
			tried[b.dialed.Leader]++
			b.step(LinkDown{Err: fmt.Errorf("refused")})
			if b.p.election.looking {
				t.Errorf("round %d, try %d: it looks again at once", round, i)
			}
			b.now += 200 * time.Millisecond
			b.step(Tick{})
			if !b.p.election.looking {
				t.Errorf("round %d, try %d: it does not look again", round, i)
			}
		}
	}
	for _, sid := range members.Voters() {
		if tried[sid] != 2 {
			t.Errorf("tried %v", tried)
			break
		}
	}
}

// An observer that does not log has all that it was told, until it restarts; and
// puts it on disk before it is more than an observer.
func TestObserverWithoutALog(t *testing.T) {
	_, members := mastered(t)
	b := newBench(t, Options{NoLog: true, Reconfig: true}, State{Sid: 4, Committed: members})
	b.elect(3, 0)
	join := func(link LinkID, epoch int64, more ...Packet) {
		b.step(LinkUp{Link: link, Dialed: true})
		for _, k := range append([]Packet{packet(proto.PacketLeaderInfo, epochZxid(epoch))}, more...) {
			b.step(Received{Link: link, Packets: []Packet{k}})
		}
		b.step(Received{Link: link, Packets: []Packet{packet(proto.PacketNewLeader, epochZxid(epoch))}})
		b.step(Received{Link: link, Packets: []Packet{packet(proto.PacketUpToDate, -1)}})
	}
	informs := func(from, to uint32) (list []Packet) {
		for _, k := range decidedPackets(from, to) {
			if k.Type == proto.PacketProposal {
				k.Type = proto.PacketInform
				list = append(list, k)
			}
		}
		return list
	}
	join(7, 1, append([]Packet{packet(proto.PacketDiff, proto.NewZxid(1, 2))}, decidedPackets(1, 2)...)...)
	b.step(Received{Link: 7, Packets: informs(3, 5)})
	if len(b.commit) != 5 || b.p.last != proto.NewZxid(1, 5) {
		t.Fatalf("committed %v", b.commit)
	}
	if got := strings.Join(b.did, ", "); strings.Contains(got, "log") || strings.Contains(got, "snapshot") {
		t.Errorf("did %s", got)
	}

	// The connection breaks: it goes on where it was.
	b.step(LinkDown{Link: 7, Err: fmt.Errorf("gone")})
	b.elect(3, 1)
	b.take(8)
	join(8, 1, packet(proto.PacketDiff, proto.NewZxid(1, 5)))
	if got := b.types(8); !strings.Contains(got, "18@1:5") {
		t.Errorf("sent %s", got)
	}

	// A leader that has less than it was told: the tree is that of the disk again,
	// and the next leader is told so.
	b.did = nil
	b.step(LinkDown{Link: 8, Err: fmt.Errorf("gone")})
	b.elect(3, 1)
	b.step(LinkUp{Link: 9, Dialed: true})
	b.restored = new(proto.Zxid) // what the disk has
	b.step(Received{Link: 9, Packets: []Packet{packet(proto.PacketLeaderInfo, epochZxid(2))}})
	b.step(Received{Link: 9, Packets: []Packet{packet(proto.PacketTrunc, proto.NewZxid(1, 3))}})
	if b.p.last != 0 || b.status.Role != proto.Looking {
		t.Errorf("at %s, %+v", short(b.p.last), b.status)
	}

	// It becomes a voter.
	b.elect(3, 2)
	join(10, 2, append([]Packet{packet(proto.PacketDiff, proto.NewZxid(1, 3))}, decidedPackets(1, 3)...)...)
	next := &quorum.Config{Version: 0x200000001, Members: slices.Clone(members.Members), Groups: members.Groups, Weights: members.Weights}
	for i := range next.Members {
		next.Members[i].Observer = false
	}
	b.did = nil
	z := proto.NewZxid(2, 1)
	b.step(Received{Link: 10, Packets: []Packet{{Packet: proto.Packet{Type: proto.PacketInformAndActivate, Zxid: z, Data: append(binary.BigEndian.AppendUint64(nil, 3), "txn"...)}, Config: next}}})
	if got := strings.Join(b.did, ", "); got != "snapshot" || b.status.Role != proto.Following || b.p.durable != z {
		t.Errorf("did %s, has %s, %+v", got, short(b.p.durable), b.status)
	}
}
