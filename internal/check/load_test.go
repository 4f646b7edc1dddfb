// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paddock/jute"
	"paddock/proto"
)

// TestWatchesUnderLoad has connections watch and read znodes that writers
// change as fast as the server can, and holds what each saw against all that
// was changed: see Watches for the rules.
func TestWatchesUnderLoad(t *testing.T) {
	seed := seedOf(t)
	for round, begun := uint64(0), time.Now(); round == 0 || time.Since(begun) < checkTime(); round++ {
		l := &load{t: t, srv: startLocal(t), seed: seed + round}
		l.run()
		if t.Failed() {
			return
		}
	}
}

type load struct {
	t     *testing.T
	srv   target
	seed  uint64
	value atomic.Int32
	stop  atomic.Bool

	mu      sync.Mutex
	changes []Change
}

const (
	pairs      = 4    // /w/a0 and /w/b0, …: always written together
	writeOps   = 6000 // of each writer
	watchers   = 8
	writers    = 3
	rootOfLoad = "/w"
)

func (l *load) run() {
	w := l.connect(1000)
	w.do(create2(l, rootOfLoad))
	for i := range pairs {
		w.do(create2(l, fmt.Sprint(rootOfLoad, "/a", i)))
		w.do(create2(l, fmt.Sprint(rootOfLoad, "/b", i)))
	}
	var readers, work sync.WaitGroup
	seen := make([]*actor, watchers)
	for i := range seen {
		seen[i] = l.connect(i)
		readers.Go(seen[i].watch)
	}
	for i := range writers {
		a := l.connect(100 + i)
		work.Go(a.write)
	}
	work.Wait()
	l.stop.Store(true)
	readers.Wait()
	if l.t.Failed() {
		return
	}
	for _, a := range seen { // now that nothing changes any more
		a.do(ask{op: proto.OpSync, r: &proto.Path{Path: "/"}})
	}
	slices.SortStableFunc(l.changes, func(a, b Change) int { return cmp.Compare(a.Zxid, b.Zxid) })
	events, frames := 0, 0
	for i, a := range seen {
		if err := Watches(l.changes, a.seen); err != nil {
			l.t.Errorf("connection %d: %v", i, err)
		}
		frames += len(a.seen)
		for _, s := range a.seen {
			if s.Event != 0 {
				events++
			}
		}
	}
	l.t.Logf("%d changes, %d frames, %d of them events", len(l.changes), frames, events)
	if events < len(l.changes)/10 {
		l.t.Errorf("%d events on %d changes: too few to show anything", events, len(l.changes))
	}
}

// ask is one request: what it changes, shows and arms if it succeeds.
type ask struct {
	op      proto.OpCode
	r       jute.Record
	changes []Change
	show    []string // getData, or the parts of a multiRead
	kids    string   // getChildren2
	exists  string
	arm     []Arm
	rearm   *Seen // setWatches
}

// actor is one connection and what it saw.
type actor struct {
	l     *load
	id    int
	rng   *rand.Rand
	c     *Conn
	order Order
	seen  []Seen
	armed map[Arm]bool // as the client knows
}

func (l *load) connect(id int) *actor {
	return &actor{l: l, id: id, c: dial(l.t, l.srv), rng: rand.New(rand.NewPCG(l.seed, uint64(id))), armed: map[Arm]bool{}}
}

func (a *actor) fail(err error) {
	a.l.t.Errorf("connection %d: %v", a.id, err)
	a.l.stop.Store(true)
}

// do sends requests at once and notes all frames up to the last reply.
func (a *actor) do(asks ...ask) {
	for i := range asks {
		a.order.Sent(a.c.Send(asks[i].op, asks[i].r))
	}
	if err := a.c.Flush(); err != nil {
		a.fail(err)
		return
	}
	for i := 0; i < len(asks); {
		f, err := a.c.Next()
		if err == nil {
			err = a.order.Received(f)
		}
		if err == nil && f.Xid == proto.XidEvent {
			err = a.event(f)
		} else if err == nil {
			err = a.reply(asks[i], f)
			i++
		}
		if err != nil {
			a.fail(err)
			return
		}
	}
}

func (a *actor) event(f Frame) error {
	var e proto.WatcherEvent
	if err := f.Decode(&e); err != nil {
		return err
	}
	a.seen = append(a.seen, Seen{Zxid: f.Zxid, Event: e.Type, Path: e.Path})
	if e.Type != proto.EventChildrenChanged {
		delete(a.armed, Arm{Kind: proto.WatcherData, Path: e.Path})
		delete(a.armed, Arm{Kind: proto.WatcherData, Path: e.Path, Missing: true})
	}
	if e.Type == proto.EventChildrenChanged || e.Type == proto.EventDeleted {
		delete(a.armed, Arm{Kind: proto.WatcherChildren, Path: e.Path})
	}
	return nil
}

