// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// A value is what a writer knows of one znode.
type value struct {
	exists  bool
	data    string
	version int32
}

// A writer changes its own subtree, one request at a time, and remembers what was acknowledged.
// At a kill at most one of its requests has an unknown outcome: pending, all of it or none.
type writer struct {
	conn    *zk.Conn
	session int64
	root    string
	rng     *rand.Rand
	next    int              // for values and names that do not repeat
	known   map[string]value // by path, as acknowledged
	pending map[string]value // what the request without an answer would have made
	acked   int
	seq     []string // sequential znodes, in the order of their creation
}

var owner = zk.DigestACL(zk.PermAll, "owner", "secret")

func newWriter(t *testing.T, addr string, i int) *writer {
	t.Helper()
	c := connect(t, addr)
	w := &writer{
		conn: c, root: fmt.Sprintf("/w%d", i), rng: rand.New(rand.NewPCG(uint64(i), 1)),
		known: map[string]value{},
	}
	for _, step := range []struct {
		path  string
		flags int32
	}{{w.root, 0}, {w.root + "/seq", 0}, {w.root + "/e", zk.FlagEphemeral}, {w.root + "/e2", zk.FlagEphemeral}} {
		if _, err := c.Create(step.path, []byte(step.path), step.flags, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatalf("create %s: %v", step.path, err)
		}
		w.known[step.path] = value{true, step.path, 0}
	}
	w.session = c.SessionID()
	return w
}

// step sends one request and reports whether it was answered.
func (w *writer) step(t *testing.T) bool {
	w.next++
	data := fmt.Sprintf("%d-%s", w.next, strings.Repeat("x", w.rng.IntN(200)))
	path := fmt.Sprintf("%s/n%d", w.root, w.rng.IntN(40))
	was := w.known[path]
	open := zk.WorldACL(zk.PermAll)
	switch k := w.rng.IntN(10); {
	case k == 0: // several at once
		other := path + "x"
		ops := []any{&zk.SetDataRequest{Path: w.root, Data: []byte(data), Version: w.known[w.root].version}}
		will := map[string]value{w.root: {true, data, w.known[w.root].version + 1}}
		if o := w.known[other]; o.exists {
			ops = append(ops, &zk.DeleteRequest{Path: other, Version: o.version})
			will[other] = value{}
		} else {
			ops = append(ops, &zk.CreateRequest{Path: other, Data: []byte(data), Acl: open})
			will[other] = value{true, data, 0}
		}
		return w.ask(t, will, func() error { _, err := w.conn.Multi(ops...); return err })
	case k == 1: // a sequential name, known only from the answer
		w.pending = map[string]value{}
		name, err := w.conn.Create(w.root+"/seq/s-", []byte(data), zk.FlagSequence, open)
		if lost(err) {
			return false
		}
		if err != nil {
			t.Errorf("sequential create under %s: %v", w.root, err)
			return false
		}
		w.pending = nil
		w.acked++
		w.seq = append(w.seq, name)
		w.known[name] = value{true, data, 0}
		return true
	case was.exists && k == 2:
		return w.ask(t, map[string]value{path: {}}, func() error { return w.conn.Delete(path, was.version) })
	case was.exists:
		return w.ask(t, map[string]value{path: {true, data, was.version + 1}}, func() error {
			_, err := w.conn.Set(path, []byte(data), was.version)
			return err
		})
	case k == 3:
		return w.ask(t, map[string]value{path: {true, data, 0}}, func() error {
			_, err := w.conn.CreateContainer(path, []byte(data), zk.FlagContainer, open)
			return err
		})
	case k == 4:
		return w.ask(t, map[string]value{path: {true, data, 0}}, func() error {
			_, err := w.conn.CreateTTL(path, []byte(data), zk.FlagTTL, open, time.Hour)
			return err
		})
	default:
		acl := open
		if k == 5 {
			acl = owner
		}
		return w.ask(t, map[string]value{path: {true, data, 0}}, func() error {
			_, err := w.conn.Create(path, []byte(data), 0, acl)
			return err
		})
	}
}

// ask runs one request; will is what it makes when it succeeds.
func (w *writer) ask(t *testing.T, will map[string]value, request func() error) bool {
	w.pending = will
	err := request()
	if lost(err) {
		return false
	}
	if err != nil {
		t.Errorf("%s: %v on the way to %v", w.root, err, will)
		return false
	}
	for p, v := range will {
		w.known[p] = v
	}
	w.pending = nil
	w.acked++
	return true
}

// lost tells whether the outcome of a request is unknown.
func lost(err error) bool {
	return errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) || errors.Is(err, zk.ErrSessionMoved)
}

// verify checks the writer's subtree through its own session, which must have lived on, and takes
// over the outcome of the pending request.
func (w *writer) verify(t *testing.T) {
	t.Helper()
	_, stat, err := w.conn.Exists(w.root + "/e")
	for deadline := time.Now().Add(20 * time.Second); err != nil && lost(err) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // until the client is connected again
		_, stat, err = w.conn.Exists(w.root + "/e")
	}
	if err != nil {
		t.Fatalf("%s: %v", w.root, err)
	}
	if w.conn.SessionID() != w.session || stat.EphemeralOwner != w.session {
		t.Errorf("%s: session 0x%x is now 0x%x, its ephemeral is owned by 0x%x", w.root, w.session, w.conn.SessionID(), stat.EphemeralOwner)
	}

	found := map[string]value{}
	for _, dir := range []string{w.root, w.root + "/seq"} {
		kids, _, err := w.conn.Children(dir)
		if err != nil {
			t.Fatalf("children of %s: %v", dir, err)
		}
		for _, p := range append([]string{""}, kids...) {
			path := strings.TrimSuffix(dir+"/"+p, "/")
			data, stat, err := w.conn.Get(path)
			if err != nil {
				t.Fatalf("get %s: %v", path, err)
			}
			found[path] = value{true, string(data), stat.Version}
		}
	}
	applied, missing := 0, 0
	for path, want := range w.pending {
		switch found[path] {
		case want:
			applied++
		case w.known[path]:
			missing++
		default:
			t.Errorf("%s is %v; acknowledged %v, asked for %v", path, found[path], w.known[path], want)
		}
	}
	if applied > 0 && missing > 0 {
		t.Errorf("%s: a request was applied in part: %v", w.root, w.pending)
	}
	for path, want := range w.known {
		if _, open := w.pending[path]; !open && found[path] != want {
			t.Errorf("%s is %v; acknowledged %v", path, found[path], want)
		}
	}
	surprises := 0
	for path := range found {
		if w.known[path].exists || w.pending[path].exists {
			continue
		}
		// A sequential create without an answer may have made one znode of an unknown name.
		if surprises++; w.pending == nil || len(w.pending) > 0 || surprises > 1 || !strings.HasPrefix(path, w.root+"/seq/s-") {
			t.Errorf("%s exists; nobody was told that it was made", path)
		}
	}
	if !slices.IsSorted(w.seq) {
		t.Errorf("%s: sequential names do not grow: %v", w.root, w.seq)
	}
	w.known, w.pending = found, nil
	for _, path := range w.seq {
		if !found[path].exists {
			t.Errorf("%s is gone", path)
		}
	}
}
