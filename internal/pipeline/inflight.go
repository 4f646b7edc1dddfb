// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"paddock/internal/tree"
	"paddock/proto"
)

// state is what prepare needs to know of a znode: as committed, or as the
// proposals in flight will leave it.
type state struct {
	exists   bool
	st       proto.StatPersisted
	children int32
	acl      []proto.ACL
	crc      uint32 // of path and data, where its digest starts
	sum      uint32 // its digest
	digested bool   // it counts in the tree's digest
	dataLen  int32
	zxid     proto.Zxid // the last proposal that touches it; 0: as committed

	hash uint32 // of its path, as the tree has it
	kept *state // of one that was looked up: where inflight keeps it; nil if it does not
	path string // of one that is kept
	next *state // of one that is kept: the next in its bucket
}

// inflight is the future of the znodes that proposals in flight touch. A
// proposal's states stay until it is applied.
type inflight struct {
	states futures
	queue  []touch          // in zxid order; what to forget when
	from   int              // first of queue not forgotten
	owned  map[int64]*owned // sessions with ephemeral znodes in flight
	undo   []undo           // while a multi may still fail
	multi  bool
	spare  []*state
	sums   tree.Digester
}

type touch struct {
	zxid  proto.Zxid
	state *state // what was touched; it is another's by now if its zxid is another
	owner int64  // session of an ephemeral znode that is made or changed
}

// owned are the ephemeral znodes of one session that proposals in flight make
// or change, some of them more than once: a path for each touch, in the order
// of the queue.
type owned struct{ paths []string }

type undo struct {
	state *state
	was   state
	had   bool
}

// settle computes the znode's digest after a change.
func (f *inflight) settle(s *state) {
	if s.sum = 0; s.exists && s.digested {
		s.sum = f.sums.Node(s.crc, &s.st)
	}
}

func (f *inflight) init() { f.states.init(); f.owned = map[int64]*owned{} }

// forget drops what the tree shows by now.
func (f *inflight) forget(applied proto.Zxid) {
	for ; f.from < len(f.queue) && f.queue[f.from].zxid <= applied; f.from++ {
		t := &f.queue[f.from]
		if s := t.state; s.zxid == t.zxid { // its last touch
			f.states.remove(s)
			*s = state{}
			if len(f.spare) < 1024 {
				f.spare = append(f.spare, s)
			}
		}
		t.state = nil
		if s := t.owner; s != 0 {
			o := f.owned[s]
			o.paths[0] = ""
			if o.paths = o.paths[1:]; len(o.paths) == 0 {
				delete(f.owned, s)
			}
		}
	}
	if f.from == len(f.queue) {
		f.queue, f.from = f.queue[:0], 0
	} else if f.from > 4096 && f.from > len(f.queue)/2 {
		f.queue = f.queue[:copy(f.queue, f.queue[f.from:])]
		f.from = 0
	}
}

// look returns the future of path, if proposals in flight touch it; hash is the
// tree's.
func (f *inflight) look(path string, hash uint32) (s state, ok bool) {
	k := f.states.get(path, hash)
	if k == nil {
		return state{}, false
	}
	s = *k
	s.kept, s.next = k, nil
	return s, true
}

// set makes s the future of path; old is what it was until now, from look or
// with its hash alone.
func (f *inflight) set(path string, old, s *state) {
	kept, hash := old.kept, old.hash
	if f.multi {
		f.undo = append(f.undo, undo{had: kept != nil})
		if kept != nil {
			f.undo[len(f.undo)-1].was = *kept
		}
	}
	if kept == nil {
		if k := len(f.spare); k > 0 {
			kept, f.spare = f.spare[k-1], f.spare[:k-1]
		} else {
			kept = new(state)
		}
		kept.path, kept.hash = path, hash
		f.states.add(kept)
	} else {
		path = kept.path
	}
	if f.multi {
		f.undo[len(f.undo)-1].state = kept
	}
	next := kept.next
	*kept = *s
	kept.kept, kept.path, kept.hash, kept.next = nil, path, hash, next
	t := touch{zxid: s.zxid, state: kept}
	if owner := s.st.EphemeralOwner; s.exists && proto.IsEphemeral(owner) {
		t.owner = owner
		o := f.owned[owner]
		if o == nil {
			o = new(owned)
			f.owned[owner] = o
		}
		o.paths = append(o.paths, path)
	}
	f.queue = append(f.queue, t)
}

// begin starts a multi: what is set from here on can be rolled back.
func (f *inflight) begin() { f.multi, f.undo = true, f.undo[:0] }

func (f *inflight) commit() { f.multi = false }

// rollback undoes all that was set since begin. The queue keeps the touches;
// they forget nothing too early, since zxids in it only rise.
func (f *inflight) rollback() {
	for i := len(f.undo) - 1; i >= 0; i-- {
		u := &f.undo[i]
		if u.had {
			next := u.state.next
			*u.state = u.was
			u.state.next = next
		} else {
			f.states.remove(u.state)
			*u.state = state{}
		}
	}
	f.multi = false
}
