// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"strconv"
	"testing"

	"paddock/jute"
	"paddock/proto"
)

// TestSlowRequestsSaySo: those that may take long, and no others.
func TestSlowRequestsSaySo(t *testing.T) {
	r := newRig(t, nil)
	w := r.connect()
	for _, p := range []string{"/few", "/many"} {
		w.ask(proto.OpCreate, &proto.Create{Path: p, ACL: everyone})
	}
	for i := range slowChildren + 1 {
		w.ask(proto.OpCreate, &proto.Create{Path: "/many/" + strconv.Itoa(i), ACL: everyone})
		if i < slowChildren {
			w.ask(proto.OpCreate, &proto.Create{Path: "/few/" + strconv.Itoa(i), ACL: everyone})
		}
	}
	for _, tc := range []struct {
		name string
		op   proto.OpCode
		rec  jute.Record
		slow bool
	}{
		{"a read", proto.OpGetData, &proto.PathWatch{Path: "/many"}, false},
		{"a write", proto.OpSetData, &proto.SetData{Path: "/many", Data: make([]byte, slowFrame/2), Version: -1}, false},
		{"a large write", proto.OpSetData, &proto.SetData{Path: "/many", Data: make([]byte, slowFrame), Version: -1}, true},
		{"some children", proto.OpGetChildren, &proto.PathWatch{Path: "/few"}, false},
		{"many children", proto.OpGetChildren, &proto.PathWatch{Path: "/many"}, true},
		{"many children with their parent's stat", proto.OpGetChildren2, &proto.PathWatch{Path: "/many"}, true},
		{"all ephemerals", proto.OpGetEphemerals, &proto.Path{Path: "/"}, true},
		{"a count of all", proto.OpGetAllChildrenNumber, &proto.Path{Path: "/"}, true},
	} {
		w.slow = 0
		w.send(tc.op, tc.rec)
		w.end()
		r.commitAll()
		if (w.slow > 0) != tc.slow {
			t.Errorf("%s: said %d times to take long, want it: %v", tc.name, w.slow, tc.slow)
		}
	}
}
