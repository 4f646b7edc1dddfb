// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"paddock/internal/tree"
	"paddock/proto"
)

// TestEnsembleHistory plays random histories to an ensemble: clients of all
// servers that come, go and move, messages delivered by and by, elections that
// lose proposals, broken links, servers that are given a new tree. At the end
// the trees are one; no request was executed twice; each client that was not
// hung up on has an answer to each request, in order, and each answer is what
// the history says of that very request.
func TestEnsembleHistory(t *testing.T) {
	for range 4 {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			playEnsemble(t, seed, 4000)
		})
	}
}

// FuzzEnsembleHistory looks for a history that breaks a promise.
func FuzzEnsembleHistory(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { playEnsemble(t, seed, 400) })
}

// asked is what a caller has sent.
type asked struct {
	xid   int32
	write bool
	op    proto.OpCode
	seen  proto.Zxid // the last one decided when it was sent
}

type player struct {
	*caller
	asked []asked
	first int32 // xid of the first request on this connection
}

type ensembleHistory struct {
	*histories
	*trio
	all, live []*player
	away      []*server // members that have not joined the leader
	ends      int       // sessions that ended
}

func playEnsemble(t *testing.T, seed uint64, events int) {
	h := &ensembleHistory{histories: &histories{rand.New(rand.NewPCG(seed, 7))}}
	locals, upgrades := h.IntN(12), h.IntN(4) > 0 // bit by server; above 7: none
	sid := 0
	h.trio = newTrio(t, func(o *Options) {
		o.LocalSessions, o.LocalUpgrades = locals < 8 && locals>>sid&1 == 1, upgrades
		sid++
	})
	h.elect(h.members[0], 0)
	for range 6 {
		h.connect(h.members[h.IntN(3)].call(proto.ConnectRequest{}), 0)
	}
	for range events {
		h.event()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	h.rejoin()
	h.settle()
	h.settle() // what answers of the first have set in motion
	for _, w := range h.all {
		if w.isHung() && !w.c.dead.Load() {
			w.c.Detach() // as its connection does
		}
	}
	h.same()
	h.verdict()
}

func (h *ensembleHistory) connect(c *caller, xid int32) {
	p := &player{caller: c, first: xid + 1}
	p.xid = xid
	h.all, h.live = append(h.all, p), append(h.live, p)
}

func (h *ensembleHistory) event() {
	i := h.IntN(len(h.live))
	w := h.live[i]
	if w.isHung() {
		// Its client looks for a server; when it was never greeted, with a new session.
		h.live = slices.Delete(h.live, i, i+1)
		w.c.Detach()
		h.comeBack(w)
		return
	}
	s := h.members[h.IntN(3)]
	switch k := h.IntN(1000); {
	case k < 550:
		for range 1 + h.IntN(4) {
			h.send(w)
		}
	case k < 800:
		s.rise(h.IntN(6))
		if h.IntN(2) == 0 {
			h.decide(h.IntN(6))
		}
		h.members[h.IntN(3)].sink(h.IntN(6))
	case k < 900:
		h.settle()
	case k < 920: // to another server, or the same; the old connection hangs on or not
		if w.ready() {
			h.live = slices.Delete(h.live, i, i+1)
			if h.IntN(2) == 0 {
				w.c.Detach()
			}
			h.comeBack(w)
		}
	case k < 930:
		if w.ready() && w.c.Waiting() < 20 {
			w.note(w.send(ended()), true, proto.OpCloseSession)
			h.live = slices.Delete(h.live, i, i+1)
			h.connect(s.call(proto.ConnectRequest{}), 0)
			h.ends++
		}
	case k < 935:
		if w.ready() {
			if x := w.p.sessions.Get(w.hello.SessionID); x != nil && x.End() {
				w.p.endSession(x)
				h.ends++
			} else if x := h.leader.p.sessions.Get(w.hello.SessionID); x != nil && x.SetClosing() {
				h.leader.p.closeSession(x.ID())
				h.ends++
			}
		}
	case k < 945:
		if p := h.path(); has(&rig{p: h.leader.p}, p) {
			h.leader.p.reapNode(p)
		}
	case k < 960:
		h.election()
	case k < 970:
		if s != h.leader {
			s.p.Pause()
			h.sendSome()
			h.join(s)
			h.away = slices.DeleteFunc(h.away, func(a *server) bool { return a == s })
		}
	case k < 975:
		if s != h.leader {
			s.p.Pause()
			h.sendSome()
			if s.applied <= h.leader.applied {
				s.copyTree(h.leader)
			}
			h.join(s)
			h.away = slices.DeleteFunc(h.away, func(a *server) bool { return a == s })
		}
	default:
		h.rejoin()
	}
}

// comeBack has the client of w find a server again.
func (h *ensembleHistory) comeBack(w *player) {
	s := h.members[h.IntN(3)]
	if w.take(); !w.greeted || w.hello.TimeOut == 0 {
		h.connect(s.call(proto.ConnectRequest{}), 0)
		return
	}
	h.connect(s.call(w.again()), w.xid)
	h.live[len(h.live)-1].hello.SessionID = 0 // until it is greeted
}

func (h *ensembleHistory) election() {
	keep := h.decided + h.IntN(len(h.log)-h.decided+1)
	h.fall(keep)
	h.sendSome()
	next := h.members[h.IntN(3)]
	h.epoch += 1 << 32
	h.decided = len(h.log)
	next.catchUp(h.decided)
	h.leader = next
	next.p.Lead(next, h.epoch)
	h.away = nil
	for _, s := range h.members {
		if s != next {
			h.away = append(h.away, s)
		}
	}
	if h.IntN(2) == 0 {
		h.rejoin()
	}
}

func (h *ensembleHistory) rejoin() {
	for _, s := range h.away {
		h.join(s)
	}
	h.away = nil
}

func (h *ensembleHistory) sendSome() {
	for range h.IntN(4) {
		h.send(h.live[h.IntN(len(h.live))])
	}
}

// send sends a write, a read or a sync of a client that has been greeted.
func (h *ensembleHistory) send(w *player) {
	if !w.ready() || w.isHung() || w.c.Waiting() > 20 {
		return
	}
	switch k := h.IntN(10); {
	case k < 2:
		w.note(w.send(get(h.path(), false)), false, proto.OpGetData)
	case k < 3:
		w.note(w.send(syncOf("/")), false, proto.OpSync)
	default:
		s := h.request(1)
		w.note(w.send(s), true, s.op)
	}
}

// note remembers a request. What was decided by the time it was sent is known
// to whoever leads.
func (w *player) note(xid int32, write bool, op proto.OpCode) {
	a := asked{xid: xid, write: write, op: op}
	if w.decided > 0 {
		a.seen = w.log[w.decided-1].Zxid
	}
	w.asked = append(w.asked, a)
}

func (h *ensembleHistory) verdict() {
	history := map[proto.Zxid]*proto.Txn{}
	again := tree.New()
	defer again.Close()
	kinds := map[proto.Code]int{}
	global := map[int64]bool{}
	to := again.Write(nil)
	for i := range h.log {
		txn, err := proto.DecodeTxn(h.log[i].Data)
		if err != nil {
			h.Fatal(err)
		}
		to.Apply(&txn)
		switch txn.Type {
		case proto.OpCreateSession:
			global[txn.Session] = true
		case proto.OpCloseSession:
			if !global[txn.Session] {
				h.Errorf("a session that no transaction made ends by %s", txn.Zxid)
			}
		}
		history[txn.Zxid] = &txn
	}
	to.Close()
	v, w := again.View(0), h.leader.p.tree.View(0)
	if v.Digest() != w.Digest() {
		h.Errorf("the history makes a tree of digest %x, the servers have %x", v.Digest(), w.Digest())
	}
	known := w.Sessions()
	w.EachEphemeral(func(s int64, paths []string) {
		if _, ok := known[s]; !ok {
			h.Errorf("%q belong to session %x, which is not global", paths, s)
		}
	})
	v.Close()
	w.Close()
	for session, counts := range h.executed() {
		for xid, n := range counts {
			if n > 1 && xid != 0 {
				h.Errorf("request %d of session %x is executed %d times", xid, session, n)
			}
		}
	}
	hung, answered := 0, 0
	for _, p := range h.all {
		if p.isHung() {
			hung++
		}
		left := p.c.dead.Load() || p.isHung()
		last := int32(0)
		at := proto.Zxid(0)
		for _, a := range p.asked {
			got, ok := p.got(a.xid)
			if !ok && !left {
				got, ok = p.must(a.xid), true
			}
			if !ok {
				last = a.xid
				continue
			}
			answered++
			kinds[got.code]++
			if last != 0 {
				h.Errorf("xid %d is answered, xid %d before it is not", a.xid, last)
			}
			if got.zxid < at {
				h.Errorf("xid %d is answered at %s, after %s", a.xid, got.zxid, at)
			}
			at = got.zxid
			if a.op == proto.OpSync && got.zxid < a.seen {
				h.Errorf("sync %d is answered at %s, %s was decided when it was sent", a.xid, got.zxid, a.seen)
			}
			_, everywhere := global[p.hello.SessionID]
			switch {
			case got.code == proto.ErrEphemeralOnLocal, a.op == proto.OpCloseSession && !everywhere:
				// No transaction tells of it.
			case a.write:
				txn := history[got.zxid]
				if txn == nil || txn.Session != p.hello.SessionID || txn.Cxid != a.xid {
					h.Errorf("xid %d of session %x is answered at %s, which is %+v", a.xid, p.hello.SessionID, got.zxid, txn)
				} else if code := outcome(txn); code != got.code {
					h.Errorf("xid %d is answered %v, its transaction says %v", a.xid, got.code, code)
				}
			}
		}
		order := slices.DeleteFunc(slices.Clone(p.order), func(x int32) bool { return x < 0 })
		if !slices.IsSorted(order) {
			h.Errorf("answers in the order %v", order)
		}
	}
	h.Logf("local sessions %03b upgraded %t; %d connections, %d hung up on, %d sessions ended, %d transactions in %d epochs, %d answers: %v",
		locals(h), h.members[0].p.opt.LocalUpgrades, len(h.all), hung, h.ends, len(h.log), h.epoch>>32, answered, slices.Sorted(maps.Keys(kinds)))
}

// locals are the servers with local sessions, bit by server.
func locals(h *ensembleHistory) (bits int) {
	for i, s := range h.members {
		if s.p.opt.LocalSessions {
			bits |= 1 << i
		}
	}
	return bits
}
