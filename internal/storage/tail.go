// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"slices"

	"paddock/proto"
)

// TailEntry is a transaction of the log's end.
type TailEntry struct {
	Zxid    proto.Zxid
	Payload []byte // header, record and digest
}

// defaultTailBytes bounds the tail when Options say nothing.
const defaultTailBytes = 64 << 20

// tailReach is how many bytes of logs before the snapshot are read for the tail
// at most, in multiples of its own bound.
const tailReach = 4

// Tail returns the last transactions of the log as the last Recover found it, at
// most Options.KeepTail of them, oldest first and up to Recovered.LastZxid. None
// is missing between them. It is nil where the log does not reach LastZxid. The
// Store keeps no copy: a second call returns nil.
func (s *Store) Tail() []TailEntry {
	t := s.tail
	s.tail = nil
	return t
}

// tail gathers the last entries of a log that is read forwards.
type tail struct {
	max      int
	maxBytes int64
	holes    snapshotZxids
	entries  []TailEntry
	bytes    int64
	cut      bool // what came before the first is known to be missing, or to be too much
}

func (s *Store) newTail(holes snapshotZxids) *tail {
	t := &tail{max: s.opt.KeepTail, maxBytes: s.opt.KeepTailBytes, holes: holes}
	if t.maxBytes <= 0 {
		t.maxBytes = defaultTailBytes
	}
	return t
}

// add appends an entry, and forgets those that it does not follow.
func (t *tail) add(e Entry) {
	if t.max <= 0 {
		return
	}
	if n := len(t.entries); n > 0 && !t.holes.follows(t.entries[n-1].Zxid, e.Zxid) {
		clear(t.entries)
		t.entries, t.bytes, t.cut = t.entries[:0], 0, true
	}
	var room []byte
	for len(t.entries) > 0 && (len(t.entries) >= t.max || t.bytes+int64(len(e.Payload)) > t.maxBytes) {
		room = t.entries[0].Payload[:0]
		t.bytes -= int64(len(t.entries[0].Payload))
		t.entries[0] = TailEntry{}
		t.entries, t.cut = t.entries[1:], true
	}
	if int64(len(e.Payload)) > t.maxBytes {
		t.cut = true
		return
	}
	if cap(room) > 2*len(e.Payload)+256 {
		room = nil
	}
	t.entries = append(t.entries, TailEntry{e.Zxid, append(room, e.Payload...)})
	t.bytes += int64(len(e.Payload))
}

// prepend puts older before t. False: no more is wanted, or something is missing.
func (t *tail) prepend(older *tail) bool {
	if len(older.entries) == 0 {
		return !older.cut
	}
	if len(t.entries) > 0 && !t.holes.follows(older.entries[len(older.entries)-1].Zxid, t.entries[0].Zxid) {
		return false
	}
	t.entries = append(older.entries, t.entries...)
	t.bytes += older.bytes
	t.cut = older.cut
	return !t.cut
}

// keepTail completes what was gathered in the replay from the logs before it,
// newest first.
func (r *recovery) keepTail() {
	s, t := r.store, r.tail
	s.tail = nil
	if t.max <= 0 {
		return
	}
	older := r.plan.Logs[:len(r.plan.Logs)-len(r.plan.From(r.from))]
	reach := tailReach * t.maxBytes
	for i := len(older) - 1; i >= 0 && !t.cut && len(t.entries) < t.max && t.bytes < t.maxBytes; i-- {
		f := older[i]
		if reach -= f.Size; reach < 0 {
			break
		}
		part := &tail{max: t.max - len(t.entries), maxBytes: t.maxBytes - t.bytes, holes: t.holes}
		_, err := ReadLog(s.fs, f.Path, s.opt.MaxBuffer, func(e Entry) error { part.add(e); return nil })
		if err != nil {
			// Nothing that recovery needs: the snapshot has it.
			s.log.Warn("an old log can't be read: learners that lack it are sent the tree", "file", f.Path, "error", err)
			break
		}
		if !t.prepend(part) {
			break
		}
	}
	if n := len(t.entries); n > 0 && t.entries[n-1].Zxid == r.out.LastZxid {
		s.tail = slices.Clip(t.entries)
	}
}
