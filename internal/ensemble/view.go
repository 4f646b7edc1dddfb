// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// view is what other goroutines may see of the loop's state.
type view struct {
	pendingSyncs atomic.Int64

	mu              sync.Mutex
	status          zab.Status
	readOnly        bool
	changed         chan struct{} // closed at the next change of status
	since           time.Duration // when this role was taken
	committed, seen *quorum.Config
	pending         *quorum.Config // proposed by this leader; the peer may not know yet
	learners        map[zab.LinkID]*learnerView
	last, low, high int // bytes of proposals
}

// learnerView is a learner as its leader shows it.
type learnerView struct {
	sid      int64
	peer     net.Addr
	observer bool
	synced   bool // it was sent UPTODATE
}

func (v *view) init(committed, seen *quorum.Config) {
	v.committed, v.seen = committed, seen
	v.changed, v.learners = make(chan struct{}), map[zab.LinkID]*learnerView{}
}

func (v *view) store(s zab.Status, now time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.Role != v.status.Role {
		v.since = now
		v.last, v.low, v.high = 0, 0, 0
		v.pendingSyncs.Store(0)
	}
	if s.Role != proto.Leading {
		v.pending = nil
	}
	v.status = s
	close(v.changed)
	v.changed = make(chan struct{})
}

// await returns when ok holds of the status, or with ctx's error.
func (v *view) await(ctx context.Context, ok func(zab.Status) bool) error {
	for {
		v.mu.Lock()
		s, changed := v.status, v.changed
		v.mu.Unlock()
		if ok(s) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (v *view) setReadOnly(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.readOnly = on
}

func (v *view) membership() *quorum.Config {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.committed
}

func (v *view) adopt(committed, seen *quorum.Config) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if committed != nil {
		v.committed = committed
	}
	if seen != nil {
		v.seen = seen
	}
	if v.seen != nil && v.seen.Version <= v.committed.Version {
		v.seen = nil
	}
}

// proposed notes a membership that this leader proposes.
func (v *view) proposed(c *quorum.Config) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pending = c
}

// memberships are the committed one and the last that was proposed; the same if
// there is no newer one.
func (v *view) memberships() (committed, last *quorum.Config) {
	v.mu.Lock()
	defer v.mu.Unlock()
	last = v.committed
	for _, c := range []*quorum.Config{v.seen, v.pending} {
		if c != nil && c.Version > last.Version {
			last = c
		}
	}
	return v.committed, last
}

// synced tells which servers follow this one and are up to date.
func (v *view) synced(self int64) func(sid int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	in := map[int64]bool{self: true}
	for _, l := range v.learners {
		if l.synced && !l.observer {
			in[l.sid] = true
		}
	}
	return func(sid int64) bool { return in[sid] }
}

// lookup is what the memberships say of a server: the committed one, then the
// proposed one if it differs (section 2.2).
func (v *view) lookup(sid int64) (out []quorum.Member) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range []*quorum.Config{v.committed, v.seen} {
		if c == nil {
			continue
		}
		if m, ok := c.Member(sid); ok && (len(out) == 0 || !slices.Equal(out[0].Addrs, m.Addrs)) {
			out = append(out, m)
		}
	}
	return out
}

