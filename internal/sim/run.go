// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand"
	"time"

	"paddock/internal/check"
	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// Options say what is simulated besides what the seed picks.
type Options struct {
	Unsafe  zab.Unsafe   // guards of the core that are left out
	Trace   func(string) // every event, for the reader; nil is none
	Aim     func(*setup) // bends what the seed picked; nil leaves it
	Outcome bool         // only what comes of it counts, not how each step was done
}

// Result is how a run ended.
type Result struct {
	Seed    uint64
	Failure error  // nil if all went well
	Steps   int    // events the servers were fed
	Writes  int    // transactions committed
	Hash    uint64 // of all that happened: the same for the same seed
	Setup   string
	Stack   string // of a panic
}

// run is one ensemble under one seed.
type run struct {
	seed  uint64
	rng   *rand.Rand
	tears *rand.Rand
	set   setup
	queue queue
	now   time.Duration
	steps int

	servers []*server
	cut     [][]bool // from, to: nothing gets through
	cuts    int
	links   zab.LinkID
	parsed  map[string]*quorum.Config

	clients  []*client
	sessions proto.SessionID
	values   int32
	history  []check.Entry

	healed   bool
	quiet    bool          // clients ask no more
	settleBy time.Duration // when all must agree
	done     bool

	judge
	tracer
	failed *failure
}

type failure struct {
	seed  uint64
	step  int
	text  string
	stack string
}

func (f *failure) Error() string {
	return fmt.Sprintf("seed %#x, step %d: %s", f.seed, f.step, f.text)
}

func (r *run) fail(format string, args ...any) {
	if r.failed == nil {
		r.failed = &failure{seed: r.seed, step: r.steps, text: fmt.Sprintf(format, args...)}
		r.traceText(r.failed.text)
	}
}

// Run simulates the ensemble of one seed.
func Run(seed uint64, o Options) Result {
	r := &run{seed: seed, rng: rand.New(rand.NewSource(int64(seed))), parsed: map[string]*quorum.Config{}}
	r.tracer = tracer{hash: fnv.New64a(), out: o.Trace}
	r.set = r.newSetup()
	r.set.options.Unsafe = o.Unsafe
	if o.Outcome {
		r.set.asserts = false
	}
	if o.Aim != nil {
		o.Aim(&r.set)
	}
	r.begin()
	for r.failed == nil && !r.done {
		h, ok := r.queue.next()
		if !ok {
			break
		}
		r.now = h.at
		h.do()
		if r.steps > stepsMax {
			r.fail("has not ended")
		}
	}
	if r.failed == nil {
		r.verdict()
	}
	res := Result{Seed: seed, Steps: r.steps, Writes: len(r.chain) - 1, Hash: r.hash.Sum64(), Setup: r.set.String()}
	if r.failed != nil {
		res.Failure, res.Stack = r.failed, r.failed.stack
	}
	return res
}

// stepsMax bounds a run that does not come to an end.
const stepsMax = 2_000_000

func (r *run) begin() {
	first := r.set.members()
	root := &moment{}
	r.judge.begin(root, first)
	n := len(first.Members) + r.set.spare
	for i := range n {
		s := &server{r: r, id: int64(i + 1), index: i, rate: 1 + r.set.drift*(2*r.rng.Float64()-1), base: r.between(0, time.Hour)}
		s.disk = disk{snaps: []snap{{at: root}}, committed: first}
		r.servers = append(r.servers, s)
		r.cut = append(r.cut, make([]bool, n))
	}
	for _, s := range r.servers {
		for _, o := range r.servers {
			s.ballots = append(s.ballots, &ballots{from: s, to: o})
		}
		r.after(r.between(0, 2*r.set.tick), s.start)
	}
	for i := range r.set.clients {
		c := &client{r: r, number: i, most: 1 + r.rng.Intn(r.set.pipelined)}
		r.clients = append(r.clients, c)
		r.after(r.between(0, r.set.tick), c.live)
	}
	r.after(r.between(r.set.tick, 20*r.set.tick), r.trouble)
}

func (r *run) at(t time.Duration, do func())    { r.queue.add(t, do) }
func (r *run) after(d time.Duration, do func()) { r.queue.add(r.now+d, do) }

func (r *run) chance(p float64) bool { return p > 0 && r.rng.Float64() < p }

func (r *run) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(r.rng.Int63n(int64(high-low)))
}

// delay is that of one message: short as a rule. A message that is late by more
// than a leader is patient is a misfortune, and there are none after healing:
// where a link breaks every second or so, seldom do all follow at one time.
func (r *run) delay() time.Duration {
	if r.chance(0.02) {
		late := 20 * r.set.delay
		if o := &r.set.options; r.healed {
			late = min(late, time.Duration(o.SyncLimit)*o.Tick/4)
		}
		return r.between(0, late)
	}
	return r.between(r.set.delay/10, r.set.delay)
}

func (r *run) server(id int64) *server {
	if id < 1 || id > int64(len(r.servers)) {
		return nil
	}
	return r.servers[id-1]
}

// bound is how long an ensemble without misfortunes may take to agree.
func (s *setup) bound() time.Duration {
	o := &s.options
	return 3*time.Duration(4*o.InitLimit+4*o.SyncLimit)*s.tick + 4*o.MaxNotify + 10*time.Second
}

// settle waits until all agree, lets clients go on for a while, then waits
// again until nothing is on its way.
func (r *run) settle() {
	why := r.unsettled()
	switch {
	case why != "" && r.now >= r.settleBy:
		r.fail("%v after the last misfortune: %s", r.set.bound(), why)
	case why != "":
		r.after(r.set.tick/2, r.settle)
	case !r.quiet:
		r.quietAfter(r.settledWrites(), r.now+10*r.set.tick)
	default:
		r.done = true
	}
}

// quietAfter stops the clients once some more writes have gone through.
func (r *run) quietAfter(writes int, from time.Duration) {
	switch {
	case r.now >= from && r.settledWrites() > writes:
		r.quiet = true
		r.settleBy = r.now + r.set.bound()
		r.after(r.set.patience+20*r.set.delay, r.settle)
	case r.now >= r.settleBy:
		r.fail("no write goes through %v after the last misfortune", r.set.bound())
	default:
		r.after(r.set.tick/2, func() { r.quietAfter(writes, from) })
	}
}

func (r *run) settledWrites() int { return len(r.chain) }
