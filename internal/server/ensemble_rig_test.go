// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"paddock/internal/config"
	"paddock/zk"
)

// patience is how long a condition may take to become true: long enough for a
// busy machine with the race detector, and never waited for when all is well.
const patience = 40 * time.Second

// cluster is an ensemble in this process, each server on loopback ports and in a
// directory of its own.
type cluster struct {
	t     testing.TB
	dir   string
	lines []string     // of the membership
	extra string       // further lines of every zoo.cfg
	nodes []*node      // by sid - 1
	quiet *slog.Logger // not nil: in place of the test's log

	counterMax uint32 // see Options
}

// node is one server of a cluster, running or not.
type node struct {
	*Server
	sid    int
	client int // port
	log    *testLog
}

// testLog shows the log of a server with the test's own.
type testLog struct {
	mu   sync.Mutex
	t    testing.TB
	sid  int
	over bool
	text strings.Builder
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if !l.over {
		l.t.Logf("server %d: %s", l.sid, strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// all is what was logged so far.
func (l *testLog) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// freePort finds a port outside of the range that systems give to outgoing
// connections, so that nobody takes it between here and there by chance.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 10000 + rand.IntN(20000)
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// newCluster lays out an ensemble; roles has a letter for each server, p for a
// participant and o for an observer. None is started.
func newCluster(t testing.TB, roles, extra string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), extra: extra}
	for _, role := range roles {
		c.lines = append(c.lines, c.join(role))
	}
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, n := range c.nodes {
			if n.Server != nil {
				wg.Go(func() { n.driver.Close(); n.Close() })
			}
		}
		wg.Wait()
		for _, n := range c.nodes {
			n.log.mu.Lock()
			n.log.over = true
			n.log.mu.Unlock()
		}
	})
	return c
}

// join lays out one more server and returns its line of the membership.
func (c *cluster) join(role rune) string {
	c.t.Helper()
	sid := len(c.nodes) + 1
	c.nodes = append(c.nodes, &node{sid: sid, client: freePort(c.t), log: &testLog{t: c.t, sid: sid}})
	c.must(os.MkdirAll(c.data(sid), 0o755))
	c.must(os.WriteFile(filepath.Join(c.data(sid), "myid"), fmt.Append(nil, sid), 0o644))
	line := fmt.Sprintf("server.%d=127.0.0.1:%d:%d", sid, freePort(c.t), freePort(c.t))
	if role == 'o' {
		line += ":observer"
	}
	return line
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) data(sid int) string { return filepath.Join(c.dir, fmt.Sprint(sid)) }

func (c *cluster) load(sid int) *config.Config {
	c.t.Helper()
	file := filepath.Join(c.dir, fmt.Sprintf("zoo%d.cfg", sid))
	text := fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\ntickTime=250\ninitLimit=40\nsyncLimit=8\nmaxClientCnxns=0\n4lw.commands.whitelist=*\n%s\n%s\n",
		c.data(sid), c.nodes[sid-1].client, c.extra, strings.Join(c.lines, "\n"))
	if _, err := os.Stat(file); err != nil { // it may have been rewritten since
		c.must(os.WriteFile(file, []byte(text), 0o644))
	}
	cfg, err := config.Load(config.Source{File: file})
	c.must(err)
	return cfg
}

// start starts servers, all of them if none is named.
func (c *cluster) start(sids ...int) {
	c.t.Helper()
	if len(sids) == 0 {
		for _, n := range c.nodes {
			sids = append(sids, n.sid)
		}
	}
	for _, sid := range sids {
		n := c.nodes[sid-1]
		log := c.quiet
		if log == nil {
			log = slog.New(slog.NewTextHandler(n.log, nil))
		}
		s, err := New(c.load(sid), Options{Logger: log, counterMax: c.counterMax})
		c.must(err)
		n.Server = s
	}
}

