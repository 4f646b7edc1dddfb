// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"paddock/proto"
	"paddock/zk"
)

// network cuts the servers of a cluster off from each other, as a broken switch
// does: what is sent arrives when the cut is healed, and nobody is told.
type network struct {
	mu     sync.Mutex
	healed chan struct{} // closed while nothing is cut
	sides  map[int]bool  // of a cut: true for one of the two
	conns  map[*wire]bool
	owner  map[int]int // port between servers to sid
}

// wire is a connection between two servers, at the end that dialled it: what
// this end holds back both directions miss.
type wire struct {
	net.Conn
	n        *network
	from, to int
	gone     chan struct{}
	once     sync.Once

	mu      sync.Mutex
	pending []byte // written during a cut
}

// partitionable gives the cluster a network; its servers are to be started by
// startOn.
func (c *cluster) partitionable() *network {
	n := &network{healed: make(chan struct{}), conns: map[*wire]bool{}, owner: map[int]int{}}
	close(n.healed)
	for _, line := range c.lines {
		var sid, quorumPort, electionPort int
		fmt.Sscanf(line, "server.%d=127.0.0.1:%d:%d", &sid, &quorumPort, &electionPort)
		n.owner[quorumPort], n.owner[electionPort] = sid, sid
	}
	c.t.Cleanup(n.heal)
	return n
}

func (c *cluster) startOn(n *network, sids ...int) {
	c.t.Helper()
	for _, sid := range sids {
		node := c.nodes[sid-1]
		s, err := New(c.load(sid), Options{Logger: slog.New(slog.NewTextHandler(node.log, nil)), Wrap: func(nc net.Conn, dialed bool) (net.Conn, error) {
			if !dialed {
				return nc, nil
			}
			return n.wire(nc, sid)
		}})
		c.must(err)
		node.Server = s
	}
}

func (n *network) wire(nc net.Conn, from int) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := &wire{Conn: nc, n: n, from: from, to: n.owner[nc.RemoteAddr().(*net.TCPAddr).Port], gone: make(chan struct{})}
	if n.cutsLocked(w) {
		return nil, errors.New("no route")
	}
	n.conns[w] = true
	return w, nil
}

func (n *network) cutsLocked(w *wire) bool {
	return len(n.sides) > 0 && n.sides[w.from] != n.sides[w.to]
}

// cut parts these servers from all others.
func (n *network) cut(sids ...int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.healed, n.sides = make(chan struct{}), map[int]bool{}
	for _, sid := range sids {
		n.sides[sid] = true
	}
	for w := range n.conns {
		if n.cutsLocked(w) {
			w.Conn.SetReadDeadline(time.Unix(1, 0)) // out of a Read that waits
		}
	}
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.sides) == 0 {
		return
	}
	n.sides = nil
	for w := range n.conns {
		w.mu.Lock()
		w.Conn.Write(w.pending)
		w.pending = nil
		w.mu.Unlock()
		w.Conn.SetReadDeadline(time.Time{})
		select {
		case <-w.gone:
			w.Conn.Close()
			delete(n.conns, w)
		default:
		}
	}
	close(n.healed)
}

func (w *wire) held() (until <-chan struct{}, is bool) {
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	return w.n.healed, w.n.cutsLocked(w)
}

func (w *wire) Read(b []byte) (int, error) {
	for {
		if until, is := w.held(); is {
			select {
			case <-until:
			case <-w.gone:
				return 0, net.ErrClosed
			}
		}
		k, err := w.Conn.Read(b)
		if _, is := w.held(); is && k == 0 && err != nil && !errors.Is(err, io.EOF) {
			continue // the cut ended it
		}
		return k, err
	}
}

func (w *wire) Write(b []byte) (int, error) {
	if _, is := w.held(); is {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pending = append(w.pending, b...)
		return len(b), nil
	}
	return w.Conn.Write(b)
}

