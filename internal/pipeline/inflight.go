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
}

// settle computes the znode's digest after a change.
func (s *state) settle() {
	if s.sum = 0; s.exists && s.digested {
		s.sum = uint32(tree.NodeDigest(s.crc, &s.st))
	}
}

// inflight is the future of the znodes that proposals in flight touch. A
// proposal's states stay until it is applied.
type inflight struct {
	states map[string]*state
	queue  []touch          // in zxid order; what to forget when
	from   int              // first of queue not forgotten
	owned  map[int64]*owned // sessions with ephemeral znodes in flight
	undo   []undo           // while a multi may still fail
	multi  bool
	spare  []*state
}

type touch struct {
	zxid  proto.Zxid
	path  string
	owner int64 // session of an ephemeral znode that is made or changed
}

// owned are the ephemeral znodes of one session that proposals in flight make
// or change, some of them more than once: a path for each touch, in the order
// of the queue.
type owned struct{ paths []string }

type undo struct {
	path string
	was  state
	had  bool
}

func (f *inflight) init() { f.states, f.owned = map[string]*state{}, map[int64]*owned{} }

// forget drops what the tree shows by now.
func (f *inflight) forget(applied proto.Zxid) {
	for ; f.from < len(f.queue) && f.queue[f.from].zxid <= applied; f.from++ {
		path := f.queue[f.from].path
		if s := f.states[path]; s != nil && s.zxid <= applied {
			delete(f.states, path)
			if len(f.spare) < 1024 {
				f.spare = append(f.spare, s)
			}
		}
		f.queue[f.from].path = ""
		if s := f.queue[f.from].owner; s != 0 {
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

// set makes s the future of path.
func (f *inflight) set(path string, s *state) {
	old := f.states[path]
	if f.multi {
		u := undo{path: path}
		if old != nil {
			u.was, u.had = *old, true
		}
		f.undo = append(f.undo, u)
	}
	if old == nil {
		if k := len(f.spare); k > 0 {
			old, f.spare = f.spare[k-1], f.spare[:k-1]
		} else {
			old = new(state)
		}
		f.states[path] = old
	}
	*old = *s
	t := touch{zxid: s.zxid, path: path}
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
			*f.states[u.path] = u.was
		} else {
			delete(f.states, u.path)
		}
	}
	f.multi = false
}
