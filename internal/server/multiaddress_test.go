// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// way is a network between servers that may fail: a forwarder in front of each
// server's address in it.
type way struct {
	mu    sync.Mutex
	lns   []net.Listener
	conns map[net.Conn]bool
	to    map[string]string // where a forwarder listens: where it leads
}

func newWay() *way { return &way{conns: map[net.Conn]bool{}, to: map[string]string{}} }

// add puts a forwarder at one address in front of another.
func (w *way) add(at, to string) { w.to[at] = to }

// up opens the way.
func (w *way) up(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, to := range w.to {
		ln, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		w.lns = append(w.lns, ln)
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go w.forward(c, to)
			}
		}()
	}
}

// down closes the way, with all that is on it.
func (w *way) down() (conns int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ln := range w.lns {
		ln.Close()
	}
	w.lns = nil
	for c := range w.conns {
		c.Close()
	}
	conns = len(w.conns) / 2
	clear(w.conns)
	return conns
}

func (w *way) forward(c net.Conn, to string) {
	far, err := net.Dial("tcp", to)
	if err != nil {
		c.Close()
		return
	}
	w.mu.Lock()
	open := w.lns != nil
	if open {
		w.conns[c], w.conns[far] = true, true
	}
	w.mu.Unlock()
	if !open {
		c.Close()
		far.Close()
		return
	}
	go func() { io.Copy(far, c); far.Close() }()
	io.Copy(c, far)
	c.Close()
	w.mu.Lock()
	delete(w.conns, c)
	delete(w.conns, far)
	w.mu.Unlock()
}

// Each server has two addresses. Whichever network between them fails, they go
// on by the other.
func TestTwoAddressesEach(t *testing.T) {
	c := newCluster(t, "ppp", "")
	ways := []*way{newWay(), newWay()}
	defer func() {
		for _, w := range ways {
			w.down()
		}
	}()
	// A server knows the others by the forwarders, and itself by its own addresses.
	direct, forwarded := make([]string, 4), make([]string, 4)
	for sid := 1; sid <= 3; sid++ {
		var own, seen []string
		for _, w := range ways {
			var a, b [2]int
			for i := range a {
				a[i], b[i] = freePort(t), freePort(t)
				w.add(fmt.Sprintf("127.0.0.1:%d", b[i]), fmt.Sprintf("127.0.0.1:%d", a[i]))
			}
			own = append(own, fmt.Sprintf("127.0.0.1:%d:%d", a[0], a[1]))
			seen = append(seen, fmt.Sprintf("127.0.0.1:%d:%d", b[0], b[1]))
		}
		direct[sid] = fmt.Sprintf("server.%d=%s", sid, strings.Join(own, "|"))
		forwarded[sid] = fmt.Sprintf("server.%d=%s", sid, strings.Join(seen, "|"))
	}
	for sid := 1; sid <= 3; sid++ {
		lines := append([]string{"multiAddress.enabled=true"}, forwarded[1:]...)
		lines[sid] = direct[sid]
		c.lines = lines
		if err := os.Remove(filepath.Join(c.dir, fmt.Sprintf("zoo%d.cfg", sid))); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		c.load(sid)
	}
	for _, w := range ways {
		w.up(t)
	}
	c.start()
	c.leader()
	cl := c.connect()
	paths := c.fill(cl, "both", 5)
	cut := 0
	for i, w := range []*way{ways[0], ways[1], ways[0]} {
		cut += w.down()
		c.leader()
		paths = append(paths, c.fill(cl, fmt.Sprintf("one-%d", i), 5)...)
		c.agree()
		// A whole election, and a join, by one network.
		lead := c.leader()
		c.kill(lead)
		c.leader()
		c.start(lead)
		c.leader()
		paths = append(paths, c.fill(cl, fmt.Sprintf("election-%d", i), 5)...)
		c.agree()
		w.up(t)
	}
	if cut == 0 {
		t.Error("no connection was on a network that failed: nothing was tested")
	}
	for sid := 1; sid <= 3; sid++ {
		c.has(sid, paths...)
	}
}
