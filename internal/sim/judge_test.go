// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"hash/fnv"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/check"
	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// bench is a run of two servers that nothing happens in by itself.
func bench() (*run, *server, *server) {
	r := &run{rng: rand.New(rand.NewSource(1)), parsed: map[string]*quorum.Config{}}
	r.tracer = tracer{hash: fnv.New64a()}
	root := &moment{}
	r.judge.begin(root, &quorum.Config{Members: []quorum.Member{member(1, false), member(2, false)}})
	for i := range 2 {
		s := &server{r: r, id: int64(i + 1), index: i, alive: true, machine: machine{at: root}}
		s.disk.snaps = []snap{{at: root}}
		s.serving, s.status.Stage = true, zab.Broadcast
		r.servers = append(r.servers, s)
	}
	return r, r.servers[0], r.servers[1]
}

func entry(z proto.Zxid, session int64, cxid int32, value string) zab.Entry {
	t := proto.Txn{Session: session, Cxid: cxid, Zxid: z, Type: proto.OpCreate, Body: &proto.CreateTxn{Path: "/0", Data: []byte(value)}}
	return zab.Entry{Zxid: z, Data: t.Append(nil)}
}

func (s *server) applies(t *testing.T, entries ...zab.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := s.machine.apply(e); err != nil {
			t.Fatal(err)
		}
		s.r.committed(s)
	}
}

// TestJudgeRejects: each judge says no to what is wrong, and nothing before.
func TestJudgeRejects(t *testing.T) {
	z := func(n uint32) proto.Zxid { return proto.NewZxid(1, n) }
	for _, c := range []struct {
		name string
		do   func(t *testing.T, r *run, a, b *server)
		want string // in the failure; "" is none
	}{
		{"a prefix is no difference", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2"))
			b.applies(t, entry(z(1), 1, 1, "1"))
		}, ""},
		{"other bytes under one zxid", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2"))
			b.applies(t, entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "3"))
		}, "servers 1 and 2 differ at 1:2"},
		{"one lost in the middle", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2"))
			b.applies(t, entry(z(1), 1, 1, "1"), entry(proto.NewZxid(2, 1), 1, 3, "3"))
		}, "servers 1 and 2 differ at 1:2"},
		{"a follower that lacks something", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2"))
			b.disk.log = []zab.Entry{entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2")}
			r.joins(b, 2)
			if r.failed != nil {
				t.Fatal(r.failed)
			}
			b.disk.log = b.disk.log[:1]
			r.joins(b, 2)
		}, "server 2 joins epoch 2 without 1:2, which server 1 has committed"},
		{"a follower of the epoch that goes on", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 1, 1, "1"))
			r.joins(b, 1)
		}, ""},
		{"a log cut back behind what is committed", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2"))
			b.disk.log = []zab.Entry{entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2"), entry(z(3), 1, 3, "3")}
			r.sendsBack(a, b, z(2))
			if r.failed != nil {
				t.Fatal(r.failed)
			}
			r.sendsBack(a, b, z(1))
		}, "server 1 sends 2 back to 1:1 behind 1:2, which server 1 has committed"},
		{"committed by too few", func(t *testing.T, r *run, a, b *server) {
			r.set.asserts = true
			a.disk.log = []zab.Entry{entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2")}
			b.disk.log = []zab.Entry{entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "3")}
			a.applies(t, entry(z(1), 1, 1, "1"))
			if r.failed != nil {
				t.Fatal(r.failed)
			}
			a.applies(t, entry(z(2), 1, 2, "2"))
		}, "1:2, which server 1 has committed, is on the disks of [1], no quorum"},
		{"a disk that loses what is committed", func(t *testing.T, r *run, a, b *server) {
			r.set.asserts = true
			a.disk.log = []zab.Entry{entry(z(1), 1, 1, "1"), entry(z(2), 1, 2, "2")}
			b.disk.log = slices.Clone(a.disk.log)
			a.applies(t, a.disk.log...)
			b.applies(t, b.disk.log...)
			b.disk.snaps = append(b.disk.snaps, b.machine.snapshot(b.machine.at))
			b.disk.purge(1)
			r.kept() // the snapshot has it
			if r.failed != nil {
				t.Fatal(r.failed)
			}
			a.disk.cut(z(1))
			r.kept()
		}, "1:2, which server 1 has committed, is on the disks of [2], no quorum"},
		{"a quorum of the new members", func(t *testing.T, r *run, a, b *server) {
			r.set.asserts = true
			c := proto.Txn{Session: 0, Zxid: z(1), Type: proto.OpReconfig, Body: &proto.SetDataTxn{Path: proto.ConfigPath, Data: []byte(
				(&quorum.Config{Members: []quorum.Member{member(1, false)}, Version: int64(z(1))}).String())}}
			a.disk.log = []zab.Entry{{Zxid: z(1), Data: c.Append(nil)}, entry(z(2), 1, 2, "2")}
			b.disk.log = a.disk.log[:1]
			a.applies(t, a.disk.log...)
			if !r.members.SameMembers(&quorum.Config{Members: []quorum.Member{member(1, false)}}) {
				t.Errorf("members %v", r.members)
			}
		}, ""},
		{"new members of whom too few have what was committed", func(t *testing.T, r *run, a, b *server) {
			r.set.asserts = true
			a.disk.log = []zab.Entry{entry(z(1), 1, 1, "1")}
			b.disk.log = slices.Clone(a.disk.log)
			a.applies(t, a.disk.log...)
			r.changes(&quorum.Config{Members: []quorum.Member{member(1, false), member(2, false), member(3, true)}, Version: 2})
			if r.failed != nil {
				t.Fatal(r.failed)
			}
			r.changes(&quorum.Config{Members: []quorum.Member{member(2, false), member(3, false)}, Version: 3})
		}, "1:1, which server 1 has committed, is on the disks of [1 2], no quorum"},
		{"two leaders in an epoch", func(t *testing.T, r *run, a, b *server) { r.leads(a, 4); r.leads(a, 4); r.leads(b, 4) }, "servers 1 and 2 both lead epoch 4"},
		{"a leader that lacks something", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 1, 1, "1"))
			b.status.Epoch = 2
			r.reigns(b)
		}, "server 2 leads epoch 2 without 1:1, which server 1 has committed"},
		{"a late leader of the same epoch", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 1, 1, "1"))
			b.status.Epoch = 1
			r.reigns(b)
		}, ""},
		{"a request done twice", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 7, 1, "1"), entry(z(2), 7, 1, "1"))
			r.verdict()
		}, "was committed twice, as 1:1 and 1:2"},
		{"requests of a session out of order", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 7, 2, "1"), entry(z(2), 7, 1, "2"))
			r.verdict()
		}, "request 1 was committed after 2"},
		{"an acknowledged write lost", func(t *testing.T, r *run, a, b *server) {
			r.history = []check.Entry{{Session: 7, Xid: 1, Op: check.Op{Type: proto.OpCreate, Value: 1}, Result: check.Result{Zxid: z(1)}, Call: 1, Return: 2}}
			r.verdict()
		}, "an acknowledged write is lost"},
		{"a stale read", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 7, 1, "1"))
			r.history = []check.Entry{
				{Session: 7, Xid: 1, Op: check.Op{Type: proto.OpCreate, Value: 1}, Result: check.Result{Zxid: z(1)}, Call: 1, Return: 2},
				{Session: 8, Xid: 1, Op: check.Op{Type: proto.OpGetData}, Result: check.Result{Code: proto.ErrNoNode, Zxid: proto.NewZxid(0, 1)}, Call: 3, Return: 4},
			}
			r.verdict()
		}, "no order explains"},
		{"a read in time", func(t *testing.T, r *run, a, b *server) {
			a.applies(t, entry(z(1), 7, 1, "1"))
			r.history = []check.Entry{
				{Session: 7, Xid: 1, Op: check.Op{Type: proto.OpCreate, Value: 1}, Result: check.Result{Zxid: z(1)}, Call: 1, Return: 2},
				{Session: 8, Xid: 1, Op: check.Op{Type: proto.OpGetData}, Result: check.Result{Value: 1, Zxid: z(1)}, Call: 3, Return: 4},
			}
			r.verdict()
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a, b := bench()
			c.do(t, r, a, b)
			switch {
			case c.want == "" && r.failed != nil:
				t.Error(r.failed)
			case c.want != "" && (r.failed == nil || !strings.Contains(r.failed.text, c.want)):
				t.Errorf("%v, want %q", r.failed, c.want)
			}
		})
	}
}

