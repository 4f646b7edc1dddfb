// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"paddock/internal/tree"
	"paddock/proto"
)

// preparer turns requests into settled transactions, one at a time.
type preparer struct {
	mu      sync.Mutex
	zxid    proto.Zxid // of the last proposal
	digest  uint64     // of the tree after it
	future  inflight
	x       prep         // of the batch being prepared
	ready   []Proposal   // prepared, and not on their way yet
	applied atomic.Int64 // zxid that the tree shows
	closed  bool         // no more proposals: the log is gone or the server ends

	terms // of a member of an ensemble
}

func (pr *preparer) init(z proto.Zxid, digest uint64) {
	pr.zxid, pr.digest = z, digest
	pr.applied.Store(int64(z))
	pr.future.init()
}

// prep is the context of one request's preparation.
type prep struct {
	p       *Pipeline
	v       tree.View
	f       *inflight
	digest  uint64
	zxid    proto.Zxid
	now     int64 // ms since 1970
	session int64
	client  *Client // nil: a learner asks, or the server itself
	req     *request
}

// propose prepares requests in order and hands them to the replicator. Each
// uses up one zxid: a request that is declined is logged as an error. A learner
// forwards them instead. It returns false when the server is ending: nothing was
// proposed.
func (p *Pipeline) propose(batch ...*request) bool {
	up, ok := p.take(batch)
	if up != nil {
		up.Flush() // that others need not wait for
	}
	return ok
}

// take is propose, but that what was forwarded is to be flushed.
func (p *Pipeline) take(batch []*request) (forwarded Uplink, ok bool) {
	pr := &p.prep
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.closed {
		return nil, false // nothing is answered any more
	}
	if p.ensemble {
		if batch = p.admitted(batch); len(batch) == 0 {
			return nil, true
		}
		n := len(batch)
		if p.opt.LocalUpgrades {
			batch = p.upgrades(batch)
		}
		if !p.is(leading) {
			p.forward(batch)
			return pr.up, true
		}
		p.limits.outstanding.Add(int64(n))
	} else {
		p.limits.outstanding.Add(int64(len(batch)))
	}
	p.prepare(batch, true)
	return nil, true
}

// prepare is propose for a leader, or a single server; prep.mu is held. fresh is
// unset for requests that wait in their clients' queues already.
func (p *Pipeline) prepare(batch []*request, fresh bool) {
	pr := &p.prep
	pr.future.forget(proto.Zxid(pr.applied.Load()))
	var slot uint32
	if c := batch[0].client; c != nil {
		slot = c.slot
	}
	x := &pr.x
	*x = prep{p: p, v: p.tree.View(slot), f: &pr.future, digest: pr.digest, zxid: pr.zxid, now: time.Now().UnixMilli()}
	for _, r := range batch {
		if r.sync {
			p.launch(fresh) // what it stands behind
			p.barrier(r, fresh)
			continue
		}
		x.zxid++
		x.session, x.client, x.req = r.session, r.client, r
		typ, body, code := r.row.prepare(x, r)
		r.code = code
		r.txn = proto.Txn{Session: r.session, Cxid: r.xid, Zxid: x.zxid, Time: x.now, Type: typ, Body: body}
		if code != proto.OK {
			r.txn.Type, r.txn.Body = proto.OpError, &proto.ErrorTxn{Err: code}
		} else if p.opt.Digest {
			r.txn.Digest = proto.TxnDigest{Version: proto.DigestVersion, Tree: x.digest}
		}
		pr.ready = append(pr.ready, Proposal{&r.txn, r})
	}
	x.v.Close()
	pr.zxid, pr.digest = x.zxid, x.digest
	*x = prep{}
	p.launch(fresh)
}

// launch sends what has been prepared on its way: into the clients' queues, if it
// is fresh, and to the replicator.
func (p *Pipeline) launch(fresh bool) {
	list := p.prep.ready
	if len(list) == 0 {
		return
	}
	for i := 0; i < len(list); {
		c, from := list[i].req.client, i
		for i++; i < len(list) && list[i].req.client == c; i++ {
		}
		if c != nil {
			c.launch(list[from:i], fresh)
		}
	}
	if p.ensemble {
		p.flight.launch(list)
	}
	p.repl.Propose(list)
	clear(list)
	p.prep.ready = list[:0]
}

// get returns what path will be once the proposals in flight are applied.
func (x *prep) get(path string) state {
	if path == "/" {
		path = ""
	}
	hash := x.v.Hash(path)
	if s, ok := x.f.look(path, hash); ok {
		return s
	}
	r := x.v.FindHashed(path, hash)
	if r == 0 {
		return state{hash: hash}
	}
	s := state{hash: hash, exists: true, st: x.v.Persisted(r), children: x.v.NumChildren(r), acl: x.v.ACL(r), dataLen: x.v.Stat(r).DataLength}
	s.crc, s.sum, s.digested = x.v.Digests(r)
	return s
}

// put makes s the future of path, where old was what it would have been: what
// get returned.
func (x *prep) put(path string, old, s *state) {
	if path == "/" {
		path = ""
	}
	x.f.settle(s)
	x.digest += uint64(s.sum) - uint64(old.sum)
	s.zxid = x.zxid
	x.f.set(path, old, s)
}

func (x *prep) may(list []proto.ACL, perm int32) bool {
	return x.p.opt.ACL.Allowed(list, perm, x.req.ids)
}

// checkSession declines requests of a session that is on its way out, or that
// has moved to another server (quorum-protocol.md section 10.4).
func (x *prep) checkSession() proto.Code {
	switch c := x.client; {
	case c == nil:
		return x.checkRemote()
	case c.session.Closing():
		return proto.ErrSessionExpired
	case x.p.ensemble && !c.session.Claim(c):
		return proto.ErrSessionMoved
	}
	return proto.OK
}
