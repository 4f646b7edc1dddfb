// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// fault is one kind of misfortune.
type fault struct {
	name   string
	happen func(*run)
}

var faults = []fault{
	{"crash", (*run).crashOne},
	{"crash-leader", (*run).crashLeader},
	{"crash-some", (*run).crashSome},
	{"power", (*run).crashAll},
	{"pause", (*run).pauseOne},
	{"partition", (*run).partition},
	{"one-way", (*run).oneWay},
	{"isolate-leader", (*run).isolateLeader},
	{"break", (*run).breakLinks},
	{"slow-disk", (*run).slowDisk},
	{"hand-over", (*run).handOver},
}

// trouble goes on until it is calm.
func (r *run) trouble() {
	if r.now >= r.set.calm {
		r.heal()
		return
	}
	if n := len(r.set.faults); n > 0 {
		f := r.set.faults[r.rng.Intn(n)]
		r.traceText(f.name)
		f.happen(r)
	}
	r.after(r.between(r.set.every/4, r.set.every), r.trouble)
}

// heal ends all misfortunes for good.
func (r *run) heal() {
	r.traceText("heal")
	r.healed = true
	r.set.ambush = 0
	r.mend()
	for _, s := range r.servers {
		s.disk.slow = 0
		if !s.alive {
			s.start()
		}
		s.resume()
	}
	r.settleBy = r.now + r.set.bound()
	r.settle()
}

func (r *run) some() *server { return r.servers[r.rng.Intn(len(r.servers))] }

// leader is one that thinks it leads, or nobody.
func (r *run) leader() *server {
	for _, s := range r.servers {
		if s.alive && s.status.Role == proto.Leading && s.status.Stage >= zab.Synchronization {
			return s
		}
	}
	return nil
}

// downFor crashes a server for a while.
func (r *run) downFor(s *server, d time.Duration) {
	if !s.alive {
		return
	}
	s.crash()
	gen := s.gen
	r.after(d, func() {
		if !s.alive && s.gen == gen {
			s.start()
		}
	})
}

// outage is how long something lasts: mostly short, at times past all limits.
func (r *run) outage() time.Duration {
	if r.chance(0.2) {
		return r.between(5*r.set.tick, 40*r.set.tick)
	}
	return r.between(r.set.tick/10, 5*r.set.tick)
}

// ambush crashes a server in the middle of what it does.
func (r *run) ambush(s *server) {
	gen := s.gen
	r.after(r.between(0, r.set.flush+r.set.delay), func() {
		if s.gen == gen && !r.healed {
			r.downFor(s, r.outage())
		}
	})
}

func (r *run) crashOne() { r.downFor(r.some(), r.outage()) }

func (r *run) crashLeader() {
	if s := r.leader(); s != nil {
		r.downFor(s, r.outage())
	}
}

func (r *run) crashSome() {
	for _, s := range r.servers {
		if r.chance(0.5) {
			r.downFor(s, r.outage())
		}
	}
}

func (r *run) crashAll() {
	for _, s := range r.servers {
		r.downFor(s, r.between(0, 3*r.set.tick))
	}
}

func (r *run) pauseOne() {
	s := r.some()
	if !s.alive || s.paused {
		return
	}
	s.pause()
	gen := s.gen
	r.after(r.outage(), func() {
		if s.gen == gen {
			s.resume()
		}
	})
}

func (r *run) partition() {
	side := make([]bool, len(r.servers))
	for i := range side {
		side[i] = r.chance(0.5)
	}
	r.cutWhere(func(from, to int) bool { return side[from] != side[to] })
}

func (r *run) oneWay() {
	n := len(r.servers)
	cut := make([]bool, n*n)
	p := 0.1 + 0.4*r.rng.Float64()
	for i := range cut {
		cut[i] = r.chance(p)
	}
	r.cutWhere(func(from, to int) bool { return cut[from*n+to] })
}

// isolateLeader cuts the leader off, at times with one follower.
func (r *run) isolateLeader() {
	s := r.leader()
	if s == nil {
		return
	}
	with := r.rng.Intn(len(r.servers))
	if r.chance(0.5) {
		with = s.index
	}
	in := func(i int) bool { return i == s.index || i == with }
	deaf := r.chance(0.3) // it still speaks
	r.cutWhere(func(from, to int) bool { return in(from) != in(to) && (!deaf || in(to)) })
}

func (r *run) cutWhere(cut func(from, to int) bool) {
	for i := range r.cut {
		for j := range r.cut[i] {
			r.cut[i][j] = i != j && cut(i, j)
		}
	}
	r.cuts++
	n := r.cuts
	r.thaw()
	r.after(r.outage(), func() {
		if r.cuts == n {
			r.mend()
		}
	})
}

// mend ends a partition. Of the connections over it some have broken.
func (r *run) mend() {
	for i := range r.cut {
		clear(r.cut[i])
	}
	r.cuts++
	for _, s := range r.servers {
		for _, e := range slices.Clone(s.ends) {
			if len(e.stalled) > 0 && r.chance(0.3) {
				e.breakLink()
			}
		}
	}
	r.thaw()
}

func (r *run) thaw() {
	for _, s := range r.servers {
		for _, e := range s.ends {
			for _, x := range []*end{e, e.peer} {
				if len(x.stalled) > 0 && !r.cut[x.s.index][x.peer.s.index] {
					x.thaw()
				}
			}
		}
	}
}

func (r *run) breakLinks() {
	for _, s := range r.servers {
		for _, e := range slices.Clone(s.ends) {
			if r.chance(0.2) {
				e.breakLink()
			}
		}
	}
	for _, s := range r.servers {
		for _, o := range r.servers {
			if s != o && s.alive && r.chance(0.2) {
				s.reachable(o, false)
			}
		}
	}
}

func (r *run) slowDisk() {
	s := r.some()
	s.disk.slow = r.between(0, 4*r.set.tick)
	r.after(r.outage(), func() { s.disk.slow = 0 })
}

func (r *run) handOver() {
	if s := r.leader(); s != nil {
		s.step(zab.HandOver{})
	}
}

// changeMembers asks the leader for another membership: one server in, out, or
// in another part.
func (r *run) changeMembers() {
	s := r.leader()
	if s == nil || !s.serving || s.paused {
		return
	}
	now := s.disk.committed
	next := &quorum.Config{Members: slices.Clone(now.Members)}
	id := int64(1 + r.rng.Intn(len(r.servers)))
	i := slices.IndexFunc(next.Members, func(m quorum.Member) bool { return m.ID == id })
	switch {
	case i < 0:
		next.Members = append(next.Members, member(id, r.chance(0.4)))
		slices.SortFunc(next.Members, func(a, b quorum.Member) int { return int(a.ID - b.ID) })
	case r.chance(0.5):
		next.Members = slices.Delete(next.Members, i, i+1)
	default:
		next.Members[i] = member(id, !next.Members[i].Observer)
	}
	if len(next.Voters()) < 2 {
		return
	}
	s.reconfig(next)
}
