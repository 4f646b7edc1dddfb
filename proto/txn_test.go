// SPDX-License-Identifier: Apache-2.0

package proto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"paddock/jute"
)

type goldenTxn struct {
	name    string
	typ     int32
	zxid    Zxid
	payload []byte
}

func goldenTxns(t testing.TB) []goldenTxn {
	t.Helper()
	b, err := os.ReadFile("testdata/txns.txt")
	if err != nil {
		t.Fatal(err)
	}
	var txns []goldenTxn
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var g goldenTxn
		var text string
		if _, err := fmt.Sscanf(line, "%s %d 0x%x %s", &g.name, &g.typ, (*int64)(&g.zxid), &text); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if g.payload, err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
		txns = append(txns, g)
	}
	if len(txns) < 30 {
		t.Fatalf("only %d transactions", len(txns))
	}
	return txns
}

func TestDecodeTxnGolden(t *testing.T) {
	seen := map[OpCode]bool{}
	for _, g := range goldenTxns(t) {
		x, err := DecodeTxn(g.payload)
		if err != nil {
			t.Errorf("%s %s: %v", g.name, g.zxid, err)
			continue
		}
		seen[x.Type] = true
		if int32(x.Type) != g.typ || x.Zxid != g.zxid {
			t.Errorf("%s %s: type %d, zxid %s", g.name, g.zxid, x.Type, x.Zxid)
		}
		again := x.Append(nil)
		if g.name == "v0-create-no-digest" { // is written with the field it lacks
			if c := x.Body.(*CreateTxn); c.ParentCversion != -1 || c.Path == "" || !bytes.Equal(again, append(g.payload, 0xff, 0xff, 0xff, 0xff)) {
				t.Errorf("%s: %+v", g.name, c)
			}
		} else if !bytes.Equal(again, g.payload) {
			t.Errorf("%s %s: encodes as\n%x, was\n%x", g.name, g.zxid, again, g.payload)
		}
		var c jute.Coder = jute.Encoder(nil)
		if x.Encode(&c); !bytes.Equal(c.Bytes(), again) {
			t.Errorf("%s: Encode and Append differ", g.name)
		}
	}
	for _, op := range []OpCode{OpCreateSession, OpCloseSession, OpError, OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL,
		OpDelete, OpDeleteContainer, OpSetData, OpReconfig, OpSetACL, OpMulti} {
		if !seen[op] {
			t.Errorf("no golden transaction of type %s", op)
		}
	}
}

// TestDecodeTxnShapes: what old servers and unusual settings wrote, and what
// nobody did (storage-format.md section 3).
func TestDecodeTxnShapes(t *testing.T) {
	header := func(op OpCode) []byte {
		x := Txn{Session: 1, Cxid: 2, Zxid: 3, Time: 4, Type: op}
		return x.Append(nil)
	}
	digest := []byte{0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9}
	for _, c := range []struct {
		name string
		in   []byte
		want Txn
		err  bool
	}{
		{"closeSession without a list", header(OpCloseSession), Txn{1, 2, 3, 4, OpCloseSession, nil, TxnDigest{}}, false},
		{"closeSession without a list, with a digest", append(header(OpCloseSession), digest...), Txn{1, 2, 3, 4, OpCloseSession, nil, TxnDigest{2, 9}}, false},
		{"closeSession with an empty list", append(header(OpCloseSession), 0, 0, 0, 0), Txn{1, 2, 3, 4, OpCloseSession, &CloseSessionTxn{[]string{}}, TxnDigest{}}, false},
		{"too few bytes for a digest are none", append(append(header(OpDelete), 0, 0, 0, 1, '/'), digest[:11]...), Txn{1, 2, 3, 4, OpDelete, &DeleteTxn{"/"}, TxnDigest{}}, false},
		{"unknown type", header(99), Txn{}, true},
		{"check outside a multi", append(header(OpCheck), 0, 0, 0, 1, '/', 0, 0, 0, 0), Txn{}, true},
		{"a read", header(OpGetData), Txn{}, true},
		{"half a header", header(OpDelete)[:20], Txn{}, true},
		{"half a body", append(header(OpDelete), 0, 0, 0, 2, '/'), Txn{}, true},
		{"a multi in a multi", append(header(OpMulti), 0, 0, 0, 1, 0, 0, 0, 14, 0, 0, 0, 4, 0, 0, 0, 0), Txn{}, true},
		{"a multi of more than there is", append(header(OpMulti), 0x7f, 0, 0, 0), Txn{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodeTxn(c.in)
			if (err != nil) != c.err {
				t.Fatalf("%+v, %v", got, err)
			}
			if err == nil && fmt.Sprintf("%+v %T %v", got.Append(nil), got.Body, got.Digest) != fmt.Sprintf("%+v %T %v", c.want.Append(nil), c.want.Body, c.want.Digest) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
	if _, err := DecodeTxn(header(99)); !errors.Is(err, ErrTxnType) {
		t.Errorf("unknown type: %v", err)
	}
}

func TestEncodeTxnDoesNotAllocate(t *testing.T) {
	for _, x := range []*Txn{
		{Zxid: 1, Type: OpCreate, Body: &CreateTxn{Path: "/a", ACL: []ACL{{31, "world", "anyone"}}}, Digest: TxnDigest{2, 3}},
		{Zxid: 1, Type: OpMulti, Body: &MultiTxn{Ops: []SubTxn{{OpDelete, &DeleteTxn{"/a"}}, {OpSetData, &SetDataTxn{"/b", nil, 1}}}}},
	} {
		buf := make([]byte, 0, 1024)
		c := new(jute.Coder)
		if n := testing.AllocsPerRun(100, func() {
			*c = jute.Encoder(buf)
			x.Encode(c)
		}); n != 0 {
			t.Errorf("%s: %v allocations", x.Type, n)
		}
	}
}
