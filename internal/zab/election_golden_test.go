// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// goldenRow is one notification of a recording of Apache servers.
type goldenRow struct {
	at       time.Duration
	from, to int64
	note     proto.Notification
}

func goldenRows(t *testing.T, file string) (rows []goldenRow) {
	t.Helper()
	text, err := os.ReadFile("testdata/election/" + file + ".election.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var r struct {
			Ms                         float64 `json:"t_ms"`
			Conn, Direction, Kind, Hex string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r.Kind != "notification" {
			continue
		}
		row := goldenRow{at: time.Duration(r.Ms * float64(time.Millisecond))}
		var conn int
		if _, err := fmt.Sscanf(r.Conn, "E%d:%d->%d", &conn, &row.from, &row.to); err != nil {
			t.Fatal(r.Conn, err)
		}
		if r.Direction == "acceptor->initiator" {
			row.from, row.to = row.to, row.from
		}
		frame, err := hex.DecodeString(r.Hex)
		if err != nil {
			t.Fatal(err)
		}
		row.note = goldenNote(t, frame[4:])
		rows = append(rows, row)
	}
	return rows
}

// goldenNote reads a body of 28, 40 or more bytes (quorum-protocol.md section
// 3.1). What has to be refused is the election port's affair.
func goldenNote(t *testing.T, b []byte) proto.Notification {
	t.Helper()
	long := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	n := proto.Notification{State: proto.PeerState(int32(binary.BigEndian.Uint32(b))), Leader: long(4), Zxid: proto.Zxid(long(12)), ElectionEpoch: long(20)}
	if len(b) == 28 {
		n.PeerEpoch = int64(n.Zxid) >> 32
		return n
	}
	n.PeerEpoch = long(28)
	if len(b) > 40 {
		n.Version = int32(binary.BigEndian.Uint32(b[36:]))
		n.Config = string(b[44:])
	}
	return n
}

// TestElectionGoldenTranscripts puts our election in the place of one server of
// each recording: it hears what that server heard, at the recorded times, and
// has to tell each other server what that one told. Two things are not
// compared. A message that is sent again: resends depend on the timing of a
// busy machine, and ours answers once more than the reference. And a message
// that a later one replaced in the queue of one before there was a connection:
// of ours that may be missing in the recording, but the last may not.
func TestElectionGoldenTranscripts(t *testing.T) {
	const none = math.MinInt64
	for _, c := range []struct {
		file     string
		sid      int64
		from, to time.Duration // window; to 0 is all
		begin    time.Duration // when the server began to look; what came before waited
		own      vote
		settled  proto.PeerState // where it is in a role from the start, with vote own
		stale    int             // messages of its past that its connections delivered first
		decided  string
	}{
		{file: "fresh-3-nodes", sid: 1, own: vote{leader: 1}, decided: "following 2"},
		{file: "fresh-3-nodes", sid: 2, own: vote{leader: 2}, decided: "leading 2"},
		{file: "fresh-reconfig-enabled", sid: 1, begin: 2286 * time.Millisecond, own: vote{leader: 1}, decided: "following 3"},
		{file: "fresh-reconfig-enabled", sid: 2, own: vote{leader: 2}, decided: "following 3"},
		{file: "fresh-reconfig-enabled", sid: 3, begin: 900 * time.Millisecond, own: vote{leader: 3}, decided: "leading 3"},
		{file: "multiaddress", sid: 1, begin: 1770 * time.Millisecond, own: vote{leader: 1}, decided: "following 3"},
		{file: "multiaddress", sid: 2, begin: 2290 * time.Millisecond, own: vote{leader: 2}, decided: "following 3"},
		{file: "multiaddress", sid: 3, own: vote{leader: 3}, decided: "leading 3"},
		{file: "join-diff", sid: 1, own: vote{1, 0x100000006, 0, 1}, decided: "following 2"},
		{file: "join-diff", sid: 2, settled: proto.Leading, own: vote{2, 0, 1, 1}, stale: 1},
		{file: "join-diff", sid: 3, settled: proto.Following, own: vote{2, 0, 1, 1}, stale: 1},
		{file: "join-snap", sid: 1, own: vote{leader: 1}, decided: "following 2"},
		{file: "join-snap", sid: 2, settled: proto.Leading, own: vote{2, 0, 1, 1}},
		{file: "join-snap", sid: 3, settled: proto.Following, own: vote{2, 0, 1, 1}},
		{file: "join-trunc", sid: 1, settled: proto.Following, own: vote{3, 0x10000000f, 1, 2}, stale: 1},
		{file: "join-trunc", sid: 2, own: vote{2, 0x100000011, 0, 1}, decided: "following 3"},
		{file: "join-trunc", sid: 3, settled: proto.Leading, own: vote{3, 0x10000000f, 1, 2}, stale: 1},
		{file: "observer-join", sid: 3, settled: proto.Leading, own: vote{3, 0, 1, 1}},
		// The observer begins anew when it learns of a newer membership.
		{file: "observer-join", sid: 4, to: 300 * time.Millisecond, own: vote{none, none, 0, none}},
		{file: "observer-join", sid: 4, from: 300 * time.Millisecond, own: vote{none, none, 0, none}, decided: "observing 3"},
		// So does the server to be added, which is no longer a candidate then.
		{file: "reconfig-add", sid: 5, to: 15 * time.Millisecond, own: vote{leader: 5}},
		{file: "reconfig-add", sid: 5, from: 200 * time.Millisecond, own: vote{leader: none}, decided: "following 3"},
		{file: "reconfig-add", sid: 2, from: 200 * time.Millisecond, settled: proto.Following, own: vote{3, 0, 1, 1}},
		{file: "reconfig-add", sid: 3, from: 200 * time.Millisecond, settled: proto.Leading, own: vote{3, 0, 1, 1}},
	} {
		t.Run(fmt.Sprintf("%s/%d@%v", c.file, c.sid, c.from), func(t *testing.T) {
			rows := goldenRows(t, c.file)
			if c.to == 0 {
				c.to = time.Hour
			}
			rows = slices.DeleteFunc(rows, func(r goldenRow) bool {
				return r.at < c.from || r.at > c.to || r.from != c.sid && r.to != c.sid
			})
			e := newElection(electionOptions{sid: c.sid, minNotify: 200 * time.Millisecond, maxNotify: time.Minute, finalize: 200 * time.Millisecond})
			first := rows[slices.IndexFunc(rows, func(r goldenRow) bool { return r.from == c.sid })]
			config, err := quorum.Parse(first.note.Config)
			if err != nil {
				t.Fatal(err)
			}
			e.membership(config, nil)

			got, want, decided := map[int64][]proto.Notification{}, map[int64][]proto.Notification{}, ""
			note := func() {
				for _, v := range e.take() {
					got[v.To] = append(got[v.To], v.Note)
				}
				if v, ok := e.decided(); ok {
					decided = fmt.Sprintf("%s %d", stateNames[e.state], v.leader)
				}
			}
			if c.settled != proto.Looking {
				e.settle(c.settled, c.own)
				e.round = c.own.round
			} else {
				e.begin(c.begin, c.own)
			}
			note()
			for _, r := range rows {
				at := max(r.at, c.begin)
				for e.wake() <= at {
					e.tick(e.wake())
					note()
				}
				if r.to == c.sid {
					e.notified(at, r.from, r.note)
					note()
				} else if w := want[r.to]; c.stale > len(w) {
					want[r.to] = []proto.Notification{{}} // marks that one was left out
				} else {
					want[r.to] = append(w, r.note)
				}
			}
			if decided != c.decided {
				t.Errorf("decided %q, want %q", decided, c.decided)
			}
			for to, w := range want {
				if c.stale > 0 {
					w = w[1:]
				}
				compareNotes(t, to, slices.Compact(got[to]), slices.Compact(w))
			}
			if len(want) == 0 {
				t.Error("the recording has nothing to compare with")
			}
		})
	}
}

