// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"math/rand"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
)

// setup is what a seed makes of an ensemble and its misfortunes.
type setup struct {
	voters, observers, spare int // spare servers run, and are members only by a reconfig
	weighted                 bool

	options zab.Options
	tick    time.Duration

	// The network.
	delay       time.Duration // usual longest
	tears       float64       // of the trees that are sent: they break off
	loss, again float64       // of election messages: never sent, sent again later
	turn        time.Duration // a reader or writer may take this long to come to its turn

	// The disks.
	flush    time.Duration // longest, usually
	batch    int           // appends that may share a flush
	snapshot float64       // by transaction
	snapTime time.Duration
	purge    float64 // by snapshot

	// The clients.
	clients, pipelined int
	think, patience    time.Duration

	// Misfortunes, until calm.
	calm    time.Duration
	faults  []fault // those that happen
	every   time.Duration
	ambush  float64 // crash of a server in the middle of something
	asserts bool    // judge each step, not only what comes of it
	drift   float64 // of the clocks
}

// newSetup draws one. A run has a few kinds of misfortune, often: all at once
// hide each other.
func (r *run) newSetup() setup {
	pick := func(v ...int) int { return v[r.rng.Intn(len(v))] }
	ms := func(v ...int) time.Duration { return time.Duration(pick(v...)) * time.Millisecond }
	s := setup{
		voters: pick(3, 3, 3, 3, 5, 5, 7), observers: pick(0, 0, 1, 2),
		tick:  ms(50, 100, 200),
		delay: ms(1, 3, 10), turn: time.Duration(pick(0, 100, 2000)) * time.Microsecond,
		flush: ms(1, 5, 20), batch: pick(1, 4, 100), snapTime: ms(1, 10, 50),
		clients: pick(2, 3, 5), pipelined: pick(1, 1, 4, 16), think: ms(5, 20, 60),
		every: ms(100, 300, 1000), calm: ms(3000, 5000, 8000), asserts: true,
	}
	s.loss, s.again = float64(pick(0, 0, 5, 20))/100, float64(pick(0, 5, 20))/100
	s.snapshot = float64(pick(0, 2, 10, 50)) / 100
	s.purge = float64(pick(0, 30, 100)) / 100
	s.ambush = float64(pick(0, 0, 1, 4)) / 1000
	s.drift = float64(pick(0, 0, 2, 10)) / 100
	s.weighted = s.voters == 5 && r.chance(0.2)
	s.patience = 10 * s.tick
	for f := range faults {
		if r.chance(0.4) {
			s.faults = append(s.faults, faults[f])
		}
	}
	s.options = zab.Options{
		Tick: s.tick, InitLimit: pick(5, 10, 20), SyncLimit: pick(2, 5), MinNotify: s.tick / 2, MaxNotify: 20 * s.tick, Finalize: ms(10, 50, 100),
		Window: pick(1, 2, 5, 500), ForceSnap: r.chance(0.1), DiskSync: r.chance(0.6),
	}
	if r.chance(0.3) {
		// An epoch must outlast the election of its leader many times over.
		perTick := s.clients * int(s.tick/(s.think/2))
		s.options.CounterMax = uint32(max(pick(20, 60, 200), 30*perTick))
	}
	if r.chance(0.3) && !s.weighted {
		s.options.Reconfig = true
		s.spare = pick(0, 1, 2)
		s.faults = append(s.faults, fault{"reconfig", (*run).changeMembers})
	}
	// Drawn apart: seeds without observers stay what they were.
	if own := rand.New(rand.NewSource(int64(r.seed) ^ 0x6d6173746572)); s.observers > 0 && own.Intn(2) == 0 {
		s.options.MasterPort = 2191
		s.options.LookDelay, s.options.DialDelay = s.tick/10, s.tick/10
	}
	// So are these: seeds without them stay what they were.
	r.tears = rand.New(rand.NewSource(int64(r.seed) ^ 0x68616c66))
	if r.tears.Intn(3) == 0 {
		s.tears = 0.3
	}
	return s
}

func (s setup) String() string {
	names := ""
	for _, f := range s.faults {
		names += " " + f.name
	}
	return fmt.Sprintf("%d voters, %d observers (master port %d), %d spare, weighted %v, tick %v, limits %d %d, window %d, force %v, disk sync %v, counter max %d; "+
		"delay %v, tears %v, loss %v, again %v, turn %v, flush %v, batch %d, snapshots %v, purge %v; %d clients, %d at once, every %v; until %v:%s, every %v, ambush %v, drift %v",
		s.voters, s.observers, s.options.MasterPort, s.spare, s.weighted, s.tick, s.options.InitLimit, s.options.SyncLimit, s.options.Window, s.options.ForceSnap, s.options.DiskSync, s.options.CounterMax,
		s.delay, s.tears, s.loss, s.again, s.turn, s.flush, s.batch, s.snapshot, s.purge, s.clients, s.pipelined, s.think, s.calm, names, s.every, s.ambush, s.drift)
}

// members is the first membership.
func (s setup) members() *quorum.Config {
	c := &quorum.Config{}
	for id := 1; id <= s.voters+s.observers; id++ {
		c.Members = append(c.Members, member(int64(id), id > s.voters))
	}
	if s.weighted { // one server heavier, one without a say
		c.Groups = map[int64][]int64{1: {1, 2, 3}, 2: {4, 5}}
		c.Weights = map[int64]int64{1: 2, 2: 1, 3: 1, 4: 1, 5: 1}
	}
	return c
}

func member(id int64, observer bool) quorum.Member {
	return quorum.Member{ID: id, Observer: observer, Addrs: []quorum.Addr{{Host: fmt.Sprintf("s%d", id), QuorumPort: 2888, ElectionPort: 3888}}}
}
