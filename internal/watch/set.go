// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"slices"
	"sync"
)

// Set is the reverse index of one connection: the paths it watches. Embed one
// in each connection; the zero value is ready. It belongs to one Table.
type Set struct {
	step uint64 // the last step that its owner was told of; of the announcing goroutine

	mu    sync.Mutex
	gone  bool             // the owner is closed and may get no more watches
	owner Watcher          // set by the first Add, then constant
	few   []link           // up to fewMax, or
	many  map[*node]uint32 // the position in each node
}

// link is a node and the Set's position in it.
type link struct {
	node *node
	pos  uint32
}

const fewMax = 8

// The methods below, but for lookup, want the lock held.

func (s *Set) empty() bool { return len(s.few) == 0 && len(s.many) == 0 }

func (s *Set) find(n *node) (pos int, ok bool) {
	if s.many != nil {
		p, ok := s.many[n]
		return int(p), ok
	}
	for i := range s.few {
		if s.few[i].node == n {
			return int(s.few[i].pos), true
		}
	}
	return 0, false
}

// lookup is find with the lock taken. The position stays right while the
// node's shard is locked.
func (s *Set) lookup(n *node) (pos int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(n)
}

// put notes the position in a node, new or not.
func (s *Set) put(n *node, pos int) {
	if s.many != nil {
		s.many[n] = uint32(pos)
		return
	}
	for i := range s.few {
		if s.few[i].node == n {
			s.few[i].pos = uint32(pos)
			return
		}
	}
	if len(s.few) < fewMax {
		s.few = append(s.few, link{n, uint32(pos)})
		return
	}
	s.many = make(map[*node]uint32, 2*fewMax)
	for _, l := range s.few {
		s.many[l.node] = l.pos
	}
	s.many[n] = uint32(pos)
	s.few = nil
}

func (s *Set) drop(n *node) {
	if s.many != nil {
		if delete(s.many, n); len(s.many) == 0 {
			s.many = nil
		}
		return
	}
	for i := range s.few {
		if s.few[i].node == n {
			last := len(s.few) - 1
			s.few[i] = s.few[last]
			s.few[last] = link{}
			s.few = s.few[:last]
			return
		}
	}
}

func (s *Set) nodes() []*node {
	nodes := make([]*node, 0, len(s.few)+len(s.many))
	for _, l := range s.few {
		nodes = append(nodes, l.node)
	}
	for n := range s.many {
		nodes = append(nodes, n)
	}
	return slices.Clip(nodes)
}
