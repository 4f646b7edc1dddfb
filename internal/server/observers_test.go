// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paddock/zk"
)

// newSpread is newCluster with an address of its own for each server: the port
// of observer masters is the same on all of them.
func newSpread(t *testing.T, roles, extra string) *cluster {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("this system has one loopback address only: %v", err)
	}
	ln.Close()
	c := newCluster(t, roles, fmt.Sprintf("observerMasterPort=%d\n%s", freePort(t), extra))
	for i := range c.lines {
		c.lines[i] = strings.Replace(c.lines[i], "127.0.0.1", fmt.Sprintf("127.0.0.%d", i+1), 1)
	}
	return c
}

// master is the server that another one learns from.
func (c *cluster) master(sid int) int { return int(c.nodes[sid-1].driver.Health().Master) }

// Observers learn from followers, and nobody notices: not those who write or
// wait for a sync through them, nor when their follower or the leader goes.
func TestObserversBehindFollowers(t *testing.T) {
	c := newSpread(t, "pppoo", "")
	c.start()
	lead := c.leader()
	for sid := 4; sid <= 5; sid++ {
		if m := c.master(sid); m == lead || m < 1 || m > 3 {
			t.Errorf("observer %d learns from %d, and %d leads", sid, m, lead)
		}
	}
	c.await("the followers counting the observers, and the leader none", func() bool {
		n := 0
		for sid := 1; sid <= 3; sid++ {
			if h := c.nodes[sid-1].driver.Health(); sid != lead {
				n += h.SyncedObservers
			} else if h.SyncedObservers != 0 || h.SyncedFollowers != 2 || h.Learners != 2 {
				return false
			}
		}
		return n == 2
	})
	if got := c.ask(c.master(4), "mntr"); !strings.Contains(got, "zk_synced_observers\t") || strings.Contains(got, "zk_synced_observers\t0\n") {
		t.Errorf("mntr of an observer master: %q", got)
	}
	if got, want := c.ask(4, "mntr"), fmt.Sprintf("zk_observer_master_id\t%d\n", c.master(4)); !strings.Contains(got, want) {
		t.Errorf("mntr of an observer: %q, want %q", got, want)
	}
	var paths []string
	write := func(what string, through ...int) {
		for _, sid := range through {
			cl := c.connect(sid)
			paths = append(paths, c.fill(cl, fmt.Sprintf("%s-%d", what, sid), 5)...)
			cl.Close()
		}
		for _, n := range c.nodes {
			if n.Server != nil {
				c.has(n.sid, paths...)
			}
		}
		c.agree()
	}
	write("all", 1, 2, 3, 4, 5)

	// A follower relays at once, and not with its next answer to a ping.
	cl, quickest := c.connect(4), time.Hour
	for i := range 10 {
		begun := time.Now()
		c.fill(cl, fmt.Sprintf("quick-%d", i), 1)
		if i > 0 { // the first may come just before a ping
			quickest = min(quickest, time.Since(begun))
		}
	}
	cl.Close()
	if quickest > 60*time.Millisecond { // pings come every 125 ms
		t.Errorf("the quickest of ten writes through an observer took %v", quickest)
	}

	gone := c.master(4)
	c.kill(gone)
	c.leader()
	write("without-master", 4, 5)
	c.start(gone)
	c.leader()
	lead = c.leader()
	c.kill(lead)
	c.leader()
	write("without-leader", 4, 5)
	c.start(lead)
	c.leader()

	c.kill(5)
	late := c.fill(c.connect(4), "late", 5)
	c.start(5)
	c.leader()
	c.said(5, "observing - synchronization - diff")
	c.wipeAndReturn(4)
	paths = append(paths, late...)
	write("again", 4, 5)
}

// wipeAndReturn takes a server's data away.
func (c *cluster) wipeAndReturn(sid int) {
	c.t.Helper()
	c.stop(sid)
	c.wipe(sid)
	c.start(sid)
	c.leader()
}

// A session lives for as long as its client pings an observer behind a follower,
// and moves between servers like any other.
func TestSessionsBehindAFollower(t *testing.T) {
	c := newSpread(t, "ppoo", "")
	c.start()
	c.leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	const timeout = 600 * time.Millisecond
	addr := func(sid int) string { return fmt.Sprintf("127.0.0.1:%d", c.nodes[sid-1].client) }
	idle, err := zk.Connect(ctx, addr(3), zk.WithSessionTimeout(timeout))
	c.must(err)
	defer idle.Detach()
	_, err = idle.Create(ctx, "/idle", nil, zk.OpenACL, zk.Ephemeral)
	c.must(err)

	// Through the two observers, which are behind one follower, and that follower,
	// in turns: no server may answer for another.
	mover, err := zk.Connect(ctx, addr(3), zk.WithSessionTimeout(5*time.Second))
	c.must(err)
	_, err = mover.Create(ctx, "/moves", nil, zk.OpenACL, zk.Ephemeral)
	c.must(err)
	begun := time.Now()
	id, passwd := mover.SessionID(), mover.Passwd()
	for i := 0; time.Since(begun) < 4*timeout || i < 8; i++ {
		to := []int{4, c.master(4), 3}[i%3]
		mover.Detach() // or it would take its session back
		next, err := zk.Connect(ctx, addr(to), zk.WithSession(id, passwd), zk.WithSessionTimeout(5*time.Second))
		c.must(err)
		if _, err := next.Set(ctx, "/moves", fmt.Append(nil, i), int32(i)); err != nil {
			t.Fatalf("write %d, through server %d: %v", i, to, err)
		}
		mover = next
	}
	for sid := 1; sid <= 4; sid++ {
		own := c.connect(sid)
		c.must(own.Sync(ctx, "/"))
		for _, path := range []string{"/idle", "/moves"} {
			if _, there, err := own.Exists(ctx, path); err != nil || !there {
				t.Errorf("server %d shows the ephemeral znode %s of a live session: %t, %v", sid, path, there, err)
			}
		}
		own.Close()
	}
	c.must(mover.Close())
	idle.Detach()
	own := c.connect(4)
	defer own.Close()
	c.await("the ephemeral znodes gone with their sessions", func() bool {
		kids, err := own.Children(ctx, "/")
		return err == nil && len(kids) == 1 // /zookeeper
	})
}

// An observer may leave out the log: it has everything until it restarts, and
// then gets it again.
func TestObserverWithoutALog(t *testing.T) {
	c := newCluster(t, "ppo", "syncEnabled=false")
	c.start()
	c.leader()
	cl := c.connect(3)
	paths := c.fill(cl, "first", 10)
	c.has(3, paths...)
	c.agree()
	voters, _ := filepath.Glob(filepath.Join(c.data(1), "version-2", "log.*"))
	own, _ := filepath.Glob(filepath.Join(c.data(3), "version-2", "log.*"))
	if len(voters) == 0 || len(own) != 0 {
		t.Errorf("logs of a voter: %v, of the observer: %v", voters, own)
	}
	cl.Detach()
	c.kill(3)
	paths = append(paths, c.fill(c.connect(1), "second", 10)...)
	c.start(3)
	c.leader()
	c.has(3, paths...)
	c.agree()
	lead := c.leader()
	c.kill(lead)
	c.start(lead)
	c.leader()
	paths = append(paths, c.fill(c.connect(3), "third", 10)...)
	c.has(3, paths...)
	c.agree()
}
