// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"

	"paddock/proto"
)

// Mode is what a Watcher hears of.
type Mode int32

const (
	// Persistent watches a znode: created, deleted, data changed, children changed.
	Persistent = Mode(proto.AddWatchPersistent)
	// Recursive watches a znode and all below it: created, deleted, data changed.
	Recursive = Mode(proto.AddWatchPersistentRecursive)
)

// Watcher is a watch that stays until it is closed or removed.
//
// Beside the changes it hears of the session: an EventSession with state
// Disconnected and one with Connected when it is set again. Changes in between
// are lost to it, so a reader that keeps a picture of the tree reads it again.
type Watcher struct {
	c      *Client
	path   string // on the server
	mode   Mode
	events *queue[Event]
}

// watchKey names the server's side of a Watcher, which several may share.
type watchKey struct {
	path string
	mode Mode
}

func (m Mode) kind() WatchKind {
	if m == Recursive {
		return WatchPersistentRecursive
	}
	return WatchPersistent
}

func (w *watches) table(m Mode) map[string][]*Watcher {
	if m == Recursive {
		return w.recursive
	}
	return w.persistent
}

// AddWatch sets a watch that stays. The znode need not exist.
func (c *Client) AddWatch(ctx context.Context, path string, mode Mode) (*Watcher, error) {
	abs, err := c.abs(proto.OpAddWatch, path)
	if err != nil {
		return nil, err
	}
	w := &Watcher{c: c, path: abs, mode: mode, events: newQueue[Event]()}
	key := watchKey{abs, mode}
	r := newRequest(proto.OpAddWatch, &proto.PathType{Path: abs, Type: int32(mode)})
	r.arm = func(code proto.Code) error {
		if code == proto.OK || code == proto.ErrNoNode {
			table := c.watches.table(mode)
			table[abs] = append(table[abs], w)
		}
		return nil
	}
	c.mu.Lock()
	if err = c.submitLocked(r); err == nil {
		c.adding[key]++
	}
	c.mu.Unlock()
	if err != nil {
		return nil, fail(proto.OpAddWatch, path, err)
	}
	err = c.wait(ctx, r)
	c.mu.Lock()
	if c.adding[key]--; c.adding[key] == 0 {
		delete(c.adding, key)
	}
	c.mu.Unlock()
	if err != nil {
		return nil, fail(proto.OpAddWatch, path, err)
	}
	if r.code != proto.OK && r.code != proto.ErrNoNode {
		return nil, fail(proto.OpAddWatch, path, r.code)
	}
	return w, nil
}

// Events is where the watch speaks. It is closed when the watch is closed, was
// removed, or the session is over; the last event says which.
func (w *Watcher) Events() <-chan Event { return w.events.ch }

// Path is the watched path, relative to the chroot.
func (w *Watcher) Path() string { return w.c.rel(w.path) }

// Close ends the watch at once and frees what it holds, events not read yet
// included. The server is told when no other Watcher needs the same watch.
func (w *Watcher) Close() {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	table := c.watches.table(w.mode)
	list := table[w.path]
	for i, other := range list {
		if other != w {
			continue
		}
		if len(list) > 1 {
			table[w.path] = append(append([]*Watcher(nil), list[:i]...), list[i+1:]...)
			break
		}
		delete(table, w.path)
		// A new connection will not have the watch anyway.
		if c.adding[watchKey{w.path, w.mode}] == 0 && c.state.connected() {
			r := newRequest(proto.OpRemoveWatches, &proto.PathType{Path: w.path, Type: int32(w.mode.kind())})
			c.submitLocked(r)
		}
		break
	}
	w.events.drop()
}
