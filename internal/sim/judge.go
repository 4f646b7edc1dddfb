// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"paddock/internal/check"
	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// judge knows what was committed, by whom first, and who led.
type judge struct {
	chain   []*moment      // the committed history; the first is the empty one
	by      []int64        // who committed it first
	members *quorum.Config // the newest that is in force
	reign   map[int64]reign
}

type reign struct {
	sid int64
	gen int
}

func (j *judge) begin(root *moment, members *quorum.Config) {
	j.chain, j.by, j.members, j.reign = []*moment{root}, []int64{0}, members, map[int64]reign{}
}

// committed: committed prefixes agree. What is in the tree of s is committed.
func (r *run) committed(s *server) {
	if s.foreign || !s.serving && s.status.Stage != zab.Broadcast {
		return // a leader's history that no quorum may have yet
	}
	r.holds(s)
}

func (r *run) holds(s *server) {
	m := s.machine.at
	last := len(r.chain) - 1
	if m.depth <= last {
		if r.chain[m.depth] != m {
			r.differ(s, m)
		}
		return
	}
	var more []*moment
	for ; m.depth > last; m = m.prev {
		more = append(more, m)
	}
	if m != r.chain[last] {
		r.differ(s, m)
		return
	}
	for _, m := range slices.Backward(more) {
		r.chain, r.by = append(r.chain, m), append(r.by, s.id)
		r.changes(r.membershipOf(m.data))
		r.trace("committed", s.id, int64(m.zxid))
	}
	r.kept()
}

// changes the membership, if there is a newer one: by a transaction, or by a leader
// that begins with one that was only proposed. What is committed by then is on the
// disks of a quorum of the old members and of the new ones.
func (r *run) changes(c *quorum.Config) {
	if c != nil && c.Version > r.members.Version {
		r.kept()
		r.members = c
		r.kept()
	}
}

// kept: what is committed is on the disks of a quorum, from then on for ever. It is
// asked whenever more is committed, and when a disk may have less.
func (r *run) kept() {
	last := r.chain[len(r.chain)-1]
	if !r.set.asserts || last.depth == 0 {
		return
	}
	var have []int64
	for _, s := range r.servers {
		if s.disk.holds(last) {
			have = append(have, s.id)
		}
	}
	if !r.members.Quorum(func(id int64) bool { return slices.Contains(have, id) }) {
		r.fail("%s, which server %d has committed, is on the disks of %v, no quorum", short(last.zxid), r.by[last.depth], have)
	}
}

// differ finds where.
func (r *run) differ(s *server, m *moment) {
	for m.depth > 1 && r.chain[m.depth-1] != m.prev {
		m = m.prev
	}
	was := r.chain[m.depth]
	r.fail("servers %d and %d differ at %s: %s there", r.by[m.depth], s.id, short(was.zxid), short(m.zxid))
}

// joins: whoever says that it has the history of an epoch's leader has on disk all
// that was committed in earlier ones, so that a quorum of them has. A leader that
// has a successor may have begun without some of it, and never serves.
func (r *run) joins(s *server, epoch int64) {
	for later := range r.reign {
		if later > epoch {
			return
		}
	}
	m, err := s.disk.load()
	if err != nil {
		s.fail("%v", err)
		return
	}
	last := len(r.chain) - 1
	for last > 0 && int64(r.chain[last].zxid.Epoch()) >= epoch {
		last--
	}
	if m.at.depth < last || m.at.ancestor(last) != r.chain[last] {
		r.fail("server %d joins epoch %x without %s, which server %d has committed", s.id, epoch, short(r.chain[last].zxid), r.by[last])
	}
}

// sendsBack: nobody is told to cut a log back behind what is committed; it may be
// one of the quorum without which that is lost. What is committed later, without
// it, is no matter, nor what a leader says who has a successor.
func (r *run) sendsBack(from, s *server, z proto.Zxid) {
	for epoch := range r.reign {
		if epoch > from.status.Epoch {
			return
		}
	}
	for _, e := range s.disk.log {
		if e.Zxid <= z {
			continue
		}
		n, ok := slices.BinarySearchFunc(r.chain, e.Zxid, func(m *moment, z proto.Zxid) int { return cmp.Compare(m.zxid, z) })
		if ok {
			r.fail("server %d sends %d back to %s behind %s, which server %d has committed", from.id, s.id, short(z), short(e.Zxid), r.by[n])
			return
		}
	}
}

