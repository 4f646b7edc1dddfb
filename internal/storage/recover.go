// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"paddock/internal/vfs"
	"paddock/proto"
)

// Recover loads the newest readable snapshot and replays the log after it. On
// an error nothing on disk was changed. It is called before the Log is used, and
// may be called again by the Log's goroutine, while nobody writes a snapshot or
// purges: the Log then goes on after what was recovered, in a new file. A Log
// that has failed stays so, and its directory is not recovered by this Store.
func (s *Store) Recover(sink Sink) (Recovered, error) {
	begin := time.Now()
	if err := s.txns.rest(); err != nil {
		return Recovered{}, err
	}
	r := recovery{store: s, sink: sink}
	err := r.run()
	r.out.Took = time.Since(begin)
	if err != nil {
		return r.out, err
	}
	s.txns.resume(r.out.LastZxid, r.out.TxnsSinceSnapshot, r.out.BytesSinceSnapshot)
	return r.out, nil
}

// recovery is one run of Recover.
type recovery struct {
	store *Store
	sink  Sink
	plan  Plan
	out   Recovered

	from   proto.Zxid          // replay begins after it
	first  proto.Zxid          // the highest zxid that the first txn replayed may have
	strict bool                // a snapshot was skipped: the log must cover it without a hole
	met    map[proto.Zxid]bool // skipped snapshots whose transaction was replayed
	torn   *tornLog
	tail   *tail
	txn    proto.Txn
}

// tornLog is the file to cut, unless entries are found in a later one.
type tornLog struct {
	path string
	end  LogEnd
}

func (r *recovery) run() error {
	if err := r.makePlan(); err != nil {
		return err
	}
	if r.plan.Empty {
		return r.startEmpty()
	}
	if err := r.load(); err != nil {
		return err
	}
	if err := r.replay(); err != nil {
		return err
	}
	if err := r.tidy(); err != nil {
		return err
	}
	r.keepTail()
	return r.harden()
}

func (r *recovery) makePlan() error {
	s := r.store
	s.removeTemporaries()
	logs, foreign, err := s.logs()
	if err != nil {
		return err
	}
	r.out.Ignored = foreign
	snapshots, foreign, err := s.snapshots()
	if err != nil {
		return err
	}
	r.out.Ignored = append(r.out.Ignored, foreign...)
	for _, path := range r.out.Ignored {
		s.log.Warn("not a log or snapshot of this server: ignored", "file", path)
	}
	usable := false
	for _, f := range snapshots {
		usable = usable || f.Usable
	}
	if !usable {
		if err := s.markUsableLogs(logs); err != nil {
			return err
		}
	}
	may := s.opt.AutocreateDB
	if !may {
		if may, err = vfs.Exists(s.fs, s.initializePath()); err != nil {
			return fmt.Errorf("storage: %w", err)
		}
	}
	var names snapshotZxids
	for _, f := range snapshots {
		names = append(names, f.Zxid)
	}
	r.tail = s.newTail(names)
	r.plan, err = PlanRecovery(Directory{Logs: logs, Snapshots: snapshots, TrustEmpty: s.opt.TrustEmpty, MayCreate: may})
	for _, f := range r.plan.Skip {
		r.skip(f, errIncomplete)
	}
	return err
}

func (s *Store) initializePath() string { return filepath.Join(filepath.Dir(s.logDir), initializeFile) }

// markUsableLogs finds out which logs hold a transaction. One that can't be
// read that far counts as holding some.
func (s *Store) markUsableLogs(logs []File) error {
	stop := errors.New("one is enough")
	for i := range logs {
		end, err := ReadLog(s.fs, logs[i].Path, s.opt.MaxBuffer, func(Entry) error { return stop })
		logs[i].Usable = err != nil || end.Torn != "" && !end.cutHeader
	}
	return nil
}

func (r *recovery) startEmpty() error {
	r.out.Empty, r.out.NeedsSnapshot = true, true
	if !r.plan.Trusted {
		r.out.Untrusted, r.out.LastZxid = true, -1
	}
	if err := r.store.fs.Remove(r.store.initializePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("storage: %w", err)
	}
	return r.tidy()
}

func (r *recovery) skip(f File, err error) {
	r.strict = true
	r.out.Skipped = append(r.out.Skipped, SkippedSnapshot{f.Path, f.Zxid, err})
	r.store.log.Warn("a snapshot can't be read: trying an older one and more of the log", "file", f.Path, "error", err)
}