func (a *actor) reply(q ask, f Frame) error {
	s := Seen{Zxid: f.Zxid}
	if q.rearm != nil {
		s = *q.rearm
		s.Zxid = f.Zxid
	}
	missing := f.Err == proto.ErrNoNode
	if f.Err != proto.OK && !missing {
		return fmt.Errorf("%v: %w", q.op, f.Err)
	}
	if len(q.changes) > 0 && !missing {
		a.l.mu.Lock()
		for _, c := range q.changes {
			c.Zxid = f.Zxid
			a.l.changes = append(a.l.changes, c)
		}
		a.l.mu.Unlock()
	}
	var err error
	switch {
	case q.exists != "":
		sh := Shown{Path: q.exists, Exists: !missing}
		if !missing {
			err = f.Decode(&sh.Stat)
		}
		s.Shown = append(s.Shown, sh)
		for i := range q.arm {
			q.arm[i].Missing = missing
		}
		missing = false // its watch is armed all the same
	case q.kids != "" && missing, len(q.show) == 1 && missing:
		s.Shown = append(s.Shown, Shown{Path: q.kids + firstOf(q.show)})
	case q.kids != "":
		var r proto.NamesStat
		err = f.Decode(&r)
		if int(r.Stat.NumChildren) != len(r.Names) {
			return fmt.Errorf("%d names of %d children", len(r.Names), r.Stat.NumChildren)
		}
		s.Shown = append(s.Shown, Shown{Path: q.kids, Exists: true, Children: true, Stat: r.Stat})
	case q.op == proto.OpMultiRead:
		var parts []MultiResult
		parts, err = DecodeMulti(f.Body)
		for i := range parts {
			s.Shown = append(s.Shown, shownAs(q.show[i], parts[i].Err == proto.OK, parts[i].Data, parts[i].Stat))
		}
	case len(q.show) == 1:
		var r proto.DataStat
		err = f.Decode(&r)
		s.Shown = append(s.Shown, shownAs(q.show[0], true, r.Data, r.Stat))
	}
	if !missing {
		for _, arm := range q.arm {
			delete(a.armed, Arm{Kind: arm.Kind, Path: arm.Path, Missing: !arm.Missing})
			a.armed[arm] = true
			s.Arm = append(s.Arm, Arm{Kind: arm.Kind, Path: arm.Path})
		}
	}
	a.seen = append(a.seen, s)
	return err
}

