// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// ballotNet is an ensemble that does nothing but elect, on virtual time: the
// elections are real, the network, crashes and what comes after an election are
// pretended. Links keep their order and lose, delay and forget; what arrives
// from different servers comes in any order.
type ballotNet struct {
	t     *testing.T
	seed  int64
	rng   *rand.Rand
	now   time.Duration
	queue simQueue
	seq   int

	config   *quorum.Config
	servers  map[int64]*ballotServer
	ids      []int64 // rising
	cut      map[[2]int64]bool
	arrives  map[[2]int64]time.Duration // of the last message on its way
	lastSent map[[2]int64]proto.Notification
	delayMax time.Duration
	loss     float64
	writes   bool

	// What was ever true, for the checks.
	stoodFor map[vote]map[int64]bool    // voters that proposed this vote
	stood    map[int64]map[int64][]vote // round, sid: what it stood for alone
	led      map[int64]bool             // servers that ever decided to lead
	reigns   map[int64]int64            // epoch: who made it
	kept     vote                       // the newest history that a quorum has
	misled   int                        // roles that came to nothing
}

type ballotServer struct {
	id    int64
	e     *election // nil while down
	life  int
	wake  time.Duration
	epoch int64 // durable
	zxid  proto.Zxid

	role    proto.PeerState
	leader  int64
	since   time.Duration
	synced  bool // the leader has a quorum; the learner is part of it
	decided time.Duration
}

func (n *ballotNet) fail(format string, args ...any) {
	n.t.Helper()
	n.t.Fatalf("seed %d, at %v: %s", n.seed, n.now, fmt.Sprintf(format, args...))
}

// newBallotNet draws an ensemble from the seed.
func newBallotNet(t *testing.T, seed int64) *ballotNet {
	rng := rand.New(rand.NewSource(seed))
	n := &ballotNet{t: t, seed: seed, rng: rng, config: &quorum.Config{}, servers: map[int64]*ballotServer{}, cut: map[[2]int64]bool{},
		arrives: map[[2]int64]time.Duration{}, lastSent: map[[2]int64]proto.Notification{}, delayMax: 20 * time.Millisecond,
		stoodFor: map[vote]map[int64]bool{}, stood: map[int64]map[int64][]vote{}, led: map[int64]bool{}, reigns: map[int64]int64{}}
	voters := int64(3 + 2*rng.Intn(3))
	for id := int64(1); id <= voters+int64(rng.Intn(3)); id++ {
		n.config.Members = append(n.config.Members, testMember(id, id > voters))
		n.ids = append(n.ids, id)
		n.servers[id] = &ballotServer{id: id, epoch: int64(rng.Intn(2)), zxid: proto.Zxid(rng.Intn(4))}
	}
	if voters >= 5 && rng.Intn(3) == 0 {
		n.config.Groups, n.config.Weights = map[int64][]int64{1: {1, 2}, 2: {3}, 3: {4, 5}}, map[int64]int64{}
		for id := int64(6); id <= voters; id++ {
			n.config.Groups[2] = append(n.config.Groups[2], id)
		}
		for id := int64(1); id <= voters; id++ {
			n.config.Weights[id] = int64(rng.Intn(3))
		}
		n.config.Weights[1], n.config.Weights[3] = 1, 1 // somebody may win
		for id, w := range n.config.Weights {
			if w == 0 { // it cannot lead: nothing that it alone has can be kept
				n.servers[id].epoch, n.servers[id].zxid = 0, 0
			}
		}
	}
	return n
}

func (n *ballotNet) at(d time.Duration, f func()) {
	n.seq++
	heap.Push(&n.queue, simEvent{n.now + d, n.seq, f})
}

func (n *ballotNet) upTo(max time.Duration) time.Duration {
	return time.Duration(n.rng.Int63n(int64(max) + 1))
}

// run plays events until the time or until done.
func (n *ballotNet) run(until time.Duration, done func() bool) bool {
	for n.queue.Len() > 0 && n.queue[0].at <= until {
		ev := heap.Pop(&n.queue).(simEvent)
		n.now = ev.at
		ev.do()
		if done != nil && done() {
			return true
		}
	}
	n.now = until
	return false
}

func pair(a, b int64) [2]int64 { return [2]int64{min(a, b), max(a, b)} }

func (n *ballotNet) connected(a, b int64) bool {
	return n.servers[a].e != nil && n.servers[b].e != nil && !n.cut[pair(a, b)]
}

