// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"encoding/binary"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"paddock/internal/acl"
	"paddock/internal/check"
	"paddock/internal/pipeline"
	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// log is a Replicator that commits at once, in batches of whatever has
// gathered, and keeps what a disk would hold.
type log struct {
	t    testing.TB
	p    *pipeline.Pipeline
	mu   sync.Mutex
	more *sync.Cond
	next []pipeline.Proposal
	txns [][]byte
	end  bool
	done chan struct{}
}

func newLog(t testing.TB, p *pipeline.Pipeline) *log {
	l := &log{t: t, p: p, done: make(chan struct{})}
	l.more = sync.NewCond(&l.mu)
	go l.commit()
	return l
}

func (l *log) Propose(list []pipeline.Proposal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range list {
		l.txns = append(l.txns, p.Txn.Append(nil))
	}
	l.next = append(l.next, list...)
	l.more.Signal()
}

func (l *log) commit() {
	defer close(l.done)
	for {
		l.mu.Lock()
		for len(l.next) == 0 && !l.end {
			l.more.Wait()
		}
		batch := l.next
		l.next = nil
		l.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		last := *batch[len(batch)-1].Txn
		l.p.Commit(batch)
		v := l.p.Tree().View(0)
		if v.Zxid() != last.Zxid {
			l.t.Errorf("the tree is at %v after %v", v.Zxid(), last.Zxid)
		}
		if last.Digest.Version != 0 && last.Digest.Tree != v.Digest() {
			l.t.Errorf("%v of type %v was prepared with digest %x, the tree has %x", last.Zxid, last.Type, last.Digest.Tree, v.Digest())
		}
		v.Close()
	}
}

func (l *log) close() {
	l.mu.Lock()
	l.end = true
	l.more.Signal()
	l.mu.Unlock()
	<-l.done
}

// link is a connection that takes everything at once.
type link struct {
	c   *pipeline.Client
	mu  sync.Mutex
	out []byte
}

func (k *link) Flush() {
	for {
		b := k.c.Out().Take()
		if b == nil {
			return
		}
		k.mu.Lock()
		k.out = append(k.out, b.Bytes...)
		k.mu.Unlock()
		if !k.c.Out().Put(b) {
			return
		}
	}
}

func (k *link) Hangup(string) { k.Flush() }
func (k *link) Last(string)   {}
func (k *link) Alive() bool   { return true }
func (k *link) Waits()        {}
func (k *link) Slow()         {}

// FuzzServe has one session send arbitrary frames, as fast as they can be
// served. Whatever they are: every reply is a whole frame, every transaction
// can be read back, and the log makes the same tree again.
func FuzzServe(f *testing.F) {
	var all []byte
	for _, q := range requests() {
		f.Add(q)
		all = append(all, q...)
	}
	f.Add(all)
	f.Add(append(append([]byte(nil), all...), all...))
	authority, err := acl.New(acl.Options{DigestEnabled: true, DigestAlg: "SHA1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tr := tree.New()
		defer tr.Close()
		p := pipeline.New(tr, pipeline.Options{Logger: slog.New(slog.DiscardHandler), ACL: authority, Tick: time.Second,
			MinSessionTimeout: time.Minute, MaxSessionTimeout: time.Minute, ExtendedTypes: true, EnforceQuota: true, Digest: true,
			MaxRecord: 1 << 20, OutstandingMax: 1000, OutLimit: 8 << 20, ContainerPeriod: time.Hour, ContainerMax: 1})
		l := newLog(t, p)
		p.Start(l)
		k := &link{}
		k.c = p.NewClient(k, "127.0.0.1:1", "127.0.0.1")
		if ok, why := p.Connect(k.c, jute.Marshal(&proto.ConnectRequest{Passwd: make([]byte, 16)})); !ok {
			t.Fatal(why)
		}
		<-k.c.Ready()
		asked := serve(k.c, b)
		settled(t, p, k.c)
		k.Flush()
		k.c.Detach()
		p.Stop()
		l.close()
		if replies := replies(t, k.out); replies > asked {
			t.Errorf("%d replies to %d requests", replies, asked)
		}
		replay(t, tr, l.txns)
	})
}

