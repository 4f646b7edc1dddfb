// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paddock/internal/pipeline"
	"paddock/zk"
)

// A leader that is not to serve clients lets them go at once, and those that it
// has when it becomes the leader.
func TestLeaderServesNobody(t *testing.T) {
	c := newCluster(t, "ppp", "leaderServes=no")
	c.start()
	lead := c.leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := zk.Connect(ctx, fmt.Sprintf("127.0.0.1:%d", c.nodes[lead-1].client), zk.WithConnectRounds(2)); err == nil {
		t.Error("a client was let in by the leader")
	}
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.nodes[lead-1].client))
	c.must(err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	_, err = nc.Write(append([]byte{0, 0, 0, 44}, make([]byte, 44)...)) // ConnectRequest, all zero, with an empty password
	c.must(err)
	if n, err := nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a handshake with the leader: %d bytes, %v", n, err)
	}
	if got := c.ask(lead, "srvr"); got != "This ZooKeeper instance is not currently serving requests\n" {
		t.Errorf("srvr: %q", got)
	}

	cl := c.connect()
	paths := c.fill(cl, "before", 5)
	c.kill(lead)
	next := c.leader()
	// One who was with the new leader all the while.
	c.await("no client with the new leader", func() bool {
		n := 0
		c.nodes[next-1].port.Each(func(*pipeline.Client) { n++ })
		return n == 0
	})
	paths = append(paths, c.fill(cl, "after", 5)...)
	c.start(lead)
	c.leader()
	for sid := 1; sid <= 3; sid++ {
		if sid != next {
			c.has(sid, paths...)
		}
	}
	c.agree()
}

// A participant that no membership has takes part in everything but decisions.
func TestNonVotingFollower(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start()
	lead := c.leader()
	paths := c.fill(c.connect(lead), "before", 5)
	c.lines = append(c.lines, c.join('p'))
	c.start(4)
	if l := c.leader(); l != lead {
		t.Fatalf("server %d leads, it was %d", l, lead)
	}
	c.await("the leader with a follower that has no vote", func() bool {
		h := c.nodes[lead-1].driver.Health()
		return h.SyncedNonVoting == 1 && h.SyncedFollowers == 2 && h.Voters == 3
	})
	paths = append(paths, c.fill(c.connect(4), "through-it", 5)...)
	c.has(4, paths...)
	c.agree()
	for _, sid := range others(lead) {
		c.kill(sid)
	}
	c.await("no quorum, though half of the servers are there", func() bool {
		return !c.nodes[lead-1].driver.Health().Serving && !c.nodes[3].driver.Health().Serving
	})
}

// Votes have weights: one heavy server decides alone, two light ones do not.
func TestWeightsDecide(t *testing.T) {
	c := newCluster(t, "ppp", "group.1=1:2:3\nweight.1=3\nweight.2=1\nweight.3=1")
	c.start()
	c.leader()
	paths := c.fill(c.connect(1), "three", 5)
	c.kill(2)
	c.kill(3)
	if lead := c.leader(); lead != 1 {
		t.Fatalf("server %d leads", lead)
	}
	paths = append(paths, c.fill(c.connect(1), "alone", 5)...)
	c.start(2, 3)
	c.leader()
	c.has(3, paths...)
	c.agree()
	c.kill(1)
	c.await("no quorum of two light servers", func() bool {
		return !c.nodes[1].driver.Health().Serving && !c.nodes[2].driver.Health().Serving
	})
	c.start(1)
	c.leader()
	c.has(2, paths...)
}

// The zxids of an epoch end, again and again: no client notices. Each keeps its
// connection, and each request is executed once.
func TestEpochsEndUnnoticed(t *testing.T) {
	const last, each = 150, 250
	c := newCluster(t, "ppp", "")
	c.counterMax = last
	c.start()
	first := c.nodes[c.leader()-1].driver.Health().Epoch
	connections := func() (n int64) {
		for _, n1 := range c.nodes {
			n += n1.pipe.Counts().Connections.Load()
		}
		return n
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var clients []*zk.Client
	for sid := 1; sid <= 3; sid++ {
		for range 2 {
			clients = append(clients, c.connect(sid))
		}
	}
	before := connections()
	var longest atomic.Int64
	var wg sync.WaitGroup
	for i, cl := range clients {
		wg.Go(func() {
			path := fmt.Sprintf("/w%d", i)
			if _, err := cl.Create(ctx, path, nil, zk.OpenACL, 0); err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			for v := range int32(each) {
				at := time.Now()
				if _, err := cl.Set(ctx, path, fmt.Append(nil, v), v); err != nil {
					t.Errorf("client %d: write %d: %v", i, v, err)
					return
				}
				longest.Store(max(longest.Load(), int64(time.Since(at))))
			}
		})
	}
	wg.Wait()
	if now := connections(); now != before {
		t.Errorf("%d clients have connected again", now-before)
	}
	lead := c.leader()
	h := c.nodes[lead-1].driver.Health()
	if h.Epoch-first < int64(len(clients)*each/last) {
		t.Errorf("epoch %d, it was %d: the epochs did not end", h.Epoch, first)
	}
	if got := c.ask(lead, "mntr"); h.ZxidsLeft > last || !strings.Contains(got, "zk_paddock_epoch_zxids_left\t") {
		t.Errorf("%d zxids are left of %d; mntr: %q", h.ZxidsLeft, last, got)
	}
	c.agree()
	t.Logf("%d epochs; the longest wait for an answer was %v", h.Epoch-first, time.Duration(longest.Load()).Round(time.Millisecond))
}
