// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"paddock/internal/acl"
	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

var everyone = []proto.ACL{{Perms: proto.PermAll, Scheme: "world", ID: "anyone"}}

// rig is a pipeline whose proposals are committed when the test says so.
type rig struct {
	testing.TB
	p      *Pipeline
	flight []Proposal
	txns   []proto.Txn // all that were committed
	digest uint64      // as the last of them was prepared
}

func newRig(t testing.TB, change func(*Options)) *rig {
	authority, err := acl.New(acl.Options{DigestEnabled: true})
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Logger: slog.New(slog.DiscardHandler), ACL: authority, Tick: 2 * time.Second, ServerID: 1,
		MinSessionTimeout: time.Hour, MaxSessionTimeout: time.Hour, Digest: true, ExtendedTypes: true, MaxRecord: 1 << 20,
		OutLimit: 64 << 20, ContainerPeriod: time.Hour}
	if change != nil {
		change(&opt)
	}
	tr := tree.New()
	r := &rig{TB: t, p: New(tr, opt)}
	v := tr.View(0)
	r.digest = v.Digest()
	v.Close()
	r.p.Start(r)
	t.Cleanup(func() { r.p.Stop(); tr.Close() })
	return r
}

// Propose keeps a proposal in flight.
func (r *rig) Propose(list []Proposal) { r.flight = append(r.flight, list...) }

// commit applies the n oldest proposals in one batch and compares the tree's
// digest with what was predicted.
func (r *rig) commit(n int) {
	r.Helper()
	if n == 0 {
		return
	}
	batch := r.flight[:n:n]
	r.flight = r.flight[n:]
	for _, p := range batch {
		txn, err := proto.DecodeTxn(p.Txn.Append(nil)) // what it holds is not its own once it is applied
		if err != nil {
			r.Fatal(err)
		}
		r.txns = append(r.txns, txn)
		if p.Txn.Digest.Version != 0 {
			r.digest = p.Txn.Digest.Tree
		}
	}
	last := r.txns[len(r.txns)-1]
	r.p.Commit(batch)
	v := r.p.tree.View(0)
	defer v.Close()
	if v.Zxid() != last.Zxid || v.Digest() != r.digest {
		r.Fatalf("after %s of type %v the tree is at %s with digest %x, it was prepared with digest %x", last.Zxid, last.Type, v.Zxid(), v.Digest(), r.digest)
	}
}

func (r *rig) commitAll() {
	r.Helper()
	r.commit(len(r.flight))
}

// peer is one client and what it was answered.
type peer struct {
	*rig
	c       *Client
	burst   Burst
	xid     int32
	in      []byte
	replies map[int32]answer
	hung    bool
	slow    int // requests that were said to take long
}

type answer struct {
	zxid proto.Zxid
	code proto.Code
	body []byte
}

// connect opens a session, which commits what is in flight.
func (r *rig) connect() *peer {
	r.Helper()
	w := &peer{rig: r, replies: map[int32]answer{}}
	w.c = r.p.NewClient(w, "127.0.0.1:1", "127.0.0.1")
	if ok, why := r.p.Connect(w.c, jute.Marshal(&proto.ConnectRequest{TimeOut: 30000})); !ok {
		r.Fatal(why)
	}
	r.commitAll()
	<-w.c.Ready()
	w.Flush()
	w.in = nil // the handshake's answer
	return w
}

// Flush, Hangup, Last and Alive make a peer its own link.
func (w *peer) Flush() {
	for {
		b := w.c.out.Take()
		if b == nil {
			return
		}
		w.in = append(w.in, b.Bytes...)
		w.c.out.Put(b)
	}
}

func (w *peer) Hangup(string) { w.hung = true }
func (w *peer) Last(string)   { w.hung = true }
func (w *peer) Alive() bool   { return true }
func (w *peer) Waits()        {}
func (w *peer) Slow()         { w.slow++ }

// send serves one request and returns its xid. It is proposed when the burst
// ends.
func (w *peer) send(op proto.OpCode, rec jute.Record) int32 {
	w.xid++
	w.c.Begin(&w.burst)
	w.c.Serve(&w.burst, frameOf(w.xid, op, rec))
	return w.xid
}

func (w *peer) end() { w.c.End(&w.burst) }

// ask sends one write and returns its answer, with everything before it
// committed.
func (w *peer) ask(op proto.OpCode, rec jute.Record) answer {
	w.Helper()
	xid := w.send(op, rec)
	w.end()
	w.commitAll()
	a, ok := w.read()[xid]
	if !ok {
		w.Fatalf("%v is not answered", op)
	}
	return a
}

// read takes the answers apart that have come.
func (w *peer) read() map[int32]answer {
	w.Helper()
	w.Flush()
	for len(w.in) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(w.in))
		f := w.in[4:n]
		w.in = w.in[n:]
		xid := int32(binary.BigEndian.Uint32(f))
		if _, twice := w.replies[xid]; twice {
			w.Fatalf("xid %d is answered twice", xid)
		}
		w.replies[xid] = answer{proto.Zxid(binary.BigEndian.Uint64(f[4:])), proto.Code(binary.BigEndian.Uint32(f[12:])), append([]byte(nil), f[16:]...)}
	}
	return w.replies
}

// steps is a multi, as sent.
type steps []step

type step struct {
	op  proto.OpCode
	rec jute.Record
}

func (s steps) Fields(c *jute.Coder) {
	for i := range s {
		h := proto.MultiHeader{Type: s[i].op, Err: -1}
		h.Fields(c)
		s[i].rec.Fields(c)
	}
	h := proto.MultiEnd
	h.Fields(c)
}

// The requests most tests are made of.
func mk(path string, flags int32) step {
	return step{proto.OpCreate, &proto.Create{Path: path, Data: []byte("data of " + path), ACL: everyone, Flags: flags}}
}

func rm(path string, version int32) step {
	return step{proto.OpDelete, &proto.PathVersion{Path: path, Version: version}}
}

func set(path, data string, version int32) step {
	return step{proto.OpSetData, &proto.SetData{Path: path, Data: []byte(data), Version: version}}
}

func allow(path string, perms, version int32) step {
	return step{proto.OpSetACL, &proto.SetACL{Path: path, ACL: []proto.ACL{{Perms: perms, Scheme: "world", ID: "anyone"}}, Version: version}}
}

func check(path string, version int32) step {
	return step{proto.OpCheck, &proto.PathVersion{Path: path, Version: version}}
}

func all(s ...step) step { return step{proto.OpMulti, steps(s)} }
