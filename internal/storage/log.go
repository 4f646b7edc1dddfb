// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"paddock/internal/vfs"
	"paddock/proto"
)

// Log appends transactions. One goroutine uses it.
//
// A file is created at the first Append after a start or a Roll and named by
// that batch's first zxid; an old file is never appended to. Where a batch does
// not follow the last one a new file is begun too: at a new epoch, and where a
// leader's tree was taken over in between. So entries that are missing are
// missing between two files. After a failed
// write or sync the Log is dead: every later call returns that first error,
// because what the disk then holds is not known.
type Log struct {
	store *Store
	last  proto.Zxid // of the last entry appended or recovered
	err   error      // the first failure; final

	file     *logFile // nil before the first Append and after a Roll
	dirty    bool     // bytes were appended since the last sync
	unlisted bool     // the file's name is not yet durable

	txns, limitTxns   int64 // since the last snapshot, and when to take one; 0 = never
	bytes, limitBytes int64
	syncs             SyncStats

	closing sync.WaitGroup // rolled files that are being closed

	mu      sync.Mutex
	flushed flushed // for those who read the log beside its goroutine
}

// flushed is how far the log is durable.
type flushed struct {
	last proto.Zxid
	path string // of the newest file; "" if none was begun since the start or the last Truncate
	end  int64  // of its durable entries
}

// SyncStats counts syncs of the log. It may be read by any goroutine.
type SyncStats struct {
	Count, Slow atomic.Int64 // slow: longer than FsyncWarning
	Total, Last atomic.Int64 // nanoseconds
}

// logFile is one open log.
type logFile struct {
	vfs.File
	path string
	end  int64 // of the last entry
	pad  *padder
}

func newLog(s *Store) *Log {
	l := &Log{store: s}
	l.drawLimits()
	return l
}

// Log returns the store's log.
func (s *Store) Log() *Log { return s.txns }

// Stats returns the counters of syncs.
func (l *Log) Stats() *SyncStats { return &l.syncs }

// LastZxid is the zxid of the last entry appended, or recovered before.
func (l *Log) LastZxid() proto.Zxid { return l.last }

// Append writes b at the end of the log in one write. It is durable only after
// Sync. Zxids must rise.
func (l *Log) Append(b *Batch) error {
	if l.err != nil || b.Count == 0 {
		return l.err
	}
	if b.First <= l.last {
		return l.fail(fmt.Errorf("storage: transaction %s after %s", b.First, l.last))
	}
	if l.file != nil && b.First != l.last+1 {
		if l.rollFile(); l.err != nil {
			return l.err
		}
	}
	if l.file == nil {
		if err := l.create(b.First); err != nil {
			return l.fail(err)
		}
	}
	f := l.file
	if err := f.pad.failure(); err != nil {
		return l.fail(l.explain("write", err))
	}
	l.dirty = true
	f.pad.enter(f.end + int64(len(b.Buf)))
	n, err := f.WriteAt(b.Buf, f.end)
	f.pad.leave()
	if err == nil && n < len(b.Buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return l.fail(l.explain("write", err))
	}
	f.end += int64(n)
	l.last = b.Last
	l.txns += int64(b.Count)
	l.bytes += int64(n)
	return nil
}

// create starts the file of first.
func (l *Log) create(first proto.Zxid) error {
	s := l.store
	path := filepath.Join(s.logDir, hexName(logPrefix, first))
	if err := s.refuseOverwrite(path); err != nil {
		return err
	}
	h, err := vfs.Create(s.fs, path)
	if err != nil {
		return fmt.Errorf("storage: %w", withFree(s.fs, s.logDir, err))
	}
	l.file = &logFile{File: h, path: path, end: logHeaderSize}
	l.dirty, l.unlisted = true, true
	if _, err := h.WriteAt(logHeader, 0); err != nil {
		return l.explain("write", err)
	}
	l.file.pad = startPadder(s, path, s.opt.PreAlloc)
	return nil
}

// refuseOverwrite returns an error if path is a log with transactions in it,
// which no recovery leaves where the next one must go.
func (s *Store) refuseOverwrite(path string) error {
	if ok, err := vfs.Exists(s.fs, path); !ok {
		return err
	}
	stop := errors.New("one is enough")
	_, err := ReadLog(s.fs, path, s.opt.MaxBuffer, func(Entry) error { return stop })
	if errors.Is(err, stop) {
		return fmt.Errorf("storage: %s exists and holds transactions; it is not overwritten", path)
	}
	return err
}

// Sync makes all that was appended durable, unless ForceSync is off.
func (l *Log) Sync() error {
	if l.err != nil || !l.dirty {
		return l.err
	}
	if l.store.opt.ForceSync {
		begin := time.Now()
		if err := l.sync(); err != nil {
			return l.fail(l.explain("sync", err))
		}
		l.took(time.Since(begin))
	}
	l.dirty = false
	l.publish(flushed{l.last, l.file.path, l.file.end})
	if limit := l.store.opt.TxnLogSizeLimit; limit > 0 && l.file.end > limit {
		l.rollFile()
	}
	return l.err
}

