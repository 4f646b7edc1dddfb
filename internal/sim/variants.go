// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"paddock/internal/zab"
)

// Variant is the core with one guard removed: a defect, most of them once the
// reference's, which the simulator must see by what comes of it.
type Variant struct {
	Name   string
	Unsafe zab.Unsafe
	aim    func(*setup) // at where the guard stands
}

// Options runs the variant; without the defect it is the same run up to where
// the guard first matters.
func (v Variant) Options(broken bool) Options {
	o := Options{Aim: v.aim, Outcome: true}
	if broken {
		o.Unsafe = v.Unsafe
	}
	return o
}

// Variants are all of them.
var Variants = []Variant{
	{"ack-before-flush", zab.Unsafe{AckBeforeFlush: true}, aimAtLogs},
	{"half-a-tree", zab.Unsafe{KeepHalfTree: true}, aimAtTrees},
	{"ZOOKEEPER-2845", zab.Unsafe{KeepTruncated: true}, aimAtCrashes},
	{"ZOOKEEPER-3911", zab.Unsafe{AckNewLeaderBeforeLog: true}, aimAtCrashes},
	{"ZOOKEEPER-4394", zab.Unsafe{DropEarlyCommit: true}, aimAtLateness},
	{"ZOOKEEPER-4643", zab.Unsafe{EpochBeforeLog: true}, aimAtCrashes},
	{"ZOOKEEPER-4646", zab.Unsafe{AckBeforeSync: true}, aimAtCrashes},
	{"ZOOKEEPER-4712", zab.Unsafe{StaleVote: true}, aimAtLateness},
	{"ZOOKEEPER-4785", zab.Unsafe{AckBeforeSync: true, EpochBeforeLog: true}, aimAtCrashes},
	{"ZOOKEEPER-4925", zab.Unsafe{HolesInWindow: true}, aimAtLateness},
}

// aimAtCrashes has slow disks and servers that crash in the middle of
// something.
func aimAtCrashes(s *setup) {
	s.voters, s.observers, s.weighted = 3, 0, false
	s.flush, s.delay, s.batch = 20*time.Millisecond, time.Millisecond, 1
	s.faults = pickFaults("crash", "crash-leader", "crash-some", "power", "partition")
	s.every, s.ambush = 200*time.Millisecond, 0.02
	s.options.CounterMax, s.options.Reconfig, s.spare = 0, false, 0
	s.options.Window, s.options.DiskSync, s.options.ForceSnap = 500, true, false
	s.think, s.pipelined, s.clients = 5*time.Millisecond, 16, 5
}

// aimAtLogs has no snapshot that would hold what the log has lost.
func aimAtLogs(s *setup) {
	aimAtCrashes(s)
	s.snapshot = 0
}

// aimAtLateness has learners that fall behind and come back under load.
func aimAtLateness(s *setup) {
	aimAtCrashes(s)
	s.faults = pickFaults("break", "partition", "isolate-leader", "pause", "crash", "slow-disk")
	s.every, s.ambush = 100*time.Millisecond, 0.002
}

// aimAtTrees has trees sent that break off.
func aimAtTrees(s *setup) {
	aimAtLateness(s)
	s.options.ForceSnap, s.tears = true, 0.3
}

func pickFaults(names ...string) (out []fault) {
	for _, f := range faults {
		for _, n := range names {
			if f.name == n {
				out = append(out, f)
			}
		}
	}
	return out
}
