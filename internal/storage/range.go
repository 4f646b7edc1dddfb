// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"paddock/proto"
)

// LogProbe is what the log has around a zxid, for a leader that is to bring a
// learner from there to its own history.
type LogProbe struct {
	// Usable: the log has all transactions after Prev, and is not too long to be
	// sent. Otherwise the learner needs the tree.
	Usable bool
	Prev   proto.Zxid // the last logged zxid <= that asked for; 0 if there is none
	Next   proto.Zxid // the first > that asked for; 0 if there is none
}

// ProbeLog looks into the log for transactions after z. The log files from the
// one that holds z on may have sizeFactor times the bytes of the newest
// snapshot, without padding; 0 is no bound, and with less the log is never
// usable (quorum-protocol.md section 7).
//
// It reads what is durable, from that file on, and may run beside the Log's
// goroutine and Purge.
func (s *Store) ProbeLog(z proto.Zxid, sizeFactor float64) (LogProbe, error) {
	var p LogProbe
	if sizeFactor < 0 {
		return p, nil
	}
	holes, newest, err := s.holes() // before what is durable: no snapshot in it is newer than that
	if err != nil {
		return p, err
	}
	limit := int64(sizeFactor * float64(newest))
	var before int64 // bytes of the files that were read wholly
	last := proto.Zxid(0)
	errUnusable := errors.New("unusable")
	found, err := s.readDurable(z, func(e Entry) error {
		switch {
		case e.Zxid <= z:
			p.Prev = e.Zxid
		case p.Prev == 0:
			return errUnusable
		default:
			if p.Next == 0 {
				p.Next = e.Zxid
			}
			if !holes.follows(last, e.Zxid) {
				return errUnusable
			}
		}
		last = e.Zxid
		if sizeFactor > 0 && before+e.Offset+int64(entryHead+len(e.Payload)+entryTail) > limit {
			return errUnusable
		}
		return nil
	}, func(end LogEnd) { before += end.Offset })
	switch {
	case errors.Is(err, errUnusable), errors.Is(err, fs.ErrNotExist):
		return p, nil
	case err != nil:
		return p, err
	}
	// A snapshot after the last entry is of a history that the log lacks.
	p.Usable = found && p.Prev != 0 && !holes.after(last)
	return p, nil
}

// ReadRange calls fn with every logged transaction after < zxid <= upTo, in
// order; the payload is valid during the call. The transactions asked for were
// synced before, and none of them may be missing: a hole is a *GapError, and a
// file that is purged meanwhile is an error that wraps fs.ErrNotExist. It may run
// beside the Log's goroutine and Purge.
func (s *Store) ReadRange(after, upTo proto.Zxid, fn func(zxid proto.Zxid, payload []byte) error) error {
	if upTo <= after {
		return nil
	}
	holes, _, err := s.holes()
	if err != nil {
		return err
	}
	errEnough := errors.New("enough")
	last := after
	found, err := s.readDurable(after+1, func(e Entry) error {
		switch {
		case e.Zxid <= last:
			return nil
		case !holes.follows(last, e.Zxid):
			return &GapError{What: fmt.Sprintf("transaction %s follows %s: those between are missing", e.Zxid, last), Hint: hintRange}
		case e.Zxid > upTo:
			return errEnough
		}
		last = e.Zxid
		return fn(e.Zxid, e.Payload)
	}, nil)
	switch {
	case errors.Is(err, errEnough):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("storage: a log was removed while it was read: %w", err)
	case err != nil:
		return fmt.Errorf("storage: reading the log from %s to %s: %w", after, upTo, err)
	case !found:
		return fmt.Errorf("storage: %w", &GapError{What: fmt.Sprintf("no log reaches back to %s", after), Hint: hintRange})
	case last < upTo:
		return fmt.Errorf("storage: %w", &GapError{What: fmt.Sprintf("the log ends at %s, %s was asked for", last, upTo), Hint: hintRange})
	}
	return nil
}

const hintRange = "the learner needs the tree"

// readDurable calls each with the durable entries of the log that holds z and of
// all later ones, and done, if not nil, after each file. False: no log begins at
// or below z.
func (s *Store) readDurable(z proto.Zxid, each func(Entry) error, done func(LogEnd)) (found bool, err error) {
	d := s.txns.durable()
	logs, _, err := s.logs()
	if err != nil {
		return false, err
	}
	if len(logs) == 0 || logs[0].Zxid > z {
		return false, nil
	}
	for _, f := range (Plan{Logs: logs}).From(z) {
		if f.Zxid > d.last {
			break // begun since
		}
		limit := int64(1<<63 - 1)
		if f.Path == d.path {
			limit = d.end
		}
		end, err := readLog(s.fs, f.Path, s.opt.MaxBuffer, limit, each)
		if err != nil {
			return true, err
		}
		if done != nil {
			done(end)
		}
		if f.Path == d.path {
			break
		}
	}
	return true, nil
}

// snapshotZxids are the names of the snapshots, ascending. Where a leader's tree
// was taken over, the log lacks what led to it, and the snapshot of that tree
// tells.
type snapshotZxids []proto.Zxid

// holes returns the names of all snapshots, and the size of the newest that is
// usable.
func (s *Store) holes() (names snapshotZxids, newest int64, err error) {
	files, _, err := s.snapshots()
	if err != nil {
		return nil, 0, err
	}
	for _, f := range files {
		names = append(names, f.Zxid)
		if f.Usable {
			newest = f.Size
		}
	}
	return names, newest, nil
}

// follows tells whether z is the transaction after last in the history of this
// server: the next, or the first of a later epoch, unless there was a tree in
// between that the log does not have. Before the oldest snapshot nothing would
// tell of such a tree.
func (h snapshotZxids) follows(last, z proto.Zxid) bool {
	return z == last+1 || len(h) > 0 && h[0] <= last && h.mayFollow(last, z)
}

// mayFollow is follows in a log after a snapshot.
func (h snapshotZxids) mayFollow(last, z proto.Zxid) bool {
	return z == last+1 || z.Epoch() > last.Epoch() && z.Counter() == 1 && !h.between(last, z)
}

// between tells whether a snapshot is of a zxid after last and before z.
func (h snapshotZxids) between(last, z proto.Zxid) bool {
	for _, n := range h {
		if last < n && n < z {
			return true
		}
	}
	return false
}

func (h snapshotZxids) after(last proto.Zxid) bool { return len(h) > 0 && h[len(h)-1] > last }
