// SPDX-License-Identifier: Apache-2.0

package check

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"paddock/proto"
)

// at gives an operation a client and times in ms; to 0 leaves it open.
func at(client, from, to int, op Op, r Result) Entry {
	r.Unknown = r.Unknown || to == 0
	return Entry{Client: client, Op: op, Result: r, Call: time.Duration(from) * time.Millisecond, Return: time.Duration(to) * time.Millisecond}
}

func create(node int, value int32) Op { return Op{Type: proto.OpCreate, Node: node, Value: value} }
func set(node int, v, value int32) Op {
	return Op{Type: proto.OpSetData, Node: node, Version: v, Value: value}
}
func del(node int, v int32) Op    { return Op{Type: proto.OpDelete, Node: node, Version: v} }
func get(node int) Op             { return Op{Type: proto.OpGetData, Node: node} }
func multi(steps ...Op) Op        { return Op{Type: proto.OpMulti, Steps: steps} }
func both(steps ...Result) Result { return Result{Steps: steps} }
func ephemeral(node int, value int32) Op {
	return Op{Type: proto.OpCreate, Node: node, Value: value, Session: 7}
}
func closing() Op { return Op{Type: proto.OpCloseSession, Session: 7} }

var (
	done  = Result{}
	noVer = Result{Code: proto.ErrBadVersion}
	none  = Result{Code: proto.ErrNoNode}
)