// step is all that happens to a server: then it sends, and may have decided.
func (n *ballotNet) step(s *ballotServer, f func(e *election)) {
	e := s.e
	f(e)
	if n.config.IsVoter(s.id) && e.proposal.round > 0 {
		if n.stoodFor[e.proposal] == nil {
			n.stoodFor[e.proposal] = map[int64]bool{}
		}
		n.stoodFor[e.proposal][s.id] = true
		if n.stood[e.proposal.round] == nil {
			n.stood[e.proposal.round] = map[int64][]vote{}
		}
		n.stood[e.proposal.round][s.id] = append(n.stood[e.proposal.round][s.id], e.own)
	}
	for _, v := range e.take() {
		n.send(s.id, v.To, v.Note)
	}
	if v, ok := e.decided(); ok {
		n.decided(s, v)
	}
	if w := e.wake(); w != s.wake && w != never && s.e == e {
		s.wake = w
		n.at(max(0, w-n.now), func() {
			if s.e == e && s.wake == w {
				s.wake = 0
				n.step(s, func(e *election) { e.tick(n.now) })
			}
		})
	}
}

func (n *ballotNet) send(from, to int64, note proto.Notification) {
	way := [2]int64{from, to}
	n.lastSent[way] = note
	if !n.connected(from, to) || n.rng.Float64() < n.loss {
		return
	}
	d := n.upTo(n.delayMax)
	if n.loss > 0 && n.rng.Intn(50) == 0 {
		d = n.upTo(500 * time.Millisecond)
	}
	n.arrives[way] = max(n.arrives[way], n.now+d)
	life := n.servers[to].life
	n.at(n.arrives[way]-n.now, func() {
		if s := n.servers[to]; s.life == life && s.e != nil && !n.cut[pair(from, to)] {
			n.step(s, func(e *election) { e.notified(n.now, from, note) })
		}
	})
}

func (n *ballotNet) start(s *ballotServer) {
	s.life++
	s.wake = 0
	s.e = newElection(electionOptions{sid: s.id, minNotify: 200 * time.Millisecond, maxNotify: time.Minute, finalize: 200 * time.Millisecond})
	s.e.membership(n.config, nil)
	for _, id := range n.ids {
		if id != s.id && n.connected(s.id, id) {
			n.linked(s.id, id)
		}
	}
	n.look(s)
	n.supervise(s, s.life)
}

func (n *ballotNet) crash(s *ballotServer) {
	s.e, s.role, s.life = nil, proto.Looking, s.life+1
	for _, id := range n.ids {
		n.unlinked(id, s.id)
	}
}

// linked: a connection comes up, and its ends send again what they sent last.
func (n *ballotNet) linked(a, b int64) {
	for _, way := range [][2]int64{{a, b}, {b, a}} {
		s, peer := n.servers[way[0]], way[1]
		n.step(s, func(e *election) { e.reachable(peer, true) })
		if note, ok := n.lastSent[way]; ok {
			n.send(way[0], way[1], note)
		}
	}
}

// unlinked tells a, soon, or at times never, that it lost b.
func (n *ballotNet) unlinked(a, b int64) {
	if n.loss > 0 && n.rng.Intn(4) == 0 {
		return
	}
	life := n.servers[a].life
	n.at(n.upTo(5*time.Millisecond), func() {
		if s := n.servers[a]; s.e != nil && s.life == life && !n.connected(a, b) {
			n.step(s, func(e *election) { e.reachable(b, false) })
		}
	})
}

// look begins an election with what the server has on disk.
func (n *ballotNet) look(s *ballotServer) {
	own := vote{leader: s.id, zxid: s.zxid, peerEpoch: s.epoch}
	if !n.config.IsVoter(s.id) {
		own = vote{leader: math.MinInt64, zxid: math.MinInt64, peerEpoch: math.MinInt64}
	}
	s.role, s.synced = proto.Looking, false
	n.step(s, func(e *election) { e.begin(n.now, own) })
}

