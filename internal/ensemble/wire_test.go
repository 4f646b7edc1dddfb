// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"paddock/internal/zab"
	"paddock/proto"
)

// message is a line of a recording of real servers (testdata/wire).
type message struct {
	Conn, Direction, Kind, Hex string
	Decoded                    struct {
		SID       int64
		Addresses string
	}
	bytes []byte
}

// recording reads the messages of a recording that have bytes.
func recording(t testing.TB, name string) []message {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []message
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m.Kind == "tcp" || m.Kind == "" || m.Kind == "partial" || m.Hex == "" {
			continue
		}
		m.bytes = unhex(t, m.Hex)
		out = append(out, m)
	}
	if lines.Err() != nil || len(out) == 0 {
		t.Fatalf("%s: %d messages, %v", name, len(out), lines.Err())
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func never(proto.PacketType) bool { return false }

// drain reads packets to the end of a stream.
func drain(in *inbox, r io.Reader) ([]proto.Packet, error) {
	var all []proto.Packet
	for {
		out, more, err := in.batch(never)
		all = append(all, plain(out)...)
		if err != nil {
			return all, err
		}
		if more {
			continue
		}
		if err := in.fill(r); err != nil {
			return all, err
		}
	}
}

// reads are ways in which a stream may arrive.
var reads = map[string]func(io.Reader) io.Reader{
	"at once":        func(r io.Reader) io.Reader { return r },
	"byte by byte":   iotest.OneByteReader,
	"in halves":      iotest.HalfReader,
	"with its end":   iotest.DataErrReader,
	"13 at a time":   func(r io.Reader) io.Reader { return &pieces{r, 13} },
	"5000 at a time": func(r io.Reader) io.Reader { return &pieces{r, 5000} },
}

type pieces struct {
	r io.Reader
	n int
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(p.n, len(b))]) }

func TestPacketsOfRecordings(t *testing.T) {
	streams := map[string][]byte{}
	want := map[string][]message{}
	for _, m := range recording(t, "broadcast.quorum.jsonl") {
		if m.Kind == "packet" {
			k := m.Conn + " " + m.Direction
			streams[k] = append(streams[k], m.bytes...)
			want[k] = append(want[k], m)
		}
	}
	for k, stream := range streams {
		for name, way := range reads {
			in := &inbox{cut: cutter{max: 1 << 20}}
			got, err := drain(in, way(bytes.NewReader(stream)))
			if err != io.EOF {
				t.Errorf("%s, %s: %v", k, name, err)
			}
			if len(got) != len(want[k]) {
				t.Fatalf("%s, %s: %d packets, want %d", k, name, len(got), len(want[k]))
			}
			for i := range got {
				if b := Encode(&got[i]); !bytes.Equal(b, want[k][i].bytes) {
					t.Errorf("%s, %s, packet %d: %x, want %x", k, name, i, b, want[k][i].bytes)
				}
			}
		}
	}
}

// TestPacketsKeepTheirBytes lets large and small packets through one inbox, and
// looks at them when all have come.
func TestPacketsKeepTheirBytes(t *testing.T) {
	var stream []byte
	var want []proto.Packet
	for i := range 400 {
		p := proto.Packet{Type: proto.PacketProposal, Zxid: proto.Zxid(i)}
		switch i % 5 {
		case 0:
			p.Data = bytes.Repeat([]byte{byte(i)}, i*i/8)
		case 1:
			p.Data = []byte{}
		case 2:
			p.Auth = []proto.ClientInfo{{Scheme: "ip", User: strings.Repeat("1", i)}, {Scheme: "", User: "é"}}
		}
		want = append(want, p)
		stream = append(stream, Encode(&p)...)
	}
	for name, way := range reads {
		got, err := drain(&inbox{cut: cutter{max: 1 << 20}}, way(bytes.NewReader(stream)))
		if err != io.EOF || len(got) != len(want) {
			t.Fatalf("%s: %d packets, %v", name, len(got), err)
		}
		for i := range got {
			if !bytes.Equal(Encode(&got[i]), Encode(&want[i])) {
				t.Fatalf("%s: packet %d has changed", name, i)
			}
			if (got[i].Data == nil) != (want[i].Data == nil) {
				t.Fatalf("%s: packet %d: null and empty are mixed up", name, i)
			}
		}
	}
}

