// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/jute"
	"paddock/proto"
)

// row is one packet of a recording of real servers.
type row struct {
	Conn string `json:"conn"`
	From string `json:"from"` // learner or leader
	Kind string `json:"kind"` // packet, or the body of a SNAP
	Hex  string `json:"hex"`

	raw []byte
	Packet
}

// recording reads testdata/golden/name.jsonl. The packets are as on the wire.
func recording(t *testing.T, name string) (rows []row) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "golden", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<20)
	s.Scan() // the note
	for s.Scan() {
		var r row
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.raw, err = hex.DecodeString(r.Hex); err != nil {
			t.Fatal(err)
		}
		if r.Kind == "packet" {
			if err := jute.Unmarshal(r.raw, &r.Packet.Packet); err != nil {
				t.Fatalf("%s: %v", r.Hex, err)
			}
			r.Config = configIn(t, &r.Packet.Packet)
		}
		rows = append(rows, r)
	}
	return rows
}

// configIn does what the driver does: it finds the membership in a packet.
func configIn(t *testing.T, k *proto.Packet) *quorum.Config {
	var text string
	switch k.Type {
	case proto.PacketNewLeader:
		text = string(k.Data)
	case proto.PacketProposal, proto.PacketInform, proto.PacketInformAndActivate:
		data := k.Data
		if k.Type == proto.PacketInformAndActivate {
			data = data[8:]
		}
		txn, err := proto.DecodeTxn(data)
		if err != nil {
			t.Fatal(err)
		}
		if txn.Type != proto.OpReconfig {
			return nil
		}
		text = string(txn.Body.(*proto.SetDataTxn).Data)
	default:
		return nil
	}
	c, err := quorum.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return c
}

// bench drives one peer and notes what it does, in the order it is done.
type bench struct {
	t   *testing.T
	p   *Peer
	now time.Duration
	ops uint64

	sent   map[LinkID][]Packet
	did    []string // disk operations and sends, in order
	commit []proto.Zxid
	status Status
	manual bool // disk operations wait for save

	dialed   *Dial
	closed   []LinkID
	requests []Forwarded
	replies  []proto.Packet
	votes    []Vote
	wake     time.Duration
	restored *proto.Zxid // where a restore ends, if not where it was asked to
}

func newBench(t *testing.T, opt Options, st State) *bench {
	if opt.Tick == 0 {
		opt.Tick = time.Second
	}
	opt.InitLimit, opt.SyncLimit, opt.Window, opt.DiskSync = 10, 5, max(opt.Window, 500), true
	opt.Rand = rand.New(rand.NewSource(1))
	b := &bench{t: t, p: New(opt, st), sent: map[LinkID][]Packet{}}
	b.step(Tick{})
	return b
}

func (b *bench) step(ev Event) {
	b.t.Helper()
	out := b.p.Step(b.now, ev)
	if out.Stop != nil {
		b.t.Fatalf("stopped: %v", out.Stop)
	}
	for _, l := range out.Log {
		b.t.Log(l.Text, l.Args)
	}
	var next []Event
	if r := out.Restore; r != nil {
		b.did = append(b.did, fmt.Sprintf("restore %s", short(r.Zxid)))
		at := r.Zxid
		if b.restored != nil {
			at = *b.restored
		}
		next = append(next, Restored{Zxid: at})
	}
	if out.Dial != nil {
		b.dialed = out.Dial
	}
	for _, c := range out.Close {
		b.closed = append(b.closed, c.Link)
	}
	b.requests = append(b.requests, out.Requests...)
	b.replies = append(b.replies, out.Replies...)
	b.votes = append(b.votes, out.Votes...)
	b.wake = out.Wake
	for _, e := range out.Commit {
		b.commit = append(b.commit, e.Zxid)
	}
	if out.Became != nil {
		b.status = *out.Became
	}
	for _, d := range out.Disk {
		b.ops++
		switch {
		case d.Append != nil:
			b.did = append(b.did, fmt.Sprintf("log %s..%s", short(d.Append[0].Zxid), short(d.Append[len(d.Append)-1].Zxid)))
		case d.AcceptedEpoch != nil:
			b.did = append(b.did, fmt.Sprintf("acceptedEpoch %d", *d.AcceptedEpoch))
		case d.CurrentEpoch != nil:
			b.did = append(b.did, fmt.Sprintf("currentEpoch %d", *d.CurrentEpoch))
		case d.Snapshot:
			b.did = append(b.did, "snapshot")
		case d.Truncate != nil:
			b.did = append(b.did, "cut "+short(*d.Truncate))
		}
	}
	if len(out.Disk) > 0 && !b.manual {
		next = append(next, Saved{b.ops})
	}
	for _, s := range out.Send {
		for _, k := range s.Packets {
			b.sent[s.Link] = append(b.sent[s.Link], k)
			b.did = append(b.did, fmt.Sprintf("send %d", k.Type))
		}
	}
	for _, q := range out.Probe {
		next = append(next, Probed{Link: q.Link})
	}
	for _, ev := range next {
		b.step(ev)
	}
}

