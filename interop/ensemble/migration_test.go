// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// Three of Apache's servers under load become three of paddock and then Apache's
// again, one at a time, each on the data directory of the one before. No write
// is lost, no session ends, and trees and digests agree after each step.
func TestMigration(t *testing.T) {
	c := newCluster(t, "AAA", "")
	c.flags += " -Dzookeeper.commitLogCount=50000"
	c.startAll()
	cr := newCrew(c, 6)
	cr.start()
	cr.more(500)
	var worst time.Duration
	for round, k := range []kind{paddock, apache} {
		for _, s := range c.leaderLast() {
			was := s.mode()
			cr.gap.lap()
			// An orderly stop first; on the way back what a crash leaves.
			s.end([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[round])
			cr.more(20)
			s.start(k)
			c.await()
			cr.more(100)
			gap := cr.gap.lap()
			worst = max(worst, gap)
			t.Logf("%s %d became %v: no write was acknowledged for %v", was, s.id, k, gap.Round(time.Millisecond))
			cr.verify()
			c.noMismatch()
			cr.start()
		}
		cr.more(300)
	}
	cr.verify()
	cr.close()
	fmt.Printf("migration: longest gap between acknowledged writes %d ms\n", worst.Milliseconds())
}

// leaderLast are all servers in the order in which one replaces them.
func (c *cluster) leaderLast() []*server {
	c.t.Helper()
	l := c.awaitLeader()
	var out []*server
	for _, s := range c.servers {
		if s != l {
			out = append(out, s)
		}
	}
	return append(out, l)
}