// decided checks the outcome: it has or had a quorum's votes, none of which is
// of a server with a better history, or it joins a leader that there is.
func (n *ballotNet) decided(s *ballotServer, v vote) {
	s.role, s.leader, s.since, s.decided = s.e.state, v.leader, n.now, n.now
	if v.leader == s.id {
		n.led[s.id] = true
	}
	if !n.config.IsVoter(v.leader) || n.config.Weight(v.leader) == 0 && n.config.Groups != nil {
		n.fail("%d decided for %d, which may not lead", s.id, v.leader)
	}
	if n.config.Quorum(func(id int64) bool { return n.stoodFor[v][id] }) {
		if !n.config.Quorum(func(id int64) bool {
			for _, own := range n.stood[v.round][id] {
				if !own.after(v) {
					return true
				}
			}
			return false
		}) {
			n.fail("%d decided for %+v, but a quorum has a better history: %v", s.id, v, n.stood[v.round])
		}
	} else if v.leader == s.id || !n.led[v.leader] {
		n.fail("%d decided for %+v, for which only %v ever voted", s.id, v, n.stoodFor[v])
	}
}

// supervise pretends discovery and synchronisation: a leader with a quorum of
// learners makes a new epoch and gives them its history; without one for a
// second it gives up, as does a learner whose leader does not lead.
func (n *ballotNet) supervise(s *ballotServer, life int) {
	if s.life != life || s.e == nil {
		return
	}
	switch s.role {
	case proto.Leading:
		n.lead(s)
	case proto.Following, proto.Observing:
		l := n.servers[s.leader]
		follows := n.connected(s.id, l.id) && l.role == proto.Leading
		if !follows && (s.synced || n.now-s.since > 500*time.Millisecond) {
			n.misled++
			n.step(s, func(e *election) { e.reachable(l.id, false) })
			n.look(s)
		}
	}
	n.at(20*time.Millisecond, func() { n.supervise(s, life) })
}

func (n *ballotNet) lead(s *ballotServer) {
	var learners []*ballotServer
	has := func(id int64) bool {
		o := n.servers[id]
		return o == s || o.e != nil && o.role == proto.Following && o.leader == s.id && n.connected(id, s.id)
	}
	newest := s.epoch
	for _, id := range n.ids {
		o := n.servers[id]
		if !has(id) && (o.role != proto.Observing || o.leader != s.id || !n.connected(id, s.id)) {
			continue
		}
		if !s.synced && has(id) && (o.epoch > s.epoch || o.epoch == s.epoch && o.zxid > s.zxid) {
			n.misled++
			n.look(o) // "follower is ahead": its connection ends
			continue
		}
		learners = append(learners, o)
		newest = max(newest, o.epoch)
	}
	if !n.config.Quorum(has) {
		if s.synced || n.now-s.since > time.Second {
			n.misled++
			n.look(s)
		}
		return
	}
	if !s.synced {
		if n.kept.after(s.history()) {
			n.fail("%d leads with %+v, a quorum had %+v", s.id, s.history(), n.kept)
		}
		s.epoch = newest + 1
		if l, ok := n.reigns[s.epoch]; ok {
			n.fail("%d and %d have both led in epoch %d", l, s.id, s.epoch)
		}
		n.reigns[s.epoch] = s.id
	}
	if n.writes && n.rng.Intn(4) == 0 {
		s.zxid = max(s.zxid+1, proto.NewZxid(uint32(s.epoch), 1))
	}
	for _, o := range learners {
		if o.synced && n.rng.Intn(2) == 0 {
			continue // a write that does not reach it
		}
		o.synced, o.epoch, o.zxid = true, s.epoch, s.zxid
		o.e.setPeerEpoch(s.epoch)
	}
	if h := s.history(); n.config.Quorum(func(id int64) bool { return !h.after(n.servers[id].history()) }) && h.after(n.kept) {
		n.kept = h
	}
}

// history is what a server has on disk, in the order of votes.
func (s *ballotServer) history() vote { return vote{zxid: s.zxid, peerEpoch: s.epoch} }

// settledOn says whether all that are up follow one leader with a quorum.
func (n *ballotNet) settledOn() bool {
	leader := int64(0)
	for _, id := range n.ids {
		s := n.servers[id]
		if s.e == nil {
			continue
		}
		if s.role == proto.Looking || !s.synced || leader != 0 && s.leader != leader {
			return false
		}
		leader = s.leader
	}
	return leader != 0 && n.servers[leader].role == proto.Leading
}

// fault breaks or mends something.
func (n *ballotNet) fault() {
	s := n.servers[n.ids[n.rng.Intn(len(n.ids))]]
	switch n.rng.Intn(6) {
	case 0, 1:
		if s.e != nil {
			n.crash(s)
		}
	case 2, 3:
		if s.e == nil {
			n.start(s)
		}
	case 4:
		o := n.ids[n.rng.Intn(len(n.ids))]
		if o != s.id && n.connected(s.id, o) {
			n.cut[pair(s.id, o)] = true
			n.unlinked(s.id, o)
			n.unlinked(o, s.id)
		}
	case 5:
		n.mend()
	}
}