// serve cuts b into frames, each behind a length of 16 bits, and serves them
// in bursts. It returns how many it served.
func serve(c *pipeline.Client, b []byte) (asked int) {
	var burst pipeline.Burst
	c.Begin(&burst)
	for len(b) >= 2 && !c.Gone() {
		n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
		c.Serve(&burst, b[2:2+n])
		b = b[2+n:]
		if asked++; asked%7 == 0 {
			c.End(&burst)
			c.Begin(&burst)
		}
	}
	c.End(&burst)
	return asked
}

func settled(t *testing.T, p *pipeline.Pipeline, c *pipeline.Client) {
	for until := time.Now().Add(20 * time.Second); c.Waiting() > 0 || p.Outstanding() > 0; runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatalf("%d requests are never answered, %d never committed", c.Waiting(), p.Outstanding())
		}
	}
}

// replies cuts what was sent into frames and counts the replies.
func replies(t *testing.T, out []byte) (n int) {
	for first := true; len(out) > 0; first = false {
		size := math.MaxInt
		if len(out) >= 4 {
			size = int(binary.BigEndian.Uint32(out))
		}
		if size > len(out)-4 || !first && size < 16 {
			t.Fatalf("a frame of %d bytes, and %d are there", size, len(out))
		}
		if !first && int32(binary.BigEndian.Uint32(out[4:])) != proto.XidEvent {
			n++
		}
		out = out[4+size:]
	}
	return n
}

