// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"paddock/proto"
)

// ErrTooFarBack says that a truncation would leave nothing to load: all
// snapshots hold later transactions.
var ErrTooFarBack = errors.New("every snapshot holds later transactions")

// Truncate takes back all transactions after z, and the snapshots that hold one
// of them, and returns the last zxid that is left: z, or the last before it if z
// was never logged. Apache keeps the first transaction after z then, and the
// snapshots always (quorum-protocol.md section 14).
//
// Nothing up to z is lost: this server may have acknowledged it. Where a leader's
// tree was taken over, the log before it may be of another history and lacks what
// the tree brought; it can be cut back past that tree only to a transaction that
// it has, which stands for all before it.
//
// The Log's goroutine calls it, while nobody writes a snapshot or purges. The
// Log goes on after the cut in a new file. What ErrTooFarBack, a *GapError or a
// *CorruptError refuses has changed nothing on disk; after any other failure the
// Log is dead.
//
// A crash in the middle leaves a directory that recovers to a history which was
// on disk before, or to a beginning of it that reaches at least to the cut; see
// truncation.
func (s *Store) Truncate(z proto.Zxid) (last proto.Zxid, err error) {
	if err := s.txns.rest(); err != nil {
		return 0, err
	}
	t, err := s.planTruncation(z)
	if err != nil {
		return 0, fmt.Errorf("storage: the log can't be cut after %s: %w", z, err)
	}
	if err := t.run(s); err != nil {
		return 0, s.txns.fail(fmt.Errorf("storage: cutting the log after %s failed, nothing more is acknowledged: %w", z, err))
	}
	s.log.Info("cut the log", "after", z, "last", t.last, "logs", len(t.logs), "snapshots", len(t.snapshots))
	s.txns.resume(t.last, t.txns, t.bytes)
	return t.last, nil
}

// truncation is the steps of a Truncate. base is the newest snapshot that holds
// nothing to be taken back; all that is left is loaded from it.
//
// Files go from the newest to the oldest, each durably before the next. While a
// snapshot later than base is there, recovery begins with the newest of them,
// and:
//
//   - If the log lacks nothing from base to its end, the snapshots go first.
//     Whichever of them is the newest that is left, the log leads from it to the
//     old end. Then the logs go, and what is left ends earlier and earlier, never
//     before the cut.
//   - If the log lacks something (a leader's tree was taken over there, or it is
//     damaged behind the cut), it can't replace a snapshot, so the logs go first.
//     Recovery then gives the newest snapshot and whatever log follows it, and,
//     snapshot by snapshot, an earlier state. A snapshot that was written while
//     transactions were applied has then lost the log that it needs; recovery
//     tells by a ContentZxid past LastZxid, and the owner must not serve such a
//     tree before it was brought up to date. No server has a reason to take back
//     what such a snapshot holds: it was written of committed transactions.
type truncation struct {
	last  proto.Zxid // after it
	txns  int        // that are left, after base
	bytes int64      // of them

	logsFirst bool
	snapshots []File // to be removed, in this order
	logs      []File // likewise
	cut       string // the log to be cut; "" = none
	size      int64  // to which
}

func (t *truncation) run(s *Store) error {
	steps := []func(*Store) error{t.dropSnapshots, t.dropLogs}
	if t.logsFirst {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(s); err != nil {
			return err
		}
	}
	return nil
}

func (t *truncation) dropSnapshots(s *Store) error {
	return s.removeEach(s.snapDir, t.snapshots)
}

func (t *truncation) dropLogs(s *Store) error {
	if err := s.removeEach(s.logDir, t.logs); err != nil {
		return err
	}
	if t.cut == "" {
		return nil
	}
	return s.cut(t.cut, t.size)
}

