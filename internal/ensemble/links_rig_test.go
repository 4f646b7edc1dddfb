// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// told collects what callbacks say, in order, and lets a test wait for it.
type told[T any] struct {
	mu     sync.Mutex
	change sync.Cond
	all    []T
}

func newTold[T any]() *told[T] {
	x := &told[T]{}
	x.change.L = &x.mu
	return x
}

func (x *told[T]) add(v T) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, v)
	x.change.Broadcast()
}

// wait returns the first value that ok accepts, from the i-th on, and its place.
func (x *told[T]) wait(t testing.TB, what string, i int, ok func(T) bool) (T, int) {
	t.Helper()
	timer := time.AfterFunc(patience, x.change.Broadcast)
	defer timer.Stop()
	end := time.Now().Add(patience)
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		for ; i < len(x.all); i++ {
			if ok(x.all[i]) {
				return x.all[i], i
			}
		}
		if !time.Now().Before(end) {
			t.Fatalf("waited in vain for %s; there is %v", what, x.all)
		}
		x.change.Wait()
	}
}

func (x *told[T]) snapshot() []T {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]T(nil), x.all...)
}

// linkEvent is one callback of Links.
type linkEvent struct {
	what    string // up, packets, loaded, down
	link    zab.LinkID
	dialed  bool
	packets []proto.Packet
	err     error
}

// linkRig is Links and what they have told.
type linkRig struct {
	*Links
	*told[linkEvent]
	t testing.TB
}

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newLinkRig(t testing.TB, change func(*LinkOptions)) *linkRig {
	t.Helper()
	r := &linkRig{told: newTold[linkEvent](), t: t}
	opt := LinkOptions{
		Logger: quietLog(), NoDelay: true,
		Up:       func(k zab.LinkID, _ net.Addr, dialed bool) { r.add(linkEvent{what: "up", link: k, dialed: dialed}) },
		Received: func(k zab.LinkID, p []zab.Packet) { r.add(linkEvent{what: "packets", link: k, packets: plain(p)}) },
		Loaded:   func(k zab.LinkID, err error) { r.add(linkEvent{what: "loaded", link: k, err: err}) },
		Down:     func(k zab.LinkID, err error) { r.add(linkEvent{what: "down", link: k, err: err}) },
	}
	if change != nil {
		change(&opt)
	}
	r.Links = NewLinks(opt)
	t.Cleanup(func() { r.Shutdown("the test is over") })
	return r
}

// listen opens a port and returns where it is to be found.
func (r *linkRig) listen() quorum.Member {
	r.t.Helper()
	if err := r.Listen([]quorum.Addr{{Host: "127.0.0.1"}}, false); err != nil {
		r.t.Fatal(err)
	}
	return memberAt(r.Addrs()[0])
}

// memberAt is a server whose two ports are at addr.
func memberAt(addrs ...net.Addr) quorum.Member {
	m := quorum.Member{ID: 9}
	for _, a := range addrs {
		a := a.(*net.TCPAddr)
		m.Addrs = append(m.Addrs, quorum.Addr{Host: a.IP.String(), QuorumPort: a.Port, ElectionPort: a.Port})
	}
	return m
}

// event waits for the first event of a kind on a link (0: any).
func (r *linkRig) event(what string, link zab.LinkID) linkEvent {
	r.t.Helper()
	e, _ := r.wait(r.t, what, 0, func(e linkEvent) bool { return e.what == what && (link == 0 || e.link == link) })
	return e
}

// down waits for the end of a link and looks for why in its reason.
func (r *linkRig) down(link zab.LinkID, why string) {
	r.t.Helper()
	if e := r.event("down", link); !strings.Contains(e.err.Error(), why) {
		r.t.Errorf("link %d ended because of %q, want %q", e.link, e.err, why)
	}
}

// plain leaves out what the driver adds.
func plain(packets []zab.Packet) []proto.Packet {
	out := make([]proto.Packet, len(packets))
	for i := range packets {
		out[i] = packets[i].Packet
	}
	return out
}

// packets waits for n packets of a link and returns them all.
func (r *linkRig) packets(link zab.LinkID, n int) []proto.Packet {
	r.t.Helper()
	var all []proto.Packet
	r.wait(r.t, "packets", 0, func(e linkEvent) bool {
		if e.what == "packets" && e.link == link {
			all = append(all, e.packets...)
		}
		return len(all) >= n
	})
	return all
}

var hello = proto.Packet{Type: proto.PacketFollowerInfo, Zxid: 7 << 32, Data: make([]byte, 20)}

// pair joins a learner to a leader: the link on each side.
func pair(t testing.TB, leader, learner *linkRig, at quorum.Member) (to, from zab.LinkID) {
	t.Helper()
	n := len(leader.snapshot())
	from = learner.Dial(at, patience)
	learner.event("up", from)
	learner.Send(from, Item{Frame: Encode(&hello)})
	e, _ := leader.wait(t, "a learner", n, func(e linkEvent) bool { return e.what == "up" })
	return e.link, from
}

// rawDial connects without Links.
func rawDial(t testing.TB, at quorum.Member) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", hostPort(at.Addrs[0].Host, at.Addrs[0].QuorumPort, false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// rawListen is a port of a server that the test plays.
func rawListen(t testing.TB) (net.Listener, quorum.Member) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, memberAt(ln.Addr())
}

func rawAccept(t testing.TB, ln net.Listener) net.Conn {
	t.Helper()
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// closed waits for the other side to close, whatever it may still send.
func closed(t testing.TB, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("the connection is not closed: %v", err)
	}
}

// until waits for a condition that nothing tells of.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// noLeak fails the test if goroutines stay.
func noLeak(t testing.TB) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(end) {
				buf := make([]byte, 1<<16)
				t.Fatalf("goroutines stay:\n%s", buf[:runtime.Stack(buf, true)])
			}
		}
	})
}
