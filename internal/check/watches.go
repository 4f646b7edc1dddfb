// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"sort"

	"paddock/internal/tree"
	"paddock/proto"
)

// Change is one thing that happened to a znode. Changes of one zxid are one
// multi.
type Change struct {
	Zxid  proto.Zxid
	Type  proto.EventType // created, deleted or data changed
	Path  string
	Value int32 // of created and data changed
}

// Shown is what a reply told of a znode.
type Shown struct {
	Path     string
	Exists   bool
	Value    int32
	HasValue bool // a read of the data
	Children bool // a read of the children: Stat.Pzxid and NumChildren count
	Stat     proto.Stat
}

// Seen is one frame as the connection got it: an event, or a reply with what
// it showed and which watches it armed.
type Seen struct {
	Zxid  proto.Zxid
	Event proto.EventType // 0: a reply
	Path  string          // of the event

	Shown []Shown
	Arm   []Arm
	// Rearm are the watches of a setWatches request, armed as of zxid Since; its
	// reply comes after the events of what was missed.
	Rearm []Arm
	Since proto.Zxid
	// Fresh says that a new connection begins with this frame: no watch is armed.
	Fresh bool
}

// Arm is a watch on a path.
type Arm struct {
	Kind    int32 // proto.WatcherData (getData, exists), Children, Persistent or PersistentRecursive
	Path    string
	Missing bool // armed by an exists that found nothing: setWatches lists it apart
}

// Watches judges the frames of one connection against all changes of the tree,
// which are complete and sorted by zxid. The rules:
//
//   - a reply shows the tree exactly as it was at its zxid, no part of a multi
//     without the rest;
//   - a watch armed by a reply fires for the first change after that reply's
//     zxid (a persistent one for each), and for nothing else;
//   - its event comes before any frame with a greater zxid, and before any reply
//     with the zxid of the change itself;
//   - a one-shot watch fires once; a connection is told once of each change, however many
//     of its watches match.
//
// The last frame should be a reply at or after the last change: only then has
// everything that must fire been seen to fire.
func Watches(changes []Change, seen []Seen) error {
	if !sort.SliceIsSorted(changes, func(i, j int) bool { return changes[i].Zxid < changes[j].Zxid }) {
		return fmt.Errorf("the changes are not sorted")
	}
	w := watcher{changes: changes, data: map[string]bool{}, child: map[string]bool{}, persistent: map[string]bool{}, recursive: map[string]bool{},
		nodes: map[string]*seenNode{}}
	for i := range seen {
		if err := w.frame(&seen[i]); err != nil {
			return fmt.Errorf("frame %d of %d, zxid %v: %w", i, len(seen), seen[i].Zxid, err)
		}
	}
	return nil
}

type told struct {
	zxid proto.Zxid
	typ  proto.EventType
	path string
}

type seenNode struct {
	exists              bool
	value               int32
	mzxid, czxid, pzxid proto.Zxid
	version, children   int32
}

type watcher struct {
	changes                            []Change
	at                                 int
	data, child, persistent, recursive map[string]bool
	due                                []told // fired, and not seen yet
	nodes                              map[string]*seenNode
}

func (w *watcher) frame(s *Seen) error {
	if s.Fresh {
		clear(w.data)
		clear(w.child)
		clear(w.persistent)
		clear(w.recursive)
		w.due = nil
	}
	if s.Event != 0 {
		return w.event(s)
	}
	if s.Rearm == nil {
		w.advance(s.Zxid)
	} else if err := w.rearmed(s); err != nil {
		return err
	}
	if len(w.due) > 0 {
		return fmt.Errorf("a reply overtook the event %+v", w.due[0])
	}
	for i := range s.Shown {
		if err := w.shown(&s.Shown[i]); err != nil {
			return err
		}
	}
	for _, a := range s.Arm {
		w.arm(a)
	}
	return nil
}

func (w *watcher) event(s *Seen) error {
	if s.Zxid == -1 { // made up by setWatches: judged with its reply
		w.due = append(w.due, told{-1, s.Event, s.Path})
		return nil
	}
	w.advance(s.Zxid)
	e := told{s.Zxid, s.Event, s.Path}
	if len(w.due) > 0 && w.due[0].zxid < e.zxid {
		return fmt.Errorf("event %+v overtook %+v", e, w.due[0])
	}
	// Within one zxid the order follows the steps of the transaction; which of
	// two events of one step comes first is nobody's business.
	i := slices.Index(w.due, e)
	if i < 0 {
		return fmt.Errorf("event %+v, which no watch waits for (due: %v)", e, w.due)
	}
	w.due = slices.Delete(w.due, i, i+1)
	return nil
}

