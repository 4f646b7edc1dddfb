// SPDX-License-Identifier: Apache-2.0

package proto

import (
	"bytes"
	"testing"

	"paddock/jute"
)

// FuzzDecodeTxn: no panic, and what is read is written and read alike.
func FuzzDecodeTxn(f *testing.F) {
	for _, g := range goldenTxns(f) {
		f.Add(g.payload)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := DecodeTxn(b)
		if err != nil {
			return
		}
		out := x.Append(nil)
		if len(out) > len(b)+8 { // the V0 create gains a field
			t.Fatalf("%d bytes became %d", len(b), len(out))
		}
		again, err := DecodeTxn(out)
		if err != nil {
			t.Fatalf("%x is read, but not %x: %v", b, out, err)
		}
		if !bytes.Equal(again.Append(nil), out) {
			t.Fatalf("%+v comes back as %+v", x, again)
		}
	})
}

// records has one of each record of the client protocol.
func records() []jute.Record {
	return []jute.Record{
		new(ConnectRequest), new(ConnectResponse), new(RequestHeader), new(ReplyHeader), new(WatcherEvent), new(Auth),
		new(SASLToken), new(ACL), new(Stat), new(StatPersisted), new(Create), new(CreateTTL), new(PathVersion), new(PathWatch),
		new(Path), new(SetData), new(SetACL), new(Reconfig), new(PathType), new(SetWatches), new(PathStat), new(DataStat),
		new(ACLStat), new(Names), new(NamesStat), new(Number), new(ClientInfo), new(WhoAmI), new(MultiHeader),
	}
}

// FuzzRecords decodes the input as each record in turn.
func FuzzRecords(f *testing.F) {
	for i, r := range records() {
		f.Add(uint8(i), jute.Marshal(r))
		f.Add(uint8(i), bytes.Repeat([]byte{0, 0, 0, 1}, 30))
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		i := int(kind) % len(records())
		r, back := records()[i], records()[i]
		if jute.Unmarshal(b, r) != nil {
			return
		}
		out := jute.Marshal(r)
		if n := jute.Size(r); n != len(out) {
			t.Fatalf("%T: size %d, %d bytes", r, n, len(out))
		}
		if len(out) > 3*len(b)+64 {
			t.Fatalf("%T: %d bytes became %d", r, len(b), len(out))
		}
		// Text may change once more: an encoded surrogate is not UTF-8.
		d := jute.RawDecoder(out)
		if back.Fields(&d); d.Err() != nil || !bytes.Equal(jute.Marshal(back), out) {
			t.Fatalf("%+v comes back as %+v, %v", r, back, d.Err())
		}
	})
}
