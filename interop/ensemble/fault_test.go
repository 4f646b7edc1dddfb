// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// A fault is something that happens to servers under load. It ends with all of
// them running and reachable.
type fault struct {
	name string
	do   func(c *cluster, cr *crew, s *server)
}

// given up: longer than a silent server is waited for.
const givenUp = (syncLimit + 2) * tick

var faults = []fault{
	{"kill", func(c *cluster, cr *crew, s *server) {
		s.kill()
		cr.more(20)
		s.start(s.kind)
	}},
	{"freeze", func(c *cluster, cr *crew, s *server) {
		s.freeze()
		c.pass(givenUp)
		cr.more(20) // the others go on
		s.thaw()
	}},
	{"blink", func(c *cluster, cr *crew, s *server) {
		s.freeze()
		c.pass(2 * tick)
		s.thaw()
	}},
	{"isolate", func(c *cluster, cr *crew, s *server) {
		c.isolate(s)
		c.pass(givenUp)
		cr.more(20)
		c.heal()
	}},
	{"deaf", func(c *cluster, cr *crew, s *server) { // it speaks and does not hear
		c.note("deaf %v", s)
		for _, id := range c.others(s) {
			c.lab.drop(id, s.id)
		}
		c.pass(givenUp)
		c.heal()
	}},
	{"split", func(c *cluster, cr *crew, s *server) { // it hears only some
		all := c.others(s)
		c.note("split %v from %v", s, all[:len(all)/2])
		c.lab.cut([]int{s.id}, all[:len(all)/2])
		c.pass(givenUp)
		c.heal()
	}},
}

// pass lets time go by: the fault itself, which is a duration.
func (c *cluster) pass(d time.Duration) {
	c.note("for %v", d)
	time.Sleep(d)
}

// cutting tells which faults need namespaces.
func (f fault) cutting() bool { return f.name == "isolate" || f.name == "deaf" || f.name == "split" }

// Each fault hits the leader, a follower and an observer, under load; in short
// what only slows a learner down is left out.
func TestFaults(t *testing.T) {
	for _, kinds := range []string{"APP+P", "PPP+P", "PAA+A"} {
		if testing.Short() && kinds != "APP+P" {
			continue
		}
		t.Run(kinds, func(t *testing.T) {
			c := newCluster(t, kinds, "")
			c.startAll()
			cr := newCrew(c, 2*len(c.servers))
			reg := newRegisters(c)
			cr.fresh.Store(c.strict())
			cr.start()
			for _, f := range faults {
				if f.cutting() && !c.lab.canCut() {
					t.Logf("%s: needs namespaces", f.name)
					continue
				}
				for _, role := range []string{"leader", "follower", "observer"} {
					if testing.Short() && role != "leader" && f.name != "kill" && f.name != "freeze" && f.name != "isolate" {
						continue
					}
					c.hit(cr, reg, f, c.is(role))
				}
			}
			cr.verify()
			reg.close()
			cr.close()
		})
	}
}

// strict tells whether a sync followed by a read shows all that was acknowledged
// before, whatever happens to the servers. In the reference a leader that was
// replaced and does not know it yet answers by itself.
func (c *cluster) strict() bool {
	for _, s := range c.servers {
		if s.kind == apache || os.Getenv("SUT") == os.Getenv("REFERENCE") {
			return false
		}
	}
	return true
}

// is waits for a server in a role.
func (c *cluster) is(role string) (s *server) {
	c.t.Helper()
	c.until("a server is "+role, func() bool {
		for _, s = range c.servers {
			if s.mode() == role {
				return true
			}
		}
		return false
	})
	return s
}

// hit applies a fault to a server under load, and waits until all is well.
func (c *cluster) hit(cr *crew, reg *registers, f fault, s *server) {
	c.t.Helper()
	role := s.mode()
	cr.gap.lap()
	c.note("%s of %v, %s", f.name, s, role)
	reg.during(c.strict(), func() {
		f.do(c, cr, s)
		c.await()
		cr.more(50)
	})
	c.t.Logf("%s of the %s (%v): no write for %v", f.name, role, s.kind, cr.gap.lap().Round(time.Millisecond))
}

// Random faults for as long as ENSEMBLE_MINUTES says, on ensembles drawn at
// random, each looked at after some faults.
func TestLong(t *testing.T) {
	minutes, err := strconv.ParseFloat(os.Getenv("ENSEMBLE_MINUTES"), 64)
	if err != nil {
		t.Skip("ENSEMBLE_MINUTES is not set")
	}
	seed, err := strconv.ParseUint(os.Getenv("ENSEMBLE_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("ENSEMBLE_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	end := time.Now().Add(time.Duration(minutes * float64(time.Minute)))
	all := append([]string{"PPP", "PPPPP", "PPP+PP"}, append(mixtures, moreMixtures...)...)
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		kinds := all[rng.IntN(len(all))]
		t.Run(fmt.Sprintf("%d-%s", round, kinds), func(t *testing.T) {
			c := newCluster(t, kinds, "")
			c.startAll()
			cr := newCrew(c, 2*len(c.servers))
			reg := newRegisters(c)
			cr.fresh.Store(c.strict())
			for range 3 {
				cr.start()
				for range 6 {
					f := faults[rng.IntN(len(faults))]
					if f.cutting() && !c.lab.canCut() {
						continue
					}
					c.hit(cr, reg, f, c.servers[rng.IntN(len(c.servers))])
				}
				cr.verify()
			}
			reg.close()
			cr.close()
		})
		if t.Failed() {
			return
		}
	}
}
