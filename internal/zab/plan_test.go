// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"
	"strings"
	"testing"

	"paddock/proto"
)

// zxids reads "1:3 1:4..1:6 2:1": epoch:counter in hex, and ranges of it.
func zxids(text string) (out []proto.Zxid) {
	one := func(s string) proto.Zxid {
		var epoch, counter uint32
		if _, err := fmt.Sscanf(s, "%d:%x", &epoch, &counter); err != nil {
			panic(s)
		}
		return proto.NewZxid(epoch, counter)
	}
	for _, f := range strings.Fields(text) {
		from, to, ok := strings.Cut(f, "..")
		if !ok {
			to = from
		}
		for z := one(from); z <= one(to); z++ {
			out = append(out, z)
		}
	}
	return out
}

// TestPlanSync is section 7 as a table. The log is what the disk holds, the
// window the newest part of it.
func TestPlanSync(t *testing.T) {
	for _, tt := range []struct {
		learner, log, window, last string // last: of the leader's tree, if not the window's
		want                       string
	}{
		{"0:0", "", "", "0:0", "DIFF 0:0, window after 0:0"},
		{"0:0", "", "", "1:0", "SNAP"},
		{"1:6", "1:1..1:6", "1:4..1:6", "", "DIFF 1:6, window after 1:6"},
		{"1:4", "1:1..1:6", "1:4..1:6", "", "DIFF 1:6, window after 1:4"},
		{"1:3", "1:1..1:6", "1:4..1:6", "", "DIFF 1:6, log after 1:3, window after 1:3"},
		{"0:0", "1:1..1:6", "1:4..1:6", "", "SNAP"},
		{"1:6", "1:1..1:6 2:1..2:3", "2:1..2:3", "", "DIFF 2:3, log after 1:6, window after 1:6"},
		// Ahead in the last epoch: cut.
		{"1:8", "1:1..1:6", "1:4..1:6", "2:0", "TRUNC 1:6, window after 1:6"},
		{"2:5", "1:1..1:6", "1:4..1:6", "3:0", "TRUNC 1:6, window after 1:6"},
		// Ahead in an older epoch: cut to where both were the same, then the rest.
		{"1:7", "1:1..1:6 2:1..2:5", "1:3..1:6 2:1..2:5", "", "TRUNC 1:6, window after 1:6"},
		{"1:7", "1:1..1:6 2:1..2:5", "2:1..2:5", "", "TRUNC 1:6, log after 1:6, window after 1:6"},
		// Never across an epoch.
		{"2:4", "1:1..1:6 3:1..3:5", "1:3..1:6 3:1..3:5", "", "SNAP"},
		// At the start of an epoch nothing before it is missing.
		{"2:0", "1:1..1:6 2:1..2:5", "1:3..1:6 2:1..2:5", "", "DIFF 2:5, window after 2:0"},
		{"2:0", "1:1..1:6 3:1", "1:3..1:6 3:1", "", "DIFF 3:1, window after 2:0"},
		{"3:0", "1:1..1:6 2:1..2:5", "1:3..1:6 2:1..2:5", "", "SNAP"},
	} {
		log, win := zxids(tt.log), zxids(tt.window)
		w := window{max: 500, maxBytes: 1 << 20}
		for _, z := range win {
			w.entries = append(w.entries, Entry{Zxid: z})
		}
		l := leader{roster: roster{p: &Peer{window: w}}}
		if tt.last == "" {
			l.history = w.last()
		} else {
			l.history = zxids(tt.last)[0]
		}
		p := zxids(tt.learner)[0]
		plan := PlanSync(p, l.available(), false, true, nil)
		if plan.Type == 0 {
			pr := Probed{Usable: len(log) > 0 && log[0] <= p}
			for _, z := range log {
				if z <= p {
					pr.Prev = z
				} else if pr.Next == 0 {
					pr.Next = z
				}
			}
			plan = PlanSync(p, l.available(), false, true, &pr)
		}
		if got := plan.String(); got != tt.want {
			t.Errorf("learner %s, log %s, window %s: %s, want %s", tt.learner, tt.log, tt.window, got, tt.want)
		}
	}
	if got := PlanSync(zxids("1:3")[0], History{Last: zxids("1:6")[0]}, true, true, nil).String(); got != "SNAP" {
		t.Errorf("forced: %s", got)
	}
	if got := PlanSync(zxids("1:1")[0], History{Last: zxids("1:6")[0], Min: zxids("1:5")[0], Max: zxids("1:6")[0]}, false, false, nil).String(); got != "SNAP" {
		t.Errorf("below the window, without the disk: %s", got)
	}
}