// TestDiskCrash: what was durable stays, what was not is lost from its end.
func TestDiskCrash(t *testing.T) {
	root := &moment{}
	epoch := int64(3)
	for n := range 4 {
		d := disk{snaps: []snap{{at: root}}}
		if err := d.append(entry(proto.NewZxid(1, 1), 1, 1, "1")); err != nil {
			t.Fatal(err)
		}
		d.jobs = []job{
			{DiskOp: zab.DiskOp{Append: []zab.Entry{entry(proto.NewZxid(1, 2), 1, 2, "2"), entry(proto.NewZxid(1, 3), 1, 3, "3")}}},
			{DiskOp: zab.DiskOp{CurrentEpoch: &epoch}},
		}
		d.begin(10)
		if d.busy != 1 {
			t.Fatalf("%d jobs in one flush", d.busy)
		}
		if err := d.crash(func(of int) int { return min(n, of-1) }); err != nil {
			t.Fatal(err)
		}
		if want := 1 + min(n, 2); len(d.log) != want || d.current != 0 || len(d.jobs) != 0 {
			t.Errorf("%d of 2 torn: %d entries, want %d; currentEpoch %d", n, len(d.log), want, d.current)
		}
	}
}

// TestDiskRefusesHoles: a log is never given a transaction that does not follow.
func TestDiskRefusesHoles(t *testing.T) {
	d := disk{snaps: []snap{{at: &moment{}}}}
	for _, c := range []struct {
		z  proto.Zxid
		ok bool
	}{
		{proto.NewZxid(1, 2), false}, {proto.NewZxid(1, 1), true}, {proto.NewZxid(1, 1), false}, {proto.NewZxid(1, 2), true},
		{proto.NewZxid(2, 2), false}, {proto.NewZxid(2, 1), true}, {proto.NewZxid(1, 3), false},
	} {
		if err := d.append(entry(c.z, 1, 1, "1")); (err == nil) != c.ok {
			t.Errorf("%s: %v", short(c.z), err)
		}
	}
	if z, err := d.cut(proto.NewZxid(1, 9)); err != nil || z != proto.NewZxid(1, 2) {
		t.Errorf("cut to 1:9 leaves %s, %v", short(z), err)
	}
}

func TestQueueKeepsTheOrder(t *testing.T) {
	var q queue
	rng := rand.New(rand.NewSource(1))
	for range 1000 {
		q.add(time.Duration(rng.Intn(50)), nil)
	}
	last := happening{at: -1}
	for range 1000 {
		h, ok := q.next()
		if !ok || !last.before(h) {
			t.Fatalf("%v %d after %v %d", h.at, h.seq, last.at, last.seq)
		}
		last = h
	}
	if _, ok := q.next(); ok {
		t.Error("more than was put in")
	}
}
