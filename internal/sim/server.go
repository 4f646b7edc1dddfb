// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"
	"math/rand"
	"runtime/debug"
	"time"

	"paddock/internal/zab"
	"paddock/proto"
)

// server is one server of the ensemble: the peer under test, and a driver for
// it that has a modelled disk, tree, network and clock.
type server struct {
	r     *run
	id    int64
	index int

	alive   bool
	gen     int // of the process: what was asked for by an earlier one is void
	peer    *zab.Peer
	disk    disk
	machine machine
	trees   int  // times the tree was replaced
	foreign bool // the tree came from a leader and is not on disk

	// The clock: reads base at boot and goes at its own rate.
	boot, base time.Duration
	rate       float64
	wake       uint64 // number of the last alarm

	paused  bool
	backlog []func()
	inbox   []zab.Event
	busy    bool

	status  zab.Status
	ballots []*ballots // by index of the other
	ends    []*end
	dialing int // number of the last dial

	pipeline
}

// later runs do unless the process has ended by then; while it is paused, do
// waits.
func (s *server) later(d time.Duration, do func()) {
	gen := s.gen
	s.r.after(d, func() { s.when(gen, do) })
}

func (s *server) when(gen int, do func()) {
	switch {
	case s.gen != gen || !s.alive:
	case s.paused:
		s.backlog = append(s.backlog, do)
	default:
		do()
	}
}

func (s *server) pause() { s.paused = true }

func (s *server) resume() {
	s.paused = false
	for len(s.backlog) > 0 && !s.paused && s.alive {
		do := s.backlog[0]
		s.backlog = s.backlog[1:]
		do()
	}
}

// start boots a process on what the disk has.
func (s *server) start() {
	r := s.r
	m, err := s.disk.load()
	if err != nil {
		s.fail("%v", err)
		return
	}
	s.gen++
	s.alive, s.paused, s.backlog, s.inbox = true, false, nil, nil
	s.machine, s.foreign, s.status, s.ends = m, false, zab.Status{}, nil
	s.trees++
	s.pipeline.reset()
	s.boot = r.now
	r.trace("start", s.id, int64(m.at.zxid), s.disk.current)
	opt := r.set.options
	opt.Rand = rand.New(rand.NewSource(r.rng.Int63()))
	s.peer = zab.New(opt, zab.State{
		Sid: s.id, AcceptedEpoch: s.disk.accepted, CurrentEpoch: s.disk.current, LastZxid: s.disk.last(),
		Tail: s.disk.tail(opt.Window + 1), Committed: s.disk.committed, Seen: s.disk.seen,
	})
	s.step(zab.Tick{})
}

// crash ends the process at once.
func (s *server) crash() {
	if !s.alive {
		return
	}
	r := s.r
	r.trace("crash", s.id, int64(s.disk.last()), int64(len(s.disk.jobs)))
	s.stop()
	if err := s.disk.crash(r.rng.Intn); err != nil {
		s.fail("%v", err)
	}
	r.kept()
	for _, o := range r.servers {
		if o == s {
			continue
		}
		r.after(r.delay(), func() {
			if o.alive && !r.cut[s.index][o.index] {
				o.reachable(s, false)
			}
		})
	}
}

// stop forgets all that is not on disk.
func (s *server) stop() {
	s.alive = false
	s.gen++
	s.pipeline.lose()
	for _, e := range s.ends {
		e.open = false
		e.peer.reset()
	}
	s.ends = nil
	for _, b := range s.ballots {
		if b != nil {
			b.up, b.last = false, nil
			b.epoch++
		}
	}
}

func (s *server) local() time.Duration {
	return s.base + time.Duration(float64(s.r.now-s.boot)*s.rate)
}

// arm asks for a Tick at the local time at.
func (s *server) arm(at time.Duration) {
	s.wake++
	n := s.wake
	if at == 1<<63-1 {
		return
	}
	d := max(0, time.Duration(float64(at-s.local())/s.rate)+1)
	if s.r.chance(0.1) { // timers are late, never early
		d += s.r.between(0, s.r.set.tick/10)
	}
	if d > time.Hour {
		d = time.Hour
	}
	s.later(d, func() {
		if s.wake == n {
			s.step(zab.Tick{})
		}
	})
}

// step feeds an event to the peer and does what comes out.
func (s *server) step(ev zab.Event) {
	if !s.alive {
		return
	}
	if s.paused {
		s.backlog = append(s.backlog, func() { s.step(ev) })
		return
	}
	s.inbox = append(s.inbox, ev)
	if s.busy {
		return
	}
	s.busy = true
	for len(s.inbox) > 0 && s.alive && s.r.failed == nil {
		ev := s.inbox[0]
		s.inbox = s.inbox[1:]
		s.one(ev)
	}
	s.busy = false
}