// TestPlanSyncOfALeaderThatIsBehindItself: transactions are decided that its
// disk does not have, before it serves or while it does. A learner that has
// committed some of them is not cut back.
func TestPlanSyncOfALeaderThatIsBehindItself(t *testing.T) {
	entries := func(text string) (out []Entry) {
		for _, z := range zxids(text) {
			out = append(out, Entry{Zxid: z})
		}
		return out
	}
	for _, tt := range []struct {
		learner, window, pending, decided string
		last                              string // of the leader's tree, now or when it serves
		want                              string
	}{
		// It begins its reign: all it has logged is the window, and little of it was
		// known to be decided when it was elected.
		{"1:7", "1:3..1:9", "1:4..1:9", "1:5", "1:9", "DIFF 1:9, window after 1:7"},
		{"1:5", "1:3..1:9", "1:4..1:9", "1:5", "1:9", "DIFF 1:9, window after 1:5"},
		{"1:4", "1:3..1:9", "1:4..1:9", "1:5", "1:9", "DIFF 1:9, window after 1:4"},
		{"1:3", "1:3..1:9", "1:4..1:9", "1:3", "1:9", "DIFF 1:9, window after 1:3"},
		{"1:a", "1:3..1:9", "1:4..1:9", "1:5", "1:9", "TRUNC 1:9, window after 1:9"},
		// It serves: the window ends where its tree is.
		{"1:7", "1:3..1:6", "1:7..1:9", "1:8", "1:6", "DIFF 1:8, window after 1:7"},
		{"1:8", "1:3..1:6", "1:7..1:9", "1:8", "1:6", "DIFF 1:8, window after 1:8"},
		{"1:9", "1:3..1:6", "1:7..1:9", "1:8", "1:6", "TRUNC 1:8, window after 1:8"},
		{"1:5", "1:3..1:6", "1:7..1:9", "1:8", "1:6", "DIFF 1:8, window after 1:5"},
		{"1:8", "", "1:7..1:9", "1:8", "1:6", "DIFF 1:8, window after 1:8"},
	} {
		p := &Peer{window: window{entries: entries(tt.window)}, pending: entries(tt.pending), decided: zxids(tt.decided)[0]}
		plan := PlanSync(zxids(tt.learner)[0], p.historyTo(zxids(tt.last)[0]), false, true, nil)
		if got := plan.String(); got != tt.want {
			t.Errorf("learner %s, window %s, pending %s, decided %s: %s, want %s", tt.learner, tt.window, tt.pending, tt.decided, got, tt.want)
		}
	}
}

// TestWindow: a hole empties it, and it keeps what the tree does not have.
func TestWindow(t *testing.T) {
	w := window{max: 3, maxBytes: 1 << 20}
	show := func() string {
		var s []string
		for _, e := range w.entries {
			s = append(s, short(e.Zxid))
		}
		return strings.Join(s, " ")
	}
	for _, z := range zxids("1:1..1:5") {
		w.add(Entry{Zxid: z, Data: make([]byte, 10)})
	}
	w.trim(zxids("1:1")[0])
	if got := show(); got != "1:2 1:3 1:4 1:5" {
		t.Errorf("after a trim that must keep 1:2 and later: %s", got)
	}
	w.trim(zxids("1:5")[0])
	if got := show(); got != "1:3 1:4 1:5" || w.bytes != 30 {
		t.Errorf("after a trim to 3: %s, %d bytes", got, w.bytes)
	}
	w.add(Entry{Zxid: zxids("1:5")[0]})
	w.cut(zxids("1:4")[0])
	w.add(Entry{Zxid: zxids("2:1")[0], Data: make([]byte, 10)})
	if got := show(); got != "1:3 1:4 2:1" || w.bytes != 30 {
		t.Errorf("after a cut and a new epoch: %s, %d bytes", got, w.bytes)
	}
	w.add(Entry{Zxid: zxids("2:3")[0]})
	if got := show(); got != "2:3" {
		t.Errorf("after a hole: %s", got)
	}
	w.maxBytes = 5
	w.add(Entry{Zxid: zxids("2:4")[0], Data: make([]byte, 10)})
	w.trim(zxids("2:4")[0])
	if got := show(); got != "2:4" {
		t.Errorf("more bytes than allowed: %s", got)
	}
}