func (n *ballotNet) mend() {
	for i, a := range n.ids {
		for _, b := range n.ids[i+1:] {
			if n.cut[pair(a, b)] {
				delete(n.cut, pair(a, b))
				if n.connected(a, b) {
					n.linked(a, b)
				}
			}
		}
	}
}

type simEvent struct {
	at  time.Duration
	seq int
	do  func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// electionSeeds is how many ensembles each test plays.
func electionSeeds() int64 {
	if testing.Short() {
		return 300
	}
	return 3000
}

// TestElectionSimFaults: crashes, restarts, lost links and messages. Whatever
// is decided is checked at once (decided); when the faults stop the ensemble
// has to settle, with a minority missing too.
func TestElectionSimFaults(t *testing.T) {
	for seed := range electionSeeds() {
		n := newBallotNet(t, seed)
		n.loss, n.writes = 0.05, true
		for _, id := range n.ids {
			n.at(n.upTo(time.Second), func() {
				if n.servers[id].e == nil {
					n.start(n.servers[id])
				}
			})
		}
		for n.now < 10*time.Second {
			n.run(n.now+n.upTo(time.Second), nil)
			n.fault()
		}
		n.loss = 0
		n.mend()
		missing := n.ids[n.rng.Intn(len(n.ids))]
		if n.rng.Intn(2) == 0 || !n.config.Quorum(func(id int64) bool { return id != missing && n.config.Weight(id) > 0 }) {
			missing = 0
		}
		for _, id := range n.ids {
			switch s := n.servers[id]; {
			case id == missing && s.e != nil:
				n.crash(s)
			case id != missing && s.e == nil:
				n.start(s)
			}
		}
		if !n.run(n.now+time.Minute, n.settledOn) {
			state := ""
			for _, id := range n.ids {
				s := n.servers[id]
				state += fmt.Sprintf("\n%d: %v for %d, epoch %d, %s; %+v", id, s.role, s.leader, s.epoch, s.zxid, s.e)
			}
			n.fail("the ensemble does not settle:%s", state)
		}
	}
}

// TestElectionSimFirstTry: without faults all servers decide for the best at
// the first try, faster than any wait, and again when the leader dies.
func TestElectionSimFirstTry(t *testing.T) {
	for seed := range electionSeeds() {
		n := newBallotNet(t, seed)
		for _, id := range n.ids {
			n.at(n.upTo(50*time.Millisecond), func() { n.start(n.servers[id]) })
		}
		best := func(but int64) (best vote) {
			for _, id := range n.config.Voters() {
				s := n.servers[id]
				if v := (vote{leader: id, zxid: s.zxid, peerEpoch: s.epoch}); id != but && n.config.Weight(id) > 0 && (best.leader == 0 || v.after(best)) {
					best = v
				}
			}
			return best
		}
		check := func(want int64, within time.Duration) {
			t.Helper()
			began := n.now
			if !n.run(n.now+2*time.Second, n.settledOn) || n.misled > 0 {
				n.fail("not settled; %d roles came to nothing", n.misled)
			}
			for _, id := range n.ids {
				if s := n.servers[id]; s.e != nil && s.leader != want {
					n.fail("%d follows %d, the best was %d", id, s.leader, want)
				} else if s.e != nil && n.config.IsVoter(id) && n.config.Weight(id) > 0 && s.decided-began > within {
					n.fail("%d decided after %v", id, s.decided-began)
				}
			}
		}
		first := best(0).leader
		check(first, 190*time.Millisecond)
		n.run(n.now+time.Second, nil)
		if !n.config.Quorum(func(id int64) bool { return id != first && n.config.Weight(id) > 0 }) {
			continue
		}
		second := best(first).leader
		dead := n.servers[first]
		for _, id := range n.ids { // its connections break: learners look at once
			if s := n.servers[id]; s != dead {
				s.role = proto.Looking
				n.at(n.upTo(10*time.Millisecond), func() {
					n.step(s, func(e *election) { e.reachable(first, false) })
					n.look(s)
				})
			}
		}
		n.crash(dead)
		check(second, 100*time.Millisecond)
	}
}