// Close tells the other end when the cut is healed.
func (w *wire) Close() error {
	w.once.Do(func() { close(w.gone) })
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	if w.n.cutsLocked(w) {
		return nil
	}
	delete(w.n.conns, w)
	return w.Conn.Close()
}

// at is a client that begins at one server and may go to all.
func (c *cluster) at(sid int, timeout time.Duration, more ...zk.Option) *zk.Client {
	c.t.Helper()
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", n.client))
	}
	home, first := addrs[sid-1], true
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		if first {
			addr, first = home, false
		}
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := zk.Connect(ctx, strings.Join(addrs, ","), append(more, zk.WithSessionTimeout(timeout), zk.WithDialer(dial))...)
	c.must(err)
	c.t.Cleanup(func() { cl.Detach() })
	return cl
}

// clients is how many connections a server has.
func (c *cluster) clients(sid int) (n int) {
	c.nodes[sid-1].port.Each(func(*pipelineClient) { n++ })
	return n
}

// A follower that is cut off lets a client go while there is time to find
// another server, and not at once; the session goes on there.
func TestFollowerWithoutALeaderLetsGoInTime(t *testing.T) {
	const timeout = 8 * time.Second
	c := newCluster(t, "ppp", "maxSessionTimeout=60000")
	net := c.partitionable()
	c.startOn(net, 1, 2, 3)
	lead := c.leader()
	cut := others(lead)[0]
	cl := c.at(cut, timeout)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := cl.Create(ctx, "/mine", nil, zk.OpenACL, zk.Ephemeral)
	c.must(err)
	id := cl.SessionID()
	// One with a longer timeout stays for longer.
	patient := c.at(cut, 60*time.Second)
	c.await("two clients there", func() bool { return c.clients(cut) == 2 })

	began := time.Now()
	net.cut(cut)
	c.await("the client let go", func() bool { return c.clients(cut) == 1 })
	kept := time.Since(began)
	// Its last ping may have been a third of the timeout ago.
	if kept < timeout/3-500*time.Millisecond || kept > timeout {
		t.Errorf("let go after %v, with a timeout of %v", kept, timeout)
	}
	c.create(cl, "/elsewhere")
	if took := time.Since(began); took > timeout {
		t.Errorf("served elsewhere after %v", took)
	}
	if cl.SessionID() != id {
		t.Errorf("session %v became %v", id, cl.SessionID())
	}
	if stat, there, err := cl.Exists(ctx, "/mine"); err != nil || !there || stat.EphemeralOwner != int64(id) {
		t.Errorf("the ephemeral znode: %t, %v", there, err)
	}
	t.Logf("let go after %v, served elsewhere after %v", kept.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))

	// The other one is kept until the server is back, and sees what it missed.
	done := make(chan error, 1)
	go func() {
		_, there, err := patient.Exists(ctx, "/elsewhere")
		if err == nil && !there {
			err = errors.New("a read from before the cut")
		}
		done <- err
	}()
	net.heal()
	c.leader()
	c.must(<-done)
	if n := c.clients(cut); n != 1 {
		t.Errorf("%d clients are left", n)
	}
	for sid := 1; sid <= 3; sid++ {
		if n := c.nodes[sid-1].pipe.Counts().Expired.Load(); n != 0 {
			t.Errorf("server %d expired %d sessions", sid, n)
		}
	}
}