// take returns what was sent on a link since the last call.
func (b *bench) take(link LinkID) []Packet {
	out := b.sent[link]
	b.sent[link] = nil
	return out
}

// elect makes the peer follow leader, as votes of the others have it.
func (b *bench) elect(leader int64, peerEpoch int64) {
	b.t.Helper()
	for _, id := range b.p.committed.Voters() {
		if id == b.p.sid {
			continue
		}
		n := proto.Notification{State: proto.Following, Leader: leader, ElectionEpoch: 1, PeerEpoch: peerEpoch, Version: 2}
		if id == leader {
			n.State = proto.Leading
		}
		b.step(Notified{From: id, Note: n})
	}
	if b.status.Leader != leader || b.status.Role == proto.Looking {
		b.t.Fatalf("does not follow %d: %+v", leader, b.status)
	}
}

func wire(k Packet) []byte { return jute.Marshal(&k.Packet) }

// same compares a packet with a recorded one. The answer to a ping carries the
// driver's touch table.
func same(k Packet, want *row) bool {
	if k.Type == proto.PacketPing && want.Type == proto.PacketPing {
		return k.Zxid == want.Zxid
	}
	if k.Type == proto.PacketSnap {
		return want.Type == proto.PacketSnap // the driver knows where the tree is
	}
	return bytes.Equal(wire(k), want.raw)
}

// TestLearnerAsRecorded plays what a real leader sent to a real learner to ours,
// and compares what it answers, packet by packet, and the order of its effects
// on disk.
func TestLearnerAsRecorded(t *testing.T) {
	none := func(z proto.Zxid) []Entry { return nil }
	history := func(last uint32) func(proto.Zxid) []Entry {
		return func(proto.Zxid) (tail []Entry) {
			for c := uint32(1); c <= last; c++ {
				tail = append(tail, Entry{Zxid: proto.NewZxid(1, c)})
			}
			return tail
		}
	}
	for _, tt := range []struct {
		name, file, conn  string
		sid, leader       int64
		accepted, current int64
		last              proto.Zxid
		tail              func(proto.Zxid) []Entry
		did               string // but for pings
		commits           string
	}{
		{"DIFF", "join-diff", "Q0:1->2", 1, 2, 1, 1, 0x100000006, history(6),
			"send 11, send 18, log 1:7..1:b, currentEpoch 1, send 3, send 3, log 1:c..1:c, send 3",
			"1:7 1:8 1:9 1:a 1:b 1:c"},
		{"TRUNC", "join-trunc", "Q0:2->3", 2, 3, 1, 1, 0x100000011, history(0x11),
			"send 11, acceptedEpoch 2, send 18, restore 1:f, currentEpoch 2, send 3, send 3", ""},
		{"SNAP", "join-snap", "Q0:1->2", 1, 2, 0, 0, 0, none,
			"send 11, acceptedEpoch 1, send 18, restore 1:e, snapshot, currentEpoch 1, send 3, send 3, log 1:f..1:f, send 3", "1:f"},
		{"first of three", "fresh-3-nodes", "Q0:1->2", 1, 2, 0, 0, 0, none,
			"send 11, acceptedEpoch 1, send 18, currentEpoch 1, send 3, send 3", ""},
		{"last of three", "fresh-3-nodes", "Q1:3->2", 3, 2, 0, 0, 0, none,
			"send 11, acceptedEpoch 1, send 18, restore 1:0, snapshot, currentEpoch 1, send 3, send 3", ""},
		{"a follower without a vote, that gets one", "reconfig-add", "Q4:5->3", 5, 3, 0, 0, 0, none,
			"send 11, acceptedEpoch 1, send 18, restore 1:c, snapshot, currentEpoch 1, send 3, send 3, log 1:d..1:d, send 3", "1:d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows := slices.DeleteFunc(recording(t, tt.file), func(r row) bool { return r.Conn != tt.conn || r.Kind != "packet" })
			var members *quorum.Config
			for _, r := range rows {
				if r.Type == proto.PacketNewLeader {
					members = r.Config
				}
			}
			b := newBench(t, Options{}, State{Sid: tt.sid, AcceptedEpoch: tt.accepted, CurrentEpoch: tt.current, LastZxid: tt.last, Tail: tt.tail(tt.last), Committed: members})
			b.elect(tt.leader, tt.current)
			b.did = nil
			b.step(LinkUp{Link: 7, Dialed: true})
			for i := range rows {
				r := &rows[i]
				if r.From == "leader" {
					b.step(Received{Link: 7, Packets: []Packet{r.Packet}})
					continue
				}
				if len(b.sent[7]) == 0 {
					t.Fatalf("packet %d: nothing was sent, the recorded server sent type %d zxid %s", i, r.Type, short(r.Zxid))
				}
				k := b.sent[7][0]
				b.sent[7] = b.sent[7][1:]
				if !same(k, r) {
					t.Fatalf("packet %d: sent type %d\n%x, recorded type %d\n%x", i, k.Type, wire(k), r.Type, r.raw)
				}
			}
			if rest := b.sent[7]; len(rest) != 0 {
				t.Errorf("%d packets more than recorded, the first of type %d zxid %s", len(rest), rest[0].Type, short(rest[0].Zxid))
			}
			did := strings.Join(slices.DeleteFunc(b.did, func(s string) bool { return s == "send 5" }), ", ")
			if did != tt.did {
				t.Errorf("did  %s\nwant %s", did, tt.did)
			}
			var commits []string
			for _, z := range b.commit {
				commits = append(commits, short(z))
			}
			if got := strings.Join(commits, " "); got != tt.commits {
				t.Errorf("committed %s, want %s", got, tt.commits)
			}
		})
	}
}

