// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// TestBurst sends requests of which none is applied before the last is
// prepared: each is checked against what those before it will leave.
func TestBurst(t *testing.T) {
	type ask struct {
		step
		want proto.Code // of a multi: that of its first failed step
	}
	const ok = proto.OK
	for _, tc := range []struct {
		name string
		asks []ask
		left []string // znodes of the clients afterwards
	}{
		{"a parent, its child, and both gone again", []ask{
			{mk("/a", 0), ok}, {mk("/a/b", 0), ok}, {rm("/a", -1), proto.ErrNotEmpty}, {rm("/a/b", -1), ok}, {rm("/a", -1), ok},
			{mk("/a/b", 0), proto.ErrNoNode}, {rm("/a", -1), proto.ErrNoNode}, {mk("/a", 0), ok}, {mk("/a", 0), proto.ErrNodeExists}}, []string{"/a"}},
		{"sequential names", []ask{
			{mk("/q", 0), ok}, {mk("/q/s-", proto.FlagSequential), ok}, {mk("/q/s-", proto.FlagSequential), ok}, {rm("/q/s-0000000001", -1), ok},
			{mk("/q/s-", proto.FlagEphemeralSequential), ok}, {mk("/q/t", 0), ok}, {mk("/q/", proto.FlagSequential), ok}, {mk("/q/s-0000000005", 0), ok},
			{mk("/q/s-", proto.FlagSequential), ok}, {mk("/q/s-0000000007", 0), ok}, {mk("/q/s-0000000009", 0), ok}, {mk("/q/s-", proto.FlagSequential), proto.ErrNodeExists}},
			[]string{"/q", "/q/0000000004", "/q/s-0000000000", "/q/s-0000000002", "/q/s-0000000005", "/q/s-0000000006", "/q/s-0000000007", "/q/s-0000000009", "/q/t"}},
		{"versions of data", []ask{
			{mk("/v", 0), ok}, {set("/v", "1", 1), proto.ErrBadVersion}, {set("/v", "1", 0), ok}, {set("/v", "2", 0), proto.ErrBadVersion}, {set("/v", "2", 1), ok},
			{set("/v", "3", -1), ok}, {rm("/v", 2), proto.ErrBadVersion}, {rm("/v", 3), ok}, {set("/v", "", -1), proto.ErrNoNode}, {mk("/v", 0), ok}, {set("/v", "", 0), ok}}, []string{"/v"}},
		{"versions of lists, and what they allow", []ask{
			{mk("/l", 0), ok}, {mk("/l/k", 0), ok}, {allow("/l", proto.PermRead, 1), proto.ErrBadVersion}, {allow("/l", proto.PermRead|proto.PermAdmin, 0), ok},
			{set("/l", "", -1), proto.ErrNoAuth}, {mk("/l/x", 0), proto.ErrNoAuth}, {rm("/l/k", -1), proto.ErrNoAuth}, {allow("/l", proto.PermAll, 0), proto.ErrBadVersion},
			{allow("/l", proto.PermDelete|proto.PermAdmin, 1), ok}, {rm("/l/k", -1), ok}, {allow("/l", proto.PermRead, 2), ok}, {allow("/l", proto.PermAll, 3), proto.ErrNoAuth},
			{rm("/l", -1), ok}, {mk("/l", 0), ok}, {set("/l", "", -1), ok}}, []string{"/l"}},
		{"no children below an ephemeral", []ask{
			{mk("/e", proto.FlagEphemeral), ok}, {mk("/e/k", 0), proto.ErrNoChildrenForEphemeral}, {rm("/e", -1), ok}, {mk("/e", 0), ok}, {mk("/e/k", proto.FlagEphemeral), ok}}, []string{"/e", "/e/k"}},
		{"a multi that fails, then again", []ask{
			{mk("/m", 0), ok},
			{all(set("/m", "x", 0), mk("/m/a", 0), mk("/m/a/b", 0), rm("/m", -1)), proto.ErrNotEmpty},
			{mk("/m/a/b", 0), proto.ErrNoNode}, {set("/m", "x", 1), proto.ErrBadVersion},
			{all(set("/m", "x", 0), mk("/m/a", 0), mk("/m/a/b", 0)), ok},
			{mk("/m/a", 0), proto.ErrNodeExists},
			{all(rm("/m/a/b", -1), rm("/m/a", -1), rm("/m", 1), check("/m", -1)), proto.ErrNoNode},
			{rm("/m", -1), proto.ErrNotEmpty}, {set("/m", "y", 1), ok}}, []string{"/m", "/m/a", "/m/a/b"}},
		{"versions inside a multi", []ask{
			{all(mk("/k", 0), set("/k", "1", 0), check("/k", 1), set("/k", "2", 1), check("/k", 2), rm("/k", 2), mk("/k", 0), check("/k", 0)), ok},
			{all(check("/k", 1), rm("/k", -1)), proto.ErrBadVersion}, {all(check("/k", 0), rm("/k", -1)), ok}}, nil},
		{"the same name in a multi that fails and out of it", []ask{
			{all(mk("/s-", proto.FlagSequential), mk("/s-", proto.FlagSequential), check("/none", -1)), proto.ErrNoNode},
			{mk("/s-", proto.FlagSequential), ok}, {mk("/s-", proto.FlagSequential), ok}}, []string{"/s-0000000000", "/s-0000000001"}},
		{"the root", []ask{
			{set("/", "1", 0), ok}, {set("/", "2", 0), proto.ErrBadVersion}, {mk("/", 0), proto.ErrNodeExists}, {rm("/", -1), proto.ErrBadArguments},
			{allow("/", proto.PermAll&^proto.PermCreate, 0), ok}, {mk("/no", 0), proto.ErrNoAuth}, {allow("/", proto.PermAll, 1), ok}, {mk("/yes", 0), ok}}, []string{"/yes"}},
	} {
		for _, inflight := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, in flight %t", tc.name, inflight), func(t *testing.T) {
				r := newRig(t, nil)
				w := r.connect()
				var xids []int32
				for _, a := range tc.asks {
					xids = append(xids, w.send(a.op, a.rec))
					if w.end(); !inflight {
						r.commitAll()
					}
				}
				r.commitAll()
				got := w.read()
				for i, a := range tc.asks {
					code := got[xids[i]].code
					if a.op == proto.OpMulti {
						code = failed(t, got[xids[i]].body)
					}
					if code != a.want {
						t.Errorf("request %d, %v: %v, want %v", i+1, a.op, code, a.want)
					}
				}
				if left := r.paths(); !slices.Equal(left, tc.left) {
					t.Errorf("left is %q, want %q", left, tc.left)
				}
				r.nothingInFlight()
			})
		}
	}
}

