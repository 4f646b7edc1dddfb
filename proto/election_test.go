// SPDX-License-Identifier: Apache-2.0

package proto

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"paddock/jute"
)

// recordedMessage is one line of testdata/quorum.txt.
type recordedMessage struct {
	kind, from, name string
	bytes            []byte
}

func recordedMessages(t testing.TB, kind string) []recordedMessage {
	t.Helper()
	data, err := os.ReadFile("testdata/quorum.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []recordedMessage
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if f[0] != kind {
			continue
		}
		b, err := hex.DecodeString(f[3])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, recordedMessage{f[0], f[1], f[2], b})
	}
	if len(out) < 20 {
		t.Fatalf("%d recorded messages of kind %s", len(out), kind)
	}
	return out
}

func TestRecordedNotifications(t *testing.T) {
	for _, m := range recordedMessages(t, "notification") {
		body := m.bytes[4:] // behind the frame's length
		n, err := DecodeNotification(body)
		if err != nil {
			t.Fatalf("%s: %v\n%x", m.from, err, body)
		}
		if n.State.String() != m.name || n.Version != 2 || !strings.Contains(n.Config, "\nversion=") {
			t.Errorf("%s: %+v", m.from, n)
		}
		if got := AppendNotification(nil, n); !bytes.Equal(got, body) {
			t.Errorf("%s: %x\nis written %x", m.from, body, got)
		}
	}
}

// TestNotificationsOfEveryLength is section 3.1 and the vectors that a server
// of Apache's was sent.
func TestNotificationsOfEveryLength(t *testing.T) {
	whole := "00000001" + "0000000000000003" + "fffffff100000002" + "0000000000000004" + "0000000000000005"
	short := Notification{State: Following, Leader: 3, Zxid: -0xefffffffe, ElectionEpoch: 4, PeerEpoch: 5}
	old := short
	old.PeerEpoch = -15 // signed
	one, two := short, short
	one.Version, two.Version = 1, 2
	full := two
	full.Config = "ab"
	for _, tc := range []struct {
		name, hex string
		want      *Notification // nil: refused
	}{
		{"28 bytes", whole[:56], &old},
		{"36 bytes", whole, nil},
		{"40 bytes: the version is not read", whole + "00000002", &short},
		{"41 bytes", whole + "0000000200", nil},
		{"43 bytes", whole + "00000002000000", nil},
		{"44 bytes, no membership", whole + "0000000200000000", &two},
		{"44 bytes, version 1", whole + "00000001ffffffff", &one},
		{"a membership", whole + "00000002000000026162", &full},
		{"bytes behind it", whole + "00000002000000026162ff", &full},
		{"negative length", whole + "00000002fffffffb", nil},
		{"null", whole + "00000002ffffffff", nil},
		{"length beyond the end", whole + "0000000200000064", nil},
		{"unknown state", "00000007" + whole[8:] + "0000000200000000", nil},
		{"negative state", "ffffffff" + whole[8:] + "0000000200000000", nil},
		{"10 bytes", whole[:20], nil},
		{"nothing", "", nil},
	} {
		b, err := hex.DecodeString(tc.hex)
		if err != nil {
			t.Fatal(err)
		}
		keep := bytes.Clone(b)
		n, err := DecodeNotification(b)
		switch {
		case tc.want == nil && err == nil:
			t.Errorf("%s: accepted as %+v", tc.name, n)
		case tc.want != nil && (err != nil || n != *tc.want):
			t.Errorf("%s: %+v, %v; want %+v", tc.name, n, err, *tc.want)
		case !bytes.Equal(b, keep):
			t.Errorf("%s: the input has changed", tc.name)
		}
	}
	if _, err := DecodeNotification(make([]byte, NotificationMax+1)); err == nil {
		t.Error("a message above the limit is accepted")
	}
}

