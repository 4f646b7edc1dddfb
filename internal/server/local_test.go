// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"paddock/zk"
)

const localSessions = "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true\n"

// brief opens a session of 1 s at one server.
func (c *cluster) brief(sid int, opts ...zk.Option) *zk.Client {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := zk.Connect(ctx, fmt.Sprintf("127.0.0.1:%d", c.nodes[sid-1].client), append(opts, zk.WithSessionTimeout(time.Second))...)
	c.must(err)
	c.t.Cleanup(func() { cl.Detach() })
	return cl
}

// sessions is how many sessions the tree of each server has.
func (c *cluster) sessions(want int) {
	c.t.Helper()
	c.agree()
	for _, n := range c.nodes {
		if n.Server == nil {
			continue
		}
		v := n.tree.View(0)
		if got := len(v.Sessions()); got != want {
			c.t.Errorf("server %d: %d global sessions, not %d", n.sid, got, want)
		}
		v.Close()
	}
}

// TestLocalSessions on leader, follower and observer: no transaction makes or
// ends them; the first ephemeral znode makes one global, and its expiry removes
// the znode everywhere.
func TestLocalSessions(t *testing.T) {
	c := newCluster(t, "pppo", localSessions)
	c.start()
	lead := c.leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i, sid := range []int{lead, others(lead)[0], 4} {
		if sid == lead && i > 0 {
			sid = others(lead)[1]
		}
		cl := c.brief(sid)
		c.create(cl, fmt.Sprint("/plain", i))
		c.must(cl.Sync(ctx, "/"))
		c.sessions(0)
		if got := c.ask(sid, "mntr"); !strings.Contains(got, "zk_global_sessions\t0\n") || !strings.Contains(got, "zk_local_sessions\t1\n") {
			t.Errorf("server %d: mntr does not tell of one local session:\n%s", sid, got)
		}
		if got := c.ask(sid, "dump"); !strings.Contains(got, "SessionTracker dump:\nLocal Session Sets (1)/(1):\n") || !strings.Contains(got, "\nGlobal Session") {
			t.Errorf("server %d: dump: %s", sid, got)
		}
		path, err := cl.Create(ctx, fmt.Sprint("/mine", i), nil, zk.OpenACL, zk.Ephemeral)
		c.must(err)
		c.sessions(1)
		if _, err := cl.Create(ctx, path+"too", nil, zk.OpenACL, zk.Ephemeral); err != nil {
			t.Error(err)
		}
		c.sessions(1)
		cl.Detach()
		c.await("the ephemeral znodes gone from every server", func() bool {
			for _, n := range c.nodes {
				v := n.tree.View(0)
				there := v.Find(path) != 0 || v.Find(path+"too") != 0
				v.Close()
				if there {
					return false
				}
			}
			return true
		})
		c.sessions(0)

		other := c.brief(sid)
		zxid := c.nodes[sid-1].tree
		v := zxid.View(0)
		before := v.Zxid()
		v.Close()
		c.must(other.Close())
		v = zxid.View(0)
		if v.Zxid() != before {
			t.Errorf("server %d: the end of a local session is a transaction", sid)
		}
		v.Close()
		gone := c.brief(sid)
		gone.Detach()
		c.await("the local session expired", func() bool { return c.nodes[sid-1].pipe.Sessions().Len() == 0 })
	}
	c.agree()
}

// TestLocalSessionsStay through an election, on servers that stay.
func TestLocalSessionsStay(t *testing.T) {
	c := newCluster(t, "ppp", localSessions)
	c.start()
	lead := c.leader()
	cl := c.brief(others(lead)[0])
	c.create(cl, "/before")
	id := cl.SessionID()
	c.kill(lead)
	c.leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.await("an ephemeral znode of it", func() bool {
		_, err := cl.Create(ctx, "/mine", nil, zk.OpenACL, zk.Ephemeral)
		return err == nil || errors.Is(err, zk.ErrNodeExists)
	})
	if cl.SessionID() != id {
		t.Errorf("session %s has become %s", id, cl.SessionID())
	}
	c.sessions(1)
}

// TestLocalSessionsRefuse ephemeral znodes where sessions do not become global.
func TestLocalSessionsRefuse(t *testing.T) {
	c := newCluster(t, "ppp", "localSessionsEnabled=true")
	c.start()
	lead := c.leader()
	for _, sid := range []int{lead, others(lead)[0]} {
		_, err := c.brief(sid).Create(context.Background(), "/mine", nil, zk.OpenACL, zk.Ephemeral)
		if !errors.Is(err, zk.ErrEphemeralOnLocal) {
			t.Errorf("server %d: %v", sid, err)
		}
	}
	c.sessions(0)
}

// TestReadOnlyClients: a client that accepts it reads from a server without a
// quorum, is told of what it may not do, and finds its way back; one with a
// session of the ensemble keeps that.
func TestReadOnlyClients(t *testing.T) {
	for _, extra := range []string{"", localSessions} {
		c := newCluster(t, "ppp", "readonlymode.enabled=true\n"+extra)
		c.start()
		lead := c.leader()
		keep := others(lead)[0]
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		real := c.connect(keep)
		c.create(real, "/before")
		if extra != "" {
			_, err := real.Create(ctx, "/mine", nil, zk.OpenACL, zk.Ephemeral)
			c.must(err)
		}
		id := real.SessionID()
		c.kill(lead)
		c.kill(others(lead)[1])
		c.await("a read-only server", func() bool { return c.ask(keep, "isro") == "ro" })

		reader := c.brief(keep, zk.WithReadOnly())
		if reader.State() != zk.ConnectedReadOnly {
			t.Errorf("a reader is %v", reader.State())
		}
		data, _, events, err := reader.GetWatch(ctx, "/before")
		if err != nil || string(data) != "/before" {
			t.Errorf("read %q, %v", data, err)
		}
		if _, err := reader.Create(ctx, "/no", nil, zk.OpenACL, 0); !errors.Is(err, zk.ErrNotReadOnly) {
			t.Errorf("a create: %v", err)
		}
		if err := reader.Sync(ctx, "/"); !errors.Is(err, zk.ErrNotReadOnly) {
			t.Errorf("a sync: %v", err)
		}
		plain, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		if x, err := zk.Connect(plain, fmt.Sprintf("127.0.0.1:%d", c.nodes[keep-1].client)); err == nil {
			x.Detach()
			t.Error("a client that wants a quorum is served")
		}
		stop()
		_ = events

		c.start(lead)
		c.leader()
		c.await("the reader with a quorum", func() bool { return reader.State() == zk.Connected })
		c.create(reader, "/after")
		c.create(real, "/resumed")
		if real.SessionID() != id {
			t.Errorf("session %s has become %s", id, real.SessionID())
		}
	}
}