func (s *server) one(ev zab.Event) {
	s.r.steps++
	s.r.traceEvent(s, ev)
	defer func() {
		if x := recover(); x != nil {
			s.fail("panics at %T: %v", ev, x)
			s.r.failed.stack = string(debug.Stack())
		}
	}()
	out := s.peer.Step(s.local(), ev)
	s.execute(out)
	if s.alive && s.r.failed == nil {
		s.arm(out.Wake)
	}
}

// execute does what the peer asks for, in the order of the fields.
func (s *server) execute(o *zab.Out) {
	r := s.r
	for _, l := range o.Log {
		r.traceLine(s, l)
	}
	if o.Stop != nil {
		s.fail("stops: %v", o.Stop)
		return
	}
	for _, c := range o.Close {
		if e := s.end(c.Link); e != nil {
			e.close()
		}
	}
	if o.Restore != nil {
		s.restore(*o.Restore)
	}
	for i := range o.Commit {
		s.commit(o.Commit[i])
		if r.failed != nil {
			return
		}
	}
	if o.Membership != nil {
		s.disk.committed = o.Membership
		r.changes(o.Membership)
		if s.disk.seen != nil && s.disk.seen.Version <= o.Membership.Version {
			s.disk.seen = nil
		}
		r.trace("membership", s.id, o.Membership.Version, int64(len(o.Membership.Members)))
	}
	if o.Seen != nil {
		if s.disk.seen = o.Seen; o.Seen.Version <= s.disk.committed.Version {
			s.disk.seen = nil
		}
	}
	if o.Became != nil {
		s.became(*o.Became)
	}
	for _, op := range o.Disk {
		s.enqueue(op)
	}
	for _, v := range o.Votes {
		r.vote(s, v)
	}
	if o.Dial != nil {
		r.dial(s, *o.Dial)
	}
	for _, x := range o.Send {
		s.send(x.Link, x.Packets...)
	}
	for _, p := range o.Probe {
		usable := r.chance(0.9)
		s.later(s.diskTime(), func() { s.step(s.disk.probe(p, usable)) })
	}
	for _, f := range o.Requests {
		s.forwarded(f)
	}
	s.propose()
	for _, p := range o.Replies {
		s.reply(p)
	}
	for _, t := range o.Passed {
		s.passed(t)
	}
	for _, t := range o.Failed {
		s.failedBarrier(t)
	}
	if r.chance(r.set.ambush) && (o.Became != nil || len(o.Disk) > 0 || len(o.Send) > 0) {
		r.ambush(s)
	}
}

// commit applies a decided transaction. Over a tree that a leader sent come
// transactions that are not logged here, some of which the tree has.
func (s *server) commit(e zab.Entry) {
	if s.foreign && e.Zxid <= s.machine.at.zxid {
		if m := s.machine.at.upTo(e.Zxid); m.zxid != e.Zxid || !bytes.Equal(m.data, e.Data) {
			s.fail("is told to commit %s, which the leader's tree does not have", short(e.Zxid))
		}
		return
	}
	if s.r.set.asserts && !s.foreign && !s.disk.has(e.Zxid) {
		s.fail("commits %s, which is not on its disk", short(e.Zxid))
		return
	}
	if err := s.machine.apply(e); err != nil {
		s.fail("%v", err)
		return
	}
	s.r.committed(s)
	s.answer(e)
	s.maybeSnapshot()
}

func (s *server) became(st zab.Status) {
	r := s.r
	was := s.status
	s.status = st
	r.trace("became", s.id, int64(st.Role)<<8|int64(st.Stage), st.Epoch)
	if st.Role == proto.Leading && st.Stage >= zab.Synchronization {
		r.leads(s, st.Epoch)
	}
	serving := st.Stage == zab.Broadcast
	if s.serving && (!serving || was.Epoch != st.Epoch || was.Role != st.Role) {
		s.pipeline.lose()
	}
	if serving && !s.serving && r.failed == nil {
		s.serve()
	}
}

// listening tells whether the quorum port is open, or that of an observer master.
func (s *server) listening(master bool) bool {
	if master {
		return s.alive && s.status.Role == proto.Following && s.status.Stage == zab.Broadcast
	}
	return s.alive && s.status.Role == proto.Leading
}

func (s *server) fail(format string, args ...any) {
	s.r.fail("server %d %s", s.id, fmt.Sprintf(format, args...))
}