// leads: no two leaders in an epoch.
func (r *run) leads(s *server, epoch int64) {
	was, ok := r.reign[epoch]
	if ok && was != (reign{s.id, s.gen}) {
		r.fail("servers %d and %d both lead epoch %x", was.sid, s.id, epoch)
		return
	}
	r.reign[epoch] = reign{s.id, s.gen}
}

// reigns: whoever begins to lead has all that was committed in earlier epochs.
// A leader that has lost its followers to the next one may come late.
func (r *run) reigns(s *server) {
	last := len(r.chain) - 1
	for last > 0 && int64(r.chain[last].zxid.Epoch()) >= s.status.Epoch {
		last--
	}
	m := s.machine.at
	if m.depth >= last && m.ancestor(last) == r.chain[last] {
		return
	}
	n := last
	for n > 0 && (m.depth < n || m.ancestor(n) != r.chain[n]) {
		n--
	}
	r.fail("server %d leads epoch %x without %s, which server %d has committed", s.id, s.status.Epoch, short(r.chain[n+1].zxid), r.by[n+1])
}

// unsettled says why the ensemble is not of one mind; "" if it is. While
// clients still write only the roles count.
func (r *run) unsettled() string {
	var l *server
	for _, s := range r.servers {
		if s.serving && s.status.Role == proto.Leading && (l == nil || s.status.Epoch > l.status.Epoch) {
			l = s
		}
	}
	if l == nil {
		return "nobody leads"
	}
	for _, s := range r.servers {
		if _, ok := l.disk.committed.Member(s.id); !ok || s == l {
			continue
		}
		switch {
		case !s.serving || s.status.Leader != l.id || s.status.Epoch != l.status.Epoch:
			return fmt.Sprintf("server %d does not follow %d in epoch %x", s.id, l.id, l.status.Epoch)
		case !r.quiet:
		case s.machine.at != l.machine.at:
			return fmt.Sprintf("server %d is at %s, its leader %d at %s", s.id, short(s.machine.at.zxid), l.id, short(l.machine.at.zxid))
		case s.machine.state != l.machine.state:
			return fmt.Sprintf("servers %d and %d differ at %s in their trees", s.id, l.id, short(l.machine.at.zxid))
		case s.disk.committed.Version != l.disk.committed.Version:
			return fmt.Sprintf("servers %d and %d have another membership: %x, %x", s.id, l.id, s.disk.committed.Version, l.disk.committed.Version)
		}
	}
	if r.quiet && l.machine.at != r.chain[len(r.chain)-1] {
		return fmt.Sprintf("server %d leads at %s, %s is committed", l.id, short(l.machine.at.zxid), short(r.chain[len(r.chain)-1].zxid))
	}
	return ""
}

// verdict judges the whole history, once all servers have the same.
func (r *run) verdict() {
	type asked struct {
		session proto.SessionID
		cxid    int32
	}
	logged := map[asked]*moment{}
	last := map[proto.SessionID]int32{}
	for _, m := range r.chain[1:] {
		if m.txn.Session == 0 {
			continue // a reconfig
		}
		q := asked{proto.SessionID(m.txn.Session), m.txn.Cxid}
		if was, ok := logged[q]; ok {
			r.fail("request %d of session %v was committed twice, as %s and %s", q.cxid, q.session, short(was.zxid), short(m.zxid))
			return
		}
		logged[q] = m
		if q.cxid <= last[q.session] {
			r.fail("session %v: request %d was committed after %d, as %s", q.session, q.cxid, last[q.session], short(m.zxid))
			return
		}
		last[q.session] = q.cxid
	}
	h, err := check.Resolve(r.history, func(session proto.SessionID, xid int32, _ proto.OpCode) (proto.Zxid, bool) {
		m, ok := logged[asked{session, xid}]
		if !ok {
			return 0, false
		}
		return m.zxid, true
	})
	if err != nil {
		r.fail("an acknowledged write is lost: %v", err)
		return
	}
	h = slices.DeleteFunc(h, func(e check.Entry) bool { return e.Op.Type == proto.OpGetData && e.Result.Unknown })
	if err := check.Explain(h); err != nil {
		r.fail("no order explains what clients saw: %v", err)
		return
	}
	// The znodes one by one: what is linearizable for each is so for all, and
	// Explain has compared the order between them with real time.
	for node := range check.Nodes {
		var one []check.Entry
		for _, e := range h {
			if e.Op.Node == node {
				one = append(one, e)
			}
		}
		if v := check.Linearizable(one, time.Minute); v.CheckResult != porcupine.Ok {
			r.fail("no order explains what clients saw of %s: %v", pathOf(node), v.CheckResult)
			return
		}
	}
}
