// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"paddock/jute"
	"paddock/proto"
)

// FuzzRemote gives a leader arbitrary requests of a learner. Each but a sync
// becomes one transaction, whatever it is: its origin waits for one. All members
// come to the same tree by them, and their digests agree.
func FuzzRemote(f *testing.F) {
	for _, q := range []step{
		mk("/a", 0), mk("/a/b", proto.FlagEphemeralSequential), rm("/a", -1), set("/", "x", -1), allow("/", 31, -1),
		{proto.OpCreate2, &proto.Create{Path: "/c", ACL: everyone}},
		{proto.OpCreateContainer, &proto.Create{Path: "/c", ACL: everyone, Flags: proto.FlagContainer}},
		{proto.OpCreateTTL, &proto.CreateTTL{Path: "/t", ACL: everyone, Flags: proto.FlagTTL, TTL: 5}},
		{proto.OpCreateTTL, &proto.CreateTTL{Path: "/t", ACL: everyone, TTL: -1}},
		{proto.OpDeleteContainer, &proto.Path{Path: "/c"}},
		{proto.OpReconfig, &proto.Reconfig{Joining: "server.4=x", CurConfigID: -1}},
		{proto.OpCreateSession, &proto.CreateSessionTxn{TimeOut: 10000}},
		{proto.OpCheck, &proto.PathVersion{Path: "/"}},
		all(mk("/m", 0), check("/m", 0), rm("/m", -1), set("/", "", -1)),
		ended(), get("/", true), syncOf("/"),
	} {
		f.Add(int32(q.op), int64(0), int32(1), jute.Marshal(q.rec))
		f.Add(int32(q.op), int64(77), int32(0), jute.Marshal(q.rec)[:1])
	}
	f.Fuzz(func(t *testing.T, op int32, session int64, cxid int32, body []byte) {
		e := newTrio(t, func(o *Options) { o.Reconfig = true })
		e.elect(e.members[0], 0)
		w := e.members[1].open()
		if session == 0 {
			session = w.hello.SessionID
		}
		before := len(e.log)
		e.leader.p.Remote([]Asked{{From: 2, Session: session, Cxid: cxid, Op: proto.OpCode(op), Body: body, IDs: []proto.ClientInfo{{Scheme: "ip", User: "127.0.0.1"}}}})
		want := 1
		if proto.OpCode(op) == proto.OpSync {
			want = 0
		}
		if n := len(e.log) - before; n != want {
			t.Fatalf("%d transactions", n)
		}
		e.settle()
		e.same()
	})
}

// TestRemoteIsSettled: a learner's request that cannot be carried out becomes an
// error with the right code, alone and among others.
func TestRemoteIsSettled(t *testing.T) {
	t.Run("one by one", func(t *testing.T) { testRemoteIsSettled(t, 1) })
	t.Run("a few at once", func(t *testing.T) { testRemoteIsSettled(t, 5) })
	t.Run("more than are proposed together", func(t *testing.T) { testRemoteIsSettled(t, 2*writesPerPropose) })
}

func testRemoteIsSettled(t *testing.T, atOnce int) {
	e := led(t)
	alive := e.members[1].open().hello.SessionID
	here := e.leader.open().hello.SessionID
	there := e.members[2].open().hello.SessionID
	end := e.members[1].open().hello.SessionID
	e.leader.p.sessions.Get(end).SetClosing()
	create := jute.Marshal(mk("/a", 0).rec)
	type ask struct {
		name    string
		session int64
		op      proto.OpCode
		body    []byte
		want    proto.Code
	}
	asks := []ask{
		{"its own", alive, proto.OpCreate, create, proto.OK},
		{"of the leader's client", here, proto.OpCreate, create, proto.ErrSessionMoved},
		{"of another learner's", there, proto.OpCreate, create, proto.ErrSessionMoved},
		{"closing", end, proto.OpCreate, create, proto.ErrSessionExpired},
		{"unknown", 99, proto.OpCreate, create, proto.ErrSessionExpired},
		{"cut short", alive, proto.OpCreate, create[:7], proto.ErrMarshalling},
		{"a multi cut short", alive, proto.OpMulti, create[:7], proto.ErrMarshalling},
		{"no session", 98, proto.OpCreateSession, create[:2], proto.ErrMarshalling},
		{"a read", alive, proto.OpGetData, jute.Marshal(get("/", false).rec), proto.ErrUnimplemented},
		{"a check", alive, proto.OpCheck, jute.Marshal(check("/", 0).rec), proto.ErrUnimplemented},
		{"no operation", alive, 1234, nil, proto.ErrUnimplemented},
		{"a container's end", alive, proto.OpDeleteContainer, jute.Marshal(&proto.Path{Path: "/a"}), proto.ErrUnimplemented},
		{"a reconfig", alive, proto.OpReconfig, jute.Marshal(&proto.Reconfig{}), proto.ErrReconfigDisabled},
		{"a session", 97, proto.OpCreateSession, binary.BigEndian.AppendUint32(nil, 5000), proto.OK},
		{"of a session just asked for", 97, proto.OpDelete, jute.Marshal(rm("/a", -1).rec), proto.OK},
		{"an end, of whomever", there, proto.OpCloseSession, nil, proto.OK},
		{"after the end", there, proto.OpCreate, create, proto.ErrSessionExpired},
	}
	for i := range 4 * writesPerPropose {
		asks = append(asks, ask{fmt.Sprint("another ", i), alive, proto.OpCreate, jute.Marshal(mk(fmt.Sprint("/x", i), 0).rec), proto.OK})
	}
	for list := range slices.Chunk(asks, atOnce) {
		var together []Asked
		for i, a := range list {
			together = append(together, Asked{From: 2, Session: a.session, Cxid: int32(5 + i), Op: a.op, Body: a.body},
				Asked{From: 2, Session: a.session, Op: proto.OpSync}) // which are none of its business
		}
		before := len(e.log)
		e.leader.p.Remote(together)
		if n := len(e.log) - before; n != len(list) {
			t.Fatalf("%d requests become %d transactions", len(list), n)
		}
		for i, a := range list {
			txn, err := proto.DecodeTxn(e.log[before+i].Data)
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(&txn); got != a.want || txn.Session != a.session || txn.Cxid != int32(5+i) {
				t.Errorf("%s: %v for %x %d, want %v", a.name, got, txn.Session, txn.Cxid, a.want)
			}
		}
	}
	e.settle()
	e.same()
	if e.leader.p.RevalidateRemote(2, 96, 1000) || e.leader.p.RevalidateRemote(2, end, 1000) {
		t.Error("a session that is not alive is found valid")
	}
}

// TestMovedMulti: a multi of a session that has moved is not answered either.
func TestMovedMulti(t *testing.T) {
	e := led(t)
	w := e.members[1].open()
	x := w.send(all(mk("/a", 0), mk("/b", 0)))
	e.leader.p.RevalidateRemote(3, w.hello.SessionID, 30000)
	e.settle()
	if _, ok := w.got(x); ok || !w.isHung() {
		t.Error("answered")
	}
	// The same on the leader, whose client is hung up on at once.
	w = e.leader.open()
	e.leader.p.RevalidateRemote(3, w.hello.SessionID, 30000)
	if !w.isHung() {
		t.Error("kept")
	}
	before := len(e.log)
	if w.send(mk("/a", 0)); len(e.log) != before {
		t.Error("proposed")
	}
	e.settle()
	w.c.Detach()
	e.same()
}
