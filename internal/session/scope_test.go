// SPDX-License-Identifier: Apache-2.0

package session

import "testing"

// TestScopes leads sessions through being local, on their way and global.
func TestScopes(t *testing.T) {
	tr := NewTracker(10)
	l, up, g := tr.AddLocal(1, 100, 0), tr.AddLocal(2, 100, 0), tr.Add(3, 100, 0)
	if !up.Raise() || up.Raise() || g.Raise() || up.Local() || up.Global() || !l.Local() || !g.Global() {
		t.Error("only a local session can be raised, once")
	}
	if globals, locals := tr.Count(); globals != 1 || locals != 2 {
		t.Errorf("%d global, %d local", globals, locals)
	}
	var ended []int64
	note := func(s *Session) { ended = append(ended, s.ID()) }
	tr.ExpireLocal(1000, note)
	if len(ended) != 1 || ended[0] != 1 || !l.Ended() || !l.Closing() || up.Closing() || g.Closing() {
		t.Errorf("local sessions that expire: %v", ended)
	}
	if l.Raise() || l.End() || l.Fail() || up.End() || g.End() || g.Fail() {
		t.Error("what has ended, or is not local, ends as a local session")
	}
	tr.Remove(1)

	// Those passed over have their deadlines again after a Reset.
	gone := tr.Reset(map[int64]int32{}, 2000)
	if len(gone) != 1 || gone[0] != g || tr.Get(2) != up || up.Deadline() != tr.end(2100) {
		t.Errorf("forgotten: %v; the other's deadline: %d", gone, up.Deadline())
	}
	if s := tr.Add(2, 100, 2000); s != up || !up.Global() {
		t.Error("an upgraded session is not global")
	}
	ended = nil
	tr.ExpireLocal(5000, note)
	tr.Reset(map[int64]int32{2: 100}, 5000)
	tr.Expire(9000, note)
	if len(ended) != 1 || ended[0] != 2 || !up.Closing() || up.Ended() {
		t.Errorf("global sessions that expire: %v", ended)
	}

	known := tr.AddLocal(4, 100, 0)
	known.Raise()
	if tr.Reset(map[int64]int32{4: 100}, 0); !known.Global() {
		t.Error("a session that the tree knows is not global")
	}
	failed := tr.AddLocal(5, 100, 0)
	if failed.Raise(); !failed.Fail() || !failed.Ended() {
		t.Error("an upgrade that failed")
	}
}
