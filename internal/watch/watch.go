// SPDX-License-Identifier: Apache-2.0

// Package watch keeps who wants to hear of which path, and says who is to hear
// of a change.
//
// A Table is the watches of one server. Each path with a watch is one node,
// found by its hash in one of many shards; a node knows the connections that
// watch it, and what each asked for:
//
//	shard ── node "/a" ── Set of conn 1: Data|Child
//	                   └─ Set of conn 2: Persistent
//	         node "/b" ── Set of conn 1: Recursive
//
// Each connection embeds a Set, the same in the other direction, so that it can
// leave. The path is kept once. A path that one connection watches costs some
// 120 bytes with a path of 30, a further watcher of a path some 40.
//
// Many goroutines may add, remove and ask at once. The announcements Created,
// Deleted and DataChanged are for the one goroutine that applies transactions.
// The package queues nothing and knows no ACLs: that is the visitor's business.
package watch

import (
	"hash/maphash"
	"sync/atomic"

	"paddock/proto"
)

// Kind is what a watcher asked for; the bits combine.
type Kind uint8

const (
	Data       Kind = 1 << iota // one-shot, by getData and exists
	Child                       // one-shot, by getChildren
	Persistent                  // addWatch mode 0: data and children, stays
	Recursive                   // addWatch mode 1: the node and all below it, stays

	// The two tables of the reference, and what its removals mean.
	dataTable  = Data | Persistent | Recursive
	childTable = Child | Persistent
	anyKind    = dataTable | childTable
)

// ofType are the kinds that a watcher type of checkWatches and removeWatches
// means; none for a type that is not 1 to 5. Types 1 and 2 mean one-shot
// watches only (client-protocol.md section 8.6).
func ofType(watcherType int32) Kind {
	switch watcherType {
	case proto.WatcherChildren:
		return Child
	case proto.WatcherData:
		return Data
	case proto.WatcherAny:
		return anyKind
	case proto.WatcherPersistent:
		return Persistent
	case proto.WatcherPersistentRecursive:
		return Recursive
	}
	return 0
}

// Watcher is a connection. It must return the same Set each time.
type Watcher interface{ Watches() *Set }

// Table holds the watches of one server.
type Table struct {
	seed      maphash.Seed
	shards    [shardCount]shard
	recursive atomic.Int64 // pairs with a Recursive watch
	watchers  atomic.Int64 // Sets that are not empty

	// Of the goroutine that announces:
	step  uint64 // number of the step at work, from 1
	heard []*Set // who is to hear of it
}

// New returns an empty table.
func New() *Table { return &Table{seed: maphash.MakeSeed()} }

// Add arms a watch. Registering the same twice is one watch. It does nothing
// for a watcher that was removed by RemoveAll. The path is copied when it is
// kept.
func (t *Table) Add(path string, w Watcher, k Kind) {
	if k &= anyKind; k == 0 {
		return
	}
	hash := t.hash(path)
	sh := t.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := w.Watches()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	if s.owner == nil {
		s.owner = w
	}
	n := sh.find(path, hash)
	if n == nil {
		n = sh.insert(path, hash)
	}
	pos, ok := s.find(n)
	if !ok {
		if s.empty() {
			t.watchers.Add(1)
		}
		pos = n.push(s)
		s.put(n, pos)
	}
	old := n.kind(pos)
	n.setKind(pos, old|k)
	t.count(sh, old, old|k)
}

// Has tells whether the watcher has a watch of this type (1 to 5, section 8.6)
// at the path.
func (t *Table) Has(path string, w Watcher, watcherType int32) bool {
	hash := t.hash(path)
	sh := t.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := sh.find(path, hash)
	if n == nil {
		return false
	}
	pos, ok := w.Watches().lookup(n)
	return ok && n.kind(pos)&ofType(watcherType) != 0
}

// Remove disarms the watcher's watches of this type at the path and tells
// whether there were any.
func (t *Table) Remove(path string, w Watcher, watcherType int32) bool {
	hash := t.hash(path)
	sh := t.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := sh.find(path, hash)
	if n == nil {
		return false
	}
	s := w.Watches()
	pos, ok := s.lookup(n)
	if !ok {
		return false
	}
	old := n.kind(pos)
	left := old &^ ofType(watcherType)
	if left == old {
		return false
	}
	t.count(sh, old, left)
	if left != 0 {
		n.setKind(pos, left)
		return true
	}
	t.forget(s, n)
	n.remove(pos)
	sh.tidy(n)
	return true
}

// RemoveAll disarms every watch of a connection that is gone; a later Add for
// it does nothing. An announcement under way may still visit it.
func (t *Table) RemoveAll(w Watcher) {
	s := w.Watches()
	s.mu.Lock()
	s.gone = true
	nodes := s.nodes()
	s.mu.Unlock()
	for _, n := range nodes {
		sh := t.shard(n.hash)
		sh.mu.Lock()
		if pos, ok := s.lookup(n); ok { // else an announcement came first
			t.count(sh, n.kind(pos), 0)
			t.forget(s, n)
			n.remove(pos)
			sh.tidy(n)
		}
		sh.mu.Unlock()
	}
}

// forget drops a node from a Set.
func (t *Table) forget(s *Set, n *node) {
	s.mu.Lock()
	s.drop(n)
	if s.empty() {
		t.watchers.Add(-1)
	}
	s.mu.Unlock()
}

// count keeps the numbers of watches while those of one pair go from old to
// now. The caller holds the shard's lock.
func (t *Table) count(sh *shard, old, now Kind) {
	sh.watches += tables(now) - tables(old)
	switch was, is := old&Recursive != 0, now&Recursive != 0; {
	case is && !was:
		t.recursive.Add(1)
	case was && !is:
		t.recursive.Add(-1)
	}
}

// tables is in how many of the two tables a pair stands.
func tables(k Kind) (n int) {
	if k&dataTable != 0 {
		n++
	}
	if k&childTable != 0 {
		n++
	}
	return n
}
