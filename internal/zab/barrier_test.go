// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// leading is a leader, sid 2, with followers 1 and 3 on links 1 and 2, both up
// to date: it has heard what real ones sent.
func leading(t *testing.T) *bench {
	t.Helper()
	rows := slices.DeleteFunc(recording(t, "fresh-3-nodes"), func(r row) bool { return r.Kind != "packet" || r.Type == proto.PacketPing })
	var members *quorum.Config
	for _, r := range rows {
		if r.Type == proto.PacketNewLeader {
			members = r.Config
		}
	}
	b := newBench(t, Options{}, State{Sid: 2, Committed: members})
	b.step(Notified{From: 1, Note: proto.Notification{State: proto.Looking, Leader: 2, ElectionEpoch: 1, Version: 2}})
	b.now += 300 * time.Millisecond
	b.step(Tick{})
	links := map[string]LinkID{}
	for i := range rows {
		if links[rows[i].Conn] == 0 {
			links[rows[i].Conn] = LinkID(len(links) + 1)
			b.step(LinkUp{Link: links[rows[i].Conn]})
		}
		if rows[i].From == "learner" {
			b.step(Received{Link: links[rows[i].Conn], Packets: []Packet{rows[i].Packet}})
		}
	}
	if b.status.Role != proto.Leading || b.status.Stage != Broadcast || len(links) != 2 {
		t.Fatalf("%d learners, %+v", len(links), b.status)
	}
	b.take(1)
	b.take(2)
	return b
}

// heard is what was sent on a link since the last call, but for pings.
func (b *bench) heard(link LinkID) string {
	names := map[proto.PacketType]string{proto.PacketProposal: "PROPOSAL", proto.PacketCommit: "COMMIT", proto.PacketSync: "SYNC",
		proto.PacketLeaderInfo: "LEADERINFO", proto.PacketDiff: "DIFF", proto.PacketNewLeader: "NEWLEADER"}
	var out []string
	for _, k := range b.take(link) {
		switch name := names[k.Type]; {
		case k.Type == proto.PacketPing:
		case k.Zxid == 0:
			out = append(out, name)
		default:
			out = append(out, name+" "+short(k.Zxid))
		}
	}
	return strings.Join(out, ", ")
}

func (b *bench) propose(counters ...uint32) {
	b.t.Helper()
	var entries []Entry
	for _, c := range counters {
		entries = append(entries, Entry{Zxid: proto.NewZxid(1, c), Data: fmt.Append(nil, c)})
	}
	b.step(Propose{entries})
}

func (b *bench) acked(link LinkID, counter uint32) {
	b.t.Helper()
	b.step(Received{Link: link, Packets: []Packet{packet(proto.PacketAck, proto.NewZxid(1, counter))}})
}

// A learner of Apache's waits for the answers to what it forwarded in the order
// in which it did: a sync must not be overtaken by the writes behind it, though
// no ping has been answered yet.
func TestSyncIsAnsweredBeforeLaterWrites(t *testing.T) {
	b := leading(t)
	b.propose(1)
	b.step(Barrier{Link: 1})
	b.propose(2, 3)
	b.step(Barrier{Link: 1})
	b.step(Barrier{Link: 2})
	b.propose(4)
	if got := b.heard(1); got != "PROPOSAL 1:1, PROPOSAL 1:2, PROPOSAL 1:3, PROPOSAL 1:4" {
		t.Errorf("proposed: %s", got)
	}
	b.heard(2)

	// All at once to one learner, bit by bit is no different.
	b.acked(1, 1)
	if got := b.heard(1); got != "COMMIT 1:1" {
		t.Errorf("after an ack of 1:1: %s", got)
	}
	b.acked(1, 4)
	if got, want := b.heard(1), "SYNC, COMMIT 1:2, COMMIT 1:3, SYNC, COMMIT 1:4"; got != want {
		t.Errorf("link 1: %s, want %s", got, want)
	}
	if got, want := b.heard(2), "COMMIT 1:1, COMMIT 1:2, COMMIT 1:3, SYNC, COMMIT 1:4"; got != want {
		t.Errorf("link 2: %s, want %s", got, want)
	}
}

// With nothing behind it a sync waits for a quorum to answer a ping, however
// much is committed: another may lead by now.
func TestSyncAloneWaitsForAQuorum(t *testing.T) {
	b := leading(t)
	b.propose(1)
	b.step(Barrier{Link: 1})
	b.acked(2, 1)
	if got, want := b.heard(1), "PROPOSAL 1:1, COMMIT 1:1"; got != want {
		t.Errorf("before a ping is answered: %s, want %s", got, want)
	}
	b.step(Received{Link: 2, Packets: []Packet{packet(proto.PacketPing, proto.NewZxid(1, 1))}})
	if got := b.heard(1); got != "SYNC" {
		t.Errorf("after it: %q, want SYNC", got)
	}
}