// failed returns the code of the first step of a multi that failed.
func failed(t testing.TB, body []byte) proto.Code {
	t.Helper()
	c := jute.Decoder(body)
	for {
		var h proto.MultiHeader
		switch h.Fields(&c); {
		case c.Err() != nil:
			t.Fatalf("multi's answer %x: %v", body, c.Err())
		case h.Done:
			return proto.OK
		case h.Type == proto.OpError:
			var code int32
			if c.Int(&code); code != 0 {
				return proto.Code(code)
			}
		case h.Type == proto.OpCreate:
			var path string
			c.String(&path)
		case h.Type == proto.OpSetData:
			var st proto.Stat
			st.Fields(&c)
		}
	}
}

// paths are the znodes that clients made, sorted.
func (r *rig) paths() []string {
	var out []string
	v := r.p.tree.View(0)
	defer v.Close()
	var visit func(tree.Ref)
	visit = func(n tree.Ref) {
		v.Children(n, func(k tree.Ref) {
			if p := v.Path(k); p != proto.ZookeeperPath {
				out = append(out, p)
				visit(k)
			}
		})
	}
	visit(v.Find("/"))
	slices.Sort(out)
	return out
}

// nothingInFlight checks that what is applied is forgotten.
func (r *rig) nothingInFlight() {
	r.Helper()
	f := &r.p.prep.future
	f.forget(proto.Zxid(r.p.prep.applied.Load()))
	if f.states.n != 0 || len(f.owned) != 0 || len(f.queue) != 0 {
		r.Errorf("in flight are %d states, %d sessions, %d touches", f.states.n, len(f.owned), len(f.queue))
	}
	if n := r.p.Outstanding(); n != 0 {
		r.Errorf("%d requests outstanding", n)
	}
}

