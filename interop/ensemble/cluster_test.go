// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for anything that must come about.
const patience = 60 * time.Second

// A cluster is the servers of one ensemble, by id from 1.
type cluster struct {
	t       *testing.T
	lab     *lab
	dir     string
	servers []*server
	flags   string // for every server: what the JVM takes by -D
	begun   time.Time

	mu     sync.Mutex
	events *os.File // what the test did and when; guarded by mu
}

// stillTree keeps containers and TTL znodes where they are.
const stillTree = "-Dznode.container.checkIntervalMs=3600000"

// newCluster makes the servers' directories; nothing runs yet. kinds has a
// letter for each server, in the order of their ids: "AAP" are two of Apache's
// and one paddock. Behind a plus sign are observers: "AAP+P". more are lines
// for every zoo.cfg.
func newCluster(t *testing.T, kinds string, more string) *cluster {
	t.Helper()
	if os.Getenv("INTEROP_OUT") == "" {
		t.Skip("this is run by interop/run ensemble")
	}
	dir := filepath.Join(os.Getenv("INTEROP_OUT"), strings.ReplaceAll(t.Name(), "/", "-"))
	must(t, os.RemoveAll(dir))
	must(t, os.MkdirAll(dir, 0o700))
	events, err := os.Create(filepath.Join(dir, "events"))
	must(t, err)
	c := &cluster{t: t, dir: dir, flags: stillTree, begun: time.Now(), events: events}
	observer := false
	var ids []int
	for _, k := range []byte(kinds) {
		if k == '+' {
			observer = true
			continue
		}
		id := len(c.servers) + 1
		ids = append(ids, id)
		c.servers = append(c.servers, &server{c: c, id: id, kind: kind(k), observer: observer, dir: filepath.Join(dir, fmt.Sprint(id))})
	}
	c.lab = newLab(t, ids)
	for _, s := range c.servers {
		s.write(c.servers, more)
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			if s.cmd == nil {
				continue
			}
			if t.Failed() { // what each goroutine or thread is at goes to the log
				s.signal(syscall.SIGCONT)
				s.signal(syscall.SIGQUIT)
				time.Sleep(time.Second)
			}
			s.kill()
		}
		if t.Failed() {
			for _, s := range c.servers {
				t.Logf("--- %v, last lines of %s\n%s", s, s.log(), s.tail())
			}
		}
		events.Close()
	})
	return c
}

// note writes a line into the test's own log, with the time as the servers' logs have it.
func (c *cluster) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.events, "%s %s\n", time.Now().Format("2006-01-02 15:04:05.000"), fmt.Sprintf(format, args...))
}

// at is the server of an id.
func (c *cluster) at(id int) *server { return c.servers[id-1] }

// voters are the servers that are no observers.
func (c *cluster) voters() []*server {
	var out []*server
	for _, s := range c.servers {
		if !s.observer {
			out = append(out, s)
		}
	}
	return out
}

// startAll starts the ensemble with its last voter as leader: on empty
// directories the highest id of the first quorum wins.
func (c *cluster) startAll() {
	c.t.Helper()
	v := c.voters()
	quorum := len(v)/2 + 1
	first := append([]*server{v[len(v)-1]}, v[:quorum-1]...)
	for _, s := range first {
		s.start(s.kind)
	}
	c.await(first...)
	if l := c.leader(); l != first[0] {
		c.t.Fatalf("%v leads, not %v, which has the highest id", l, first[0])
	}
	for _, s := range c.servers {
		if s.cmd == nil {
			s.start(s.kind)
		}
	}
	c.await()
}

// until waits for a condition, and fails with what was waited for.
func (c *cluster) until(what string, is func() bool) {
	c.t.Helper()
	begun, cured := time.Now(), false
	for deadline := begun.Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within %v: %s\n%s", patience, what, c.state())
		}
		c.alive()
		if !cured && time.Since(begun) > patience/3 {
			cured = true
			for _, s := range c.servers {
				switch {
				case s.broken:
					s.rob()
				case s.cmd != nil && !s.frozen && s.mode() == "":
					s.mend()
				}
			}
		}
	}
}

// broken tells whether a server is down because it cannot load what it has.
func (c *cluster) broken() bool {
	return slices.ContainsFunc(c.servers, func(s *server) bool { return s.broken })
}

// alive fails when a process ended by itself.
func (c *cluster) alive() {
	c.t.Helper()
	for _, s := range c.servers {
		if s.broken {
			s.renew()
		}
		if s.cmd == nil {
			continue
		}
		select {
		case err := <-s.ends:
			s.cmd = nil
			if s.mend() {
				continue
			}
			c.t.Fatalf("%v ended by itself: %v\n%s", s, err, s.tail())
		default:
		}
	}
}

// await waits until the servers given, or all that run, serve in a role.
func (c *cluster) await(which ...*server) {
	c.t.Helper()
	if len(which) == 0 {
		for _, s := range c.servers {
			if s.cmd != nil && !s.frozen {
				which = append(which, s)
			}
		}
	}
	for _, s := range which {
		c.until(fmt.Sprintf("%v serves", s), func() bool {
			m := s.mode()
			return m == "leader" || m == "follower" || m == "observer"
		})
		c.note("%v is %s", s, s.mode())
	}
	if c.broken() {
		c.until("what was broken is renewed", func() bool { return !c.broken() })
		c.await()
		return
	}
	c.fuzzy()
}

// leader is the server that leads, nil if none does. With more than one, as
// while a partition lasts, it is the one with the highest epoch.
func (c *cluster) leader() *server {
	var best *server
	for _, s := range c.servers {
		if s.mode() == "leader" && (best == nil || s.epoch() > best.epoch()) {
			best = s
		}
	}
	return best
}

// epoch is that of the server's newest transaction.
func (s *server) epoch() (e int64) {
	_, rest, _ := strings.Cut(s.word("srvr"), "Zxid: 0x")
	var zxid int64
	fmt.Sscanf(rest, "%x", &zxid)
	return zxid >> 32
}

// awaitLeader waits for a leader and returns it.
func (c *cluster) awaitLeader() (l *server) {
	c.t.Helper()
	c.until("some server leads", func() bool { l = c.leader(); return l != nil })
	return l
}

// followers are the voters that run and do not lead.
func (c *cluster) followers() []*server {
	var out []*server
	for _, s := range c.voters() {
		if s.cmd != nil && s.mode() == "follower" {
			out = append(out, s)
		}
	}
	return out
}

// others are all servers but one, by id.
func (c *cluster) others(s *server) []int {
	var out []int
	for _, o := range c.servers {
		if o != s {
			out = append(out, o.id)
		}
	}
	return out
}

// isolate cuts a server off from all others. Its clients still reach it.
func (c *cluster) isolate(s *server) {
	c.t.Helper()
	c.note("isolate %v", s)
	c.lab.cut([]int{s.id}, c.others(s))
}

func (c *cluster) heal() {
	c.t.Helper()
	c.note("heal")
	c.lab.heal()
}

// addrs are the client addresses of all servers.
func (c *cluster) addrs() []string {
	var out []string
	for _, s := range c.servers {
		out = append(out, s.addr())
	}
	return out
}

// state is a line for each server, for a message.
func (c *cluster) state() string {
	var b strings.Builder
	for _, s := range c.servers {
		fmt.Fprintf(&b, "%v: running %v, frozen %v, mode %q\n", s, s.cmd != nil, s.frozen, s.mode())
	}
	return b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