// enqueue gives an operation to the disk.
func (s *server) enqueue(op zab.DiskOp) {
	j := job{DiskOp: op}
	if op.Append != nil {
		j.Append = append([]zab.Entry(nil), op.Append...)
	}
	if op.Snapshot {
		if s.machine.half {
			s.fail("writes half a tree to its disk")
		}
		sn := s.machine.snapshot(s.machine.at)
		sn.foreign = s.foreign
		s.foreign = false
		j.snap = &sn
	}
	s.disk.jobs = append(s.disk.jobs, j)
	s.flush()
}

func (s *server) restore(x zab.Restore) {
	j := job{restore: &x}
	if x.Link != 0 {
		e := s.end(x.Link)
		if e == nil || e.body == nil {
			s.fail("is to load a SNAP that link %d does not bring", x.Link)
			return
		}
		j.body = e.body
	}
	s.disk.jobs = append(s.disk.jobs, j)
	s.flush()
}

func (s *server) diskTime() time.Duration {
	return s.r.between(s.r.set.flush/4, s.r.set.flush) + s.disk.slow
}

// flush starts the disk if it is idle. A paused process does not stop it.
func (s *server) flush() {
	if s.disk.busy > 0 || len(s.disk.jobs) == 0 {
		return
	}
	s.disk.begin(1 + s.r.rng.Intn(s.r.set.batch))
	gen := s.gen
	s.r.after(s.diskTime(), func() {
		if s.gen == gen && s.alive {
			s.flushed()
		}
	})
}

func (s *server) flushed() {
	d := &s.disk
	done := d.jobs[:d.busy]
	d.jobs, d.busy = d.jobs[d.busy:], 0
	for _, j := range done {
		if j.restore != nil {
			s.restoreNow(j)
			continue
		}
		if err := d.do(j); err != nil {
			s.fail("%v", err)
			return
		}
		d.ops++
	}
	s.r.kept()
	quiet := len(d.jobs) > 0 && d.jobs[0].restore == nil && s.r.chance(0.3)
	if done[0].restore == nil && !quiet {
		s.step(zab.Saved{Ops: d.ops})
	}
	if s.alive {
		s.flush()
	}
}

// restoreNow brings tree and log to another state. It is a matter of the
// process, and waits while that is paused.
func (s *server) restoreNow(j job) {
	d := &s.disk
	x := *j.restore
	d.busy = 0
	hold := append([]job{{}}, d.jobs...) // nothing else is done meanwhile
	d.jobs, d.busy = hold, 1
	s.when(s.gen, func() {
		d.jobs, d.busy = d.jobs[1:], 0
		answer := zab.Restored{Zxid: x.Zxid}
		if x.Link != 0 {
			e := s.end(x.Link)
			if s.breaksOff() {
				answer.Err = errBroken
				s.r.trace("breaks-off", s.id, int64(x.Zxid), int64(x.Link))
				if s.r.tears.Intn(2) == 0 { // or the connection was gone before the first byte
					s.machine, s.foreign = machine{at: s.machine.at, half: true}, true
				}
				if e != nil {
					e.peer.reset()
					s.later(0, func() { e.down(errBroken) })
				}
			} else {
				s.machine, s.foreign = j.body.machine(), true
				if e != nil {
					e.loaded()
				}
			}
		} else {
			z, err := d.cut(x.Zxid)
			s.r.kept()
			answer.Zxid = z
			if err == nil && x.Reload {
				s.machine, err = d.load()
				s.foreign = false
			}
			if err != nil {
				s.fail("%v", err)
				return
			}
		}
		s.trees++
		s.r.trace("restored", s.id, int64(answer.Zxid), int64(x.Link))
		s.step(answer)
		if s.alive {
			s.flush()
		}
	})
}

// breaksOff tells whether a tree that a leader sends does not come whole.
func (s *server) breaksOff() bool {
	r := s.r
	return r.set.tears > 0 && r.now < r.set.calm && r.tears.Float64() < r.set.tears
}

// maybeSnapshot begins a snapshot now and then; it is done beside all else, and
// shows the tree as late as when it ends.
func (s *server) maybeSnapshot() {
	r := s.r
	if !s.serving || !r.chance(r.set.snapshot) {
		return
	}
	begun, trees, gen := s.machine.at, s.trees, s.gen
	r.after(r.between(0, r.set.snapTime)+s.diskTime(), func() {
		if s.gen != gen || s.trees != trees || !s.alive || s.machine.at.zxid < s.machine.fuzzy {
			return
		}
		if err := s.disk.keep(s.machine.snapshot(begun)); err != nil {
			s.fail("%v", err)
		}
		r.trace("snapshot", s.id, int64(begun.zxid), 0)
		if r.chance(r.set.purge) {
			s.disk.purge(1 + r.rng.Intn(3))
		}
		r.kept()
	})
}