func TestBatchesAreBounded(t *testing.T) {
	ping := Encode(&proto.Packet{Type: proto.PacketPing})
	in := &inbox{cut: cutter{max: 1 << 20}}
	in.unread(bytes.Repeat(ping, 2500))
	for _, want := range []int{1000, 1000, 500} {
		if out, _, err := in.batch(never); len(out) != want || err != nil {
			t.Errorf("%d packets in a batch, %v, want %d", len(out), err, want)
		}
	}
	large := Encode(&proto.Packet{Type: proto.PacketProposal, Data: make([]byte, 1<<19)})
	in.unread(bytes.Repeat(large, 5))
	for _, want := range []int{2, 2, 1} {
		if out, _, err := in.batch(never); len(out) != want || err != nil {
			t.Errorf("%d large packets in a batch, %v, want %d", len(out), err, want)
		}
	}
}

func TestABatchEndsAfterSnap(t *testing.T) {
	in := &inbox{cut: cutter{max: 1 << 20}}
	in.unread(Encode(&proto.Packet{Type: proto.PacketLeaderInfo}), Encode(&proto.Packet{Type: proto.PacketSnap}), []byte("tree"))
	out, _, err := in.batch(func(t proto.PacketType) bool { return t == proto.PacketSnap })
	if len(out) != 2 || err != nil {
		t.Fatalf("%d packets, %v", len(out), err)
	}
	if rest := in.rest(); string(rest) != "tree" {
		t.Errorf("%q follows the SNAP", rest)
	}
}

func TestMalformedPackets(t *testing.T) {
	const max = 100
	head := "00000002 0000000000000001"
	for _, c := range []struct{ name, hex, err string }{
		{"data length -2", head + "fffffffe", "a packet of type 2 with -2 bytes of data; at most 100 are accepted"},
		{"data too long", head + "00000065", "a packet of type 2 with 101 bytes of data; at most 100 are accepted"},
		{"data of 2 GiB", head + "7fffffff", "a packet of type 2 with 2147483647 bytes of data; at most 100 are accepted"},
		{"identities", head + "ffffffff 0000000d", "a packet of type 2 with 13 identities; at most 12 are accepted"},
		{"identities of 2 GiB", head + "ffffffff 7fffffff", "a packet of type 2 with 2147483647 identities; at most 12 are accepted"},
		{"scheme length -2", head + "ffffffff 00000001 fffffffe", "a packet of type 2 with an identity of -2 bytes; at most 100 are accepted in all"},
		{"scheme too long", head + "ffffffff 00000001 00000061", "a packet of type 2 with an identity of 97 bytes; at most 100 are accepted in all"},
		{"second too long", head + "ffffffff 00000001 00000001 61 0000005c", "a packet of type 2 with an identity of 92 bytes; at most 100 are accepted in all"},
		{"cut in its head", "00000002 00000000", "unexpected EOF"},
		{"cut in its data", head + "00000005 0102", "unexpected EOF"},
		{"cut in an identity", head + "ffffffff 00000001 00000005 61", "unexpected EOF"},
	} {
		for name, way := range reads {
			in := &inbox{cut: cutter{max: max}}
			got, err := drain(in, way(bytes.NewReader(unhex(t, c.hex))))
			if err == nil || err.Error() != c.err || len(got) != 0 {
				t.Errorf("%s, %s: %d packets, %v; want %s", c.name, name, len(got), err, c.err)
			}
		}
	}
}

