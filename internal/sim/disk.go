// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// disk is the stable storage of one server. What stands in the first block
// survives a crash; what waits in the queue does not, and of the job that is
// being done any part may.
type disk struct {
	log               []zab.Entry
	floor             proto.Zxid // the log has every transaction after it
	snaps             []snap     // by age; never none
	accepted, current int64
	committed, seen   *quorum.Config

	jobs []job
	busy int    // jobs at the head that are being done in one flush
	ops  uint64 // operations that are done
	slow time.Duration
}

// job is one zab.DiskOp, or a restore.
type job struct {
	zab.DiskOp
	snap    *snap
	restore *zab.Restore
	body    *snap // of a restore out of a SNAP
}

// last is the last zxid that was logged, which a snapshot of a leader may be
// ahead of.
func (d *disk) last() proto.Zxid {
	z := d.newest().at.zxid
	if n := len(d.log); n > 0 {
		z = max(z, d.log[n-1].Zxid)
	}
	return z
}

func (d *disk) newest() snap { return d.snaps[len(d.snaps)-1] }

// load replays snapshot and log, as a server does that starts.
func (d *disk) load() (machine, error) {
	s := d.newest()
	m := s.machine()
	for _, e := range d.log {
		if e.Zxid <= s.at.zxid {
			continue
		}
		if err := m.apply(e); err != nil {
			return m, fmt.Errorf("replaying: %w", err)
		}
	}
	return m, nil
}

// tail is the last logged entries without a hole, at most n of them.
func (d *disk) tail(n int) []zab.Entry {
	if len(d.log) == 0 || d.log[len(d.log)-1].Zxid < d.last() {
		return nil
	}
	from := len(d.log)
	for from > 0 && len(d.log)-from < n && d.log[from-1].Zxid > d.floor {
		from--
	}
	return slices.Clone(d.log[from:])
}

// after returns the entries after < zxid <= upTo; ok is false if some are
// missing.
func (d *disk) after(z, upTo proto.Zxid) (_ []zab.Entry, ok bool) {
	if z < d.floor {
		return nil, false
	}
	var out []zab.Entry
	for _, e := range d.log {
		if e.Zxid > z && e.Zxid <= upTo {
			out = append(out, e)
		}
	}
	return out, true
}

// probe is what the log has around a zxid. A log that begins after it, or has a
// hole there because a leader's snapshot was loaded, is of no use.
func (d *disk) probe(p zab.Probe, usable bool) zab.Probed {
	r := zab.Probed{Link: p.Link, Usable: usable && p.Zxid >= d.floor}
	for _, e := range d.log {
		switch {
		case e.Zxid <= d.floor:
		case e.Zxid <= p.Zxid:
			r.Prev = e.Zxid
		case r.Next == 0:
			r.Next = e.Zxid
		}
	}
	return r
}

// has tells whether a transaction is durable.
func (d *disk) has(z proto.Zxid) bool {
	if z <= d.newest().at.zxid {
		return true
	}
	n := len(d.log)
	if n > 0 && d.log[n-1].Zxid < z {
		return false
	}
	_, ok := slices.BinarySearchFunc(d.log, z, func(e zab.Entry, z proto.Zxid) int { return int(e.Zxid - z) })
	return ok
}

// holds tells whether the history m is durable.
func (d *disk) holds(m *moment) bool {
	if s := d.newest(); s.at.zxid >= m.zxid {
		return s.at.depth >= m.depth && s.at.ancestor(m.depth) == m
	}
	n, ok := slices.BinarySearchFunc(d.log, m.zxid, func(e zab.Entry, z proto.Zxid) int { return cmp.Compare(e.Zxid, z) })
	return ok && bytes.Equal(d.log[n].Data, m.data)
}

// append adds one entry to the log.
func (d *disk) append(e zab.Entry) error {
	if last := d.last(); !follows(last, e.Zxid) {
		return fmt.Errorf("logs %s after %s", short(e.Zxid), short(last))
	}
	d.log = append(d.log, e)
	return nil
}

// begin tells how many jobs at the head are done in one flush: appends that
// follow each other.
func (d *disk) begin(most int) {
	d.busy = 1
	if d.jobs[0].Append == nil {
		return
	}
	for d.busy < len(d.jobs) && d.busy < most && d.jobs[d.busy].Append != nil {
		d.busy++
	}
}

// do makes one job durable. A restore is done by the server.
func (d *disk) do(j job) error {
	switch {
	case j.Append != nil:
		for _, e := range j.Append {
			if err := d.append(e); err != nil {
				return err
			}
		}
	case j.AcceptedEpoch != nil:
		d.accepted = *j.AcceptedEpoch
	case j.CurrentEpoch != nil:
		d.current = *j.CurrentEpoch
	case j.Truncate != nil:
		_, err := d.cut(*j.Truncate)
		return err
	case j.snap != nil:
		return d.keep(*j.snap)
	}
	return nil
}

func (d *disk) keep(s snap) error {
	if s.foreign {
		if n := len(d.log); n > 0 && d.log[n-1].Zxid > s.at.zxid {
			return fmt.Errorf("keeps a leader's snapshot of %s under a log that ends with %s", short(s.at.zxid), short(d.log[n-1].Zxid))
		}
		d.floor = s.at.zxid
	}
	if s.at.zxid >= d.newest().at.zxid {
		d.snaps = append(d.snaps, s)
	}
	return nil
}

// cut forgets all after z: first the snapshots that hold more, then the end of
// the log, so that a crash in between leaves what was there before. It returns
// the last zxid that is left.
func (d *disk) cut(z proto.Zxid) (proto.Zxid, error) {
	d.snaps = slices.DeleteFunc(d.snaps, func(s snap) bool { return s.at.zxid > z })
	if len(d.snaps) == 0 {
		return 0, fmt.Errorf("cannot go back to %s: no snapshot is so old", short(z))
	}
	d.log = slices.DeleteFunc(d.log, func(e zab.Entry) bool { return e.Zxid > z })
	return d.last(), nil
}

// crash keeps what was durable and of the jobs being done what chance gives:
// some entries of a flush (the record after them is torn, which recovery cuts),
// a file renamed or not.
func (d *disk) crash(chance func(n int) int) error {
	var err error
	for i := 0; i < d.busy && err == nil; i++ {
		j := d.jobs[i]
		if j.Append == nil {
			if chance(2) == 0 {
				if j.restore != nil && j.restore.Link == 0 {
					_, err = d.cut(j.restore.Zxid)
				} else {
					err = d.do(j)
				}
			}
			break
		}
		n := chance(len(j.Append) + 1)
		for _, e := range j.Append[:n] {
			if err = d.append(e); err != nil {
				break
			}
		}
		if n < len(j.Append) {
			break
		}
	}
	d.jobs, d.busy, d.ops = nil, 0, 0
	return err
}

// purge keeps the newest snapshots and the log after the oldest of them.
func (d *disk) purge(keep int) {
	if len(d.snaps) <= keep {
		return
	}
	d.snaps = slices.Clone(d.snaps[len(d.snaps)-keep:])
	z := d.snaps[0].at.zxid
	d.log = slices.DeleteFunc(slices.Clone(d.log), func(e zab.Entry) bool { return e.Zxid <= z })
	d.floor = max(d.floor, z)
}
