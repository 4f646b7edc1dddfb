// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// TestHistory plays one random history to two servers. One applies each
// request before the next is prepared, the other has up to hundreds in flight:
// all answers are the same, and so are the trees. On both the digest that
// prepare predicts is the tree's after each batch (rig.commit).
func TestHistory(t *testing.T) {
	for range 4 {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			playHistory(t, seed, 3000)
		})
	}
}

// FuzzHistory looks for a history that makes a difference.
func FuzzHistory(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { playHistory(t, seed, 300) })
}

// pair is one client on both servers.
type pair struct{ slow, fast *peer }

func playHistory(t *testing.T, seed uint64, bursts int) {
	h := &histories{Rand: rand.New(rand.NewPCG(seed, 1))}
	slow, fast := newRig(t, nil), newRig(t, nil)
	who := map[int64]string{} // sessions of both, by name
	var pairs, ended []pair
	connect := func() {
		n := pair{slow.connect(), fast.connect()}
		name := fmt.Sprint("session ", len(pairs)+len(ended))
		who[n.slow.c.Session().ID()], who[n.fast.c.Session().ID()] = name, name
		pairs = append(pairs, n)
	}
	for range 4 {
		connect()
	}
	for range bursts {
		i := h.IntN(len(pairs))
		w := pairs[i]
		switch k := h.IntN(1000); {
		case k < 15: // the session ends, by its client's will or not
			if k < 8 {
				w.slow.send(proto.OpCloseSession, &proto.CloseSessionTxn{})
				w.fast.send(proto.OpCloseSession, &proto.CloseSessionTxn{})
			} else {
				for _, one := range []*peer{w.slow, w.fast} {
					one.c.Session().SetClosing()
					one.p.closeSession(one.c.Session().ID())
				}
			}
			slow.commitAll()
			pairs = slices.Delete(pairs, i, i+1)
			ended = append(ended, w)
			connect()
		case k < 100:
			if p := h.path(); has(slow, p) && has(fast, p) {
				slow.p.reapNode(p)
				fast.p.reapNode(p)
				slow.commitAll()
			}
		default:
			for range 1 + h.IntN(8) {
				s := h.request(2)
				w.slow.send(s.op, s.rec)
				w.slow.end()
				slow.commitAll()
				w.fast.send(s.op, s.rec)
			}
			w.fast.end()
		}
		if h.IntN(4) == 0 {
			fast.commit(h.IntN(len(fast.flight) + 1))
		}
	}
	fast.commitAll()
	for _, w := range append(pairs, ended...) {
		a, b := w.slow.read(), w.fast.read()
		if len(a) != len(b) || len(a) != int(w.slow.xid) {
			t.Errorf("%d and %d answers to %d requests", len(a), len(b), w.slow.xid)
		}
		for _, xid := range slices.Sorted(maps.Keys(a)) {
			if a[xid].zxid != b[xid].zxid || a[xid].code != b[xid].code || len(a[xid].body) != len(b[xid].body) {
				t.Fatalf("xid %d: %v at %s with %d bytes one by one, %v at %s with %d bytes in flight", xid,
					a[xid].code, a[xid].zxid, len(a[xid].body), b[xid].code, b[xid].zxid, len(b[xid].body))
			}
		}
	}
	x, y := snapshotOf(slow, who), snapshotOf(fast, who)
	for _, p := range slices.Sorted(maps.Keys(x)) {
		if x[p] != y[p] {
			t.Errorf("%s:\none by one %s\nin flight  %s", p, x[p], y[p])
		}
	}
	if len(x) != len(y) || len(x) < 10 {
		t.Errorf("%d znodes one by one, %d in flight", len(x), len(y))
	}
	slow.nothingInFlight()
	fast.nothingInFlight()

	// The log alone makes the same tree.
	again := tree.New()
	defer again.Close()
	log := again.Write(nil)
	for i := range fast.txns {
		txn, err := proto.DecodeTxn(fast.txns[i].Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		log.Apply(&txn)
	}
	log.Close()
	v := again.View(0)
	defer v.Close()
	if v.Digest() != fast.digest {
		t.Errorf("the log makes a tree of digest %x, want %x", v.Digest(), fast.digest)
	}
}

func has(r *rig, path string) bool {
	v := r.p.tree.View(0)
	defer v.Close()
	return v.Find(path) != 0
}

// snapshotOf describes every znode but for its times, sessions by their names.
func snapshotOf(r *rig, who map[int64]string) map[string]string {
	out := map[string]string{}
	v := r.p.tree.View(0)
	defer v.Close()
	for _, p := range append(r.paths(), "/") {
		n := v.Find(p)
		st := v.Persisted(n)
		owner := fmt.Sprintf("%x", st.EphemeralOwner)
		if proto.IsEphemeral(st.EphemeralOwner) {
			owner = who[st.EphemeralOwner]
		}
		st.Ctime, st.Mtime, st.EphemeralOwner = 0, 0, 0
		out[p] = fmt.Sprintf("%+v of %q, %d children, %q, %v", st, owner, v.NumChildren(n), v.Data(n), v.ACL(n))
	}
	return out
}

// histories makes requests that have a fair chance, of few paths.
type histories struct{ *rand.Rand }

func (h *histories) path() string {
	var p []byte
	for range 1 + h.IntN(3) {
		p = fmt.Appendf(p, "/%c", 'a'+h.IntN(4))
	}
	return string(p)
}

func (h *histories) version() int32 {
	if h.IntN(2) == 0 {
		return -1
	}
	return h.Int32N(4)
}

func (h *histories) request(multis int) step {
	p := h.path()
	switch k := h.IntN(100); {
	case k < 35:
		return mk(p, h.Int32N(4))
	case k < 40:
		return step{proto.OpCreate2, &proto.Create{Path: p, ACL: everyone, Data: bytes.Repeat([]byte("x"), h.IntN(50))}}
	case k < 45:
		return step{proto.OpCreateContainer, &proto.Create{Path: p, ACL: everyone, Flags: proto.FlagContainer}}
	case k < 48:
		return step{proto.OpCreateTTL, &proto.CreateTTL{Path: p, ACL: everyone, Flags: proto.FlagTTL, TTL: 1 << 39}}
	case k < 68:
		return rm(p, h.version())
	case k < 80:
		if h.IntN(10) == 0 {
			p = "/"
		}
		return set(p, fmt.Sprint(k), h.version())
	case k < 85:
		perms := proto.PermAll
		if h.IntN(5) == 0 {
			perms = h.Int32N(32) | proto.PermAdmin
		}
		return allow(p, perms, h.version())
	case multis == 0:
		return set(p, "", -1)
	}
	var s steps
	for range h.IntN(5) {
		switch one := h.request(0); one.op {
		case proto.OpSetACL: // not in a multi
			s = append(s, check(p, h.version()))
		default:
			s = append(s, one)
		}
	}
	return step{proto.OpMulti, s}
}

// TestPredictedDigests has the digest of each transaction checked after it, and
// not after its batch alone.
func TestPredictedDigests(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	h := &histories{rand.New(rand.NewPCG(seed, 3))}
	r := newRig(t, nil)
	var w *peer
	for i := range 4000 {
		if i%500 == 0 {
			if w != nil {
				w.send(proto.OpCloseSession, &proto.CloseSessionTxn{})
			}
			w = r.connect()
		}
		s := h.request(2)
		w.send(s.op, s.rec)
		w.end()
		for len(r.flight) > 100 || len(r.flight) > 0 && h.IntN(3) == 0 {
			r.commit(1)
		}
	}
	for len(r.flight) > 0 {
		r.commit(1)
	}
	kinds := map[proto.OpCode]int{}
	for _, x := range r.txns {
		kinds[x.Type]++
	}
	t.Log(kinds)
	for _, op := range []proto.OpCode{proto.OpCreate, proto.OpDelete, proto.OpSetData, proto.OpSetACL, proto.OpMulti, proto.OpError, proto.OpCloseSession, proto.OpCreateSession} {
		if kinds[op] == 0 {
			t.Errorf("the history holds no %v", op)
		}
	}
}

// TestUnreadableWrites spend a zxid or not, as the reference's do.
func TestUnreadableWrites(t *testing.T) {
	for _, tc := range []struct {
		name   string
		op     proto.OpCode
		rec    jute.Record
		want   proto.Code
		spends int
	}{
		{"a create cut short", proto.OpCreate, &proto.Path{Path: "/a"}, proto.ErrMarshalling, 0},
		{"a setData cut short", proto.OpSetData, &proto.Path{Path: "/a"}, proto.ErrMarshalling, 0},
		{"a multi cut short", proto.OpMulti, &proto.Path{Path: "/a"}, proto.ErrMarshalling, 1},
		{"a multi with a read", proto.OpMulti, steps{{proto.OpGetData, &proto.PathWatch{Path: "/"}}}, proto.ErrMarshalling, 1},
		{"a multi with a null path", proto.OpMulti, steps{{proto.OpDelete, &proto.PathVersion{Path: jute.Null()}}}, proto.ErrMarshalling, 1},
		{"a multi with a null list", proto.OpMulti, steps{{proto.OpCreate, &proto.Create{Path: "/a"}}}, proto.ErrMarshalling, 0},
		{"a delete of a null path", proto.OpDelete, &proto.PathVersion{Path: jute.Null()}, proto.ErrMarshalling, 1},
		{"an empty multi", proto.OpMulti, steps{}, proto.OK, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, nil)
			w := r.connect()
			before := len(r.txns)
			xid := w.send(tc.op, tc.rec)
			w.end()
			r.commitAll()
			a, ok := w.read()[xid]
			if !ok || a.code != tc.want || len(r.txns)-before != tc.spends {
				t.Errorf("%v, answered %t, spends %d, want %v and %d", a.code, ok, len(r.txns)-before, tc.want, tc.spends)
			}
			if want := proto.Zxid(before + tc.spends); a.zxid != want {
				t.Errorf("at zxid %s, want %s", a.zxid, want)
			}
		})
	}
}
