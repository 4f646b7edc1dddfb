// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"slices"
	"strings"

	"paddock/proto"
	"paddock/zk"
)

// queue is a znode below which all writers create sequential znodes, and
// delete some. No name may ever be given twice.
type queue struct {
	path    string
	asked   map[string]bool // data of creates without answer
	items   map[string]*item
	newest  string // the highest name that the last life left
	current []string
}

// item is one sequential znode; it is kept when deleted, so that its name is
// known.
type item struct {
	data     string
	czxid    proto.Zxid
	deleting bool // asked for, without answer
	deleted  bool
}

func (q *queue) settle(l *Ledger, d *Dump, rest map[string]bool) {
	for name, it := range q.items {
		p := q.path + "/" + name
		n, ok := d.Nodes[p]
		delete(rest, p)
		switch {
		case ok && it.deleted:
			l.fault("back: %s was deleted, and is there: %+v", p, n)
		case ok && (n.Data != it.data || n.Stat.Czxid != it.czxid):
			l.fault("%s has %q of zxid %s, acknowledged was %q of %s", p, n.Data, n.Stat.Czxid, it.data, it.czxid)
		case !ok && !it.deleted && !it.deleting:
			l.fault("lost: %s with %q of zxid %s is not there", p, it.data, it.czxid)
		}
		it.deleted, it.deleting = !ok, false
	}
	for _, name := range d.Children(q.path) {
		if q.items[name] != nil {
			continue
		}
		p := q.path + "/" + name
		n := d.Nodes[p]
		if !q.asked[n.Data] {
			continue // stays in rest
		}
		delete(rest, p)
		delete(q.asked, n.Data) // once only
		q.items[name] = &item{data: n.Data, czxid: n.Stat.Czxid}
		if name <= q.newest {
			l.fault("%s was given after %s", p, q.newest)
		}
	}
	clear(q.asked)
	q.current = q.current[:0]
	for name, it := range q.items {
		q.newest = max(q.newest, name)
		if !it.deleted {
			q.current = append(q.current, name)
		}
	}
	slices.Sort(q.current) // maps have no order, and a seed is to be repeatable
}

// queueLength is how many znodes a queue holds before writers rather delete.
const queueLength = 24

func (w *writer) queue() {
	q := w.w.queues[w.rng.IntN(len(w.w.queues))]
	w.l.mu.Lock()
	full := len(q.current) > queueLength
	if full || len(q.current) > 0 && w.rng.IntN(4) == 0 {
		i := w.rng.IntN(len(q.current))
		name := q.current[i]
		q.current = slices.Delete(q.current, i, i+1)
		q.items[name].deleting = true
		w.l.mu.Unlock()
		w.dequeue(q, name)
		return
	}
	data := fmt.Sprintf("item %d %s", w.l.nextID(), w.filler())
	q.asked[data] = true
	w.l.mu.Unlock()

	path, st, err := w.c.CreateWithStat(w.ctx, q.path+"/n-", []byte(data), zk.OpenACL, zk.Sequential)
	if !w.done(err, "creating below %s", q.path) {
		return
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.acked(st.Czxid, "the create of %s", path)
	name := strings.TrimPrefix(path, q.path+"/")
	if other := q.items[name]; other != nil {
		w.l.fault("doubled: the name %s was given to %q and to %q", path, other.data, data)
	}
	if name <= q.newest {
		w.l.fault("%s was given after %s", path, q.newest)
	}
	q.items[name] = &item{data: data, czxid: st.Czxid}
	q.current = append(q.current, name)
	delete(q.asked, data)
}

func (w *writer) dequeue(q *queue, name string) {
	err := w.c.Delete(w.ctx, q.path+"/"+name, 0)
	if !w.done(err, "deleting %s/%s", q.path, name) {
		return
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.acked(0, "")
	q.items[name].deleted, q.items[name].deleting = true, false
}

// pair is two znodes and a third, of a changing name, that one writer changes
// by multis only: all have the same count.
type pair struct {
	path  string
	count int32 // acknowledged; -1 is not there yet
	asked bool  // count+1 is on its way
}

func (p *pair) entry(n int32) string { return fmt.Sprintf("%s/%06d", p.path, n) }

func (p *pair) settle(l *Ledger, d *Dump, rest map[string]bool) {
	names := d.Children(p.path)
	for _, name := range names {
		delete(rest, p.path+"/"+name)
	}
	a, b := d.Nodes[p.path+"/a"], d.Nodes[p.path+"/b"]
	got := int32(-1)
	if len(names) > 0 {
		got = a.Stat.Version
	}
	if got != p.count && !(p.asked && got == p.count+1) {
		l.fault("%s is at %d; acknowledged was %d, one more asked for: %v", p.path, got, p.count, p.asked)
	}
	if got >= 0 {
		want := []string{fmt.Sprintf("%06d", got), "a", "b"}
		if !slices.Equal(names, want) || a.Data != b.Data || a.Data != fmt.Sprint(got) || a.Stat.Mzxid != b.Stat.Mzxid || b.Stat.Version != got {
			l.fault("half a multi: %s has %q, a is %+v, b is %+v", p.path, names, a, b)
		}
	}
	p.count, p.asked = got, false
}

func (w *writer) pair() {
	p := w.pairs[w.rng.IntN(len(w.pairs))]
	w.l.mu.Lock()
	count := p.count
	p.asked = true
	w.l.mu.Unlock()

	data := []byte(fmt.Sprint(count + 1))
	ops := []zk.Op{
		zk.SetOp(p.path+"/a", data, count),
		zk.DeleteOp(p.entry(count), -1),
		zk.CreateWithStatOp(p.entry(count+1), nil, zk.OpenACL, 0),
		zk.CheckOp(p.path+"/b", count),
		zk.SetOp(p.path+"/b", data, count),
	}
	if count < 0 {
		ops = []zk.Op{
			zk.CreateWithStatOp(p.path+"/a", data, zk.OpenACL, 0),
			zk.CreateWithStatOp(p.path+"/b", data, zk.OpenACL, 0),
			zk.CreateWithStatOp(p.entry(0), nil, zk.OpenACL, 0),
		}
	}
	spoilt := w.rng.IntN(5) == 0
	if spoilt { // refused at its very end, so that all of it is undone
		ops = append(ops, zk.CheckOp(p.path+"/a", count+17))
	}
	results, err := w.c.Multi(w.ctx, ops...)
	if spoilt && isCode(err, zk.ErrBadVersion) {
		w.l.mu.Lock()
		p.asked = false
		w.l.mu.Unlock()
		return
	}
	if !w.done(err, "the multi below %s", p.path) {
		return
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if spoilt {
		w.l.fault("a multi with a wrong version was carried out below %s", p.path)
	}
	w.l.acked(results[0].Stat.Mzxid, "multi %d of %s", count+1, p.path)
	p.count, p.asked = count+1, false
}
