// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

const writers = 12

// A crew is the writers of one place.
type crew []*writer

func newCrew(t *testing.T, addr string) crew {
	t.Helper()
	var c crew
	for i := range writers {
		c = append(c, newWriter(t, addr, i))
	}
	t.Cleanup(func() {
		for _, w := range c {
			w.conn.Close()
		}
	})
	return c
}

// load lets all write until at least n requests were acknowledged, then calls then while they go
// on, and returns when all have stopped. It reports how many were acknowledged.
func (c crew) load(t *testing.T, n int, then func()) int {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := 0
	enough := make(chan struct{})
	for _, w := range c {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !w.step(t) {
					return
				}
				mu.Lock()
				if acked++; acked == n {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
		then()
	case <-time.After(60 * time.Second):
		t.Error("too few writes were acknowledged in a minute")
	}
	close(stop)
	wg.Wait()
	return acked
}

func (c crew) verify(t *testing.T) {
	t.Helper()
	for _, w := range c {
		w.verify(t)
	}
}

// killed is the plain hand-over: one server is killed under load, the other takes its place.
func killed(t *testing.T, from, to string) {
	p := newPlace(t)
	p.start(from)
	c := newCrew(t, p.addr)
	ghost := newGhost(t, p.addr)
	closed := connect(t, p.addr)
	must(t, create(closed, "/closed", zk.FlagEphemeral))
	closed.Close()

	n := c.load(t, 4000, func() { p.end(syscall.SIGKILL) })
	ghost.vanish()
	p.start(to)
	c.verify(t)
	p.checkDigest(to)
	t.Logf("%d acknowledged writes under %s found by %s", n, from, to)

	look := connect(t, p.addr)
	defer look.Close()
	if found, _, err := look.Exists("/closed"); found || err != nil {
		t.Errorf("the ephemeral of a closed session: %v, %v", found, err)
	}
	// A session whose client is gone expires under the new server.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		found, _, err := look.Exists("/ghost")
		must(t, err)
		if !found {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the ephemeral of a client that vanished is still there")
		}
	}
	// What was taken over can be written on, and goes back.
	c.load(t, 500, func() {})
	before := readTree(t, p.addr)
	p.end(syscall.SIGKILL)
	p.start(from)
	sameTree(t, "back under "+from, before, readTree(t, p.addr))
	p.checkDigest(from)
	c.verify(t)
}

func TestReferenceThenSUT(t *testing.T) { killed(t, kinds[0], kinds[1]) }

func TestSUTThenReference(t *testing.T) { killed(t, kinds[1], kinds[0]) }

// Ten hand-overs of one directory: killed under load, stopped at rest, killed at rest.
func TestTenHandOvers(t *testing.T) {
	p := newPlace(t)
	p.start(kinds[0])
	c := newCrew(t, p.addr)
	setQuota(t, p.addr, "/w0")
	for k := range 10 {
		from, to := kinds[k%2], kinds[(k+1)%2]
		if k%4 < 2 {
			n := c.load(t, 1000, func() { p.end(syscall.SIGKILL) })
			p.start(to)
			c.verify(t)
			t.Logf("%d: %s killed under load, %d acknowledged writes found by %s", k+1, from, n, to)
		} else {
			c.load(t, 1000, func() {})
			before := readTree(t, p.addr)
			sig := syscall.SIGTERM
			if k%4 == 3 {
				sig = syscall.SIGKILL
			}
			p.end(sig)
			p.start(to)
			sameTree(t, from+" to "+to, before, readTree(t, p.addr))
			c.verify(t)
			t.Logf("%d: %s ended by %v, %d znodes the same under %s", k+1, from, sig, len(before), to)
		}
		p.checkDigest(to)
		if t.Failed() {
			t.Fatalf("hand-over %d failed; see %s", k+1, p.dir)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(c *zk.Conn, path string, flags int32) error {
	_, err := c.Create(path, nil, flags, zk.WorldACL(zk.PermAll))
	return err
}

// setQuota puts soft limits on path, with the usage znode that the server keeps up to date.
func setQuota(t *testing.T, addr, path string) {
	t.Helper()
	c := connect(t, addr)
	defer c.Close()
	must(t, create(c, "/zookeeper/quota"+path, 0))
	for _, leaf := range []string{"zookeeper_limits", "zookeeper_stats"} {
		_, err := c.Create("/zookeeper/quota"+path+"/"+leaf, []byte("count=100000,bytes=-1"), 0, zk.WorldACL(zk.PermAll))
		must(t, err)
	}
	data, _, err := c.Get("/zookeeper/quota" + path + "/zookeeper_stats")
	must(t, err)
	// The root of the subtree, its directory and two ephemerals.
	if !strings.HasPrefix(string(data), "count=4,") {
		t.Errorf("usage of %s: %s", path, data)
	}
}

// A ghost holds an ephemeral by a session of one second, and can vanish without a word.
type ghost struct {
	conn *zk.Conn
	mu   sync.Mutex
	sock net.Conn // guarded by mu
	gone bool     // guarded by mu
}

func newGhost(t *testing.T, addr string) *ghost {
	t.Helper()
	g := &ghost{}
	dial := func(network, address string, timeout time.Duration) (net.Conn, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.gone {
			return nil, errors.New("gone")
		}
		s, err := net.DialTimeout(network, address, timeout)
		g.sock = s
		return s, err
	}
	c, _, err := zk.Connect([]string{addr}, time.Second, zk.WithLogger(quiet{}), zk.WithDialer(dial))
	must(t, err)
	g.conn = c
	must(t, create(c, "/ghost", zk.FlagEphemeral))
	t.Cleanup(c.Close)
	return g
}

func (g *ghost) vanish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
	g.sock.Close()
}
