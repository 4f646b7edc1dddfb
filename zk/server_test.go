// SPDX-License-Identifier: Apache-2.0

package zk_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"paddock/zk"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// cutter is a Dialer whose connections can be cut off.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (k *cutter) dial(ctx context.Context, server string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", server)
	if err == nil {
		k.mu.Lock()
		k.conns = append(k.conns, conn)
		k.mu.Unlock()
	}
	return conn, err
}

func (k *cutter) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range k.conns {
		conn.Close()
	}
	k.conns = nil
}

func connect(t testing.TB, servers string, opts ...zk.Option) *zk.Client {
	t.Helper()
	opts = append([]zk.Option{zk.WithSessionTimeout(10 * time.Second)}, opts...)
	c, err := zk.Connect(testContext(t), servers, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// home makes an empty znode of the test's own and returns its path.
func home(t testing.TB, c *zk.Client) string {
	t.Helper()
	path, err := c.Create(testContext(t), "/"+strings.ReplaceAll(t.Name(), "/", "-")+"-", nil, zk.OpenACL, zk.Sequential)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want(t testing.TB, what string, err error, code error) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("%s: error %v, want %v", what, err, code)
	}
}

func nextEvent(t testing.TB, ch <-chan zk.Event) zk.Event {
	t.Helper()
	select {
	case ev, ok := <-ch:
		if !ok {
			t.Fatal("channel closed, an event is due")
		}
		return ev
	case <-time.After(10 * time.Second):
		t.Fatal("no event in 10 s")
	}
	panic("not reached")
}

func wantEvent(t testing.TB, ch <-chan zk.Event, typ zk.EventType, path string) zk.Event {
	t.Helper()
	ev := nextEvent(t, ch)
	if ev.Type != typ || ev.Path != path {
		t.Fatalf("event %v %q, want %v %q", ev.Type, ev.Path, typ, path)
	}
	return ev
}