// load reads the newest snapshot that can be read.
func (r *recovery) load() error {
	if r.plan.Nothing {
		r.out.NeedsSnapshot = true
		r.first = 1<<63 - 1
		return nil
	}
	for _, f := range r.plan.Load {
		if e, ok := r.sink.(Expecter); ok {
			size := f.Size
			for _, l := range r.plan.From(f.Zxid) {
				size += l.Size
			}
			e.Expect(size)
		}
		info, err := ReadSnapshot(r.store.fs, f.Path, r.store.opt.MaxBuffer, r.sink)
		if err == nil {
			err = r.sink.LoadDone(f.Zxid, info.Digest)
		}
		if err != nil {
			r.sink.Reset()
			r.skip(f, err)
			continue
		}
		r.out.Snapshot, r.out.SnapshotZxid = f.Path, f.Zxid
		r.out.ContentZxid = max(f.Zxid, info.LastZxid)
		if info.Digest != nil {
			r.out.ContentZxid = max(r.out.ContentZxid, info.Digest.Zxid)
		}
		r.out.LastZxid = f.Zxid
		r.from, r.first = f.Zxid, r.out.ContentZxid+1
		return nil
	}
	err := r.out.Skipped[0].Err
	return fmt.Errorf("storage: %w: none of the %d in %s can be loaded; the newest: %w",
		ErrNoSnapshot, len(r.out.Skipped), r.store.snapDir, err)
}

// replay reads the logs after the snapshot.
func (r *recovery) replay() error {
	s := r.store
	files := r.plan.From(r.from)
	for i, f := range files {
		newest := i == len(files)-1
		end, err := ReadLog(s.fs, f.Path, s.opt.MaxBuffer, func(e Entry) error { return r.entry(f.Path, e) })
		if err != nil {
			return fmt.Errorf("storage: %w", err)
		}
		switch {
		case (end.emptyFile || end.cutHeader) && !newest:
			return fmt.Errorf("storage: %w", &CorruptError{File: f.Path, What: "the header of the log is missing, and there are later logs", Hint: hintDamage})
		case end.cutHeader:
			// Its creation was torn; nothing can have been promised of it.
			r.plan.Remove = append(r.plan.Remove, f)
			continue
		}
		if end.Entries > 0 {
			r.torn = nil
		}
		if end.Torn != "" {
			r.torn = &tornLog{f.Path, end}
		}
	}
	if err := r.covered(); err != nil {
		return err
	}
	if r.out.LastZxid < r.out.ContentZxid {
		s.log.Warn("the snapshot contains transactions that the log has lost",
			"snapshot", r.out.Snapshot, "contains", r.out.ContentZxid, "log", r.out.LastZxid)
	}
	return nil
}

// covered makes sure that the log has what snapshots that can't be read would
// have brought. That it reaches further is not enough: such a snapshot may be a
// leader's tree that was taken over, after which the log goes on without what
// came before. A snapshot that begins an epoch has no transaction of its own in
// the log; if its writing was cut short it was not such a tree, for those are
// renamed when they are whole.
func (r *recovery) covered() error {
	for _, f := range r.out.Skipped {
		switch {
		case r.out.LastZxid < f.Zxid:
			return fmt.Errorf("storage: %w", &GapError{
				What: fmt.Sprintf("%s can't be read (%v), and the older snapshot and the logs reach only to zxid %s", f.Path, f.Err, r.out.LastZxid),
				Hint: hintGap,
			})
		case f.Zxid > r.from && !r.met[f.Zxid] && (f.Zxid.Counter() != 0 || f.Err != errIncomplete):
			return fmt.Errorf("storage: %w", &GapError{
				What: fmt.Sprintf("%s can't be read (%v), and the logs go on after it without transaction %s", f.Path, f.Err, f.Zxid),
				Hint: hintGap,
			})
		}
	}
	return nil
}

var errIncomplete = errors.New("the file is incomplete")

