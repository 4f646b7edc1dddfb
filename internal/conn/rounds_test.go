// SPDX-License-Identifier: Apache-2.0

package conn_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paddock/internal/check"
	"paddock/proto"
)

// fill makes many znodes in the session of c.
func fill(t *testing.T, c *check.Conn, parent string, n int, flags int32) {
	t.Helper()
	call(t, c, proto.OpCreate, &proto.Create{Path: parent, ACL: check.OpenACL})
	for i := range n {
		c.Send(proto.OpCreate, &proto.Create{Path: fmt.Sprintf("%s/%d", parent, i), ACL: check.OpenACL, Flags: flags})
		if i%500 == 499 || i == n-1 {
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			for range i%500 + 1 {
				if f, err := c.Next(); err != nil || f.Err != proto.OK {
					t.Fatal(f.Err, err)
				}
			}
		}
	}
}

// TestASlowRequestHoldsUpItsOwnOnly: while one client's requests take long, many of
// another are answered.
func TestASlowRequestHoldsUpItsOwnOnly(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("one processor serves one request at a time")
	}
	addr, _ := start(t, map[string]string{"snapCount": "1000000"})
	slow, other := dial(t, addr, 60000), dial(t, addr, 60000)
	fill(t, slow, "/slow", 10_000, proto.FlagEphemeral)

	const times, together = 20, 20 // requests that take a millisecond or two each
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer over.Store(true)
		for range times {
			for range together {
				slow.Send(proto.OpGetEphemerals, &proto.Path{Path: "/none"})
			}
			if err := slow.Flush(); err != nil {
				t.Error(err)
				return
			}
			for range together {
				if f, err := slow.Next(); err != nil || f.Err != proto.OK {
					t.Error(f.Err, err)
					return
				}
			}
		}
	})
	begun, calls := time.Now(), 0
	for ; !over.Load(); calls++ {
		call(t, other, proto.OpExists, &proto.PathWatch{Path: "/slow"})
	}
	wg.Wait()
	t.Logf("%d calls beside %d times %d slow ones in %v", calls, times, together, time.Since(begun))
	if calls < 10*times {
		t.Errorf("%d calls were answered in %v of slow requests", calls, time.Since(begun))
	}
}

// TestOrderAmongOthers: each client's writes are applied in the order that it sent
// them in, however many goroutines read for the clients.
func TestOrderAmongOthers(t *testing.T) {
	addr, _ := start(t, map[string]string{"snapCount": "1000000"})
	const parent = "/order"
	fill(t, dial(t, addr, 60000), parent, 2000, 0)
	clients, bursts := 40, 60
	if testing.Short() {
		clients, bursts = 20, 20
	}
	stop := make(chan struct{})
	var slow, writers sync.WaitGroup
	for range 3 {
		c := dial(t, addr, 60000)
		slow.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if f, err := c.Call(proto.OpGetChildren, &proto.PathWatch{Path: parent}); err != nil || f.Err != proto.OK {
					t.Error(f.Err, err)
					return
				}
			}
		})
	}
	for k := range clients {
		c := dial(t, addr, 60000)
		path := fmt.Sprintf("%s/of-%d", parent, k)
		call(t, c, proto.OpCreate, &proto.Create{Path: path, ACL: check.OpenACL})
		writers.Go(func() {
			version, sent, answered := int32(0), int32(0), int32(0)
			for range bursts {
				// Some follow while others are on their way.
				for range 8 {
					c.Send(proto.OpSetData, &proto.SetData{Path: path, Version: version})
					version++
					sent++
					if version%3 == 0 {
						if err := c.Flush(); err != nil {
							t.Error(err)
							return
						}
					}
				}
				if err := c.Flush(); err != nil {
					t.Error(err)
					return
				}
				for ; answered < sent-4; answered++ {
					if f, err := c.Next(); err != nil || f.Err != proto.OK {
						t.Errorf("set %d of %s: %v %v", answered, path, f.Err, err)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	slow.Wait()
}

// TestTheEndBehindTheLastRequest: a peer whose last request comes with the end of
// all it has to say is answered and let go at once.
func TestTheEndBehindTheLastRequest(t *testing.T) {
	addr, _ := start(t, nil)
	const peers = 100
	answered := 0
	for range peers {
		c := dial(t, addr, 60000)
		call(t, c, proto.OpExists, &proto.PathWatch{Path: "/"})
		c.Send(proto.OpExists, &proto.PathWatch{Path: "/"})
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		c.Raw().(*net.TCPConn).CloseWrite()
		f, err := c.Next()
		if err == nil && f.Err == proto.OK {
			answered++
			f, err = c.Next()
		}
		if err != io.EOF {
			t.Fatalf("after the answer: %+v, %v", f, err)
		}
	}
	// Who has flushed something else at that moment may be too late with this.
	if answered < peers*9/10 {
		t.Errorf("%d of %d were answered", answered, peers)
	}
}

// TestManyAtOnce: more clients than one round holds, all at once, each with a
// frame that comes in two pieces.
func TestManyAtOnce(t *testing.T) {
	addr, log := start(t, nil)
	const clients = 600
	conns := make([]*check.Conn, clients)
	for i := range conns {
		conns[i] = dial(t, addr, 60000)
	}
	q := request(proto.OpExists, &proto.PathWatch{Path: "/"})
	for round := range 3 {
		for _, part := range [][]byte{q[:5+round], q[5+round:]} {
			for _, c := range conns {
				if _, err := c.Raw().Write(part); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, c := range conns {
			if f, err := c.Next(); err != nil || f.Err != proto.OK {
				t.Fatal(f.Err, err)
			}
		}
	}
	if lines := log.with("connection"); len(lines) > 0 {
		t.Error(strings.Join(lines, "\n"))
	}
}