func (v *view) joined(link zab.LinkID, peer net.Addr, dialed bool) {
	if dialed {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.learners[link] = &learnerView{peer: peer, sid: -1}
}

// introduced notes who a learner says it is: its first packet does.
func (v *view) introduced(link zab.LinkID, packets []zab.Packet) {
	p := &packets[0]
	if p.Type != proto.PacketFollowerInfo && p.Type != proto.PacketObserverInfo {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.learners[link]
	if l == nil {
		return
	}
	l.observer = p.Type == proto.PacketObserverInfo
	if len(p.Data) >= 8 {
		l.sid = int64(binary.BigEndian.Uint64(p.Data))
	}
}

func (v *view) left(link zab.LinkID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.learners, link)
}

func (v *view) isObserver(link zab.LinkID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.learners[link]
	return l != nil && l.observer
}

func (v *view) upToDate(link zab.LinkID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.learners[link]; l != nil {
		l.synced = true
	}
}

// proposal counts the bytes of a proposal.
func (v *view) proposal(bytes int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.low == 0 || bytes < v.low {
		v.low = bytes
	}
	v.high = max(v.high, bytes)
	v.last = bytes
}

// Health is what an operator may want to know of a server's part in its
// ensemble.
type Health struct {
	Serving   bool   // there is a leader, and this server is up to date
	Mode      string // leader, follower, observer, or looking
	PeerState string // with the stage, as mntr has it
	Sid       int64
	Leader    int64
	Master    int64 // of a learner: the leader, or the observer master that it learns from
	Epoch     int64
	Voters    int // of the committed membership
	Observer  bool
	ReadOnly  bool  // there is no leader, and clients that accept it are served reads
	ZxidsLeft int64 // transactions until this epoch ends

	Membership *quorum.Config // the committed one
	Own        quorum.Member  // this server in it

	// Of a leader; of an observer master, what is about learners.
	Uptime                                                time.Duration // of its reign
	Learners                                              int
	SyncedFollowers, SyncedNonVoting, SyncedObservers     int
	PendingSyncs                                          int64
	LastProposalBytes, MinProposalBytes, MaxProposalBytes int // 0 before the first
}

// Health may be called by any goroutine.
func (d *Driver) Health() Health {
	h, s := d.health()
	if h.Serving {
		h.ZxidsLeft = d.zxidsLeft(s) // takes a view of the tree, which comes before the view's lock
	}
	return h
}

func (d *Driver) health() (Health, zab.Status) {
	v := &d.view
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.status
	h := Health{Serving: s.Stage == zab.Broadcast && d.stop.Err() == nil, Mode: modes[s.Role], PeerState: stateText(s),
		Sid: d.opt.Sid, Leader: s.Leader, Master: s.Master, Epoch: s.Epoch, Voters: len(v.committed.Voters()), Membership: v.committed, ReadOnly: v.readOnly}
	if m, ok := v.committed.Member(d.opt.Sid); ok {
		h.Own, h.Observer = m, m.Observer
	}
	if d.wanted(s) == noPort {
		return h, s
	}
	h.Uptime, h.PendingSyncs = d.now()-v.since, v.pendingSyncs.Load()
	h.LastProposalBytes, h.MinProposalBytes, h.MaxProposalBytes = v.last, v.low, v.high
	h.Learners = len(v.learners)
	for _, l := range v.learners {
		switch {
		case !l.synced:
		case l.observer:
			h.SyncedObservers++
		case v.committed.IsVoter(l.sid):
			h.SyncedFollowers++
		default:
			h.SyncedNonVoting++
		}
	}
	return h, s
}

// zxidsLeft is how many transactions this epoch has room for: at the end of it
// the leader steps down, and a new one begins to count anew.
func (d *Driver) zxidsLeft(s zab.Status) int64 {
	limit := int64(d.opt.Zab.CounterMax)
	if limit == 0 {
		limit = 0xfffffffe
	}
	v := d.opt.Tree.View(0)
	last := v.Zxid()
	v.Close()
	if int64(last.Epoch()) != s.Epoch {
		return limit
	}
	return limit - int64(last.Counter())
}

var modes = map[proto.PeerState]string{proto.Looking: "looking", proto.Following: "follower", proto.Leading: "leader", proto.Observing: "observer"}

var roles = map[proto.PeerState]string{proto.Looking: "looking", proto.Following: "following", proto.Leading: "leading", proto.Observing: "observing"}

var stages = map[zab.Stage]string{zab.Election: "election", zab.Discovery: "discovery", zab.Synchronization: "synchronization", zab.Broadcast: "broadcast"}

// stateText is a status as the reference's log and mntr have it.
func stateText(s zab.Status) string {
	if s.Role == proto.Looking {
		return "looking"
	}
	text := roles[s.Role] + " - " + stages[s.Stage]
	if s.Stage == zab.Synchronization && s.SyncVia != "" {
		text += " - " + strings.ToLower(s.SyncVia)
	}
	return text
}