// replay builds the tree again from the bytes of the log.
func replay(t *testing.T, live *tree.Tree, txns [][]byte) {
	again := tree.New()
	defer again.Close()
	w := again.Write(nil)
	for _, b := range txns {
		txn, err := proto.DecodeTxn(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		w.Apply(&txn)
	}
	w.Close()
	v, r := live.View(0), again.View(0)
	defer v.Close()
	defer r.Close()
	if v.Digest() != r.Digest() || v.Zxid() != r.Zxid() || v.Nodes() != r.Nodes() || v.EphemeralCount() != r.EphemeralCount() {
		t.Errorf("the log makes a tree of %d znodes, %d ephemeral, at %v, digest %x; served was %d, %d, %v, %x", r.Nodes(), r.EphemeralCount(), r.Zxid(), r.Digest(),
			v.Nodes(), v.EphemeralCount(), v.Zxid(), v.Digest())
	}
}

// requests is one of each operation, and some that hurt other servers.
func requests() [][]byte {
	xid := int32(0)
	request := func(op proto.OpCode, r jute.Record) []byte {
		xid++
		b := jute.Append(jute.Marshal(&proto.RequestHeader{Xid: xid, Type: op}), r)
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
	}
	open, list := check.OpenACL, []string{"/", "/a", "/none"}
	create := func(path, data string, flags int32) []byte {
		return request(proto.OpCreate, &proto.Create{Path: path, Data: []byte(data), ACL: open, Flags: flags})
	}
	return [][]byte{
		request(proto.OpAuth, &proto.Auth{Scheme: "digest", Auth: []byte("a:b")}),
		create("/a", "x", 0), create("/a/b", "", 0), create("/a/e", "", proto.FlagEphemeral), create("/a/s-", "", proto.FlagEphemeralSequential),
		request(proto.OpCreate2, &proto.Create{Path: "/mine", ACL: []proto.ACL{{Perms: 31, Scheme: "auth"}}}),
		request(proto.OpCreateContainer, &proto.Create{Path: "/c", ACL: open, Flags: proto.FlagContainer}),
		request(proto.OpCreateTTL, &proto.CreateTTL{Path: "/t", ACL: open, Flags: proto.FlagTTL, TTL: 1}),
		request(proto.OpCreateTTL, &proto.CreateTTL{Path: "/t2", ACL: open, Flags: 0, TTL: -1}),
		create("/zookeeper/quota/a", "", 0), create("/zookeeper/quota/a/zookeeper_limits", "count=3,bytes=10=;byteHardLimit=10", 0),
		create("/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0", 0), create("/zookeeper/quota/zookeeper_limits", "", 0),
		request(proto.OpSetData, &proto.SetData{Path: "/a", Data: []byte("much too long for it"), Version: -1}),
		request(proto.OpSetData, &proto.SetData{Path: "/a", Version: 0}),
		request(proto.OpSetData, &proto.SetData{Path: "/", Data: []byte("root"), Version: -1}),
		request(proto.OpSetACL, &proto.SetACL{Path: "/a/b", ACL: []proto.ACL{{Perms: 1, Scheme: "ip", ID: "10.0.0.0/8"}}, Version: -1}),
		request(proto.OpExists, &proto.PathWatch{Path: "/none", Watch: true}),
		request(proto.OpGetData, &proto.PathWatch{Path: "/a", Watch: true}),
		request(proto.OpGetACL, &proto.Path{Path: "/mine"}),
		request(proto.OpGetChildren, &proto.PathWatch{Path: "/a", Watch: true}),
		request(proto.OpGetChildren2, &proto.PathWatch{Path: "/"}),
		request(proto.OpGetEphemerals, &proto.Path{Path: "/"}),
		request(proto.OpGetAllChildrenNumber, &proto.Path{Path: ""}),
		request(proto.OpSync, &proto.Path{Path: "/a"}),
		request(proto.OpAddWatch, &proto.PathType{Path: "/", Type: proto.AddWatchPersistentRecursive}),
		request(proto.OpAddWatch, &proto.PathType{Path: jute.Null(), Type: proto.AddWatchPersistent}),
		request(proto.OpMulti, check.Multi{{Type: proto.OpCheck, Body: &proto.PathVersion{Path: "/a", Version: -1}},
			{Type: proto.OpCreate, Body: &proto.Create{Path: "/m", ACL: open, Flags: proto.FlagEphemeral}},
			{Type: proto.OpSetData, Body: &proto.SetData{Path: "/m", Version: 0}}, {Type: proto.OpDelete, Body: &proto.PathVersion{Path: "/m", Version: 1}}}),
		request(proto.OpMulti, check.Multi{{Type: proto.OpCreate, Body: &proto.Create{Path: "/n", ACL: open}}, {Type: proto.OpDelete, Body: &proto.PathVersion{Path: "/none"}}}),
		request(proto.OpMulti, check.Multi{}),
		request(proto.OpMultiRead, check.Multi{{Type: proto.OpGetData, Body: &proto.PathWatch{Path: "/a"}}, {Type: proto.OpGetChildren, Body: &proto.PathWatch{Path: "/none"}}}),
		request(proto.OpCheckWatches, &proto.PathType{Path: "/a", Type: proto.WatcherAny}),
		request(proto.OpRemoveWatches, &proto.PathType{Path: "/", Type: proto.WatcherPersistentRecursive}),
		request(proto.OpSetWatches, &proto.SetWatches{Data: list, Exist: list, Child: list}),
		request(proto.OpSetWatches2, &proto.SetWatches{RelativeZxid: 4, Data: list, Exist: list, Child: list, Persistent: list, Recursive: list, WithPersistent: true}),
		request(proto.OpReconfig, &proto.Reconfig{Joining: "server.1=x:1:2", CurConfigID: -1}),
		request(proto.OpWhoAmI, &proto.Path{}), request(proto.OpPing, &proto.Path{}), request(proto.OpSASL, &proto.SASLToken{}),
		request(proto.OpDeleteContainer, &proto.Path{Path: "/c"}),
		request(proto.OpCheck, &proto.PathVersion{Path: "/a"}), request(proto.OpCreateSession, &proto.Path{}), request(proto.OpError, &proto.Path{}),
		request(proto.OpDelete, &proto.PathVersion{Path: "/a", Version: -1}), request(proto.OpDelete, &proto.PathVersion{Path: "/a/b", Version: -1}),
		request(proto.OpDelete, &proto.PathVersion{Path: "/zookeeper", Version: -1}),
		request(proto.OpCloseSession, &proto.Path{}),
	}
}
