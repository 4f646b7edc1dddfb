// SPDX-License-Identifier: Apache-2.0

// Package replica takes proposals to stable storage and back to the pipeline.
//
// Single is the ensemble of one server: a proposal is committed once this
// server's disk has it.
//
//	Propose ──▶ batch ──▶ writer: one write, one fdatasync, Pipeline.Commit
//	                         └─ now and then ─▶ snapshotter
//
// One goroutine writes and commits. While it waits for the disk, and while it
// applies and answers, the next batch gathers: the busier the server, the more
// transactions share a flush. A goroutine of its own for committing would start
// the next flush sooner, with fewer transactions in it; measured, that costs
// throughput and a fifth more CPU for each write (docs/performance.md).
package replica

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"paddock/internal/pipeline"
	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/proto"
)

// Options of a Single.
type Options struct {
	Logger     *slog.Logger
	FlushDelay time.Duration // how long a batch waits for company; 0 is not at all
	FlushPoll  time.Duration // a batch that nothing joined for so long waits no more; 0 is FlushDelay
	MaxBatch   int           // transactions that end that wait; 0 is none
	SnapRetain int
	// SnapExact takes a snapshot whenever the log asks for one. Otherwise a large
	// tree waits for half as many transactions as it has znodes: to write all of
	// it costs about as much as they do, and so does to replay them.
	SnapExact     bool
	SinceSnapshot int           // transactions that recovery has found after the last one
	PurgeInterval time.Duration // 0 is never
	// OnFatal is told once that the log has failed: nothing is acknowledged
	// from then on.
	OnFatal func(error)
}

// Single is the Replicator of one server. Use NewSingle.
type Single struct {
	opt   Options
	store *storage.Store
	log   *storage.Log
	tree  *tree.Tree
	pipe  *pipeline.Pipeline

	mu     sync.Mutex
	cur    *batch
	spare  []*batch
	closed bool
	wake   chan struct{} // capacity 1: cur has become worth writing

	since    int           // transactions since the last snapshot; writer only
	snapshot chan struct{} // capacity 1: one is due
	stop     chan struct{}
	done     sync.WaitGroup // writer
	rest     sync.WaitGroup // snapshotter and purger
	failed   atomic.Pointer[error]
	snaps    atomic.Int64
}

type batch struct {
	entries   storage.Batch
	proposals []pipeline.Proposal
}

// NewSingle returns the Replicator of pipe on store, whose log nobody else
// uses. It works until Close.
func NewSingle(store *storage.Store, t *tree.Tree, pipe *pipeline.Pipeline, opt Options) *Single {
	s := &Single{opt: opt, since: opt.SinceSnapshot, store: store, log: store.Log(), tree: t, pipe: pipe, cur: new(batch),
		wake: make(chan struct{}, 1), snapshot: make(chan struct{}, 1), stop: make(chan struct{})}
	s.done.Add(1)
	go s.write()
	s.rest.Add(2)
	go s.snapshots()
	go s.purges()
	return s
}

// Propose puts a transaction into the batch that gathers.
func (s *Single) Propose(p pipeline.Proposal) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.cur.entries.Add(p.Txn)
	s.cur.proposals = append(s.cur.proposals, p)
	n := len(s.cur.proposals)
	s.mu.Unlock()
	if n == 1 || n == s.opt.MaxBatch {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// take returns the gathered batch, or nil.
func (s *Single) take() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cur.proposals) == 0 {
		return nil
	}
	b := s.cur
	if k := len(s.spare); k > 0 {
		s.cur, s.spare = s.spare[k-1], s.spare[:k-1]
	} else {
		s.cur = new(batch)
	}
	return b
}

func (s *Single) recycle(b *batch) {
	clear(b.proposals)
	b.proposals = b.proposals[:0]
	b.entries.Reset()
	if cap(b.entries.Buf) > 4<<20 {
		b.entries.Buf = nil
	}
	s.mu.Lock()
	s.spare = append(s.spare, b)
	s.mu.Unlock()
}

func (s *Single) write() {
	defer s.done.Done()
	for {
		select {
		case <-s.wake:
		case <-s.stop:
			// What was proposed before the end is still written.
			if b := s.take(); b != nil {
				s.commit(b)
			}
			return
		}
		if d := s.opt.FlushDelay; d > 0 {
			s.gather(d)
		}
		// Requests that have arrived meanwhile are to share this flush: their
		// readers are runnable, and run before this goroutine does again.
		runtime.Gosched()
		b := s.take()
		if b == nil {
			continue
		}
		if !s.commit(b) {
			return
		}
		if s.log.WantsSnapshot() && s.worthSnapshot() {
			s.since = 0
			s.log.Roll()
			select {
			case s.snapshot <- struct{}{}:
			default: // one is being written
			}
		}
	}
}

