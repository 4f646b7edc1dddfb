// SPDX-License-Identifier: Apache-2.0

// Package watch keeps who wants to hear of which path, and says who is to hear
// of a change.
package watch

import "paddock/proto"

// Kind is what a watcher asked for; the bits combine.
type Kind uint8

const (
	Data       Kind = 1 << iota // one-shot, by getData and exists
	Child                       // one-shot, by getChildren
	Persistent                  // addWatch mode 0: data and children, stays
	Recursive                   // addWatch mode 1: the node and all below it, stays
)

// Watcher is a connection.
type Watcher interface{ Watches() *Set }

// Set is the reverse index of one connection.
type Set struct{ owner Watcher }

// Table holds the watches of one server.
type Table struct{}

func New() *Table                                                                           { return &Table{} }
func (t *Table) Add(path string, w Watcher, k Kind)                                         {}
func (t *Table) Has(path string, w Watcher, watcherType int32) bool                         { return false }
func (t *Table) Remove(path string, w Watcher, watcherType int32) bool                      { return false }
func (t *Table) RemoveAll(w Watcher)                                                        {}
func (t *Table) Created(path string, visit func(w Watcher, e proto.EventType, path string)) {}
func (t *Table) Deleted(path string, visit func(w Watcher, e proto.EventType, path string)) {}
func (t *Table) DataChanged(path string, visit func(w Watcher, e proto.EventType, path string)) {
}
func (t *Table) Counts() (watches, paths, watchers int)       { return 0, 0, 0 }
func (t *Table) ByPath(visit func(path string, w Watcher))    {}
func (t *Table) ByWatcher(visit func(w Watcher, path string)) {}
