// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"encoding/hex"
	"reflect"
	"slices"
	"testing"
)

// deviation is one step at which this server answers otherwise than the recorded one, on purpose.
type deviation struct {
	file   string
	seq    int
	reason string
	edit   func(*Step) // turns the recorded step into what is wanted here; nil: nothing to change
	then   []Step      // made after it, for what would go unnoticed otherwise
}

// The steps that follow a deviation are compared as they were recorded, zxids included: a refusal spends the zxid that
// the recorded server spent on the request.
var deviations = []deviation{
	{"01_handshake.jsonl", 25, "a wrong password does not cut the live connection of the session: anyone who knows an id could",
		func(s *Step) { // the connection answers a ping where it was cut
			s.Action, s.Op, s.Closed, s.Close = "exchange", "ping", false, ""
			s.Request = unhex("00000008fffffffe0000000b")
			s.Response = unhex("00000010fffffffe000000000000000e00000000")
		}, nil},
	{"01_handshake.jsonl", 26, "that connection ends when its session moves to another one by the right password", nil,
		[]Step{{Name: "the session has moved on", Conn: "A2", Action: "wait_close", Closed: true, Close: endFIN}}},
	{"01_handshake.jsonl", 39, "createSession is not a request for clients: refused as an unknown opcode",
		func(s *Step) {
			s.Response, s.Masks = unhex("0000001000000001fffffffffffffffffffffffa"), nil
			s.Closed, s.Close = true, endFIN
		}, nil},
	{"02_ops_and_stat.jsonl", 64, refused,
		func(s *Step) { copy(s.Response[16:], unhex("fffffffa")) }, nil},
	{"02_ops_and_stat.jsonl", 65, refusedBefore, keepsChild, nil},
	{"02_ops_and_stat.jsonl", 66, refusedBefore, keepsChild, nil},
	{"02_ops_and_stat.jsonl", 67, refusedBefore, keepsChild, nil},
	{"07_acl_auth.jsonl", 34, "the auth scheme stands for all ids of the connection; the reference lists them in the order of a hash set, here they come in the order of their auth packets",
		func(s *Step) {
			const at, stat = 4 + 16 + 4, 68 // after length, reply header and the number of entries
			s.Masks = append(slices.Clone(s.Masks), Mask{Offset: at, Length: len(s.Response) - stat - at, Field: "unordered"})
		}, nil},
	{"09_containers.jsonl", 7, refused,
		func(s *Step) { copy(s.Response[16:], unhex("fffffffa")) }, nil},
}

const (
	refused       = "deleteContainer belongs to the reaper; from a client it would delete any node without an ACL check: -6, the connection stays"
	refusedBefore = "the node that deleteContainer did not remove is still there"
)

// keepsChild turns the Stat of the root in an exists reply into that before the deletion of one child: one change less
// in cversion, one child more, pzxid of the deletion before (zxid 0x18).
func keepsChild(s *Step) {
	const stat = 4 + 16 // after length and reply header
	cversion, numChildren, pzxid := s.Response[stat+36:stat+40], s.Response[stat+56:stat+60], s.Response[stat+60:stat+68]
	cversion[3]--
	numChildren[3]++
	copy(pzxid, unhex("0000000000000018"))
}

// deviate edits rec and fails if an edit changes nothing: a deviation that is none has to go. A step that is made
// besides fails by itself where nothing deviates.
func deviate(t *testing.T, rec *Recording) {
	t.Helper()
	for _, d := range deviations {
		if d.file != rec.File {
			continue
		}
		s := rec.Step(d.seq)
		if s == nil {
			t.Fatalf("deviation from %s seq %d: no such step", d.file, d.seq)
		}
		before := *s
		before.Response = append(Bytes(nil), s.Response...)
		if d.edit != nil {
			d.edit(s)
		}
		if reflect.DeepEqual(before, *s) && d.then == nil {
			t.Errorf("deviation from %s seq %d (%s) is none", d.file, d.seq, d.reason)
		}
		at := slices.IndexFunc(rec.Steps, func(s Step) bool { return s.Seq == d.seq })
		rec.Steps = slices.Insert(rec.Steps, at+1, d.then...)
	}
}

func unhex(s string) Bytes {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
