// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"strings"

	"paddock/proto"
)

// The announcements (client-protocol.md section 8.3). Each is called by the one
// goroutine that applies transactions and calls visit once per connection and
// step, the steps in order. One-shot watches are gone before visit is called.
// No lock is held meanwhile, so visit may use the table, other announcements
// excepted. The path visited shares memory with the path given.
//
// With nothing to tell they do not allocate, and cost a look-up per step, and
// one per ancestor while there is any recursive watch.

// heardMax is the number of watchers for which room is kept between steps.
const heardMax = 1 << 14

// Created announces a new node: NodeCreated to the data watches at the path,
// then NodeChildrenChanged to the child watches at its parent.
func (t *Table) Created(path string, visit func(w Watcher, e proto.EventType, path string)) {
	t.changed(path, dataTable, Data)
	t.tell(proto.EventCreated, path, visit)
	t.parent(path, visit)
}

// Deleted announces a node that is no more: NodeDeleted to the data and the
// child watches at the path, once where a connection has both, then
// NodeChildrenChanged to the child watches at its parent.
func (t *Table) Deleted(path string, visit func(w Watcher, e proto.EventType, path string)) {
	// The steps "data" and "child, but not who was told" are one: same event,
	// same path, each connection once.
	t.changed(path, anyKind, Data|Child)
	t.tell(proto.EventDeleted, path, visit)
	t.parent(path, visit)
}

// DataChanged announces new data: NodeDataChanged to the data watches at the
// path.
func (t *Table) DataChanged(path string, visit func(w Watcher, e proto.EventType, path string)) {
	t.changed(path, dataTable, Data)
	t.tell(proto.EventDataChanged, path, visit)
}

// changed gathers who watches the node at path, recursive watches of its
// ancestors included.
func (t *Table) changed(path string, match, consume Kind) {
	t.step++
	if path == "" {
		return // an alias of the root for reads, and a key that nothing fires
	}
	t.gather(path, match, consume)
	if t.recursive.Load() == 0 {
		return
	}
	for p := parentOf(path); p != ""; p = parentOf(p) {
		t.gather(p, Recursive, 0)
	}
}

func (t *Table) parent(path string, visit func(w Watcher, e proto.EventType, path string)) {
	p := parentOf(path)
	if p == "" {
		return
	}
	t.step++
	t.gather(p, childTable, Child)
	t.tell(proto.EventChildrenChanged, p, visit)
}

// parentOf is "" for the root and for what is no path.
func parentOf(path string) string {
	switch i := strings.LastIndexByte(path, '/'); {
	case i > 0:
		return path[:i]
	case i == 0 && len(path) > 1:
		return "/"
	}
	return ""
}

// gather adds to heard those whose watches at path match, each once a step,
// and disarms what is to be consumed.
func (t *Table) gather(path string, match, consume Kind) {
	hash := t.hash(path)
	sh := t.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := sh.find(path, hash)
	if n == nil {
		return
	}
	stay := 0
	for i, end := 0, n.len(); i < end; i++ {
		s, old := n.set(i), n.kind(i)
		if old&match != 0 && s.step != t.step {
			s.step = t.step
			t.heard = append(t.heard, s)
		}
		left := old &^ consume
		if left != old {
			t.count(sh, old, left)
		}
		if left == 0 {
			t.forget(s, n)
			continue
		}
		if stay != i {
			n.place(stay, s)
		}
		n.setKind(stay, left)
		stay++
	}
	if stay != n.len() {
		n.truncate(stay)
		sh.tidy(n)
	}
}

// tell visits those who were gathered.
func (t *Table) tell(e proto.EventType, path string, visit func(w Watcher, e proto.EventType, path string)) {
	if len(t.heard) == 0 {
		return
	}
	for _, s := range t.heard {
		visit(s.owner, e, path)
	}
	clear(t.heard)
	t.heard = t.heard[:0]
	if cap(t.heard) > heardMax {
		t.heard = nil
	}
}