// compareNotes wants the recorded messages to be a subsequence of ours, and the
// last to be the same.
func compareNotes(t *testing.T, to int64, got, want []proto.Notification) {
	t.Helper()
	i := 0
	for _, n := range got {
		if i < len(want) && n == want[i] {
			i++
		}
	}
	if i < len(want) || len(want) > 0 && got[len(got)-1] != want[len(want)-1] {
		t.Errorf("to %d:\ngot  %v\nwant %v", to, got, want)
	}
}

// TestElectionVectors: the bodies of notifications that were sent to a running
// Apache server, those that it took for well-formed.
func TestElectionVectors(t *testing.T) {
	for _, c := range []struct {
		name, body string
		adopted    vote
	}{
		{"28 bytes: no peerEpoch", "00000000000000000000000300000001000000010000000000000001", vote{3, 0x100000001, 1, 1}},
		{"40 bytes: version not read", "00000000000000000000000300000001000000010000000000000001000000000000000100000001", vote{3, 0x100000001, 1, 1}},
		{"44 bytes: no membership", "0000000000000000000000030000000100000001000000000000000100000000000000010000000200000000", vote{3, 0x100000001, 1, 1}},
		{"unknown state 7", "00000007000000000000000300000000000000010000000000000001000000000000000100000001", vote{1, 0, 1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := hex.DecodeString(c.body)
			if err != nil {
				t.Fatal(err)
			}
			e := newElection(electionOptions{sid: 1, minNotify: 200 * time.Millisecond, maxNotify: time.Minute, finalize: 200 * time.Millisecond})
			e.membership(&quorum.Config{Members: []quorum.Member{testMember(1, false), testMember(2, false), testMember(3, false)}}, nil)
			e.begin(0, vote{leader: 1})
			e.notified(0, 3, goldenNote(t, b))
			if e.proposal != c.adopted {
				t.Errorf("stands for %+v, want %+v", e.proposal, c.adopted)
			}
		})
	}
}