func TestNegativeCountOfIdentitiesIsNone(t *testing.T) {
	in := &inbox{cut: cutter{max: 100}}
	got, err := drain(in, bytes.NewReader(unhex(t, "00000003 0000000000000001 ffffffff fffffffb 00000003 0000000000000002 ffffffff ffffffff")))
	if err != io.EOF || len(got) != 2 || got[1].Zxid != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestAClaimCostsNoMemory: a length is not believed before the bytes have come.
func TestAClaimCostsNoMemory(t *testing.T) {
	in := &inbox{cut: cutter{max: 1 << 30}}
	if _, err := drain(in, bytes.NewReader(unhex(t, "00000002 0000000000000001 3fffffff 00"))); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	if len(in.chunk) > chunkBytes {
		t.Errorf("%d bytes are held for a packet of which 17 have come", len(in.chunk))
	}
}

func TestAcksUseOneChunk(t *testing.T) {
	ack := Encode(&proto.Packet{Type: proto.PacketAck, Zxid: 7})
	stream := bytes.Repeat(ack, 30_000)
	in := &inbox{cut: cutter{max: 1 << 20}}
	in.unread(nil)
	chunk := &in.chunk[0]
	if got, err := drain(in, bytes.NewReader(stream)); err != io.EOF || len(got) != 30_000 {
		t.Fatal(len(got), err)
	}
	if chunk != &in.chunk[0] {
		t.Error("packets without data have made the inbox give up its chunk")
	}
}

func TestABatchIsEncodedOnce(t *testing.T) {
	var batch Batch
	packets := []zab.Packet{{Packet: proto.Packet{Type: proto.PacketProposal, Zxid: 5, Data: []byte("txn")}},
		{Packet: proto.Packet{Type: proto.PacketCommit, Zxid: 5}}, {Packet: proto.Packet{Type: proto.PacketPing, Data: []byte{}}}}
	var want []byte
	for i := range packets {
		want = append(want, Encode(&packets[i].Packet)...)
	}
	a, b := batch.Encode(packets), batch.Encode(packets)
	if !bytes.Equal(a, want) {
		t.Errorf("%x, want %x", a, want)
	}
	if &a[0] != &b[0] {
		t.Error("the same packets are encoded twice")
	}
	if c := batch.Encode(packets[:2]); !bytes.Equal(c, want[:len(c)]) || len(c) == len(a) {
		t.Error("fewer packets are sent as all")
	}
	if c := batch.Encode(slices.Clone(packets)); !bytes.Equal(c, want) {
		t.Error("other packets are sent as those before")
	}
	batch.Encode(packets)
	batch.Reset()
	if c := batch.Encode(packets); &c[0] == &a[0] || !bytes.Equal(a, c) {
		t.Error("after Reset an old frame is used")
	}
}

// FuzzInbox cuts arbitrary bytes in two ways, which must agree, and encodes
// what came out again.
func FuzzInbox(f *testing.F) {
	for _, m := range recording(f, "broadcast.quorum.jsonl") {
		f.Add(m.bytes, 3)
	}
	f.Add(unhex(f, "00000002 0000000000000001 ffffffff 00000001 00000002 6970 00000001 31"), 1)
	f.Add(unhex(f, "00000002 0000000000000001 fffffffe"), 5)
	f.Fuzz(func(t *testing.T, stream []byte, n int) {
		n = max(1, min(n, 1<<16))
		whole := &inbox{cut: cutter{max: 1 << 16}}
		want, wantErr := drain(whole, bytes.NewReader(stream))
		got, err := drain(&inbox{cut: cutter{max: 1 << 16}}, &pieces{bytes.NewReader(stream), n})
		if len(got) != len(want) || err.Error() != wantErr.Error() {
			t.Fatalf("at once %d packets, %v; %d at a time %d packets, %v", len(want), wantErr, n, len(got), err)
		}
		var again []byte
		for i := range got {
			b := Encode(&got[i])
			if !bytes.Equal(b, Encode(&want[i])) {
				t.Fatalf("packet %d differs", i)
			}
			again = append(again, b...)
		}
		if errors.Is(err, io.EOF) && len(again) > 2*len(stream)+4 {
			t.Fatalf("%d bytes became %d", len(stream), len(again))
		}
		if len(whole.chunk) > 4*len(stream)+2*chunkBytes {
			t.Fatalf("%d bytes are held for a stream of %d", len(whole.chunk), len(stream))
		}
	})
}

func BenchmarkInbox(b *testing.B) {
	var stream []byte
	for i := range 1000 {
		stream = append(stream, Encode(&proto.Packet{Type: proto.PacketProposal, Zxid: proto.Zxid(i), Data: make([]byte, 150)})...)
		stream = append(stream, Encode(&proto.Packet{Type: proto.PacketCommit, Zxid: proto.Zxid(i)})...)
	}
	in := &inbox{cut: cutter{max: 1 << 20}}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		r := bytes.NewReader(stream)
		n := 0
		for n < 2000 {
			out, more, err := in.batch(never)
			if err != nil {
				b.Fatal(err)
			}
			n += len(out)
			if !more && n < 2000 {
				if err := in.fill(r); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

// ballotFrame is a message of the election port as it travels.
func ballotFrame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}
