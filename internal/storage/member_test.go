// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// member is a member of an ensemble as its storage sees it, with the history
// that it should have.
type member struct {
	t     *testing.T
	where string
	rng   *rand.Rand
	m     *vfs.Mem
	s     *Store

	history []proto.Zxid
	zxid    proto.Zxid          // the last, or that of a tree taken over
	epoch   int                 // the last used by anybody
	used    map[proto.Zxid]bool // zxids that were in any history
	cuts    int
}

// treeOf is the tree of a history.
func treeOf(history []proto.Zxid) *mapTree {
	tree := newInitialTree()
	for _, z := range history {
		tree.Replay(testTxn(z))
	}
	for _, n := range tree.nodes {
		n.aclKey = -1
	}
	tree.acls = nil
	return tree
}

func (m *member) options(f vfs.FS) Options {
	o := testOptions(f)
	o.KeepTail = 12
	return o
}

func (m *member) check(err error, what string) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %s: %v; %s", m.where, what, err, filesOf(m.t, m.m))
	}
}

// write saves a snapshot of the history as that of z.
func (m *member) write(z proto.Zxid, history []proto.Zxid) {
	m.t.Helper()
	w, err := m.s.CreateSnapshot(z)
	m.check(err, "snapshot")
	tree := treeOf(history)
	m.check(tree.writeTo(w), "snapshot")
	_, _, err = w.Finish(z, &SnapDigest{z, 2, tree.digest})
	m.check(err, "snapshot")
}

// append logs n transactions, in this epoch or the next.
func (m *member) append(n int) {
	var b Batch
	for range n {
		z := m.zxid + 1
		if m.rng.IntN(6) == 0 || m.zxid == 0 {
			m.epoch += 1 + m.rng.IntN(2)
			z = at(m.epoch, 1)
		}
		b.Add(testTxn(z))
		m.history, m.zxid = append(m.history, z), z
		m.used[z] = true
	}
	m.check(m.s.Log().Append(&b), "append")
	m.check(m.s.Log().Sync(), "sync")
}

// truncate takes back some of the history.
func (m *member) truncate() {
	z := m.history[m.rng.IntN(len(m.history))]
	if m.rng.IntN(2) == 0 && !m.used[z+1] { // not one of an older history, which the log may have
		z++
	}
	last, err := m.s.Truncate(z)
	if refused(err) {
		return
	}
	m.cuts++
	m.check(err, fmt.Sprintf("truncation to %s of %s", z, m.zxid))
	n, _ := slices.BinarySearch(m.history, z+1)
	if last > z || n > 0 && last < m.history[n-1] {
		m.t.Fatalf("%s: cut after %s, left %s of %v", m.where, z, last, m.history)
	}
	m.history, m.zxid = slices.Clone(m.history[:n]), last
	if m.rng.IntN(2) == 0 {
		m.recover()
	}
}

// refused: a history can't be cut back past a tree that was taken over, unless
// the log before that has the place.
func refused(err error) bool {
	var gap *GapError
	return errors.Is(err, ErrTooFarBack) || errors.As(err, &gap)
}

// takeOver replaces the tree by that of a leader, whose history shares a
// beginning with this one.
func (m *member) takeOver() {
	theirs := slices.Clone(m.history[:m.rng.IntN(len(m.history)+1)])
	var z proto.Zxid
	if n := len(theirs); n > 0 {
		z = theirs[n-1]
		for range m.rng.IntN(4) { // more of the same epoch
			z++
			theirs = append(theirs, z)
		}
	}
	for range m.rng.IntN(3) {
		m.epoch++
		z = at(m.epoch, 0)
		for range m.rng.IntN(4) {
			z++
			theirs = append(theirs, z)
		}
	}
	if m.zxid > z {
		_, err := m.s.Truncate(z)
		if refused(err) {
			return
		}
		m.check(err, "truncation before a tree is taken over")
	}
	m.write(z, theirs)
	for _, x := range theirs {
		m.used[x] = true
	}
	m.history, m.zxid = theirs, z
}

// recover loads the directory again, as a restart or a reload does.
func (m *member) recover() {
	tree := newInitialTree()
	r, err := m.s.Recover(tree)
	m.check(err, "recovery")
	if r.LastZxid != m.zxid {
		m.t.Fatalf("%s: recovered to %s, want %s; %s", m.where, r.LastZxid, m.zxid, filesOf(m.t, m.m))
	}
	m.compare(tree)
	tail := m.s.Tail()
	for i, e := range slices.Backward(tail) {
		if want := m.history[len(m.history)-len(tail)+i]; e.Zxid != want {
			m.t.Fatalf("%s: the tail is %s, want the end of %v", m.where, tailRuns(m.t, tail), m.history)
		}
	}
}

