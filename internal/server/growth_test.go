// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"paddock/proto"
	"paddock/zk"
)

// change asks server 1 for another membership, until it is so: a change of the
// leader on the way loses the answer.
func (c *cluster) change(r zk.Reconfiguration, done func(text string) bool) {
	c.t.Helper()
	cl := c.connect(1)
	defer cl.Close()
	r.Version = -1
	c.await(fmt.Sprintf("the membership after %+v", r), func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		text, _, err := cl.Reconfig(ctx, r)
		if err != nil {
			c.t.Logf("%+v: %v", r, err)
		}
		return err == nil && done(string(text))
	})
}

// An ensemble of one grows to three, to five, and back to one, while clients
// write: no write is lost, and no session ends.
func TestGrowsAndShrinksUnderLoad(t *testing.T) {
	c := newCluster(t, "p", "standaloneEnabled=false\nreconfigEnabled=true\nskipACL=yes")
	c.start()
	c.leader()
	for range 4 {
		c.lines = append(c.lines, c.join('p'))
	}
	lines := c.lines

	const writers = 4
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var written []string
	clients := make([]*zk.Client, writers)
	ids := make([]proto.SessionID, writers)
	for w := range writers {
		cl := c.connect()
		clients[w], ids[w] = cl, cl.SessionID()
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				p := fmt.Sprintf("/w%d-%d", w, i)
				if _, err := cl.Create(ctx, p, []byte(p), zk.OpenACL, 0); err == nil {
					mu.Lock()
					written = append(written, p)
					mu.Unlock()
				}
			}
		})
	}
	more := func() {
		mu.Lock()
		goal := len(written) + 40
		mu.Unlock()
		c.await("more writes", func() bool { mu.Lock(); defer mu.Unlock(); return len(written) >= goal })
	}
	more()

	for _, to := range []int{3, 5} {
		var joining []string
		for sid := to - 1; sid <= to; sid++ {
			joining = append(joining, fmt.Sprintf("%s;127.0.0.1:%d", lines[sid-1], c.nodes[sid-1].client))
			c.lines = lines[:sid]
			c.start(sid)
		}
		c.leader() // the new ones learn already
		c.change(zk.Reconfiguration{Joining: joining}, func(text string) bool { return strings.Count(text, ":participant") == to })
		c.leader()
		more()
	}
	for _, to := range []int{3, 1} {
		c.change(zk.Reconfiguration{Leaving: []string{fmt.Sprint(to + 1), fmt.Sprint(to + 2)}},
			func(text string) bool { return strings.Count(text, ":participant") == to })
		c.stop(to + 1)
		c.stop(to + 2)
		c.leader()
		more()
	}
	stop()
	wg.Wait()

	c.has(1, written...)
	for w, cl := range clients {
		if cl.SessionID() != ids[w] {
			t.Errorf("client %d has session %v, it began with %v", w, cl.SessionID(), ids[w])
		}
		cl.Close()
	}
}