// A leader that was deposed and does not know it shows old data; behind a sync
// it shows none, and neither does a follower of it.
func TestSyncIsABarrier(t *testing.T) {
	c := newCluster(t, "ppppp", "maxSessionTimeout=60000")
	// Servers 4 and 5 are slow to find out.
	c.extra = "maxSessionTimeout=60000\nsyncLimit=400"
	c.load(4)
	c.load(5)
	c.extra = "maxSessionTimeout=60000"
	net := c.partitionable()
	c.startOn(net, 5, 1, 2)
	if c.leader() != 5 {
		t.Fatal("the server with the highest id does not lead")
	}
	c.startOn(net, 3, 4)
	c.leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	writer := c.connect(1)
	_, err := writer.Create(ctx, "/x", []byte("old"), zk.OpenACL, 0)
	c.must(err)
	old := map[int]*zk.Client{4: c.at(4, 60*time.Second), 5: c.at(5, 60*time.Second)}
	for sid, cl := range old {
		c.must(cl.Sync(ctx, "/"))
		if data, _, err := cl.Get(ctx, "/x"); err != nil || string(data) != "old" {
			t.Fatalf("server %d: %q, %v", sid, data, err)
		}
	}

	net.cut(4, 5)
	c.await("another leader", func() bool {
		for sid := 1; sid <= 3; sid++ {
			if h := c.nodes[sid-1].driver.Health(); h.Serving && h.Mode == "leader" {
				return true
			}
		}
		return false
	})
	for {
		if _, err := writer.Set(ctx, "/x", []byte("new"), -1); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}

	if h := c.nodes[4].driver.Health(); !h.Serving || h.Mode != "leader" {
		t.Fatalf("the old leader knows: %+v", h)
	}
	type answer struct {
		sid  int
		data string
		err  error
	}
	answers := make(chan answer, 2)
	for sid, cl := range old {
		if data, _, err := cl.Get(ctx, "/x"); err != nil || string(data) != "old" {
			t.Fatalf("server %d does not show how things were: %q, %v", sid, data, err)
		}
		go func() {
			err := cl.Sync(ctx, "/x")
			var data []byte
			if err == nil {
				data, _, err = cl.Get(ctx, "/x")
			}
			answers <- answer{sid, string(data), err}
		}()
	}
	select {
	case a := <-answers:
		t.Errorf("server %d, cut off, answers %q, %v", a.sid, a.data, a.err)
	case <-time.After(5 * c.nodes[4].cfg.TickTime): // ten pings
	}
	net.heal()
	for range old {
		if a := <-answers; a.err != nil || a.data != "new" {
			t.Errorf("server %d: %q, %v", a.sid, a.data, a.err)
		}
	}
	c.agree()
}

// The server that keeps its clients through an election answers pings at once
// and everything else when there is a leader again.
func TestFollowerKeepsItsClients(t *testing.T) {
	c := newCluster(t, "ppp", "maxSessionTimeout=60000")
	c.start()
	lead := c.leader()
	keep, third := others(lead)[0], others(lead)[1]
	cl := c.at(keep, 60*time.Second)
	raw := c.dial(keep)
	c.create(cl, "/before")
	handshakes := c.nodes[keep-1].pipe.Counts().Connections.Load()

	c.kill(lead)
	c.kill(third)
	c.await("the end of its service", func() bool { return !c.nodes[keep-1].driver.Health().Serving })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answers := make(chan error, 20)
	for i := range 10 {
		go func() {
			_, err := cl.Create(ctx, fmt.Sprintf("/during-%d", i), nil, zk.OpenACL, 0)
			answers <- err
		}()
		go func() {
			_, _, err := cl.Get(ctx, "/before")
			answers <- err
		}()
	}
	for range 3 {
		raw.request(proto.XidPing, proto.OpPing)
		if xid, code := raw.reply(); xid != proto.XidPing || code != proto.OK {
			t.Fatalf("a ping is answered %d, %v", xid, code)
		}
	}
	select {
	case err := <-answers:
		t.Fatalf("a request is answered without a leader: %v", err)
	default:
	}

	c.start(third)
	for range cap(answers) {
		c.must(<-answers)
	}
	if now := c.nodes[keep-1].pipe.Counts().Connections.Load(); now != handshakes {
		t.Errorf("its clients connected %d times more", now-handshakes)
	}
	raw.request(proto.XidPing, proto.OpPing)
	if _, code := raw.reply(); code != proto.OK {
		t.Errorf("a ping afterwards: %v", code)
	}
	c.agree()
}