// entry replays one entry unless the snapshot has it.
func (r *recovery) entry(path string, e Entry) error {
	r.tail.add(e)
	if e.Zxid <= r.from && r.out.Txns == 0 {
		return nil
	}
	if err := r.order(path, e); err != nil {
		return err
	}
	t, err := e.Txn()
	if err != nil {
		return &CorruptError{File: path, Offset: e.Offset, What: "transaction " + e.Zxid.String(), Hint: hintDamage, Err: err}
	}
	r.txn = t
	if err := r.sink.Replay(&r.txn); err != nil {
		return fmt.Errorf("%s: replaying transaction %s at offset %d: %w", path, e.Zxid, e.Offset, err)
	}
	r.out.LastZxid = e.Zxid
	if r.strict {
		r.meet(e.Zxid)
	}
	r.out.Txns++
	r.out.TxnsSinceSnapshot++
	r.out.BytesSinceSnapshot += int64(entryHead + len(e.Payload) + entryTail)
	return nil
}

// meet notes a transaction that a skipped snapshot is named after.
func (r *recovery) meet(z proto.Zxid) {
	for _, f := range r.out.Skipped {
		if f.Zxid == z {
			if r.met == nil {
				r.met = map[proto.Zxid]bool{}
			}
			r.met[z] = true
		}
	}
}

// order refuses a transaction that is not the next one. A new epoch may begin
// anywhere, as its predecessor may end anywhere; but where an unreadable
// snapshot hides what was, it must begin with its first transaction.
func (r *recovery) order(path string, e Entry) error {
	last := r.out.LastZxid
	switch {
	case e.Zxid == last+1:
		return nil
	case r.out.Txns == 0 && e.Zxid > last && e.Zxid <= r.first:
		return nil
	case e.Zxid.Epoch() > last.Epoch() && (!r.strict || e.Zxid.Counter() <= 1):
		return nil
	}
	what := fmt.Sprintf("transaction %s follows %s: those between are missing", e.Zxid, last)
	if e.Zxid <= last {
		what = fmt.Sprintf("transaction %s follows %s: zxids must rise", e.Zxid, last)
	}
	return &GapError{File: path, Offset: e.Offset, What: what, Hint: hintGap}
}

// tidy changes the directory, now that all of it was understood.
func (r *recovery) tidy() error {
	s := r.store
	for _, f := range r.plan.Remove {
		if err := s.fs.Remove(f.Path); err != nil {
			return fmt.Errorf("storage: %w", err)
		}
		r.out.Removed = append(r.out.Removed, f.Path)
		s.log.Info("removed a log that was begun and never written", "file", f.Path)
	}
	if r.torn == nil {
		return nil
	}
	t := r.torn
	if err := s.cut(t.path, t.end.Offset); err != nil {
		return fmt.Errorf("storage: cutting the torn tail of %s: %w", t.path, err)
	}
	r.out.TornFile, r.out.TornOffset, r.out.TornBytes = t.path, t.end.Offset, t.end.TornBytes
	s.log.Warn("cut the torn tail of the log: the server died in mid-write, and nobody was told that this was saved",
		"file", t.path, "offset", t.end.Offset, "bytes", t.end.TornBytes, "what", t.end.Torn, "last", r.out.LastZxid)
	return nil
}

// cut ends a file at size, durably.
func (s *Store) cut(path string, size int64) error {
	h, err := s.fs.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = h.Truncate(size)
	if err == nil {
		err = h.Sync()
	}
	if e := h.Close(); err == nil {
		err = e
	}
	return err
}

// harden makes durable what was read. A server that was killed leaves writes
// that are in the system's memory only, names too. They are served from here
// on, and what is acknowledged next is built on them; if the power failed then,
// a log without its beginning would be left.
func (r *recovery) harden() error {
	s := r.store
	if !s.opt.ForceSync {
		return nil
	}
	var paths []string
	if r.out.Snapshot != "" {
		paths = append(paths, r.out.Snapshot)
	}
	for _, f := range r.plan.From(r.from) {
		if !slices.Contains(r.out.Removed, f.Path) {
			paths = append(paths, f.Path)
		}
	}
	for _, path := range paths {
		if err := s.harden(path); err != nil {
			return fmt.Errorf("storage: syncing what was recovered: %w", err)
		}
	}
	for _, dir := range []string{s.logDir, s.snapDir} {
		if err := s.fs.SyncDir(dir); err != nil {
			return fmt.Errorf("storage: syncing what was recovered: %w", err)
		}
	}
	return nil
}

func (s *Store) harden(path string) error {
	h, err := vfs.Open(s.fs, path)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Datasync()
}
