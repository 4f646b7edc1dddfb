// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"fmt"
	"testing"

	"paddock/proto"
)

// Warm changes nothing and finds its way through any paths: there, not there,
// without data, with much, sharing a bucket, none at all.
func TestWarm(t *testing.T) {
	tr := New()
	w := tr.Write(nil)
	for i := range 2000 {
		data := bytes.Repeat([]byte{1}, i%3*5000)
		if i%5 == 0 {
			data = nil
		}
		w.ApplyOp(&proto.Txn{Zxid: proto.Zxid(i + 1)}, proto.SubTxn{Type: proto.OpCreate, Body: &proto.CreateTxn{Path: fmt.Sprintf("/n%d", i), Data: data}})
		w.Done(proto.Zxid(i + 1))
	}
	if tr.Len() != 0 {
		t.Errorf("%d znodes before the change is made known", tr.Len())
	}
	w.Close()
	v := tr.View(0)
	defer v.Close()
	if tr.Len() != v.Nodes() {
		t.Errorf("%d znodes, want %d", tr.Len(), v.Nodes())
	}
	digest := v.Digest()
	v.Warm(nil)
	var paths [][]byte
	for i := range 3000 {
		if paths = append(paths, fmt.Appendf(nil, "/n%d", i)); len(paths) > 2*WarmMost {
			v.Warm(paths)
			paths = paths[:0]
		}
	}
	v.Warm([][]byte{nil, []byte("/"), []byte("no path"), []byte("/zookeeper"), []byte("/\xff\x00")})
	if v.Digest() != digest || v.Find("/n1999") == 0 {
		t.Error("Warm has changed the tree")
	}
}