// TestLinearizable shows that the judge accepts what a server may do and
// rejects what it must not.
func TestLinearizable(t *testing.T) {
	for _, tc := range []struct {
		name string
		want porcupine.CheckResult
		h    []Entry
	}{
		{"one client", porcupine.Ok, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 4, set(0, 0, 2), Result{Version: 1}), at(0, 5, 6, get(0), Result{Value: 2, Version: 1}),
			at(0, 7, 8, del(0, 0), noVer), at(0, 9, 10, del(0, 1), done), at(0, 11, 12, get(0), none)}},
		{"a read beside a write sees either", porcupine.Ok, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 9, set(0, -1, 2), Result{Version: 1}),
			at(1, 4, 5, get(0), Result{Value: 1}), at(2, 6, 7, get(0), Result{Value: 2, Version: 1})}},
		{"new and then old beside one write", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 9, set(0, -1, 2), Result{Version: 1}),
			at(1, 4, 5, get(0), Result{Value: 2, Version: 1}), at(2, 6, 7, get(0), Result{Value: 1})}},
		{"lost update: two sets of one version", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done), at(1, 3, 6, set(0, 0, 2), Result{Version: 1}), at(2, 4, 7, set(0, 0, 3), Result{Version: 1})}},
		{"lost update: a set that left no trace", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done), at(1, 3, 4, set(0, -1, 2), Result{Version: 1}), at(1, 5, 6, set(0, -1, 3), Result{Version: 1})}},
		{"stale read", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 4, set(0, 0, 2), Result{Version: 1}), at(1, 5, 6, get(0), Result{Value: 1})}},
		{"doubled create", porcupine.Illegal, []Entry{
			at(0, 1, 4, create(0, 1), done), at(1, 2, 5, create(0, 2), done)}},
		{"a create that nobody made", porcupine.Illegal, []Entry{
			at(0, 1, 2, get(0), Result{Value: 9})}},
		{"torn multi", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 4, create(1, 2), done),
			at(0, 5, 6, multi(set(0, -1, 3), set(1, -1, 4)), both(Result{Version: 1}, Result{Version: 1})),
			at(1, 7, 8, get(0), Result{Value: 3, Version: 1}), at(1, 9, 10, get(1), Result{Value: 2})}},
		{"half of a multi beside it", porcupine.Illegal, []Entry{
			at(0, 1, 9, multi(create(0, 1), create(1, 2)), both(done, done)),
			at(1, 3, 4, Op{Type: proto.OpMultiRead, Steps: []Op{get(0), get(1)}}, both(Result{Value: 1}, none))}},
		{"failed multi", porcupine.Ok, []Entry{
			at(0, 1, 2, create(0, 1), done),
			at(0, 3, 4, multi(set(0, 0, 2), del(1, -1), create(2, 3)), both(done, none, Result{Code: proto.ErrRuntimeInconsistency})),
			at(1, 5, 6, get(0), Result{Value: 1}), at(1, 7, 8, get(2), none)}},
		{"failed multi that did its first half", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done),
			at(0, 3, 4, multi(set(0, 0, 2), del(1, -1)), both(done, none)), at(1, 5, 6, get(0), Result{Value: 2, Version: 1})}},
		{"unknown set that happened", porcupine.Ok, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 0, set(0, -1, 2), done), at(1, 5, 6, get(0), Result{Value: 2, Version: 1})}},
		{"unknown set that did not, and then did", porcupine.Ok, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 0, set(0, -1, 2), done), at(1, 5, 6, get(0), Result{Value: 1}),
			at(1, 7, 8, get(0), Result{Value: 2, Version: 1})}},
		{"unknown set that was undone", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 0, set(0, -1, 2), done), at(1, 5, 6, get(0), Result{Value: 2, Version: 1}),
			at(1, 7, 8, get(0), Result{Value: 1})}},
		{"unknown set that happened before it was sent", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done), at(1, 3, 4, get(0), Result{Value: 2, Version: 1}), at(0, 5, 0, set(0, -1, 2), done)}},
		{"acknowledged write lost over a restart", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), done), at(0, 3, 0, set(0, 7, 2), done), at(1, 100, 101, get(0), none)}},
		{"ephemeral ends with its session", porcupine.Ok, []Entry{
			at(0, 1, 2, ephemeral(0, 1), done), at(1, 3, 4, get(0), Result{Value: 1, Owner: 7}),
			at(0, 5, 6, closing(), done), at(1, 7, 8, get(0), none)}},
		{"ephemeral outlives its session", porcupine.Illegal, []Entry{
			at(0, 1, 2, ephemeral(0, 1), done), at(0, 5, 6, closing(), done), at(1, 7, 8, get(0), Result{Value: 1, Owner: 7})}},
		{"session expires at some time", porcupine.Ok, []Entry{
			at(0, 1, 2, ephemeral(0, 1), done), at(0, 3, 0, closing(), done), at(1, 4, 5, get(0), Result{Value: 1, Owner: 7}), at(1, 6, 7, get(0), none)}},
		{"ephemeral goes though nothing ended", porcupine.Illegal, []Entry{
			at(0, 1, 2, ephemeral(0, 1), done), at(1, 4, 5, get(0), none)}},
		{"children as they are", porcupine.Ok, []Entry{
			at(0, 1, 2, create(1, 1), done), at(0, 3, 4, Op{Type: proto.OpGetChildren}, Result{Present: [Nodes]bool{1: true}})}},
		{"a child left out", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(1, 1), done), at(0, 3, 4, Op{Type: proto.OpGetChildren}, done)}},
		{"zxids in order", porcupine.Ok, []Entry{
			at(0, 1, 9, create(0, 1), Result{Zxid: 5}), at(1, 2, 8, create(1, 2), Result{Zxid: 4}), at(2, 3, 7, get(0), Result{Code: proto.ErrNoNode, Zxid: 4})}},
		{"two writes of one zxid", porcupine.Illegal, []Entry{
			at(0, 1, 9, create(0, 1), Result{Zxid: 5}), at(1, 2, 8, create(1, 2), Result{Zxid: 5})}},
		{"a read that names too new a zxid", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), Result{Zxid: 5}), at(1, 3, 9, get(1), Result{Code: proto.ErrNoNode, Zxid: 6}),
			at(0, 4, 8, create(1, 2), Result{Zxid: 6})}},
		{"zxids against real time", porcupine.Illegal, []Entry{
			at(0, 1, 2, create(0, 1), Result{Zxid: 5}), at(1, 3, 4, create(1, 2), Result{Zxid: 4})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Linearizable(tc.h, 10*time.Second); got.CheckResult != tc.want {
				t.Errorf("%v, want %v", got.CheckResult, tc.want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	for _, tc := range []struct {
		name   string
		sent   []int32
		frames []Frame
		ok     bool
	}{
		{"in order", []int32{1, 2, proto.XidPing}, []Frame{{Xid: 1, Zxid: 5}, {Xid: proto.XidEvent, Zxid: 6}, {Xid: 2, Zxid: 6}, {Xid: proto.XidPing, Zxid: 6}}, true},
		{"an event without a zxid", []int32{1}, []Frame{{Xid: proto.XidEvent, Zxid: -1}, {Xid: 1, Zxid: 6}}, true},
		{"replies swapped", []int32{1, 2}, []Frame{{Xid: 2, Zxid: 5}, {Xid: 1, Zxid: 5}}, false},
		{"a reply twice", []int32{1}, []Frame{{Xid: 1, Zxid: 5}, {Xid: 1, Zxid: 5}}, false},
		{"zxid falls", []int32{1, 2}, []Frame{{Xid: 1, Zxid: 5}, {Xid: 2, Zxid: 4}}, false},
		{"an event older than a reply", []int32{1}, []Frame{{Xid: 1, Zxid: 5}, {Xid: proto.XidEvent, Zxid: 4}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var (
				o   Order
				err error
			)
			for _, x := range tc.sent {
				o.Sent(x)
			}
			for _, f := range tc.frames {
				if err == nil {
					err = o.Received(f)
				}
			}
			if (err == nil) != tc.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}
