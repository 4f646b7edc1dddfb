// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"paddock/internal/config"
	"paddock/internal/storage"
	"paddock/proto"
	"paddock/zk"
)

// others are the servers of a cluster of three but one.
func others(sid int) []int { return []int{sid%3 + 1, (sid+1)%3 + 1} }

// fill makes n znodes by way of one client and returns their paths.
func (c *cluster) fill(cl *zk.Client, name string, n int) (paths []string) {
	c.t.Helper()
	for i := range n {
		p := fmt.Sprintf("/%s-%d", name, i)
		c.create(cl, p)
		paths = append(paths, p)
	}
	return paths
}

// Three servers: writes through each are read from each; without the leader the
// others go on; it comes back and gets what it missed, as a DIFF.
func TestEnsembleOutlivesItsLeader(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start()
	lead := c.leader()
	var paths []string
	for sid := 1; sid <= 3; sid++ {
		cl := c.connect(sid)
		paths = append(paths, c.fill(cl, fmt.Sprintf("through-%d", sid), 5)...)
		cl.Close()
	}
	for sid := 1; sid <= 3; sid++ {
		c.has(sid, paths...)
	}
	c.agree()

	c.kill(lead)
	if next := c.leader(); next == lead {
		t.Fatalf("server %d leads and is dead", lead)
	}
	cl := c.connect(others(lead)...)
	paths = append(paths, c.fill(cl, "without", 5)...)
	cl.Close()
	c.start(lead)
	c.leader()
	c.has(lead, paths...)
	c.agree()
	c.said(lead, "following - synchronization - diff")
}

// A server that lost its disk is sent the tree.
func TestEnsembleServesAWipedServer(t *testing.T) {
	c := newCluster(t, "ppp", "snapshotSizeFactor=-1")
	c.start()
	lead := c.leader()
	cl := c.connect(lead)
	paths := c.fill(cl, "before", 20)
	lost := others(lead)[0]
	c.stop(lost)
	c.wipe(lost)
	paths = append(paths, c.fill(cl, "meanwhile", 20)...)
	c.start(lost)
	c.leader()
	c.said(lost, "following - synchronization - snap")
	paths = append(paths, c.fill(cl, "after", 20)...)
	c.has(lost, paths...)
	c.agree()

	// What it was sent is on its disk.
	c.stop(lost)
	c.start(lost)
	c.leader()
	c.has(lost, paths...)
	c.agree()
}

// A server whose log has a transaction that was never decided is cut back.
func TestEnsembleCutsBack(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start()
	lead := c.leader()
	cl := c.connect(others(lead)...)
	paths := c.fill(cl, "before", 5)
	c.agree()
	c.kill(lead)
	c.proposeAlone(lead, "/never")
	c.leader()
	paths = append(paths, c.fill(cl, "after", 5)...)
	c.start(lead)
	c.leader()
	c.said(lead, "following - synchronization - trunc")
	c.has(lead, paths...)
	c.agree()
	own := c.connect(lead)
	defer own.Close()
	if _, there, err := own.Exists(context.Background(), "/never"); there || err != nil {
		t.Errorf("the transaction that was cut off shows: %t, %v", there, err)
	}

	// And it does not come back with a restart.
	c.stop(lead)
	c.start(lead)
	c.leader()
	c.has(lead, paths...)
	c.agree()
}

// proposeAlone logs a create on a server that does not run, as a leader does
// whose followers are gone.
func (c *cluster) proposeAlone(sid int, path string) {
	c.t.Helper()
	store, err := storage.Open(storageOptions(c.load(sid), slog.New(slog.DiscardHandler), nil))
	c.must(err)
	var none discard
	rec, err := store.Recover(&none)
	c.must(err)
	txn := proto.Txn{Session: 1, Zxid: rec.LastZxid + 1, Type: proto.OpCreate,
		Body: &proto.CreateTxn{Path: path, ACL: zk.OpenACL, ParentCversion: -1}}
	var b storage.Batch
	b.Add(&txn)
	c.must(store.Log().Append(&b))
	c.must(store.Log().Sync())
	c.must(store.Log().Close())
}

// discard is a recovery that keeps nothing.
type discard struct{}

