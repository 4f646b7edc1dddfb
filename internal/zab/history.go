// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"
	"slices"
	"sort"

	"paddock/proto"
)

// append logs entries that follow the history; then, if given, runs when they
// are durable and the role is still the same.
func (p *Peer) append(entries []Entry, then func()) {
	if len(entries) == 0 {
		return
	}
	for i := range entries {
		if z := entries[i].Zxid; z <= p.last || z != p.last+1 && z.Epoch() == p.last.Epoch() {
			panic(fmt.Sprintf("zab: %s is to be logged after %s", z, p.last))
		}
		p.last = entries[i].Zxid
	}
	p.pending = append(p.pending, entries...)
	if p.logs() {
		p.disk(DiskOp{Append: entries}, p.last, then)
		return
	}
	p.volatile, p.durable = true, p.last
	if then != nil {
		then()
	}
}

func (p *Peer) disk(op DiskOp, z proto.Zxid, then func()) {
	p.out.Disk = append(p.out.Disk, op)
	p.ops++
	if z != 0 || then != nil {
		p.marks = append(p.marks, mark{op: p.ops, zxid: z, then: then})
	}
}

// save goes on with what waited for the disk.
func (p *Peer) save(ops uint64) {
	if ops < p.saved || ops > p.ops {
		panic(fmt.Sprintf("zab: %d disk operations are said to be done, of %d, after %d", ops, p.ops, p.saved))
	}
	p.saved = ops
	n := 0
	for ; n < len(p.marks) && p.marks[n].op <= ops; n++ {
		m := p.marks[n]
		switch {
		case m.snap:
			// Whether or not the role goes on: this is what the disk has now.
			p.last, p.durable, p.decided, p.applied, p.pending = m.zxid, m.zxid, m.zxid, m.zxid, nil
			p.treeDirty, p.volatile = false, false
		case m.zxid != 0:
			p.durable = min(m.zxid, p.last)
		}
		if m.then != nil {
			m.then()
		}
	}
	p.marks = slices.Delete(p.marks, 0, min(n, len(p.marks)))
	if p.lead != nil {
		p.lead.saved()
	}
	if p.learn != nil {
		p.learn.saved()
	}
	p.deliver()
	if p.learn != nil {
		p.learn.settle()
	}
}

// deliver hands to the tree what is decided and durable.
func (p *Peer) deliver() {
	if p.role == proto.Looking || p.stage != Broadcast || p.restoring != nil {
		return
	}
	upTo := min(p.decided, p.durable)
	if p.opt.Unsafe.AckBeforeFlush {
		upTo = p.decided
	}
	n := 0
	for n < len(p.pending) && p.pending[n].Zxid <= upTo {
		n++
	}
	if n == 0 {
		return
	}
	for _, e := range p.pending[:n] {
		p.window.add(e)
	}
	p.applied = p.pending[n-1].Zxid
	p.out.Commit = append(p.out.Commit, p.pending[:n]...)
	if n == len(p.pending) {
		p.pending = nil
	} else {
		p.pending = p.pending[n:]
	}
	p.window.trim(p.applied)
}

// pendingAfter is the index of the first pending transaction past z.
func (p *Peer) pendingAfter(z proto.Zxid) int {
	return sort.Search(len(p.pending), func(i int) bool { return p.pending[i].Zxid > z })
}

// cut forgets the history after z: the log is to be cut there.
func (p *Peer) cut(z proto.Zxid) {
	n := len(p.pending)
	for n > 0 && p.pending[n-1].Zxid > z {
		n--
	}
	p.pending = slices.Clip(p.pending[:n])
	p.window.cut(z)
	p.last = min(p.last, z)
	p.durable, p.decided, p.applied = min(p.durable, z), min(p.decided, z), min(p.applied, z)
}
