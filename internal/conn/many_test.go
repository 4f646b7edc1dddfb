// SPDX-License-Identifier: Apache-2.0

//go:build linux

package conn_test

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"paddock/internal/check"
	"paddock/proto"
)

// TestTenThousandConnections has idle clients with a session each on a server
// in a process of its own, whose memory is measured.
func TestTenThousandConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("10,000 connections")
	}
	want := 10_000
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err == nil {
		lim.Cur = lim.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim)
		syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim)
		if room := int(min(lim.Cur, 1<<20)) - 200; room < want {
			t.Logf("only %d descriptors: %d connections instead of %d", lim.Cur, room, want)
			want = room
		}
	}
	srv := startChild(t)
	n := moveIn(t, srv.addr)
	rss0, go0 := srv.use(t)
	conns := make([]*check.Conn, want)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range 32 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(want); i = next.Add(1) - 1 {
				c, err := check.Dial(srv.addr, proto.ConnectRequest{TimeOut: 60000})
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = c
			}
		})
	}
	wg.Wait()
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	if t.Failed() {
		return
	}
	rss, gos := srv.use(t)
	t.Logf("%d idle connections with sessions: %d KiB resident, %d before: %.1f KiB each; %d goroutines, %d before",
		want, rss, rss0, float64(rss-rss0)/float64(want), gos, go0)
	if each := float64(rss-rss0) / float64(want); each > 16 && !raceDetector {
		t.Errorf("%.1f KiB for an idle connection", each)
	}
	// Each is still served.
	for i := 0; i < want; i += 97 {
		call(t, conns[i], proto.OpExists, &proto.PathWatch{Path: "/"})
	}
	n.leave()
	if lines := srv.log.with("connection"); len(lines) > 0 {
		t.Errorf("%d lines about connections, the first: %s", len(lines), lines[0])
	}
}
