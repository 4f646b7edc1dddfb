// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"slices"
	"testing"
	"time"

	"paddock/proto"
)

func entries(from, to uint32) (list []Entry) {
	for c := from; c <= to; c++ {
		list = append(list, Entry{Zxid: proto.NewZxid(1, c)})
	}
	return list
}

// acks has the follower of a leading bench acknowledge a transaction.
func (b *bench) acks(c uint32) {
	b.step(Received{Link: 1, Packets: []Packet{packet(proto.PacketAck, proto.NewZxid(1, c))}})
}

// When the zxids of an epoch end, what was proposed is committed first, and then
// the follower that has it all is voted for.
func TestEpochEnds(t *testing.T) {
	b := leading(t)
	b.p.opt.CounterMax = 10
	b.step(Propose{Entries: entries(1, 8)})
	b.acks(8)
	b.step(Propose{Entries: entries(9, 12)})
	if b.p.last != proto.NewZxid(1, 10) || b.status.Role != proto.Leading {
		t.Fatalf("logged up to %s, %+v", short(b.p.last), b.status)
	}
	b.step(Propose{Entries: entries(13, 14)})
	b.acks(9)
	if b.p.last != proto.NewZxid(1, 10) || b.status.Role != proto.Leading {
		t.Fatalf("logged up to %s, %+v", short(b.p.last), b.status)
	}
	b.votes = nil
	b.acks(10)
	if b.status.Role != proto.Looking || !slices.Contains(b.commit, proto.NewZxid(1, 10)) {
		t.Fatalf("%+v, committed %v", b.status, b.commit)
	}
	if len(b.votes) == 0 || b.votes[0].Note.Leader != 1 {
		t.Errorf("votes %+v, want server 1", b.votes)
	}
}

// In the last part of an epoch a quiet moment is enough.
func TestEpochEndsAtAQuietMoment(t *testing.T) {
	b := leading(t)
	b.p.opt.CounterMax = 6400
	ping := func() {
		b.now += b.p.opt.Tick / 2
		b.step(Tick{})
		b.step(Received{Link: 1, Packets: []Packet{packet(proto.PacketPing, 0)}})
	}
	b.step(Propose{Entries: entries(1, 6300)})
	b.acks(6300)
	for range 5 {
		ping()
	}
	if b.status.Role != proto.Leading {
		t.Fatalf("gave up with 100 zxids left: %+v", b.status)
	}
	for c := uint32(6301); c < 6310; c++ { // never quiet
		b.step(Propose{Entries: entries(c, c)})
		b.acks(c)
		ping()
	}
	b.step(Propose{Entries: entries(6310, 6310)}) // not acknowledged
	for range 4 {
		ping()
	}
	if b.status.Role != proto.Leading {
		t.Fatalf("gave up with a proposal on its way: %+v", b.status)
	}
	b.acks(6310)
	ping()
	if b.status.Role != proto.Looking {
		t.Errorf("still leads: %+v", b.status)
	}
}

// A server alone stands again, in the next epoch.
func TestEpochEndsAlone(t *testing.T) {
	members := *leading(t).p.committed
	members.Members = slices.Clone(members.Members)
	for i := range members.Members {
		members.Members[i].Observer = members.Members[i].ID != 2
	}
	b := newBench(t, Options{CounterMax: 5}, State{Sid: 2, Committed: &members})
	for limit := b.now + time.Minute; b.status.Stage != Broadcast && b.now < limit; b.step(Tick{}) {
		b.now += 10 * time.Millisecond
	}
	b.step(Propose{Entries: entries(1, 9)})
	for limit := b.now + time.Minute; (b.status.Stage != Broadcast || b.status.Epoch != 2) && b.now < limit; b.step(Tick{}) {
		b.now += 10 * time.Millisecond
	}
	if b.status.Role != proto.Leading || b.status.Epoch != 2 || len(b.commit) != 5 {
		t.Errorf("%+v, committed %v", b.status, b.commit)
	}
}
