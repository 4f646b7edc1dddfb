// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// A lab is the network of one ensemble.
//
// With namespaces (ENSEMBLE_NETNS=1: this process is already in a private one,
// see run) server n lives in a namespace of its own behind a bridge, at
// 10.0.k.n; clients sit on the bridge. A cut is an entry in the neighbour table
// that sends what is meant for the other side to a link address that nobody
// has: packets vanish, connections stay, exactly as with a broken switch. It
// needs no packet filter in the kernel.
//
// Without them the servers share the loopback interface at 127.77.k.n, and
// nothing can be cut.
type lab struct {
	t    *testing.T
	k    int
	real bool
	cuts map[[2]int]bool // from, to
}

var labs atomic.Int32

// nowhere is a locally administered link address that no interface here has.
const nowhere = "02:00:00:00:00:ff"

func newLab(t *testing.T, ids []int) *lab {
	t.Helper()
	l := &lab{t: t, k: int(labs.Add(1)), real: os.Getenv("ENSEMBLE_NETNS") == "1", cuts: map[[2]int]bool{}}
	if !l.real {
		return l
	}
	l.ip("link", "add", l.bridge(), "type", "bridge")
	t.Cleanup(func() { exec.Command("ip", "link", "del", l.bridge()).Run() })
	l.ip("addr", "add", l.addr(254)+"/24", "dev", l.bridge())
	l.ip("link", "set", l.bridge(), "up")
	for _, id := range ids {
		port := fmt.Sprintf("v%d-%d", l.k, id)
		l.ip("netns", "add", l.space(id))
		t.Cleanup(func() { exec.Command("ip", "netns", "del", l.space(id)).Run() })
		l.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", l.space(id))
		l.ip("link", "set", port, "master", l.bridge(), "up")
		l.ip("-n", l.space(id), "link", "set", "lo", "up")
		l.ip("-n", l.space(id), "addr", "add", l.addr(id)+"/24", "dev", "eth0")
		l.ip("-n", l.space(id), "link", "set", "eth0", "up")
	}
	return l
}

func (l *lab) bridge() string      { return fmt.Sprintf("br%d", l.k) }
func (l *lab) space(id int) string { return fmt.Sprintf("s%d-%d", l.k, id) }

// addr is the address of server n; 254 is where the clients are.
func (l *lab) addr(n int) string {
	if l.real {
		return fmt.Sprintf("10.0.%d.%d", l.k, n)
	}
	return fmt.Sprintf("127.77.%d.%d", l.k, n)
}

func (l *lab) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// within turns a command into one in the namespace of server id.
func (l *lab) within(id int, command []string) []string {
	if !l.real {
		return command
	}
	return append([]string{"ip", "netns", "exec", l.space(id)}, command...)
}

// canCut tells whether servers can be cut off from each other here.
func (l *lab) canCut() bool { return l.real }

// drop lets nothing pass any more from one server to another.
func (l *lab) drop(from, to int) {
	l.t.Helper()
	l.cuts[[2]int{from, to}] = true
	l.ip("-n", l.space(from), "neigh", "replace", l.addr(to), "lladdr", nowhere, "dev", "eth0", "nud", "permanent")
}

// cut separates two groups of servers, both ways.
func (l *lab) cut(a, b []int) {
	l.t.Helper()
	for _, x := range a {
		for _, y := range b {
			if x != y {
				l.drop(x, y)
				l.drop(y, x)
			}
		}
	}
}

// heal ends all cuts.
func (l *lab) heal() {
	l.t.Helper()
	for c := range l.cuts {
		l.ip("-n", l.space(c[0]), "neigh", "del", l.addr(c[1]), "dev", "eth0")
		delete(l.cuts, c)
	}
}