// gather waits for the batch to fill: for d at most, and no longer than nobody
// joins it.
func (s *Single) gather(d time.Duration) {
	poll := d
	if s.opt.FlushPoll > 0 {
		poll = min(poll, s.opt.FlushPoll)
	}
	end := time.Now().Add(d)
	for seen := 0; ; {
		s.mu.Lock()
		n := len(s.cur.proposals)
		s.mu.Unlock()
		left := time.Until(end)
		if n == seen || left <= 0 || s.opt.MaxBatch > 0 && n >= s.opt.MaxBatch {
			return
		}
		seen = n
		select {
		case <-time.After(min(poll, left)):
		case <-s.wake: // the batch is full
		case <-s.stop:
			return
		}
	}
}

// commit makes a batch durable and applies it. It returns false when the log
// has failed.
func (s *Single) commit(b *batch) bool {
	err := s.log.Append(&b.entries)
	if err == nil {
		err = s.log.Sync()
	}
	if err != nil {
		s.fail(err)
		return false
	}
	s.pipe.Commit(b.proposals)
	s.since += len(b.proposals)
	s.recycle(b)
	return true
}

func (s *Single) worthSnapshot() bool {
	if s.opt.SnapExact {
		return true
	}
	v := s.tree.View(0)
	defer v.Close()
	return s.since >= v.Nodes()/2
}

// fail stops everything: a server that cannot write its log must not answer.
func (s *Single) fail(err error) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.failed.CompareAndSwap(nil, &err) {
		s.opt.OnFatal(err)
	}
}

// Fsyncs is the number of flushes so far.
func (s *Single) Fsyncs() int64 { return s.log.Stats().Count.Load() }

// Snapshots is the number of snapshots written so far.
func (s *Single) Snapshots() int64 { return s.snaps.Load() }

// Close writes and applies what was proposed, then closes the log.
func (s *Single) Close() error {
	close(s.stop)
	s.done.Wait()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.rest.Wait()
	if err := s.log.Close(); err != nil {
		return fmt.Errorf("closing the log: %w", err)
	}
	if e := s.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// Snapshot writes a snapshot of the tree.
func Snapshot(store *storage.Store, t *tree.Tree) (path string, zxid proto.Zxid, err error) {
	snap := t.Snapshot()
	defer snap.Close()
	w, err := store.CreateSnapshot(snap.Zxid)
	if err != nil {
		return "", 0, err
	}
	w.Sessions(len(snap.Sessions()), func(yield func(int64, int32)) {
		for id, ms := range snap.Sessions() {
			yield(id, ms)
		}
	})
	w.ACLs(len(snap.ACLs()), func(yield func(int64, []proto.ACL)) {
		for _, a := range snap.ACLs() {
			yield(a.Key, a.List)
		}
	})
	if err := snap.Nodes(w.Node); err != nil {
		w.Abort()
		return "", 0, err
	}
	last, digest := snap.End()
	path, _, err = w.Finish(last, &storage.SnapDigest{Zxid: last, Version: proto.DigestVersion, Tree: digest})
	return path, snap.Zxid, err
}

func (s *Single) snapshots() {
	defer s.rest.Done()
	for {
		select {
		case <-s.stop:
			return
		case <-s.snapshot:
		}
		start := time.Now()
		path, zxid, err := Snapshot(s.store, s.tree)
		if err != nil {
			// The log has it all: the next one may do better.
			s.opt.Logger.Error("snapshot failed, the log is kept", "err", err)
			continue
		}
		s.snaps.Add(1)
		s.opt.Logger.Info("snapshot written", "file", path, "zxid", zxid, "took", time.Since(start).Round(time.Millisecond))
	}
}

func (s *Single) purges() {
	defer s.rest.Done()
	if s.opt.PurgeInterval <= 0 {
		return
	}
	tick := time.NewTicker(s.opt.PurgeInterval)
	defer tick.Stop()
	for {
		if removed, err := s.store.Purge(s.opt.SnapRetain); err != nil {
			s.opt.Logger.Error("old snapshots and logs could not be removed", "err", err)
		} else if len(removed) > 0 {
			s.opt.Logger.Info("old snapshots and logs removed", "files", len(removed), "kept", s.opt.SnapRetain)
		}
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
	}
}