func (m *member) compare(tree *mapTree) {
	want := treeOf(m.history)
	if a, b := slices.Sorted(maps.Keys(tree.nodes)), slices.Sorted(maps.Keys(want.nodes)); !slices.Equal(a, b) {
		m.t.Fatalf("%s: znodes %v, want %v; %s", m.where, a, b, filesOf(m.t, m.m))
	}
}

// crash restarts from what a crash leaves.
func (m *member) crash() {
	how := m.rng
	if m.rng.IntN(2) == 0 {
		how = nil
	}
	left := m.m.CrashClone(how)
	m.s.Close() // of the server that is no more
	m.m = left
	m.s = mustOpen(m.t, m.options(m.m))
	m.recover()
}

// probe looks for what a leader would send to a learner at some zxid.
func (m *member) probe() (usable bool) {
	z := m.history[m.rng.IntN(len(m.history))] + proto.Zxid(m.rng.IntN(3))
	p, err := m.s.ProbeLog(z, 0)
	m.check(err, "probe")
	if !p.Usable {
		return false
	}
	n, _ := slices.BinarySearch(m.history, z+1)
	if n == 0 || m.history[n-1] != p.Prev {
		m.t.Fatalf("%s: probe of %s: %+v, history %v", m.where, z, p, m.history)
	}
	want := m.history[n:]
	err = m.s.ReadRange(p.Prev, m.zxid, func(x proto.Zxid, _ []byte) error {
		if len(want) == 0 || x != want[0] {
			return fmt.Errorf("%s instead of %v", x, want)
		}
		want = want[1:]
		return nil
	})
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("%v are missing", want)
	}
	m.check(err, fmt.Sprintf("range after %s", p.Prev))
	return true
}

// damage spoils the newest snapshot: what then recovers is still the history.
func (m *member) damage() (recovered bool) {
	c := m.m.CrashClone(nil)
	files, _, err := mustOpen(m.t, testOptions(c)).snapshots()
	m.check(err, "list")
	editDirectory(m.t, c, [][]any{{"write", files[len(files)-1].Name, 30.0, "ffffff"}})
	tree := newInitialTree()
	r, err := mustOpen(m.t, testOptions(c)).Recover(tree)
	var gap *GapError
	if err != nil {
		if !errors.As(err, &gap) && !errors.Is(err, ErrNoSnapshot) {
			m.check(err, "recovery with a damaged snapshot")
		}
		return false
	}
	if r.LastZxid != m.zxid {
		m.t.Fatalf("%s: with a damaged snapshot %+v, want %s", m.where, r, m.zxid)
	}
	m.compare(tree)
	return true
}

// TestMember plays random lives of a member of an ensemble: whatever it may
// legally write is recovered, and what is given to other servers is its history
// without a hole.
func TestMember(t *testing.T) {
	cuts, usable, probes, healed, damaged := 0, 0, 0, 0, 0
	for seed := range uint64(60) {
		m := &member{t: t, where: fmt.Sprintf("seed %d", seed), rng: rand.New(rand.NewPCG(seed, 1)), m: vfs.NewMem(), used: map[proto.Zxid]bool{}}
		m.s = mustOpen(t, m.options(m.m))
		if _, err := m.s.Recover(newInitialTree()); err != nil {
			t.Fatal(err)
		}
		m.write(0, nil)
		for step := range 60 {
			m.where = fmt.Sprintf("seed %d, step %d", seed, step)
			if len(m.history) == 0 {
				m.append(3)
			}
			switch m.rng.IntN(12) {
			default:
				m.append(1 + m.rng.IntN(6))
			case 0:
				m.truncate()
			case 1:
				m.takeOver()
			case 2:
				m.s.Log().Roll()
				m.write(m.zxid, m.history)
			case 3:
				if _, err := m.s.Purge(3); err != nil {
					t.Fatal(err)
				}
			case 4, 5:
				m.crash()
			case 6, 7:
				probes++
				if m.probe() {
					usable++
				}
			case 8:
				damaged++
				if m.damage() {
					healed++
				}
			}
		}
		m.crash()
		cuts += m.cuts
		m.s.Close()
	}
	t.Logf("%d cuts, %d of %d probes usable, %d of %d damaged snapshots made up for", cuts, usable, probes, healed, damaged)
	if cuts < 100 || usable < probes/4 || healed < damaged/8 {
		t.Error("too few")
	}
}