// advance moves the tree on to zxid z.
func (w *watcher) advance(z proto.Zxid) {
	for ; w.at < len(w.changes) && w.changes[w.at].Zxid <= z; w.at++ {
		w.change(&w.changes[w.at])
	}
}

func (w *watcher) node(path string) *seenNode {
	n := w.nodes[path]
	if n == nil {
		n = new(seenNode)
		w.nodes[path] = n
	}
	return n
}

func (w *watcher) change(c *Change) {
	n := w.node(c.Path)
	up, _ := tree.Split(c.Path)
	parent := w.node(up)
	fires := w.persistent[c.Path] || w.above(c.Path) || w.data[c.Path]
	delete(w.data, c.Path)
	switch c.Type {
	case proto.EventCreated:
		*n = seenNode{exists: true, value: c.Value, mzxid: c.Zxid, czxid: c.Zxid, pzxid: c.Zxid}
		parent.pzxid, parent.children = c.Zxid, parent.children+1
	case proto.EventDeleted:
		fires = fires || w.child[c.Path]
		delete(w.child, c.Path)
		*n = seenNode{}
		parent.pzxid, parent.children = c.Zxid, parent.children-1
	case proto.EventDataChanged:
		n.value, n.mzxid, n.version = c.Value, c.Zxid, n.version+1
	}
	if fires {
		w.due = append(w.due, told{c.Zxid, c.Type, c.Path})
	}
	if c.Type == proto.EventDataChanged {
		return
	}
	if w.child[up] || w.persistent[up] {
		w.due = append(w.due, told{c.Zxid, proto.EventChildrenChanged, up})
	}
	delete(w.child, up)
}

// above tells whether a recursive watch covers path.
func (w *watcher) above(path string) bool {
	for p := path; p != "" && p != "/"; p, _ = tree.Split(p) {
		if w.recursive[p] {
			return true
		}
	}
	return false
}

func (w *watcher) arm(a Arm) {
	switch a.Kind {
	case proto.WatcherData:
		w.data[a.Path] = true
	case proto.WatcherChildren:
		w.child[a.Path] = true
	case proto.WatcherPersistent:
		w.persistent[a.Path] = true
	case proto.WatcherPersistentRecursive:
		w.recursive[a.Path] = true
	}
}

// rearmed judges the reply to setWatches: what was missed since the connection
// before has been told, each watch once, and the rest is armed.
func (w *watcher) rearmed(s *Seen) error {
	got := w.due
	w.due = nil
	w.advance(s.Zxid)
	w.due = nil // nothing was armed on this connection
	var want []told
	for _, a := range s.Rearm {
		n := w.node(a.Path)
		switch {
		case a.Kind == proto.WatcherPersistent || a.Kind == proto.WatcherPersistentRecursive:
			w.arm(a)
		case a.Missing && n.exists:
			want = append(want, told{-1, proto.EventCreated, a.Path})
		case a.Missing:
			w.arm(a)
		case !n.exists:
			want = append(want, told{-1, proto.EventDeleted, a.Path})
		case a.Kind == proto.WatcherData && n.mzxid > s.Since:
			want = append(want, told{-1, proto.EventDataChanged, a.Path})
		case a.Kind == proto.WatcherChildren && n.pzxid > s.Since:
			want = append(want, told{-1, proto.EventChildrenChanged, a.Path})
		default:
			w.arm(a)
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("setWatches since %v told of %v, not of %v", s.Since, got, want)
	}
	return nil
}

// shown compares what a reply told with the tree at its zxid.
func (w *watcher) shown(s *Shown) error {
	n := w.node(s.Path)
	switch {
	case s.Exists != n.exists:
		return fmt.Errorf("%s: shown to exist: %v", s.Path, s.Exists)
	case !s.Exists:
	case s.Children && (s.Stat.Pzxid != n.pzxid || s.Stat.NumChildren != n.children):
		return fmt.Errorf("%s: shown with %d children since %v, has %d since %v", s.Path, s.Stat.NumChildren, s.Stat.Pzxid, n.children, n.pzxid)
	case s.HasValue && s.Value != n.value:
		return fmt.Errorf("%s: shown with value %d of %v, holds %d of %v", s.Path, s.Value, s.Stat.Mzxid, n.value, n.mzxid)
	case s.Stat.Mzxid != n.mzxid || s.Stat.Version != n.version || s.Stat.Czxid != n.czxid:
		return fmt.Errorf("%s: shown as of %v (version %d, created %v), is of %v (%d, %v)", s.Path, s.Stat.Mzxid, s.Stat.Version, s.Stat.Czxid, n.mzxid, n.version, n.czxid)
	}
	return nil
}
