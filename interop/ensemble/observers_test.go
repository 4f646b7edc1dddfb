// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// Observers learn from followers, each kind from the other; their followers and
// the leader leave and come back, and they lose everything, under load.
func TestObserverMaster(t *testing.T) {
	mixtures := []string{"AAA+P", "PPP+A"}
	if os.Getenv("ENSEMBLE_FULL") != "" {
		mixtures = append(mixtures, "APA+PA")
	}
	for _, kinds := range mixtures {
		t.Run(kinds, func(t *testing.T) { observerMaster(t, kinds) })
	}
}

func observerMaster(t *testing.T, kinds string) {
	c := newCluster(t, kinds, "observerMasterPort=28990\n")
	c.flags += " -Dzookeeper.commitLogCount=50000"
	c.startAll()
	var observers []*server
	for _, s := range c.servers {
		if s.observer {
			observers = append(observers, s)
		}
	}
	behind := func(when string) {
		t.Helper()
		for _, o := range observers {
			c.until(fmt.Sprintf("%s, %v learns from a follower", when, o), func() bool {
				m := o.metric("observer_master_id")
				return m > 0 && m <= len(c.servers) && c.at(m).mode() == "follower"
			})
			c.note("%v learns from %v", o, c.at(o.metric("observer_master_id")))
		}
		if n := c.awaitLeader().metric("synced_observers"); n != 0 {
			t.Errorf("%s: the leader serves %d observers itself", when, n)
		}
	}
	behind("at first")
	cr := newCrew(c, 2*len(c.servers))
	cr.start()
	cr.more(300)

	master := c.at(observers[0].metric("observer_master_id"))
	master.kill()
	cr.more(50)
	c.await()
	behind("without its master")
	master.start(master.kind)
	c.await()
	cr.more(50)
	cr.verify()
	c.noMismatch() // every join was by DIFF so far

	cr.start()
	l := c.awaitLeader()
	l.end(syscall.SIGTERM)
	cr.more(50)
	l.start(l.kind)
	c.await()
	behind("under another leader")
	cr.more(50)

	for _, o := range observers {
		o.kill()
		cr.more(50) // what it gets by DIFF
		o.start(o.kind)
		c.await(o)
		o.kill()
		o.wipe()
		cr.more(20)
		o.start(o.kind)
		c.await(o)
	}
	behind("after losing everything")
	cr.more(50)
	cr.verify()
	cr.close()
}