// TestWrittenByApache: the sequences of files that members of ensembles of
// Apache's server leave (quorum-protocol.md sections 6.2 and 6.3).
func TestWrittenByApache(t *testing.T) {
	for _, c := range []struct {
		name string
		past past
		last proto.Zxid
		err  string
	}{
		{"a new epoch in the same directory, after any counter", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{at(1, 1), 7}, {at(2, 1), 3}, {at(5, 1), 1}}}, at(5, 1), ""},
		{"SNAP to an empty server", past{snapshots: []proto.Zxid{0, at(1, 14)}, logs: [][2]proto.Zxid{{at(1, 15), 3}}}, at(1, 17), ""},
		{"SNAP over an old log", past{snapshots: []proto.Zxid{0, at(1, 14)}, logs: [][2]proto.Zxid{{at(1, 1), 3}, {at(1, 15), 3}}}, at(1, 17), ""},
		{"SNAP, and older proposals behind it logged again", past{snapshots: []proto.Zxid{0, at(1, 14)}, logs: [][2]proto.Zxid{{at(1, 12), 6}}}, at(1, 17), ""},
		{"the same over an old log that has them too", past{snapshots: []proto.Zxid{0, at(1, 14)}, logs: [][2]proto.Zxid{{at(1, 1), 13}, {at(1, 12), 6}}}, at(1, 17), ""},
		{"SNAP of an epoch without transactions", past{snapshots: []proto.Zxid{0, at(2, 0)}, logs: [][2]proto.Zxid{{at(1, 1), 3}, {at(2, 1), 3}}}, at(2, 3), ""},
		{"SNAP, and then a new epoch", past{snapshots: []proto.Zxid{0, at(1, 14)}, logs: [][2]proto.Zxid{{at(1, 1), 3}, {at(2, 1), 3}}}, at(2, 3), ""},
		{"SNAP below the end of an old log of another history", past{snapshots: []proto.Zxid{0, at(2, 4)}, logs: [][2]proto.Zxid{{at(1, 1), 30}, {at(2, 5), 3}}}, at(2, 7), ""},
		{"TRUNC, its snapshot, and a new epoch", past{snapshots: []proto.Zxid{0, at(1, 5)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(2, 1), 3}}}, at(2, 3), ""},
		{"the same proposal logged twice", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 5), 3}}}, 0, "zxids must rise"},
		{"a hole that no snapshot covers", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 9), 3}}}, 0, "those between are missing"},
	} {
		tree := newMapTree()
		r, err := mustOpen(t, testOptions(c.past.build(t))).Recover(tree)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %+v, %v; want %s", c.name, r, err, c.err)
			}
			continue
		}
		if err != nil || r.LastZxid != c.last {
			t.Errorf("%s: %+v, %v; want %s", c.name, r, err, c.last)
		}
	}
}

// TestMemberGolden: directories of Apache's ensembles can be cut back to any of
// their transactions and gone on with.
func TestMemberGolden(t *testing.T) {
	cuts := 0
	for _, dir := range []string{"alltypes-ensemble", "trunc-before", "trunc-after", "ensemble-5/server1", "ensemble-5/server3", "ensemble-5/server5"} {
		old := memDirOf(t, filepath.Join("testdata", dir, "data"))
		var all []proto.Zxid
		oldest := proto.Zxid(1 << 62)
		files, _, err := mustOpen(t, testOptions(old)).snapshots()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			oldest = min(oldest, f.Zxid)
		}
		for _, name := range logNames(t, old) {
			if _, err := ReadLog(old, "/d/version-2/"+name, 0, func(e Entry) error { all = append(all, e.Zxid); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		for i, z := range all {
			m := old.CrashClone(nil)
			s := mustOpen(t, testOptions(m))
			last, err := s.Truncate(z)
			if err != nil || last != z {
				if _, noBase := errors.AsType[*GapError](err); noBase && oldest == 0 && all[0].Counter() != 1 {
					continue // a server that joined by SNAP, cut back to before it
				}
				t.Fatalf("%s, cut after %s: %s, %v", dir, z, last, err)
			}
			tree := newMapTree()
			if r, err := s.Recover(tree); err != nil || r.LastZxid != z || r.Txns > i+1 || len(tree.mismatches) > 0 {
				t.Fatalf("%s, cut after %s: %+v, %v, %v", dir, z, r, err, tree.mismatches)
			}
			appendTxns(t, s, at(9, 1), 2)
			s.Close()
			if r := mustRecover(t, m, newMapTree()); r.LastZxid != at(9, 2) {
				t.Fatalf("%s, cut after %s, gone on: %+v", dir, z, r)
			}
			cuts++
		}
	}
	if cuts < 60 {
		t.Errorf("%d cuts", cuts)
	}
}