func (discard) Reset()                                                      {}
func (discard) LoadSession(int64, int32)                                    {}
func (discard) LoadACL(int64, []proto.ACL)                                  {}
func (discard) LoadNode(_, _ []byte, _ int64, _ *proto.StatPersisted) error { return nil }
func (discard) LoadDone(proto.Zxid, *storage.SnapDigest) error              { return nil }
func (discard) Replay(*proto.Txn) error                                     { return nil }

// An observer takes writes and shows them, and does not count.
func TestEnsembleWithAnObserver(t *testing.T) {
	c := newCluster(t, "ppo", "")
	c.start()
	lead := c.leader()
	if lead == 3 {
		t.Fatal("the observer leads")
	}
	cl := c.connect(3)
	defer cl.Close()
	paths := c.fill(cl, "by-observer", 10)
	for sid := 1; sid <= 3; sid++ {
		c.has(sid, paths...)
	}
	c.agree()
	c.await("the leader counting its observer", func() bool {
		h := c.nodes[lead-1].driver.Health()
		return h.SyncedObservers == 1 && h.SyncedFollowers == 1 && h.Learners == 2 && h.Voters == 2
	})
	if mode := c.nodes[2].driver.Health().Mode; mode != "observer" {
		t.Errorf("server 3 is a %s", mode)
	}
	c.kill(3)
	late := c.fill(c.connect(1, 2), "without-observer", 5)
	c.start(3)
	c.leader()
	c.has(3, late...)
	c.agree()
}

// A session outlives the server that its client was connected to, with its
// ephemeral znode.
func TestSessionMovesBetweenServers(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start()
	c.leader()
	cl := c.connect()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := cl.Create(ctx, "/mine", nil, zk.OpenACL, zk.Ephemeral); err != nil {
		t.Fatal(err)
	}
	id, at := cl.SessionID(), cl.Server()
	dead := 0
	for _, n := range c.nodes {
		if strings.HasSuffix(at, fmt.Sprintf(":%d", n.client)) {
			dead = n.sid
		}
	}
	c.kill(dead)
	c.leader()
	c.create(cl, "/after-the-move")
	if cl.SessionID() != id || cl.Server() == at {
		t.Errorf("session %v at %s, was %v at %s", cl.SessionID(), cl.Server(), id, at)
	}
	for _, sid := range others(dead) {
		own := c.connect(sid)
		stat, there, err := own.Exists(ctx, "/mine")
		if err != nil || !there || stat.EphemeralOwner != int64(id) {
			t.Errorf("server %d shows the ephemeral znode: %t, owner %#x, %v", sid, there, stat.EphemeralOwner, err)
		}
		own.Close()
	}
	if err := cl.Close(); err != nil {
		t.Fatal(err)
	}
	own := c.connect(others(dead)...)
	defer own.Close()
	c.await("the ephemeral znode gone with its session", func() bool {
		_, there, err := own.Exists(ctx, "/mine")
		return err == nil && !there
	})
}

