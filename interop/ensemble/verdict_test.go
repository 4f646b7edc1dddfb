// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"paddock/zk"
)

// A znode is all that a client can see of one.
type znode struct {
	data string // with a mark for null
	acl  string
	stat zk.Stat
}

type tree map[string]znode

// configNode is written by each server for itself, with the time of its own clock.
const configNode = "/zookeeper/config"

// readTree reads all of a server's tree, behind a sync.
func (s *server) readTree() (tree, error) {
	cl := s.c.connectTo(s, sessionTimeout)
	defer cl.Close() // a session left to expire would write at a moment of its own
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := cl.AddAuth(ctx, "digest", []byte(superAuth)); err != nil {
		return nil, err
	}
	if err := cl.Sync(ctx, "/"); err != nil {
		return nil, err
	}
	out := tree{}
	var walk func(path string) error
	walk = func(path string) error {
		data, _, err := cl.Get(ctx, path)
		if err != nil {
			return fmt.Errorf("get %s: %w", path, err)
		}
		acl, st, err := cl.GetACL(ctx, path)
		if err != nil {
			return fmt.Errorf("getACL %s: %w", path, err)
		}
		n := znode{data: fmt.Sprintf("%q", data), acl: fmt.Sprint(acl), stat: st}
		if data == nil {
			n.data = "null"
		}
		if path == configNode {
			n.stat.Ctime, n.stat.Mtime = 0, 0
		}
		out[path] = n
		names, err := cl.Children(ctx, path)
		if err != nil {
			return fmt.Errorf("children of %s: %w", path, err)
		}
		if len(names) != int(st.NumChildren) {
			return fmt.Errorf("%s has %d children and counts %d", path, len(names), st.NumChildren)
		}
		for _, name := range names {
			if err := walk(strings.TrimSuffix(path, "/") + "/" + name); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk("/")
}

// differences names the znodes, at most ten, in which two trees are not the same.
func differences(a, b tree) []string {
	var out []string
	paths := map[string]bool{}
	for p := range a {
		paths[p] = true
	}
	for p := range b {
		paths[p] = true
	}
	for p := range paths {
		x, here := a[p]
		y, there := b[p]
		if x != y || here != there {
			out = append(out, fmt.Sprintf("%s: %+v (%v) and %+v (%v)", p, x, here, y, there))
		}
	}
	sort.Strings(out)
	return out[:min(10, len(out))]
}

// sameTrees compares the trees of all servers that run, and returns the tree.
func (c *cluster) sameTrees() tree {
	c.t.Helper()
	var first *server
	var want tree
	for _, s := range c.servers {
		if s.cmd == nil {
			continue
		}
		got, err := s.readTree()
		if err != nil {
			c.t.Fatalf("%v: %v", s, err)
		}
		if first == nil {
			first, want = s, got
		} else if d := differences(want, got); len(d) > 0 {
			c.t.Errorf("the trees of %v and %v differ:\n%s", first, s, strings.Join(d, "\n"))
		}
	}
	return want
}

// fuzzy notes which of Apache's servers got a whole tree since it was last asked,
// perhaps while others wrote. Such a tree is as of several moments at once, and so
// are the digests that are recorded of it until it has come to the last of them
// (quorum-protocol.md section 6.2); no later than what anybody shows now.
func (c *cluster) fuzzy() {
	for _, s := range c.servers {
		if s.kind != apache {
			continue
		}
		b, _ := os.ReadFile(s.log())
		n := bytes.Count(b, []byte("Getting a snapshot from leader"))
		if n == s.trees {
			continue
		}
		s.trees = n
		for _, o := range c.servers {
			if o.cmd != nil {
				s.fuzzyUpTo = max(s.fuzzyUpTo, o.zxid())
			}
		}
	}
}

// wholeTrees holds the trees that servers of ours have sent to it that each znode
// in them has its ACL. Apache's own do not always (see mend), so this looks only
// where no voter is one of Apache's.
func (c *cluster) wholeTrees() {
	c.t.Helper()
	for _, s := range c.voters() {
		if s.kind == apache {
			return
		}
	}
	for _, s := range c.servers {
		if s.kind != apache {
			continue
		}
		b, _ := os.ReadFile(s.log())
		sent := false
		for line := range strings.Lines(string(b)) {
			switch {
			case strings.Contains(line, "Getting a snapshot from leader"):
				sent = true
			case strings.Contains(line, "Reading snapshot"):
				sent = false // one of its own
			case sent && strings.Contains(line, "Ignoring acl"):
				c.t.Errorf("a tree that %v was sent lacks an ACL: %s", s, line)
			}
		}
	}
}

// sameDigests compares what the servers recorded of their trees at the same
// zxids, and returns how many records were compared.
func (c *cluster) sameDigests() int {
	c.t.Helper()
	c.fuzzy() // a connection that healed late
	c.wholeTrees()
	seen := map[string]string{}
	by := map[string]*server{}
	compared := 0
	for _, s := range c.servers {
		if s.cmd == nil {
			continue
		}
		for zxid, digest := range s.digests() {
			if z, err := strconv.ParseUint(strings.TrimPrefix(zxid, "0x"), 16, 64); err == nil && z <= s.fuzzyUpTo {
				continue
			}
			if was, ok := seen[zxid]; !ok {
				seen[zxid], by[zxid] = digest, s
			} else if compared++; was != digest {
				c.t.Errorf("at %s the digest is %s on %v and %s on %v", zxid, was, by[zxid], digest, s)
			}
		}
	}
	return compared
}

// noMismatch holds the servers to it that each transaction brought their trees
// to the digest that came with it. A tree received while it changed is ahead of
// the transactions that follow it: then Apache's server counts what is none.
func (c *cluster) noMismatch() {
	c.t.Helper()
	for _, s := range c.servers {
		if s.cmd == nil {
			continue
		}
		if b, _ := os.ReadFile(s.log()); strings.Contains(string(b), "the tree differs from the leader's") {
			c.t.Errorf("%v found that its tree differs", s)
		}
		if n := s.metric("digest_mismatches_count"); n > 0 || n < 0 && s.kind == apache {
			c.t.Errorf("%v counts %d digest mismatches", s, n)
		}
	}
}

// verify ends the load and holds every server's tree against what the workers know.
func (cr *crew) verify() {
	cr.c.t.Helper()
	t := cr.c.t
	cr.halt()
	cr.c.note("verify")
	lost := 0
	for _, w := range cr.workers {
		lost += w.lost
		st, ok, err := cr.exists(w, w.root+"/e/stays")
		if err != nil || !ok || st.EphemeralOwner != int64(w.client.SessionID()) {
			t.Errorf("%s: session %v and its ephemeral: %+v, %v, %v", w.root, w.client.SessionID(), st, ok, err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	want := cr.c.sameTrees()
	for _, w := range cr.workers {
		for _, p := range w.judge(want) {
			t.Error(p)
		}
	}
	n := cr.c.sameDigests()
	t.Logf("%d writes acknowledged, %d requests without an answer, %d znodes, %d digests compared",
		cr.acked(), lost, len(want), n)
	if t.Failed() {
		t.FailNow()
	}
}

func (cr *crew) exists(w *worker, path string) (st zk.Stat, ok bool, err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		ctx, cancel := within()
		st, ok, err = w.client.Exists(ctx, path)
		cancel()
		if !unknown(err) {
			break
		}
	}
	return st, ok, err
}

// judge names where a tree is not what a worker knows its subtree to be.
func (w *worker) judge(t tree) []string {
	var out []string
	for _, p := range w.paths() {
		n, ok := t[p]
		if !ok {
			out = append(out, fmt.Sprintf("%s is gone: %+v was acknowledged", p, w.known[p]))
			continue
		}
		got := valueOf(nil, n.stat, w.client.SessionID())
		want := w.known[p]
		if n.data != fmt.Sprintf("%q", want.data) {
			out = append(out, fmt.Sprintf("%s holds %s; acknowledged was %q", p, n.data, want.data))
		}
		want.data = ""
		if got != want {
			out = append(out, fmt.Sprintf("%s is %+v; acknowledged was %+v", p, got, want))
		}
	}
	for p := range t {
		if (p == w.root || strings.HasPrefix(p, w.root+"/")) && !w.known[p].exists {
			out = append(out, fmt.Sprintf("%s exists; it was never made, or its delete was acknowledged", p))
		}
	}
	slices.Sort(out)
	return out[:min(10, len(out))]
}

// close ends all sessions; then no ephemeral is left of them, on any server.
func (cr *crew) close() {
	t := cr.c.t
	t.Helper()
	for _, w := range cr.workers {
		if err := w.client.Close(); err != nil && !errors.Is(err, zk.ErrClosed) {
			t.Errorf("%s: close: %v", w.root, err)
		}
	}
	for p, n := range cr.c.sameTrees() {
		if n.stat.EphemeralOwner != 0 {
			t.Errorf("%s of session 0x%x outlived it", p, n.stat.EphemeralOwner)
		}
	}
}
