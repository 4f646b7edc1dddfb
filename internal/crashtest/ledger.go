// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"paddock/proto"
)

// Ledger knows what was asked of a server and what it acknowledged, over all
// its lives.
type Ledger struct {
	mu       sync.Mutex
	subjects []subject
	used     map[string]bool // parents of subjects: the only other znodes there may be
	leases   map[int64]*lease
	ids      int64 // the last id given to a request

	acks    int // in this life
	target  int // reached is closed at this many acks
	reached chan struct{}

	floor  proto.Zxid            // of everything that the last life left
	top    proto.Zxid            // the highest acknowledged
	zxids  map[proto.Zxid]string // acknowledged in this life, and for what
	faults []string
	total  int // acks in all lives
}

// subject is a part of the tree that one kind of request changes. Its methods
// are called under the ledger's lock.
type subject interface {
	// settle checks the subject against what a crash left, takes that for the
	// truth, and strikes each of its znodes from rest.
	settle(l *Ledger, d *Dump, rest map[string]bool)
}

// NewLedger returns a ledger for an empty tree.
func NewLedger() *Ledger {
	return &Ledger{used: map[string]bool{}, leases: map[int64]*lease{}, zxids: map[proto.Zxid]string{}}
}

func (l *Ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// Fault enters an observation that must not be.
func (l *Ledger) Fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault(format, args...)
}

// Faults are all that were found so far.
func (l *Ledger) Faults() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

// Acks is the number of writes acknowledged in all lives.
func (l *Ledger) Acks() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// After returns a channel that is closed when n more writes are acknowledged.
func (l *Ledger) After(n int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks, l.target, l.reached = 0, n, make(chan struct{})
	return l.reached
}

// acked counts an acknowledgement. zxid is that of the write, 0 if the reply
// does not tell. The caller holds the lock.
func (l *Ledger) acked(zxid proto.Zxid, format string, args ...any) {
	l.total++
	if l.acks++; l.acks == l.target {
		close(l.reached)
	}
	if zxid == 0 {
		return
	}
	what := fmt.Sprintf(format, args...)
	if zxid <= l.floor {
		l.fault("%s got zxid %s, and %s was given before the restart", what, zxid, l.floor)
	}
	if other, ok := l.zxids[zxid]; ok {
		l.fault("zxid %s was given to %s and to %s", zxid, other, what)
	}
	l.zxids[zxid] = what
	l.top = max(l.top, zxid)
}

// nextID names a request; data made of it tells later whose it was.
func (l *Ledger) nextID() int64 {
	l.ids++
	return l.ids
}

// Settle holds the ledger against the tree that a crash left, which begins the
// next life. All writers have ended. It returns the faults found now.
func (l *Ledger) Settle(d *Dump) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.faults)
	l.faults = append(l.faults, d.Faults()...)
	if d.Zxid < l.top {
		l.fault("the tree is of zxid %s, and %s was acknowledged", d.Zxid, l.top)
	}
	rest := map[string]bool{}
	for p := range d.Nodes {
		if !l.used[p] && p != "/" && p != proto.ZookeeperPath && !strings.HasPrefix(p, proto.ZookeeperPath+"/") {
			rest[p] = true
		}
	}
	for _, s := range l.subjects {
		s.settle(l, d, rest)
	}
	l.settleLeases(d, rest)
	for p := range rest {
		l.fault("%s is there, and nobody asked for it: %+v", p, d.Nodes[p])
	}
	l.floor, l.top = max(l.floor, d.Zxid), 0
	clear(l.zxids)
	return l.faults[before:]
}

// use makes p a parent that the workload sets up before all else.
func (l *Ledger) use(p string) string {
	l.used[p] = true
	return p
}
