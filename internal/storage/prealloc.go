// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"os"
	"sync"

	"paddock/internal/vfs"
)

// padder writes zeros ahead of the entries of one log, from a goroutine of its
// own. A sync of bytes that lie on such blocks has only data to write: no new
// blocks, no new size, so nothing for the file system's journal. Apache asks for
// the size alone (a sparse file), which saves the size and not the blocks.
//
// The appender tells where its next write ends and waits only if that write
// meets the piece being zeroed at this moment, which takes a copy in memory
// of one piece. If zeros are not ready, it writes without them. All syncing of
// zeros is done here, on a second descriptor: an error that it reports is
// reported to the appender's descriptor as well.
type padder struct {
	store *Store
	path  string
	file  vfs.File // the second descriptor
	ahead int64    // zeros wanted in front of the entries

	mu      sync.Mutex
	changed sync.Cond // of what follows
	end     int64     // the entries end here, those of a write in progress included
	zeroed  int64     // the file has its blocks up to here
	piece   [2]int64  // from and to, of what is being zeroed now; empty if equal
	stopped bool
	done    bool  // the goroutine has ended
	err     error // a failed sync: the log can't be trusted any more
}

const (
	padAhead = 2 << 20   // zeros in front of the entries after a refill; half of it starts the next
	padStep  = 1 << 20   // zeroed between two syncs
	padPiece = 128 << 10 // zeroed in one write
	padPage  = 4096
)

var zeroPiece [padPiece]byte

// startPadder begins to zero what follows the header of the log at path, never
// more than limit bytes ahead. It returns nil, which is a padder that does
// nothing, if limit is 0 or the file can't be opened twice.
func startPadder(s *Store, path string, limit int64) *padder {
	if limit <= 0 {
		return nil
	}
	h, err := s.fs.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		s.log.Warn("the log is not preallocated", "file", path, "error", err)
		return nil
	}
	p := &padder{store: s, path: path, file: h, ahead: min(limit, padAhead), end: logHeaderSize, zeroed: padPage}
	p.changed.L = &p.mu
	go p.run()
	return p
}

// enter begins a write that ends at offset end; leave ends it.
func (p *padder) enter(end int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.end = end // no further piece begins before it
	for p.piece[0] < p.piece[1] && p.piece[0] < end {
		p.changed.Wait()
	}
	p.mu.Unlock()
}

func (p *padder) leave() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.zeroed = max(p.zeroed, roundUp(p.end))
	low := p.low()
	p.mu.Unlock()
	if low {
		p.changed.Broadcast()
	}
}

func (p *padder) low() bool { return p.zeroed-p.end < (p.ahead+1)/2 }

func roundUp(n int64) int64 { return (n + padPage - 1) / padPage * padPage }

// failure is a failed sync of zeros.
func (p *padder) failure() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// stop ends the goroutine and waits for it.
func (p *padder) stop() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.stopped = true
	p.changed.Broadcast()
	for !p.done {
		p.changed.Wait()
	}
	p.mu.Unlock()
}

func (p *padder) run() {
	p.mu.Lock()
	for {
		for !p.stopped && !p.low() {
			p.changed.Wait()
		}
		if p.stopped || !p.refill() {
			break
		}
	}
	p.mu.Unlock()
	p.file.Close()
	p.mu.Lock()
	p.done = true
	p.changed.Broadcast()
	p.mu.Unlock()
}

// refill zeroes and syncs up to padStep bytes. The caller holds mu, which is
// given up meanwhile. False means that there is no use in going on.
func (p *padder) refill() bool {
	for n := int64(0); n < padStep && p.zeroed-p.end < p.ahead && !p.stopped; {
		from := max(p.zeroed, roundUp(p.end))
		to := min(roundUp(p.end+p.ahead), from+padPiece)
		if to <= from {
			break
		}
		p.piece = [2]int64{from, to}
		p.mu.Unlock()
		_, err := p.file.WriteAt(zeroPiece[:to-from], from)
		p.mu.Lock()
		p.piece = [2]int64{}
		p.changed.Broadcast()
		if err != nil {
			// A full disk, most likely. The appender meets it in its own time.
			p.store.log.Warn("the log is no longer preallocated", "file", p.path, "error", err)
			return false
		}
		p.zeroed = max(p.zeroed, to)
		n += to - from
	}
	if !p.store.opt.ForceSync {
		return true
	}
	p.mu.Unlock()
	err := p.file.Datasync()
	p.mu.Lock()
	if err != nil {
		p.err = err
	}
	return err == nil
}
