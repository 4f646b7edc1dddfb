// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"

	"paddock/internal/tree"
	"paddock/proto"
)

// Entry is a decided transaction: its bytes are those of the log.
type Entry struct {
	Zxid proto.Zxid
	Data []byte
}

// decided is the part of the applier that a member of an ensemble has.
type decided struct {
	items   []item
	done    []*request // answered in this batch
	differs bool       // the last digest compared was not the tree's
	fuzzy   int        // transactions that may yet differ, after Restore
	found   string     // what is to be logged
}

// item is one transaction of a batch.
type item struct {
	txn proto.Txn // unless own has it
	own *request  // the proposal of this server that it is
}

// CommitEntries applies decided transactions in order, and answers the requests
// of clients here that they are. With an error the one it names cannot be read
// and was not applied, nor was any after it: this server cannot go on.
func (p *Pipeline) CommitEntries(batch []Entry) (err error) {
	a := &p.app
	a.items = a.items[:0]
	for i := range batch {
		e := &batch[i]
		it := item{own: p.flight.land(e.Zxid)}
		if it.own == nil {
			if it.txn, err = proto.AliasTxn(e.Data); err == nil && it.txn.Zxid != e.Zxid {
				err = fmt.Errorf("its header says %s", it.txn.Zxid)
			}
			if err != nil {
				err = fmt.Errorf("decided transaction %s: %w", e.Zxid, err)
				break
			}
		}
		a.items = append(a.items, it)
	}
	if len(a.items) > 0 {
		a.decide(batch[len(a.items)-1].Zxid)
	}
	return err
}

// decide applies the batch in items; last is its last zxid.
func (a *applier) decide(last proto.Zxid) {
	p, now := a.p, a.p.nowNs()
	w := p.tree.Write(a)
	for i := range a.items {
		it := &a.items[i]
		t, r := &it.txn, it.own
		if r != nil {
			t = &r.txn
			if r.op == proto.OpCreateSession && (r.client != nil || r.upgrade) && p.flight.arrived(r.session, r.op) == nil {
				r.client = nil // it was refused meanwhile
			}
		} else {
			r = a.claim(t)
		}
		code := outcome(t)
		if r != nil && r.op == proto.OpCreateSession && code != proto.OK {
			if r.client != nil {
				r.client.refuse("the leader declined a session: " + code.Error())
			}
			a.done, r = append(a.done, r), nil
		}
		if a.apply(w, t, r, code, now) && r != nil {
			a.done = append(a.done, r)
		}
		a.compare(w.View(), t)
	}
	w.Close()
	a.release(len(a.items), last)
	for i, r := range a.done {
		p.settle(r)
		r.free()
		a.done[i] = nil
	}
	a.done = a.done[:0]
	clear(a.items)
	if a.found != "" {
		p.opt.Logger.Error(a.found)
		a.found = ""
	}
}

// outcome is what a transaction says of its success. A multi says more.
func outcome(t *proto.Txn) proto.Code {
	if e, ok := t.Body.(*proto.ErrorTxn); ok {
		return e.Err
	}
	return proto.OK
}

// claim finds the request of a client here that was forwarded and became t, or
// nil.
func (a *applier) claim(t *proto.Txn) *request {
	p := a.p
	if t.Cxid == 0 && (t.Type == proto.OpCreateSession || t.Type == proto.OpError) {
		if r := p.flight.arrived(t.Session, t.Type); r != nil {
			return r
		}
	}
	s := p.sessions.Get(t.Session)
	if s == nil {
		return nil
	}
	c, ok := s.Owner().(*Client)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := c.head; r != nil; r = r.next {
		if r.isWrite && !r.sync {
			if r.via == viaUplink && r.xid == t.Cxid && becomes(r, t) {
				return r
			}
			return nil
		}
	}
	return nil
}

// becomes tells whether t can be what the leader made of r.
func becomes(r *request, t *proto.Txn) bool {
	if t.Type != r.op {
		return t.Type == proto.OpError
	}
	m, ok := t.Body.(*proto.MultiTxn)
	return !ok || len(m.Ops) == len(r.subs)
}

// fuzzyMost bounds how long differing digests are put down to a snapshot that
// was taken while its tree changed.
const fuzzyMost = 1 << 17

// compare holds the tree against the digest that the leader predicted
// (quorum-protocol.md section 10.6). A difference is reported once, until they
// agree again.
func (a *applier) compare(v tree.View, t *proto.Txn) {
	if t.Digest.Version != proto.DigestVersion {
		return
	}
	got := v.Digest()
	switch {
	case got == t.Digest.Tree:
		a.differs, a.fuzzy = false, 0
		return
	case a.fuzzy > 0:
		a.fuzzy--
		return
	}
	a.p.counts.DigestMismatches.Add(1)
	if !a.differs {
		a.differs = true
		a.found = fmt.Sprintf("the tree differs from the leader's: after transaction %s its digest is %#x, the leader's was %#x", t.Zxid, got, t.Digest.Tree)
	}
}