// removeEach removes files of a directory one after the other, durably.
func (s *Store) removeEach(dir string, files []File) error {
	for _, f := range files {
		if err := s.fs.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// planTruncation reads what is to be left, as a recovery will, and changes
// nothing.
func (s *Store) planTruncation(z proto.Zxid) (*truncation, error) {
	logs, _, err := s.logs()
	if err != nil {
		return nil, err
	}
	snapshots, _, err := s.snapshots()
	if err != nil {
		return nil, err
	}
	p := &truncationPlan{store: s, z: z, files: logs, recovery: &recovery{store: s, sink: discard{}, tail: &tail{}}}
	if err := p.chooseBase(snapshots); err != nil {
		return nil, err
	}
	if err := p.readLogs(); err != nil {
		return nil, err
	}
	return &p.truncation, nil
}

// truncationPlan finds the steps.
type truncationPlan struct {
	truncation
	store *Store
	z     proto.Zxid
	files []File // all logs, ascending

	recovery *recovery     // of what is to be left
	gone     snapshotZxids // snapshots to be removed
	found    bool          // there is a base

	first  proto.Zxid // the first entry after base; 0 = none
	prev   proto.Zxid // the last entry read, base before that
	before bool       // there are entries up to base
	at     bool       // and base's own is one of them
	past   bool       // the first entry to be taken back was met
}

// chooseBase finds the newest snapshot that can be read and holds nothing after
// z, and those that must go.
func (p *truncationPlan) chooseBase(snapshots []File) error {
	r := p.recovery
	var usable []File
	drop := func(f File) {
		p.gone = append(p.gone, f.Zxid)
		if f.Usable {
			usable = append(usable, f)
		} else {
			p.snapshots = append(p.snapshots, f)
		}
	}
	skip := func(f File, err error) {
		r.out.Skipped = append(r.out.Skipped, SkippedSnapshot{f.Path, f.Zxid, err})
		r.strict = true
	}
	for _, f := range slices.Backward(snapshots) {
		switch {
		case f.Zxid > p.z:
			drop(f)
		case p.found: // older than base
		case !f.Usable && f.Size > 0:
			skip(f, errIncomplete)
		case !f.Usable:
		default:
			content, err := p.store.content(f)
			switch {
			case err != nil:
				skip(f, err)
			case content > p.z:
				drop(f)
			default:
				p.found, p.prev = true, f.Zxid
				r.from, r.first, r.out.LastZxid = f.Zxid, content+1, f.Zxid
			}
		}
	}
	p.snapshots = append(p.snapshots, usable...)
	slices.Sort(p.gone)
	if !p.found {
		r.first = 1<<63 - 1
		if !p.store.opt.TrustEmpty {
			return ErrTooFarBack
		}
	}
	return nil
}

// content is the last zxid of which a snapshot may hold effects: as it says
// itself, and as its znodes show, since old ones say nothing.
func (s *Store) content(f File) (proto.Zxid, error) {
	var seen newest
	info, err := ReadSnapshot(s.fs, f.Path, s.opt.MaxBuffer, &seen)
	last := max(f.Zxid, info.LastZxid, seen.zxid)
	if info.Digest != nil {
		last = max(last, info.Digest.Zxid)
	}
	return last, err
}

// readLogs finds where the log is to be cut.
func (p *truncationPlan) readLogs() error {
	s, r := p.store, p.recovery
	files := Plan{Logs: p.files}.From(r.from)
	for i, f := range files {
		whole := p.past // all of this file goes
		end, err := ReadLog(s.fs, f.Path, s.opt.MaxBuffer, func(e Entry) error { return p.entry(f.Path, e) })
		if err != nil && !p.past {
			return err
		}
		switch {
		case whole, p.past && p.size == logHeaderSize, end.Entries == 0 && f.Zxid > p.z:
			p.logs = append(p.logs, f)
		case p.past:
			p.cut = f.Path
		}
		if err != nil { // what lies behind the cut need not be understood
			p.logsFirst = true
			p.logs = append(p.logs, files[i+1:]...)
			break
		}
	}
	slices.Reverse(p.logs)
	p.last, p.txns, p.bytes = r.out.LastZxid, r.out.TxnsSinceSnapshot, r.out.BytesSinceSnapshot
	if !p.found && (p.txns == 0 || p.first.Counter() != 1 || p.first.Epoch() > 1) {
		return ErrTooFarBack
	}
	if err := r.covered(); err != nil {
		return err
	}
	// That z was never logged can only be told from a log that lacks nothing up to
	// where this server was.
	if p.last != p.z && (p.logsFirst || p.gone.after(p.prev)) {
		return &GapError{What: fmt.Sprintf("the log has no transaction %s, only those up to %s, and it may lack some after that", p.z, p.last), Hint: hintGap}
	}
	p.logsFirst = p.logsFirst || !p.complete()
	return nil
}

// complete tells whether the log surely begins where base ends. That it goes on
// in a later epoch does not say so.
func (p *truncationPlan) complete() bool {
	base := p.recovery.from
	return p.first == 0 || p.at || p.first == base+1 || base == 0 && !p.before && p.gone.mayFollow(base, p.first)
}

func (p *truncationPlan) entry(path string, e Entry) error {
	r := p.recovery
	if e.Zxid <= r.from && p.first == 0 {
		p.before, p.at = true, p.at || e.Zxid == r.from
		return nil
	}
	if p.first == 0 {
		p.first = e.Zxid
	}
	prev := p.prev
	p.prev = e.Zxid
	switch {
	case e.Zxid > p.z && !p.past:
		p.past, p.size = true, e.Offset
		fallthrough
	case p.past:
		if !p.gone.mayFollow(prev, e.Zxid) {
			return errPast
		}
		return nil
	case p.gone.between(prev, e.Zxid):
		return &GapError{File: path, Offset: e.Offset, Hint: hintGap,
			What: fmt.Sprintf("transaction %s follows %s, and a snapshot that is of a history between them holds later ones", e.Zxid, prev)}
	}
	return r.entry(path, e)
}

var errPast = errors.New("enough of what is taken back")

// discard is a Sink that keeps nothing.
type discard struct{}

func (discard) Reset()                                                     {}
func (discard) LoadSession(int64, int32)                                   {}
func (discard) LoadACL(int64, []proto.ACL)                                 {}
func (discard) LoadNode([]byte, []byte, int64, *proto.StatPersisted) error { return nil }
func (discard) LoadDone(proto.Zxid, *SnapDigest) error                     { return nil }
func (discard) Replay(*proto.Txn) error                                    { return nil }

// newest is a TreeSink that keeps the newest zxid of all znodes. The node of the
// membership is set without a transaction, to a zxid of its own.
type newest struct {
	discard
	zxid proto.Zxid
}

func (n *newest) LoadNode(path, _ []byte, _ int64, st *proto.StatPersisted) error {
	if string(path) != proto.ConfigPath {
		n.zxid = max(n.zxid, st.Czxid, st.Mzxid, st.Pzxid)
	}
	return nil
}
