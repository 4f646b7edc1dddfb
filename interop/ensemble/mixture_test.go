// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"paddock/zk"
)

// mixtures have the leader that is there first as last voter. Every mixture of
// three is among them, with each kind as leader and as follower.
var mixtures = []string{"AAP", "APA", "APP", "PPA", "AAPPA+P"}

// moreMixtures are the rest of five, and more observers.
var moreMixtures = []string{
	"AAAAP", "AAAPA", "AAAPP", "AAPPP", "APPPA", "APPPP", "PPPPA",
	"AAA+P", "PPP+A", "PAP+AP", "APA+PP",
}

// Every member leaves and comes back: by DIFF when it was away for a while, by
// SNAP when it lost all it had, by TRUNC when it has what nobody else has; each
// with the other kind on the other side.
func TestMixture(t *testing.T) {
	kinds := mixtures
	if !testing.Short() {
		kinds = slices.Concat(mixtures, moreMixtures)
	}
	for _, k := range kinds {
		t.Run(k, func(t *testing.T) { mixture(t, k) })
	}
}

func mixture(t *testing.T, kinds string) {
	c := newCluster(t, kinds, "")
	// Far enough back for a member that was away while a JVM starts.
	c.flags += " -Dzookeeper.commitLogCount=50000"
	c.startAll()
	cr := newCrew(c, 2*len(c.servers))
	cr.start()
	cr.more(300)

	// Away for a while: one of each kind and role.
	for _, s := range c.learners() {
		s.kill()
		cr.more(50)
		s.start(s.kind)
		c.await(s)
		cr.more(50)
	}
	cr.verify()
	c.noMismatch() // every join was by DIFF so far

	// What only the leader has: once for each of two leaders in a row.
	if c.lab.canCut() {
		for range 2 {
			c.strand()
			cr.verify()
		}
	}

	// Nothing is left of it.
	cr.start()
	for _, s := range c.learners() {
		s.kill()
		s.wipe()
		cr.more(50)
		s.start(s.kind)
		c.await(s)
		cr.more(50)
	}
	cr.verify()
	cr.close()
}

// learners are some servers that do not lead: one of each kind as follower and
// one of each kind as observer, as far as there are such.
func (c *cluster) learners() []*server {
	var out []*server
	type sort struct {
		kind     kind
		observer bool
	}
	seen := map[sort]bool{}
	for _, s := range c.servers {
		if k := (sort{s.kind, s.observer}); !seen[k] && s.mode() != "leader" {
			seen[k] = true
			out = append(out, s)
		}
	}
	return out
}

// strand has the leader log writes that reach nobody else, kills it, and brings
// it back when another leads and has not written anything yet: that is when a
// leader answers with TRUNC. The writes must be gone from everywhere.
func (c *cluster) strand() {
	c.t.Helper()
	l := c.awaitLeader()
	cl := c.connectTo(l, time.Minute) // its end is a write too, and comes later than all this
	mark := fmt.Sprintf("/stranded-%d-%d", l.id, time.Now().UnixNano())
	c.isolate(l)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			path, err := cl.Create(ctx, fmt.Sprint(mark, i), []byte(mark), zk.OpenACL, 0)
			if err == nil {
				c.t.Errorf("%s was acknowledged by a leader without followers", path)
			}
		})
	}
	c.until(fmt.Sprintf("%v logs a write that it cannot commit", l), func() bool { return l.logged(mark) })
	l.kill()
	cl.Detach()
	cancel()
	wg.Wait()
	c.awaitLeader()
	c.heal()
	l.start(l.kind)
	c.await()
	c.note("%v leads now", c.leader())
	if l.logged(mark) {
		c.t.Errorf("%v has a write in its log that was never committed: it was not truncated", l)
	}
	for p := range c.sameTrees() {
		if len(p) > len(mark) && p[:len(mark)] == mark {
			c.t.Errorf("%s is there, which no quorum had", p)
		}
	}
}

// logged tells whether some text is in the server's transaction log.
func (s *server) logged(text string) bool {
	files, _ := filepath.Glob(filepath.Join(s.data(), "log.*"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}