// TestLearnerUnderLoad: a SNAP whose tree is ahead of the proposals behind it,
// proposals before NEWLEADER that are not committed, and commits of theirs
// between NEWLEADER and UPTODATE.
func TestLearnerUnderLoad(t *testing.T) {
	rows := slices.DeleteFunc(recording(t, "join-snap-under-load"), func(r row) bool { return r.Kind != "packet" || r.Hex == "" })
	var members *quorum.Config
	var snap, lastCommit proto.Zxid
	acks := map[proto.Zxid]int{}
	for _, r := range rows {
		switch {
		case r.Type == proto.PacketNewLeader:
			members = r.Config
		case r.Type == proto.PacketSnap:
			snap = r.Zxid
		case r.From == "leader" && r.Type == proto.PacketCommit:
			lastCommit = r.Zxid
		case r.From == "learner" && r.Type == proto.PacketAck:
			acks[r.Zxid]++
		}
	}
	b := newBench(t, Options{}, State{Sid: 1, Committed: members})
	b.elect(2, 0)
	b.step(LinkUp{Link: 7, Dialed: true})
	for i := range rows {
		if rows[i].From == "leader" {
			b.step(Received{Link: 7, Packets: []Packet{rows[i].Packet}})
		}
	}
	if b.status.Stage != Broadcast {
		t.Fatalf("in the end: %+v", b.status)
	}
	mine := map[proto.Zxid]int{}
	for _, k := range b.take(7) {
		if k.Type == proto.PacketAck {
			mine[k.Zxid]++
		}
	}
	// The recording ends soon after UPTODATE: what it acknowledges, we do.
	for z, n := range acks {
		if mine[z] != n {
			t.Errorf("%s was acknowledged %d times, the recorded server did it %d times", short(z), mine[z], n)
		}
	}
	if z := b.commit[len(b.commit)-1]; z != lastCommit {
		t.Errorf("the last commit is %s, want %s", short(z), short(lastCommit))
	}
	last := proto.Zxid(0)
	for _, z := range b.commit {
		if z > snap && z != max(last, snap)+1 && z > last {
			t.Errorf("%s was committed after %s", short(z), short(last))
		}
		last = z
	}
}

// TestLeaderAsRecorded plays what real learners sent to ours as leader, and
// compares what it sends.
func TestLeaderAsRecorded(t *testing.T) {
	rows := slices.DeleteFunc(recording(t, "fresh-3-nodes"), func(r row) bool { return r.Kind != "packet" || r.Type == proto.PacketPing })
	var members *quorum.Config
	for _, r := range rows {
		if r.Type == proto.PacketNewLeader {
			members = r.Config
		}
	}
	b := newBench(t, Options{}, State{Sid: 2, Committed: members})
	b.step(Notified{From: 1, Note: proto.Notification{State: proto.Looking, Leader: 2, ElectionEpoch: 1, Version: 2}})
	b.now += 300 * time.Millisecond // nobody better came
	b.step(Tick{})
	if b.status.Role != proto.Leading {
		t.Fatalf("does not lead: %+v", b.status)
	}
	links := map[string]LinkID{}
	for i := range rows {
		r := &rows[i]
		link := links[r.Conn]
		if link == 0 {
			link = LinkID(len(links) + 1)
			links[r.Conn] = link
			b.step(LinkUp{Link: link})
		}
		if r.From == "learner" {
			b.step(Received{Link: link, Packets: []Packet{r.Packet}})
			continue
		}
		if len(b.sent[link]) == 0 {
			t.Fatalf("packet %d to %s: nothing was sent, the recorded server sent type %d zxid %s", i, r.Conn, r.Type, short(r.Zxid))
		}
		k := b.sent[link][0]
		b.sent[link] = b.sent[link][1:]
		if !same(k, r) {
			t.Fatalf("packet %d to %s: sent type %d\n%x, recorded type %d\n%x", i, r.Conn, k.Type, wire(k), r.Type, r.raw)
		}
	}
	if b.status.Role != proto.Leading || b.status.Stage != Broadcast || b.status.Epoch != 1 {
		t.Errorf("in the end: %+v", b.status)
	}
	want := "acceptedEpoch 1, send 17, currentEpoch 1, send 13, send 10, send 12, send 17, send 15, send 10, send 12"
	if got := strings.Join(b.did, ", "); got != want {
		t.Errorf("did  %s\nwant %s", got, want)
	}
}