// kill ends a server as abruptly as one can in the process: nobody is told, and
// nothing is handed over.
func (c *cluster) kill(sid int) {
	c.t.Helper()
	n := c.nodes[sid-1]
	n.driver.Close()
	n.Close()
	n.Server = nil
}

// stop ends a server in order.
func (c *cluster) stop(sid int) {
	c.t.Helper()
	n := c.nodes[sid-1]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.must(n.Shutdown(ctx))
	n.Server = nil
}

// wipe empties the data directory of a server that does not run.
func (c *cluster) wipe(sid int) {
	c.t.Helper()
	c.must(os.RemoveAll(filepath.Join(c.data(sid), "version-2")))
}

// await waits until ok holds.
func (c *cluster) await(what string, ok func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			for _, n := range c.nodes {
				if n.Server != nil {
					v := n.tree.View(0)
					c.t.Logf("server %d: %+v, tree at %s", n.sid, n.driver.Health(), v.Zxid())
					v.Close()
				}
			}
			c.t.Fatalf("after %v still not: %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// leader waits until one of the running servers leads and all of them serve, and
// returns its sid.
func (c *cluster) leader() int {
	c.t.Helper()
	sid := 0
	c.await("one leader, and every server serving", func() bool {
		sid = 0
		for _, n := range c.nodes {
			if n.Server == nil {
				continue
			}
			h := n.driver.Health()
			if !h.Serving {
				return false
			}
			if h.Mode == "leader" {
				sid = n.sid
			}
		}
		return sid != 0
	})
	return sid
}

// agree waits until all running servers have the same tree.
func (c *cluster) agree() {
	c.t.Helper()
	c.await("the same tree on every server", func() bool {
		type state struct {
			zxid   any
			digest uint64
			nodes  int
		}
		seen := map[state]bool{}
		for _, n := range c.nodes {
			if n.Server != nil {
				v := n.tree.View(0)
				seen[state{v.Zxid(), v.Digest(), v.Nodes()}] = true
				v.Close()
			}
		}
		return len(seen) == 1
	})
	for _, n := range c.nodes {
		if n.Server != nil {
			if bad := n.pipe.Counts().DigestMismatches.Load(); bad != 0 {
				c.t.Errorf("server %d: %d digests differed", n.sid, bad)
			}
		}
	}
}

// connect opens a session at servers, all of them if none is named.
func (c *cluster) connect(sids ...int) *zk.Client {
	c.t.Helper()
	if len(sids) == 0 {
		for _, n := range c.nodes {
			sids = append(sids, n.sid)
		}
	}
	var addrs []string
	for _, sid := range sids {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", c.nodes[sid-1].client))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c.t.Cleanup(cancel)
	cl, err := zk.Connect(ctx, strings.Join(addrs, ","), zk.WithSessionTimeout(5*time.Second))
	c.must(err)
	c.t.Cleanup(func() { cl.Detach() })
	return cl
}

// said waits until the log of a server, since the test began, has a text.
func (c *cluster) said(sid int, text string) {
	c.t.Helper()
	l := c.nodes[sid-1].log
	c.await(fmt.Sprintf("server %d saying %q", sid, text), func() bool { return strings.Contains(l.all(), text) })
}

// create makes a znode, again and again while the connection is lost.
func (c *cluster) create(cl *zk.Client, path string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, err := cl.Create(ctx, path, []byte(path), zk.OpenACL, 0)
		if err == nil {
			return
		}
		if _, there, e := cl.Exists(ctx, path); e == nil && there {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("create %s: %v", path, err)
		}
	}
}

// has checks that a server shows znodes, after a sync.
func (c *cluster) has(sid int, paths ...string) {
	c.t.Helper()
	cl := c.connect(sid)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.must(cl.Sync(ctx, "/"))
	for _, p := range paths {
		data, _, err := cl.Get(ctx, p)
		if err != nil || string(data) != p {
			c.t.Errorf("server %d: %s is %q, %v", sid, p, data, err)
		}
	}
}