// FuzzDecodeNotification: no panic, and what is read is written and read alike.
func FuzzDecodeNotification(f *testing.F) {
	for _, m := range recordedMessages(f, "notification") {
		f.Add(m.bytes[4:])
	}
	for _, n := range []int{28, 36, 40, 44} {
		f.Add(make([]byte, n))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := DecodeNotification(b)
		if err != nil {
			return
		}
		out := AppendNotification(nil, n)
		if len(out) > len(b)+12 {
			t.Fatalf("%d bytes became %d", len(b), len(out))
		}
		again, err := DecodeNotification(out)
		// Of a message without a membership the version is not read again.
		if again.Version = n.Version; err != nil || again != n {
			t.Fatalf("%+v comes back as %+v, %v", n, again, err)
		}
	})
}

var packetNames = map[string]PacketType{
	"REQUEST": PacketRequest, "PROPOSAL": PacketProposal, "ACK": PacketAck, "COMMIT": PacketCommit, "PING": PacketPing,
	"REVALIDATE": PacketRevalidate, "SYNC": PacketSync, "INFORM": PacketInform, "COMMITANDACTIVATE": PacketCommitAndActivate,
	"NEWLEADER": PacketNewLeader, "FOLLOWERINFO": PacketFollowerInfo, "UPTODATE": PacketUpToDate, "DIFF": PacketDiff,
	"TRUNC": PacketTrunc, "SNAP": PacketSnap, "OBSERVERINFO": PacketObserverInfo, "LEADERINFO": PacketLeaderInfo,
	"ACKEPOCH": PacketAckEpoch, "INFORMANDACTIVATE": PacketInformAndActivate,
}

func TestRecordedPackets(t *testing.T) {
	unseen := map[PacketType]bool{}
	for _, typ := range packetNames {
		unseen[typ] = true
	}
	for _, m := range recordedMessages(t, "packet") {
		var p Packet
		c := jute.Decoder(m.bytes)
		if p.Fields(&c); c.Err() != nil || len(c.Rest()) > 0 {
			t.Fatalf("%s: %v, %d bytes left of %x", m.from, c.Err(), len(c.Rest()), m.bytes)
		}
		if p.Type != packetNames[m.name] {
			t.Errorf("%s: type %d is %s", m.from, p.Type, m.name)
		}
		delete(unseen, p.Type)
		if got := jute.Marshal(&p); !bytes.Equal(got, m.bytes) {
			t.Errorf("%s: %x\nis written %x", m.from, m.bytes, got)
		}
		switch p.Type {
		case PacketFollowerInfo, PacketObserverInfo:
			var info LearnerInfo
			if err := jute.Unmarshal(p.Data, &info); err != nil || info.Protocol != QuorumProtocol || info.ServerID < 1 ||
				!bytes.Equal(jute.Marshal(&info), p.Data) {
				t.Errorf("%s: %x is %+v, %v", m.from, p.Data, info, err)
			}
		case PacketProposal, PacketInform:
			x, err := DecodeTxn(p.Data)
			if err != nil || x.Zxid != p.Zxid || !bytes.Equal(x.Append(nil), p.Data) {
				t.Errorf("%s: %x is %+v, %v", m.from, p.Data, x, err)
			}
		}
	}
	if len(unseen) > 0 {
		t.Errorf("no recording of the types %v", unseen)
	}
}

// FuzzPacket: no panic, and what is read is written and read alike.
func FuzzPacket(f *testing.F) {
	for _, m := range recordedMessages(f, "packet") {
		f.Add(m.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		if jute.Unmarshal(b, &p) != nil {
			return
		}
		out := jute.Marshal(&p)
		if n := jute.Size(&p); n != len(out) || n > 3*len(b)+64 {
			t.Fatalf("%d bytes, counted %d, became %d", len(b), n, len(out))
		}
		var again Packet
		d := jute.RawDecoder(out)
		if again.Fields(&d); d.Err() != nil || !bytes.Equal(jute.Marshal(&again), out) {
			t.Fatalf("%+v comes back as %+v, %v", p, again, d.Err())
		}
		var info LearnerInfo
		if jute.Unmarshal(p.Data, &info) == nil && !bytes.Equal(jute.Marshal(&info), p.Data[:20]) {
			t.Fatalf("%x is %+v", p.Data, info)
		}
	})
}
