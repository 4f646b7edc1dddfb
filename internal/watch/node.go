// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"hash/maphash"
	"strings"
	"sync"
)

const (
	shardBits  = 8
	shardCount = 1 << shardBits
)

// shard is the paths of one part of the hash space, chained by hash.
// Locks are taken in the order shard, Set, and never two of a kind.
type shard struct {
	mu      sync.Mutex
	buckets []*node // length 0 or a power of two
	paths   int
	watches int // pairs in the data table and pairs in the child table
	_       [8]byte
}

// node is a path with at least one watcher. The shard's lock guards it.
type node struct {
	next *node
	path string
	hash uint32
	only Kind   // of one
	one  *Set   // the only watcher, or
	all  *crowd // several
}

// crowd is the watchers of a path that has had several; the index of one is
// its position, and its Set knows it.
type crowd struct {
	sets  []*Set
	kinds []Kind
}

func (t *Table) hash(path string) uint32 { return uint32(maphash.String(t.seed, path)) }

func (t *Table) shard(hash uint32) *shard { return &t.shards[hash>>(32-shardBits)] }

func (sh *shard) find(path string, hash uint32) *node {
	if len(sh.buckets) == 0 {
		return nil
	}
	n := sh.buckets[hash&uint32(len(sh.buckets)-1)]
	for n != nil && (n.hash != hash || n.path != path) {
		n = n.next
	}
	return n
}

// insert adds a node without watchers: the caller adds one at once.
func (sh *shard) insert(path string, hash uint32) *node {
	if sh.paths >= 2*len(sh.buckets) {
		sh.resize(max(4, 2*len(sh.buckets)))
	}
	n := &node{path: strings.Clone(path), hash: hash}
	b := &sh.buckets[hash&uint32(len(sh.buckets)-1)]
	n.next, *b = *b, n
	sh.paths++
	return n
}

// tidy takes the node out if nobody watches it any more.
func (sh *shard) tidy(n *node) {
	if n.len() != 0 {
		return
	}
	b := &sh.buckets[n.hash&uint32(len(sh.buckets)-1)]
	for *b != n {
		b = &(*b).next
	}
	*b, n.next = n.next, nil
	sh.paths--
	if size := len(sh.buckets); sh.paths < size/4 {
		sh.resize(size / 2)
	}
}

func (sh *shard) resize(size int) {
	old := sh.buckets
	sh.buckets = make([]*node, size)
	for _, n := range old {
		for n != nil {
			next := n.next
			b := &sh.buckets[n.hash&uint32(size-1)]
			n.next, *b = *b, n
			n = next
		}
	}
}

func (n *node) len() int {
	switch {
	case n.all != nil:
		return len(n.all.sets)
	case n.one != nil:
		return 1
	}
	return 0
}

func (n *node) set(pos int) *Set {
	if n.all != nil {
		return n.all.sets[pos]
	}
	return n.one
}

func (n *node) kind(pos int) Kind {
	if n.all != nil {
		return n.all.kinds[pos]
	}
	return n.only
}

func (n *node) setKind(pos int, k Kind) {
	if n.all != nil {
		n.all.kinds[pos] = k
	} else {
		n.only = k
	}
}

// push adds a watcher without kinds and returns its position.
func (n *node) push(s *Set) (pos int) {
	if n.all == nil && n.one == nil {
		n.one, n.only = s, 0
		return 0
	}
	if n.all == nil {
		n.all = &crowd{sets: []*Set{n.one, nil}[:1], kinds: append(make([]Kind, 0, 8), n.only)}
		n.one, n.only = nil, 0
	}
	n.all.sets = append(n.all.sets, s)
	n.all.kinds = append(n.all.kinds, 0)
	return len(n.all.sets) - 1
}

// place puts a watcher of the node into another position, and lets its Set
// know. The caller holds no Set's lock.
func (n *node) place(pos int, s *Set) {
	n.all.sets[pos] = s
	s.mu.Lock()
	s.put(n, pos)
	s.mu.Unlock()
}

// remove takes out the watcher at pos, whose Set has dropped the node already.
// The last one takes its place. The caller holds no Set's lock.
func (n *node) remove(pos int) {
	last := n.len() - 1
	if pos != last {
		k := n.kind(last)
		n.place(pos, n.set(last))
		n.setKind(pos, k)
	}
	n.truncate(last)
}

// truncate keeps the first size watchers.
func (n *node) truncate(size int) {
	if n.all == nil || size == 0 {
		if size == 0 {
			n.one, n.all, n.only = nil, nil, 0
		}
		return
	}
	c := n.all
	clear(c.sets[size:])
	c.sets, c.kinds = c.sets[:size], c.kinds[:size]
	switch {
	case size == 1:
		n.one, n.only, n.all = c.sets[0], c.kinds[0], nil
	case cap(c.sets) > 64 && size < cap(c.sets)/4:
		c.sets = append(make([]*Set, 0, 2*size), c.sets...)
		c.kinds = append(make([]Kind, 0, 2*size), c.kinds...)
	}
}