// TestCloseInFlight: a session takes its ephemerals with it, those included
// that nobody can see yet, and no others.
func TestCloseInFlight(t *testing.T) {
	for _, expired := range []bool{false, true} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("expired %t, all in flight %t", expired, !early), func(t *testing.T) {
				r := newRig(t, nil)
				a, b := r.connect(), r.connect()
				do := func(w *peer, s step) int32 {
					xid := w.send(s.op, s.rec)
					w.end()
					return xid
				}
				for _, p := range []string{"/old", "/taken", "/again", "/other", "/touched"} {
					do(a, mk(p, proto.FlagEphemeral))
				}
				if early {
					r.commitAll()
				}
				do(a, mk("/new", proto.FlagEphemeral))
				do(a, mk("/stays", 0))
				do(a, mk("/stays/new", proto.FlagEphemeral))
				do(a, mk("/short", proto.FlagEphemeral))
				do(a, rm("/short", -1))
				do(a, rm("/taken", -1))
				do(a, mk("/taken", 0))
				do(a, rm("/again", -1))
				do(a, mk("/again", proto.FlagEphemeral))
				do(a, set("/touched", "x", -1))
				do(a, all(mk("/undone", proto.FlagEphemeral), check("/none", -1)))
				do(b, rm("/other", -1))
				do(b, mk("/other", proto.FlagEphemeral))
				if expired {
					a.c.Session().SetClosing()
					r.p.closeSession(a.c.Session().ID())
					do(a, mk("/late", 0)) // declined: its session is on its way out
				} else {
					do(a, step{proto.OpCloseSession, &proto.CloseSessionTxn{}})
					do(a, mk("/late", 0)) // not read any more
				}
				xid := do(b, mk("/new", proto.FlagEphemeral)) // gone by then
				full := do(b, rm("/stays", -1))
				r.commitAll()
				var closing *proto.CloseSessionTxn
				for i := range r.txns {
					if c, ok := r.txns[i].Body.(*proto.CloseSessionTxn); ok {
						closing = c
						slices.Sort(c.Paths)
					}
				}
				if want := []string{"/again", "/new", "/old", "/stays/new", "/touched"}; closing == nil || !reflect.DeepEqual(closing.Paths, want) {
					t.Errorf("the session ends with %v, want %q", closing, want)
				}
				if got := b.read(); got[xid].code != proto.OK || got[full].code != proto.OK {
					t.Errorf("another session gets %v and %v, want success", got[xid].code, got[full].code)
				}
				if got, want := r.paths(), []string{"/new", "/other", "/taken"}; !slices.Equal(got, want) {
					t.Errorf("left is %q, want %q", got, want)
				}
				if !a.hung {
					t.Error("the connection of the ended session stays")
				}
				r.nothingInFlight()
			})
		}
	}
}

// TestManyEphemeralsInFlight: a session may end with very many of them.
func TestManyEphemeralsInFlight(t *testing.T) {
	const count = 20_000
	r := newRig(t, nil)
	w := r.connect()
	for i := range count {
		w.send(proto.OpCreate, mk(fmt.Sprintf("/e%d", i), proto.FlagEphemeral).rec)
	}
	start := time.Now()
	w.send(proto.OpCloseSession, &proto.CloseSessionTxn{})
	w.end()
	took := time.Since(start)
	r.commitAll()
	if left := r.paths(); len(left) != 0 {
		t.Errorf("%d are left", len(left))
	}
	if took > 2*time.Second {
		t.Errorf("the end of a session with %d znodes in flight took %v, with every other writer shut out", count, took)
	}
	r.nothingInFlight()
}

