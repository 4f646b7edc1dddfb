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
// the next flush sooner, with fewer transactions in it; measured, that costs a
// fifth more CPU for each write and buys no throughput (docs/decisions/0002).
package replica

import (
	"fmt"
	"sync"
	"sync/atomic"

	"paddock/internal/pipeline"
	"paddock/internal/storage"
)

// Options of a Single.
type Options struct {
	Flush  Flush
	Keeper *Keeper // of the same store; the caller closes it, after Close
	// OnFatal is told once that the log has failed: nothing is acknowledged
	// from then on.
	OnFatal func(error)
}

// Single is the Replicator of one server. Use NewSingle.
type Single struct {
	opt  Options
	log  *storage.Log
	pipe *pipeline.Pipeline

	mu     sync.Mutex
	cur    *batch
	spare  []*batch
	closed bool
	wake   chan struct{} // capacity 1: cur has become worth writing

	stop   chan struct{}
	done   sync.WaitGroup // writer
	failed atomic.Pointer[error]
}

type batch struct {
	entries   storage.Batch
	proposals []pipeline.Proposal
}

// NewSingle returns the Replicator of pipe on store, whose log nobody else
// uses. It works until Close.
func NewSingle(store *storage.Store, pipe *pipeline.Pipeline, opt Options) *Single {
	s := &Single{opt: opt, log: store.Log(), pipe: pipe, cur: new(batch), wake: make(chan struct{}, 1), stop: make(chan struct{})}
	s.done.Add(1)
	go s.write()
	return s
}

// Propose puts transactions into the batch that gathers.
func (s *Single) Propose(list []pipeline.Proposal) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	before := len(s.cur.proposals)
	for _, p := range list {
		s.cur.entries.Add(p.Txn)
	}
	s.cur.proposals = append(s.cur.proposals, list...)
	n := len(s.cur.proposals)
	s.mu.Unlock()
	if most := s.opt.Flush.MaxBatch; before == 0 || before < most && n >= most {
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
	var company Company
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
		s.opt.Flush.Gather(s.gathered, s.wake, s.stop)
		company.Await()
		b := s.take()
		if b == nil {
			continue
		}
		company.Had(len(b.proposals))
		if !s.commit(b) {
			return
		}
	}
}

func (s *Single) gathered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.cur.proposals)
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
	n := len(b.proposals)
	s.recycle(b)
	s.opt.Keeper.Logged(n)
	return true
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

// Close writes and applies what was proposed, then closes the log.
func (s *Single) Close() error {
	close(s.stop)
	s.done.Wait()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if err := s.log.Close(); err != nil {
		return fmt.Errorf("closing the log: %w", err)
	}
	if e := s.failed.Load(); e != nil {
		return *e
	}
	return nil
}