// sync flushes the file, and its name the first time.
func (l *Log) sync() error {
	if err := l.file.Datasync(); err != nil {
		return err
	}
	if err := l.file.pad.failure(); err != nil {
		return err
	}
	if l.unlisted {
		if err := l.store.fs.SyncDir(l.store.logDir); err != nil {
			return err
		}
		l.unlisted = false
	}
	return nil
}

func (l *Log) publish(f flushed) {
	l.mu.Lock()
	l.flushed = f
	l.mu.Unlock()
}

func (l *Log) durable() flushed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flushed
}

func (l *Log) took(d time.Duration) {
	l.syncs.Count.Add(1)
	l.syncs.Total.Add(int64(d))
	l.syncs.Last.Store(int64(d))
	if limit := l.store.opt.FsyncWarning; limit > 0 && d > limit {
		l.syncs.Slow.Add(1)
		l.store.log.Warn("syncing the transaction log is slow; clients wait for it",
			"took", d, "file", l.file.path, "bytes", l.file.end)
	}
}

// Roll ends the current file, synced, and begins to count anew for
// WantsSnapshot; the next Append starts a new file and tells if this failed.
func (l *Log) Roll() {
	l.drawLimits()
	l.rollFile()
}

// rollFile is Roll without a snapshot.
func (l *Log) rollFile() {
	if l.file == nil || l.err != nil {
		return
	}
	if l.dirty {
		if l.Sync(); l.err != nil || l.file == nil {
			return
		}
	}
	f := l.file
	l.file = nil
	l.closing.Go(func() { l.store.endFile(f) })
}

// endFile cuts a file's padding and closes it. Entries are durable already, and
// readers don't mind padding, so a failure is only told.
func (s *Store) endFile(f *logFile) {
	f.pad.stop()
	size, err := f.Size()
	if err == nil && size > f.end {
		err = f.Truncate(f.end)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		s.log.Warn("could not cut the padding of a finished log", "file", f.path, "error", err)
	}
}

// WantsSnapshot tells that enough was logged since the last Roll. The caller
// then Rolls and starts a snapshot. The limit is drawn anew between half and
// the whole of SnapCount and SnapSizeLimit each time, so that the servers of an
// ensemble don't all write snapshots at once.
func (l *Log) WantsSnapshot() bool {
	return l.limitTxns > 0 && l.txns > l.limitTxns || l.limitBytes > 0 && l.bytes > l.limitBytes
}

func (l *Log) drawLimits() {
	l.txns, l.bytes = 0, 0
	draw := func(limit int64) int64 {
		if limit <= 0 {
			return 0
		}
		half := max(limit, 2) / 2
		return half + rand.Int64N(half)
	}
	l.limitTxns = draw(int64(l.store.opt.SnapCount))
	l.limitBytes = draw(l.store.opt.SnapSizeLimit)
}

// rest ends the current file, if there is one, and waits until nobody writes to
// any.
func (l *Log) rest() error {
	l.rollFile()
	l.closing.Wait()
	return l.err
}

// resume continues after a recovery, or a truncation, in a new file.
func (l *Log) resume(last proto.Zxid, txns int, bytes int64) {
	l.last = max(last, 0)
	l.txns, l.bytes = int64(txns), bytes
	l.publish(flushed{last: l.last})
}

// Close syncs, cuts the padding and closes. A dead Log's file is closed as it
// is. Closing twice does nothing.
func (l *Log) Close() error {
	if l.err == errLogClosed {
		return nil
	}
	err := l.Sync()
	if f := l.file; f != nil {
		l.file = nil
		if err == nil {
			l.store.endFile(f)
		} else {
			f.pad.stop()
			f.Close()
		}
	}
	l.closing.Wait()
	if l.err == nil {
		l.err = errLogClosed
	}
	return err
}

var errLogClosed = errors.New("storage: the log is closed")

// fail makes err the Log's end.
func (l *Log) fail(err error) error {
	if l.err == nil {
		l.err = err
	}
	return l.err
}

func (l *Log) explain(op string, err error) error {
	return fmt.Errorf("storage: %s of the transaction log %s at offset %d failed, nothing more is acknowledged: %w",
		op, l.file.path, l.file.end, withFree(l.store.fs, l.store.logDir, err))
}

// withFree adds to the error of a full disk how much room there is.
func withFree(fsys vfs.FS, dir string, err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	free, e := fsys.Free(dir)
	if e != nil {
		return err
	}
	return fmt.Errorf("%w (%d KiB are free for this server in %s; make room and start it again)", err, free>>10, dir)
}
