// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"sort"

	"paddock/proto"
)

// window is the newest part of the history that a leader may send: committed,
// gapless within an epoch (section 7, "committed log").
type window struct {
	entries  []Entry
	bytes    int64
	max      int
	maxBytes int64

	// unseen is 0 but for Unsafe.HolesInWindow: what synchronisation brought, up to
	// here, is left out, and nobody minds the hole.
	unseen proto.Zxid
}

func (w *window) empty() bool { return len(w.entries) == 0 }

// first and last are the zxids of the ends; 0 if there are none.
func (w *window) first() proto.Zxid {
	if w.empty() {
		return 0
	}
	return w.entries[0].Zxid
}

func (w *window) last() proto.Zxid {
	if w.empty() {
		return 0
	}
	return w.entries[len(w.entries)-1].Zxid
}

// add appends e unless it is there. An entry that does not follow the last one
// starts the window anew: a learner that was sent a window with a hole would
// lose transactions for good.
func (w *window) add(e Entry) {
	if last := w.last(); !w.empty() {
		if e.Zxid <= last || e.Zxid <= w.unseen {
			return
		}
		if e.Zxid != last+1 && e.Zxid.Epoch() == last.Epoch() && w.unseen == 0 {
			w.clear()
		}
	}
	w.entries = append(w.entries, e)
	w.bytes += int64(len(e.Data))
}

// trim drops the oldest entries past the limits, but none after keep.
func (w *window) trim(keep proto.Zxid) {
	drop := 0
	for drop < len(w.entries)-1 && w.entries[drop].Zxid <= keep && (len(w.entries)-drop > w.max || w.bytes > w.maxBytes) {
		w.bytes -= int64(len(w.entries[drop].Data))
		drop++
	}
	if drop == 0 {
		return
	}
	clear(w.entries[:drop])
	w.entries = w.entries[drop:]
}

// cut drops all entries after z.
func (w *window) cut(z proto.Zxid) {
	n := w.after(z)
	for _, e := range w.entries[n:] {
		w.bytes -= int64(len(e.Data))
	}
	clear(w.entries[n:])
	w.entries = w.entries[:n]
}

func (w *window) clear() { w.entries, w.bytes = nil, 0 }

// after is the index of the first entry past z.
func (w *window) after(z proto.Zxid) int {
	return sort.Search(len(w.entries), func(i int) bool { return w.entries[i].Zxid > z })
}