// Nothing that was acknowledged is lost, whoever dies.
func TestEnsembleKeepsWhatItAcknowledged(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start()
	c.leader()
	var (
		mu    sync.Mutex
		acked []string
		wg    sync.WaitGroup
	)
	ctx, stop := context.WithCancel(context.Background())
	for w := range 3 {
		cl := c.connect()
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				p := fmt.Sprintf("/w%d-%d", w, i)
				if _, err := cl.Create(ctx, p, []byte(p), zk.OpenACL, 0); err == nil {
					mu.Lock()
					acked = append(acked, p)
					mu.Unlock()
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	for round := range 3 {
		had := count()
		c.await("some writes", func() bool { return count() > had+50 })
		dead := c.leader()
		if round == 1 {
			dead = others(dead)[0]
		}
		c.kill(dead)
		c.leader()
		had = count()
		c.await("writes without one server", func() bool { return count() > had+50 })
		c.start(dead)
		c.leader()
	}
	stop()
	wg.Wait()
	c.agree()
	for sid := 1; sid <= 3; sid++ {
		c.has(sid, acked...)
	}
	t.Logf("%d writes", len(acked))
}

// A leader that is stopped hands over, and its clients' requests are answered
// meanwhile.
func TestEnsembleHandsOver(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start()
	lead := c.leader()
	keep := others(lead)[0]
	cl := c.connect(keep)
	defer cl.Close()
	paths := c.fill(cl, "before", 5)
	connections := c.nodes[keep-1].pipe.Counts().Connections.Load()
	c.stop(lead)
	c.said(lead, "handing over")
	c.leader()
	paths = append(paths, c.fill(cl, "after", 5)...)
	if now := c.nodes[keep-1].pipe.Counts().Connections.Load(); now != connections {
		t.Errorf("the client of a follower has connected %d times more", now-connections)
	}
	for _, sid := range others(lead) {
		c.has(sid, paths...)
	}
	c.agree()
}

// All servers stop and start again with what they had.
func TestEnsembleComesBack(t *testing.T) {
	c := newCluster(t, "ppp", "snapCount=20")
	c.start()
	lead := c.leader()
	cl := c.connect(lead)
	paths := c.fill(cl, "before", 60)
	epoch := c.nodes[lead-1].driver.Health().Epoch
	cl.Detach()
	for sid := 1; sid <= 3; sid++ {
		c.kill(sid)
	}
	c.start()
	lead = c.leader()
	if now := c.nodes[lead-1].driver.Health().Epoch; now <= epoch {
		t.Errorf("epoch %d follows %d", now, epoch)
	}
	for sid := 1; sid <= 3; sid++ {
		c.has(sid, paths...)
	}
	c.agree()
	text := c.ask(lead, "conf")
	if !strings.Contains(text, "membership: \nserver.1=127.0.0.1:") || !strings.HasSuffix(text, "\nversion=0") {
		t.Errorf("conf says %q", text)
	}
	shown := c.connect(1)
	defer shown.Close()
	data, _, err := shown.Get(context.Background(), proto.ConfigPath)
	if err != nil || !strings.HasPrefix(string(data), "server.1=127.0.0.1:") || !strings.HasSuffix(string(data), "\nversion=0") {
		t.Errorf("%s is %q, %v", proto.ConfigPath, data, err)
	}
}

// ask is what a server answers to a four-letter word.
func (c *cluster) ask(sid int, word string) string {
	return string(c.nodes[sid-1].words().FourLetter(word))
}

func TestWordsWithoutALeader(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start(1)
	const not = "This ZooKeeper instance is not currently serving requests\n"
	for word, want := range map[string]string{"srvr": not, "mntr": not, "conf": not, "cons": not, "dump": not, "wchs": not, "ruok": "imok", "isro": "null"} {
		if got := c.ask(1, word); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
	if got := c.ask(1, "envi"); !strings.HasPrefix(got, "Environment:\n") {
		t.Errorf("envi: %q", got)
	}
	c.start(2, 3)
	lead := c.leader()
	for sid := 1; sid <= 3; sid++ {
		mode, state := "follower", "following - broadcast"
		if sid == lead {
			mode, state = "leader", "leading - broadcast"
		}
		if got := c.ask(sid, "srvr"); !strings.Contains(got, "\nMode: "+mode+"\n") {
			t.Errorf("srvr of server %d: %q, want %s", sid, got, mode)
		}
		if got := c.ask(sid, "mntr"); !strings.Contains(got, "zk_server_state\t"+mode+"\nzk_peer_state\t"+state+"\n") || !strings.Contains(got, "zk_quorum_size\t3\n") {
			t.Errorf("mntr of server %d: %q", sid, got)
		}
		if got := c.ask(sid, "isro"); got != "rw" {
			t.Errorf("isro of server %d: %q", sid, got)
		}
	}
	c.await("mntr of a leader with its followers", func() bool {
		got := c.ask(lead, "mntr")
		return strings.Contains(got, "zk_learners\t2\nzk_synced_followers\t2\n")
	})
}

// Clients that cannot be served in time are let go.
func TestClientsAreDismissed(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start()
	lead := c.leader()
	keep := others(lead)[0]
	cl := c.connect(keep)
	c.create(cl, "/before")
	c.kill(lead)
	c.kill(others(lead)[1])
	c.await("the client let go", func() bool { return c.nodes[keep-1].port.Open() == 0 || cl.State() != zk.Connected })
}

func TestReadOnlyWithoutALeader(t *testing.T) {
	c := newCluster(t, "ppp", "readonlymode.enabled=true")
	c.start()
	lead := c.leader()
	cl := c.connect(lead)
	paths := c.fill(cl, "before", 3)
	cl.Close()
	keep := others(lead)[0]
	c.kill(lead)
	c.kill(others(lead)[1])
	c.await("a read-only server", func() bool { return c.ask(keep, "isro") == "ro" })
	if got := c.ask(keep, "srvr"); !strings.Contains(got, "\nREAD-ONLY mode; serving only read-only clients\n") || !strings.Contains(got, "\nMode: read-only\n") {
		t.Errorf("srvr: %q", got)
	}
	c.start(lead)
	c.leader()
	c.has(keep, paths...)
	if got := c.ask(keep, "isro"); got != "rw" {
		t.Errorf("isro with a leader: %q", got)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	for _, line := range []string{"sslQuorum=true", "portUnification=true", "quorum.auth.enableSasl=true", "oraclePath=/tmp/oracle"} {
		key, _, _ := strings.Cut(line, "=")
		c := newCluster(t, "ppp", line)
		s, err := New(c.load(1), Options{})
		if err == nil {
			s.Close()
			t.Errorf("%s starts", line)
		} else if !strings.Contains(err.Error(), key+"=") || !strings.Contains(err.Error(), "zoo1.cfg:") {
			t.Errorf("%s: %v", line, err)
		}
	}
	c := newCluster(t, "ppp", "enableEagerACLCheck=true\nleader.maxTimeToWaitForEpoch=-1\nleader.maxConcurrentSnapSyncs=3")
	c.start(1)
	c.said(1, "key=enableEagerACLCheck value=true")
	c.said(1, "key=leader.maxConcurrentSnapSyncs value=3")
	if text := c.nodes[0].log.all(); strings.Contains(text, "key=leader.maxTimeToWaitForEpoch") {
		t.Error("a value that asks for nothing is named")
	}

	// And what only an ensemble needs does not keep a server alone from starting.
	src := config.Embedded(t.TempDir())
	src.Flags = map[string]string{"clientPort": "0"}
	cfg, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// Ensembles of other shapes serve as well.
func TestEnsemblesOfOtherShapes(t *testing.T) {
	for _, tc := range []struct{ name, roles, extra string }{
		{"one voter", "p", "standaloneEnabled=false"},
		{"one voter and an observer", "po", "standaloneEnabled=false"},
		{"two", "pp", ""},
		{"seven, and an observer", "pppppppo", ""},
		{"groups, of which one has no weight", "pppp", "group.1=1:2:3\ngroup.2=4\nweight.1=1\nweight.2=1\nweight.3=1\nweight.4=0"},
		{"batches that wait for company", "ppp", "flushDelay=2\nmaxBatchSize=3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, tc.roles, tc.extra)
			c.start()
			c.leader()
			var paths []string
			for _, n := range c.nodes {
				cl := c.connect(n.sid)
				paths = append(paths, c.fill(cl, fmt.Sprintf("by-%d", n.sid), 5)...)
				cl.Close()
			}
			for _, n := range c.nodes {
				c.has(n.sid, paths...)
			}
			c.agree()
		})
	}
}

// A server that must not take an empty directory for a new database does not
// vote for what it has forgotten, and is sent the tree.
func TestEnsembleWithAServerThatForgot(t *testing.T) {
	c := newCluster(t, "ppp", "db.autocreate=false")
	for sid := 1; sid <= 3; sid++ {
		c.must(os.WriteFile(filepath.Join(c.data(sid), "initialize"), nil, 0o644))
	}
	c.start()
	lead := c.leader()
	cl := c.connect(lead)
	paths := c.fill(cl, "before", 5)
	lost := others(lead)[0]
	c.agree()
	c.stop(lost)
	c.wipe(lost)
	c.start(lost)
	c.leader()
	c.said(lost, "following - synchronization - snap")
	c.has(lost, paths...)
	c.agree()
}

// Nothing of a server runs on after its end.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	c := newCluster(t, "ppo", "")
	c.start()
	lead := c.leader()
	cl := c.connect()
	c.fill(cl, "some", 5)
	c.kill(3 - lead) // the other voter
	c.start(3 - lead)
	c.leader()
	cl.Close()
	for sid := 1; sid <= 3; sid++ {
		c.stop(sid)
	}
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(5 * time.Millisecond)
	}
}