func firstOf(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

func shownAs(path string, exists bool, b []byte, st proto.Stat) Shown {
	s := Shown{Path: path, Exists: exists, HasValue: exists, Stat: st}
	if exists {
		v, err := valueOf(b)
		if err != nil {
			v = -1 // no such value was ever written
		}
		s.Value = v
	}
	return s
}

// watch reads and watches until the writers are done.
func (a *actor) watch() {
	switch a.id % 4 {
	case 2:
		a.do(ask{op: proto.OpAddWatch, r: &proto.PathType{Path: rootOfLoad + "/a0", Type: proto.AddWatchPersistent},
			arm: []Arm{{Kind: proto.WatcherPersistent, Path: rootOfLoad + "/a0"}}})
	case 3:
		a.do(ask{op: proto.OpAddWatch, r: &proto.PathType{Path: rootOfLoad, Type: proto.AddWatchPersistentRecursive},
			arm: []Arm{{Kind: proto.WatcherPersistentRecursive, Path: rootOfLoad}}})
	}
	for !a.l.stop.Load() {
		if a.rng.IntN(100) == 0 {
			a.reconnect()
			continue
		}
		asks := make([]ask, 1+a.rng.IntN(6))
		for i := range asks {
			asks[i] = a.random()
		}
		a.do(asks...)
	}
}

func (a *actor) random() ask {
	i := a.rng.IntN(pairs)
	first, second := fmt.Sprint(rootOfLoad, "/a", i), fmt.Sprint(rootOfLoad, "/b", i)
	child := fmt.Sprint(first, "/c", a.rng.IntN(2))
	watch := a.rng.IntN(3) > 0
	arm := func(kind int32, path string) []Arm {
		if !watch {
			return nil
		}
		return []Arm{{Kind: kind, Path: path}}
	}
	switch a.rng.IntN(7) {
	case 0:
		return ask{op: proto.OpGetData, r: &proto.PathWatch{Path: second, Watch: watch}, show: []string{second}, arm: arm(proto.WatcherData, second)}
	case 1:
		return ask{op: proto.OpGetData, r: &proto.PathWatch{Path: child, Watch: watch}, show: []string{child}, arm: arm(proto.WatcherData, child)}
	case 2:
		return ask{op: proto.OpExists, r: &proto.PathWatch{Path: child, Watch: watch}, exists: child, arm: arm(proto.WatcherData, child)}
	case 3:
		return ask{op: proto.OpGetChildren2, r: &proto.PathWatch{Path: first, Watch: watch}, kids: first, arm: arm(proto.WatcherChildren, first)}
	case 4:
		return ask{op: proto.OpGetChildren2, r: &proto.PathWatch{Path: child, Watch: watch}, kids: child, arm: arm(proto.WatcherChildren, child)}
	case 5: // a write of its own, which it may be told of
		return a.l.setPair(i)
	}
	return ask{op: proto.OpMultiRead, r: Multi{{proto.OpGetData, &proto.PathWatch{Path: first}}, {proto.OpGetData, &proto.PathWatch{Path: second}},
		{proto.OpGetData, &proto.PathWatch{Path: child}}}, show: []string{first, second, child}}
}

// reconnect drops the connection with all that is on its way and arms its
// watches again on a new one.
func (a *actor) reconnect() {
	a.c.Close()
	c, err := Dial(a.l.srv.Addr(), proto.ConnectRequest{LastZxidSeen: int64(a.order.Last), TimeOut: 30000, SessionID: int64(a.c.Session), Passwd: a.c.Passwd})
	if err != nil {
		a.fail(err)
		return
	}
	a.l.t.Cleanup(func() { c.Close() })
	a.c, a.order = c, Order{Last: a.order.Last}
	a.seen = append(a.seen, Seen{Fresh: true})
	q := proto.SetWatches{RelativeZxid: int64(a.order.Last), WithPersistent: true,
		Data: []string{}, Exist: []string{}, Child: []string{}, Persistent: []string{}, Recursive: []string{}}
	var lists [5][]Arm // in the order of the record
	for arm := range a.armed {
		to, k := &q.Data, 0
		switch {
		case arm.Kind == proto.WatcherData && arm.Missing:
			to, k = &q.Exist, 1
		case arm.Kind == proto.WatcherChildren:
			to, k = &q.Child, 2
		case arm.Kind == proto.WatcherPersistent:
			to, k = &q.Persistent, 3
		case arm.Kind == proto.WatcherPersistentRecursive:
			to, k = &q.Recursive, 4
		}
		*to = append(*to, arm.Path)
		lists[k] = append(lists[k], arm)
	}
	a.do(ask{op: proto.OpSetWatches2, r: &q, rearm: &Seen{Rearm: append([]Arm{}, slices.Concat(lists[:]...)...), Since: a.order.Last}})
}

// write changes znodes as fast as it can, many requests at a time.
func (a *actor) write() {
	for n := 0; n < writeOps && !a.l.stop.Load(); {
		asks := make([]ask, 1+a.rng.IntN(32))
		for i := range asks {
			asks[i] = a.l.setPair(a.rng.IntN(pairs))
		}
		n += len(asks)
		a.do(asks...)
		// Children are each one writer's own, so that it knows what will succeed:
		// plain ones it deletes, ephemeral ones go with a session.
		if k := a.id - 100; k < 2 && a.rng.IntN(2) == 0 {
			path := fmt.Sprint(rootOfLoad, "/a", a.rng.IntN(pairs), "/c", k)
			if a.rng.IntN(8) == 0 {
				a.session(path)
				continue
			}
			a.do(create2(a.l, path),
				ask{op: proto.OpSetData, r: &proto.SetData{Path: path, Data: data(7), Version: 0}, changes: []Change{{Type: proto.EventDataChanged, Path: path, Value: 7}}},
				ask{op: proto.OpDelete, r: &proto.PathVersion{Path: path, Version: 1}, changes: []Change{{Type: proto.EventDeleted, Path: path}}})
		}
	}
}

// session has an ephemeral znode come and go with a session.
func (a *actor) session(path string) {
	c, err := Dial(a.l.srv.Addr(), proto.ConnectRequest{TimeOut: 30000})
	if err != nil {
		a.fail(err)
		return
	}
	defer c.Close()
	other := &actor{l: a.l, id: a.id, c: c, armed: map[Arm]bool{}}
	q := create2(a.l, path)
	q.r.(*proto.Create).Flags = proto.FlagEphemeral
	other.do(q, ask{op: proto.OpCloseSession, changes: []Change{{Type: proto.EventDeleted, Path: path}}})
}

func create2(l *load, path string) ask {
	v := l.value.Add(1)
	return ask{op: proto.OpCreate2, r: &proto.Create{Path: path, Data: data(v), ACL: OpenACL}, changes: []Change{{Type: proto.EventCreated, Path: path, Value: v}}}
}

// setPair writes one value to both znodes of a pair.
func (l *load) setPair(i int) ask {
	v := l.value.Add(1)
	first, second := fmt.Sprint(rootOfLoad, "/a", i), fmt.Sprint(rootOfLoad, "/b", i)
	return ask{op: proto.OpMulti, r: Multi{{proto.OpSetData, &proto.SetData{Path: first, Data: data(v), Version: -1}}, {proto.OpSetData, &proto.SetData{Path: second, Data: data(v), Version: -1}}},
		changes: []Change{{Type: proto.EventDataChanged, Path: first, Value: v}, {Type: proto.EventDataChanged, Path: second, Value: v}}}
}
