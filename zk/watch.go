// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"strings"

	"paddock/jute"
	"paddock/proto"
)

// EventType is what happened to a watched znode.
type EventType = proto.EventType

// Event types.
const (
	EventSession                = proto.EventNone // the session's state changed: see Event.State
	EventCreated                = proto.EventCreated
	EventDeleted                = proto.EventDeleted
	EventDataChanged            = proto.EventDataChanged
	EventChildrenChanged        = proto.EventChildrenChanged
	EventDataWatchRemoved       = proto.EventDataWatchRemoved
	EventChildWatchRemoved      = proto.EventChildWatchRemoved
	EventPersistentWatchRemoved = proto.EventPersistentWatchRemoved
)

// Event is what a watch tells.
type Event struct {
	Type EventType
	// State is the session's state: Connected, but for an EventSession.
	State State
	// Path is relative to the chroot; "" for an EventSession.
	Path string
	// Zxid is the transaction that changed the znode. -1 if that is unknown: the
	// change was found out after a reconnect, the event was made by the client,
	// or the server is older than 3.9.
	Zxid proto.Zxid
	// Err is why the session is over, when State is final.
	Err error
}

// WatchKind names kinds of watches for RemoveWatches and CheckWatches.
type WatchKind int32

// The kinds of watches.
const (
	WatchChildren            = WatchKind(proto.WatcherChildren)   // by ChildrenWatch
	WatchData                = WatchKind(proto.WatcherData)       // by GetWatch and ExistsWatch
	WatchAny                 = WatchKind(proto.WatcherAny)        // all kinds
	WatchPersistent          = WatchKind(proto.WatcherPersistent) // by AddWatch
	WatchPersistentRecursive = WatchKind(proto.WatcherPersistentRecursive)
)

// watches are the client's side of the watches on the server: who is to hear
// of what. Paths are those of the server. Client.mu guards them.
type watches struct {
	data       map[string][]chan Event // znodes that were there
	exist      map[string][]chan Event // znodes that were missing
	child      map[string][]chan Event
	persistent map[string][]*Watcher
	recursive  map[string][]*Watcher
	rel        func(string) string
}

func newWatches() watches {
	return watches{
		data: map[string][]chan Event{}, exist: map[string][]chan Event{}, child: map[string][]chan Event{},
		persistent: map[string][]*Watcher{}, recursive: map[string][]*Watcher{},
	}
}

// tell sends the one event of each one-shot watch of a path and forgets them.
func tell(table map[string][]chan Event, path string, ev Event) {
	for _, ch := range table[path] {
		ch <- ev
		close(ch)
	}
	delete(table, path)
}

// fire hands an event of the server to those it concerns (section 11.5).
func (w *watches) fire(e *proto.WatcherEvent, zxid proto.Zxid) {
	ev := Event{Type: e.Type, State: Connected, Path: w.rel(e.Path), Zxid: zxid}
	switch e.Type {
	case EventCreated, EventDataChanged:
		tell(w.data, e.Path, ev)
		tell(w.exist, e.Path, ev)
	case EventChildrenChanged:
		tell(w.child, e.Path, ev)
	case EventDeleted:
		tell(w.data, e.Path, ev)
		tell(w.exist, e.Path, ev)
		tell(w.child, e.Path, ev)
	}
	for _, p := range w.persistent[e.Path] {
		p.events.put(ev)
	}
	// The event of another's child watch says nothing to a recursive one.
	if e.Type == EventChildrenChanged || len(w.recursive) == 0 {
		return
	}
	for path := e.Path; ; path = parent(path) {
		for _, p := range w.recursive[path] {
			p.events.put(ev)
		}
		if len(path) <= 1 {
			return
		}
	}
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// stateChanged tells watchers what became of the session. A one-shot watch
// hears of its end only, since until then it is set again on each connection.
func (w *watches) stateChanged(s State, why error) {
	ev := Event{Type: EventSession, State: s, Zxid: -1}
	if s.Final() {
		ev.Err = why
		for _, table := range []map[string][]chan Event{w.data, w.exist, w.child} {
			for path := range table {
				tell(table, path, ev)
			}
		}
	}
	for _, table := range []map[string][]*Watcher{w.persistent, w.recursive} {
		for _, list := range table {
			for _, p := range list {
				p.events.put(ev)
				if s.Final() {
					p.events.end()
				}
			}
		}
		if s.Final() {
			clear(table)
		}
	}
}

// remove ends the watches of a path and a kind, with an event each.
func (w *watches) remove(path string, kind WatchKind) {
	gone := func(t EventType) Event {
		return Event{Type: t, State: Connected, Path: w.rel(path), Zxid: -1}
	}
	if kind == WatchData || kind == WatchAny {
		tell(w.data, path, gone(EventDataWatchRemoved))
		tell(w.exist, path, gone(EventDataWatchRemoved))
	}
	if kind == WatchChildren || kind == WatchAny {
		tell(w.child, path, gone(EventChildWatchRemoved))
	}
	end := func(table map[string][]*Watcher) {
		for _, p := range table[path] {
			p.events.put(gone(EventPersistentWatchRemoved))
			p.events.end()
		}
		delete(table, path)
	}
	if kind == WatchPersistent || kind == WatchAny {
		end(w.persistent)
	}
	if kind == WatchPersistentRecursive || kind == WatchAny {
		end(w.recursive)
	}
}

// setWatchesBatch bounds the path text of one setWatches request, in bytes.
const setWatchesBatch = 128 << 10

// batches are the requests that set all watches again on a new connection. The
// server answers what has happened since the state seen with events.
func (w *watches) batches(seen proto.Zxid) []*proto.SetWatches {
	var all []*proto.SetWatches
	var cur *proto.SetWatches
	size := 0
	add := func(path string, list func(*proto.SetWatches) *[]string) {
		if cur == nil || size+len(path) > setWatchesBatch && size > 0 {
			// A null list is an error for the server, an empty one is not.
			cur = &proto.SetWatches{
				RelativeZxid: int64(seen),
				Data:         []string{}, Exist: []string{}, Child: []string{}, Persistent: []string{}, Recursive: []string{},
			}
			all, size = append(all, cur), 0
		}
		l := list(cur)
		*l = append(*l, path)
		size += len(path)
	}
	for path := range w.data {
		add(path, func(r *proto.SetWatches) *[]string { return &r.Data })
	}
	for path := range w.exist {
		add(path, func(r *proto.SetWatches) *[]string { return &r.Exist })
	}
	for path := range w.child {
		add(path, func(r *proto.SetWatches) *[]string { return &r.Child })
	}
	for path := range w.persistent {
		add(path, func(r *proto.SetWatches) *[]string { return &r.Persistent })
	}
	for path := range w.recursive {
		add(path, func(r *proto.SetWatches) *[]string { return &r.Recursive })
	}
	for _, r := range all {
		r.WithPersistent = len(r.Persistent)+len(r.Recursive) > 0
	}
	return all
}

// setWatchesRequest uses the older opcode where it will do, for old servers.
func setWatchesRequest(rec *proto.SetWatches) *request {
	op := proto.OpSetWatches
	if rec.WithPersistent {
		op = proto.OpSetWatches2
	}
	r := newRequest(op, jute.Record(rec))
	r.arm = func(code proto.Code) error {
		if code != proto.OK {
			return &errProtocol{op.String() + ": " + code.Error()} // without its watches the session is not itself
		}
		return nil
	}
	return r
}
