// SPDX-License-Identifier: Apache-2.0

package conn_test

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"paddock/internal/check"
	"paddock/proto"
)

// TestSpares: of the goroutines of many connections some wait for the next ones, no
// more than a few, and none when the server has ended.
func TestSpares(t *testing.T) {
	idle := runtime.NumGoroutine()
	srv, err := newServer(t.TempDir(), nil, new(logLines))
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	defer func() {
		if !ended {
			srv.Close()
		}
	}()
	connect := func(n int) {
		t.Helper()
		var all []*check.Conn
		for range n {
			c, err := check.Dial(srv.ClientAddr().String(), proto.ConnectRequest{TimeOut: 60000})
			if err != nil {
				t.Fatal(err)
			}
			call(t, c, proto.OpExists, &proto.PathWatch{Path: "/"})
			all = append(all, c)
		}
		for _, c := range all {
			c.Close()
		}
	}
	await := func(what string, low, high int) {
		t.Helper()
		n := 0
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if n = runtime.NumGoroutine(); n >= low && n <= high {
				return
			}
		}
		t.Errorf("%s: %d goroutines, want %d to %d", what, n, low, high)
	}
	const most, others = 32, 8 // others come and go
	serving := runtime.NumGoroutine()
	connect(3 * most)
	await("after many", serving+most/2, serving+most+others)
	created := func() int {
		s := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
		if metrics.Read(s); s[0].Value.Kind() != metrics.KindUint64 {
			t.Fatal("this Go does not count goroutines")
		}
		return int(s[0].Value.Uint64())
	}
	before := created()
	for range 2 * most {
		connect(1)
	}
	if n := created() - before; n >= most {
		t.Errorf("%d connections, one after the other, took %d new goroutines", 2*most, n)
	}
	await("after some more", serving+most/2, serving+most+others)
	ended = true
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	await("after the end", 0, idle)
}