// TestReap: which containers and TTL znodes a sweep removes, at a time.
func TestReap(t *testing.T) {
	const hour = int64(time.Hour / time.Millisecond)
	r := newRig(t, func(o *Options) { o.ContainerUnused = 2 * time.Hour })
	w := r.connect()
	for _, p := range []string{"/unused", "/emptied", "/full", "/full/inner"} {
		w.ask(proto.OpCreateContainer, &proto.Create{Path: p, ACL: everyone, Flags: proto.FlagContainer})
	}
	w.ask(proto.OpCreate, mk("/emptied/k", 0).rec)
	w.ask(proto.OpDelete, rm("/emptied/k", -1).rec)
	for _, p := range []string{"/ttl", "/ttl-full", "/ttl-full/k", "/ttl-long"} {
		ttl := hour
		if p == "/ttl-long" {
			ttl = 3 * hour
		}
		w.ask(proto.OpCreateTTL, &proto.CreateTTL{Path: p, ACL: everyone, Flags: proto.FlagTTL, TTL: ttl})
	}
	w.ask(proto.OpCreate, mk("/plain", 0).rec)
	w.ask(proto.OpCreate, mk("/ephemeral", proto.FlagEphemeral).rec)
	now := time.Now().UnixMilli()
	for _, tc := range []struct {
		name  string
		later int64 // ms
		want  []string
	}{
		{"at once", 0, []string{"/emptied"}},
		{"before the TTL", hour - 60_000, []string{"/emptied"}},
		{"after the TTL", hour + 60_000, []string{"/emptied", "/ttl", "/ttl-full/k"}},
		{"after the time of the unused", 2*hour + 60_000, []string{"/emptied", "/full/inner", "/ttl", "/ttl-full/k", "/unused"}},
		{"after all", 3*hour + 60_000, []string{"/emptied", "/full/inner", "/ttl", "/ttl-full/k", "/ttl-long", "/unused"}},
	} {
		got := r.p.expendable(now + tc.later)
		if slices.Sort(got); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	r.p.opt.ContainerUnused = 0
	if got := r.p.expendable(now + 100*hour); slices.Contains(got, "/unused") || slices.Contains(got, "/full/inner") {
		t.Errorf("containers that never had a child are removed: %q", got)
	}
}

// TestReapInFlight: what a sweep found may have changed since.
func TestReapInFlight(t *testing.T) {
	box := func(p string) step {
		return step{proto.OpCreateContainer, &proto.Create{Path: p, ACL: everyone, Flags: proto.FlagContainer}}
	}
	ttl := func(p string, ms int64) step {
		return step{proto.OpCreateTTL, &proto.CreateTTL{Path: p, ACL: everyone, Flags: proto.FlagTTL, TTL: ms}}
	}
	for _, tc := range []struct {
		name    string
		before  step
		between []step
		want    proto.OpCode
	}{
		{"an empty container", box("/x"), nil, proto.OpDeleteContainer},
		{"a child is on its way", box("/x"), []step{mk("/x/k", 0)}, proto.OpError},
		{"a child is on its way, and gone", box("/x"), []step{mk("/x/k", 0), rm("/x/k", -1)}, proto.OpDeleteContainer},
		{"it is being deleted", box("/x"), []step{rm("/x", -1)}, proto.OpError},
		{"it becomes a plain znode", box("/x"), []step{rm("/x", -1), mk("/x", 0)}, proto.OpError},
		{"it becomes an ephemeral znode", box("/x"), []step{rm("/x", -1), mk("/x", proto.FlagEphemeral)}, proto.OpError},
		{"a TTL not over", ttl("/x", 1<<39), nil, proto.OpError},
		{"a znode of the server", mk("/y", 0), nil, 0},
		{"a TTL that is over", ttl("/x", 1), nil, proto.OpDeleteContainer},
		{"a TTL that begins again", ttl("/x", 60_000), []step{set("/x", "", -1)}, proto.OpError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, nil)
			w := r.connect()
			if a := w.ask(tc.before.op, tc.before.rec); a.code != proto.OK {
				t.Fatal(a.code)
			}
			for _, s := range tc.between {
				w.send(s.op, s.rec)
			}
			w.end()
			if len(tc.between) == 0 {
				// Past the millisecond in which a TTL of 1 ends.
				for made := time.Now(); time.Since(made) < 5*time.Millisecond; {
					time.Sleep(time.Millisecond)
				}
			}
			flight := len(r.flight)
			r.p.reapNode("/x")
			if tc.want == 0 {
				if len(r.flight) != flight {
					t.Error("a removal of what is not there is proposed")
				}
				return
			}
			if got := r.flight[len(r.flight)-1].Txn.Type; len(r.flight) != flight+1 || got != tc.want {
				t.Errorf("proposed is %v, want %v", got, tc.want)
			}
			r.commitAll()
			if gone := !slices.Contains(r.paths(), "/x"); tc.want == proto.OpDeleteContainer && !gone {
				t.Error("it is still there")
			}
			r.nothingInFlight()
		})
	}
}

func TestSequentialNames(t *testing.T) {
	for _, n := range []int32{0, 1, 9, 10, 1234567890, math.MaxInt32, -1, math.MinInt32} {
		if got, want := sequential("/a-", n), fmt.Sprintf("/a-%010d", n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
