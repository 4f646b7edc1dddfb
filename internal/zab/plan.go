// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"

	"paddock/proto"
)

// History is what a leader can bring a learner up to date with.
type History struct {
	Last     proto.Zxid // where the leader's own tree will be when it serves
	Min, Max proto.Zxid // ends of the window; both Last if it is empty
	// Around returns the neighbours of z in the window: the last entry <= z, 0 if
	// there is none.
	Around func(z proto.Zxid) (prev proto.Zxid)
}

// SyncPlan is how a learner gets from its last zxid to the leader's history
// (section 7).
type SyncPlan struct {
	Type proto.PacketType // DIFF, TRUNC or SNAP; 0: ask the log on disk first
	Zxid proto.Zxid       // of that packet; a SNAP's is the driver's
	// Log is whether transactions After < zxid < the window's first are sent from
	// the log on disk.
	Log   bool
	After proto.Zxid
	// From: entries of the window after it are sent.
	From proto.Zxid
}

// String is the plan as golden tables have it.
func (s SyncPlan) String() string {
	switch {
	case s.Type == proto.PacketSnap:
		return "SNAP"
	case s.Type == 0:
		return "ask the log"
	}
	name := "DIFF"
	if s.Type == proto.PacketTrunc {
		name = "TRUNC"
	}
	out := fmt.Sprintf("%s %s", name, short(s.Zxid))
	if s.Log {
		out += fmt.Sprintf(", log after %s", short(s.After))
	}
	return out + fmt.Sprintf(", window after %s", short(s.From))
}

// short prints a zxid as epoch:counter.
func short(z proto.Zxid) string { return fmt.Sprintf("%d:%x", z.Epoch(), z.Counter()) }

// PlanSync decides how a learner whose last logged zxid is p is brought up to
// date. log is what the disk has around p, nil before it was asked; diskSync
// says whether it may be.
//
// It is the reference's table with one difference: where the learner has
// transactions past the last one that both have in an epoch, and the leader
// goes on in a later epoch, it is cut back rather than sent everything. A
// TRUNC never crosses an epoch either way.
func PlanSync(p proto.Zxid, h History, force, diskSync bool, log *Probed) SyncPlan {
	snap := SyncPlan{Type: proto.PacketSnap}
	newEpoch := p.Counter() == 0
	switch {
	case force || p < 0:
		return snap
	case p == h.Last:
		return SyncPlan{Type: proto.PacketDiff, Zxid: p, From: p}
	case p > h.Max && !newEpoch:
		// The learner may have gone on in its own epoch, or come from one that the
		// leader never saw; only the first can be cut.
		return SyncPlan{Type: proto.PacketTrunc, Zxid: h.Max, From: h.Max}
	case p > h.Max:
		return snap
	case p >= h.Min:
		return walk(p, h.Around(p), newEpoch, h.Max, SyncPlan{})
	case !diskSync:
		return snap
	case log == nil:
		return SyncPlan{}
	case !log.Usable:
		return snap
	}
	return walk(p, log.Prev, newEpoch, h.Max, SyncPlan{Log: true})
}

// walk starts at p in a history whose last transaction <= p is prev.
func walk(p, prev proto.Zxid, newEpoch bool, last proto.Zxid, plan SyncPlan) SyncPlan {
	switch {
	case prev == p || newEpoch:
		// A learner at the start of an epoch lacks nothing of those before: it was
		// brought up to date by the leader of that epoch.
		plan.Type, plan.Zxid, plan.After, plan.From = proto.PacketDiff, last, p, p
	case prev != 0 && prev.Epoch() == p.Epoch():
		plan.Type, plan.Zxid, plan.After, plan.From = proto.PacketTrunc, prev, prev, prev
	default:
		return SyncPlan{Type: proto.PacketSnap}
	}
	return plan
}
