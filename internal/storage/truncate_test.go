// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// at is the zxid of an epoch's transaction.
func at(epoch, counter int) proto.Zxid { return proto.Zxid(epoch)<<32 | proto.Zxid(counter) }

// filesOf lists the logs and snapshots of a directory.
func filesOf(t testing.TB, f vfs.FS) string {
	t.Helper()
	list, err := f.ReadDir("/d/version-2")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range list {
		if strings.HasPrefix(i.Name, "log.") || strings.HasPrefix(i.Name, "snapshot.") {
			names = append(names, i.Name)
		}
	}
	return strings.Join(names, " ")
}

// TestTruncateGolden takes back what Apache's server took back, and comes to the
// same tree.
func TestTruncateGolden(t *testing.T) {
	m := memDirOf(t, "testdata/trunc-before/data")
	s := mustOpen(t, testOptions(m))
	tree := newMapTree()
	if r, err := s.Recover(tree); err != nil || r.LastZxid != at(1, 0x11) {
		t.Fatalf("%+v, %v", r, err)
	}
	if last, err := s.Truncate(at(1, 0xf)); err != nil || last != at(1, 0xf) || s.Log().LastZxid() != last {
		t.Fatalf("%s, %v", last, err)
	}
	tree.Reset()
	if r, err := s.Recover(tree); err != nil || r.LastZxid != at(1, 0xf) || r.TornFile != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	var want goldenTree
	readJSON(t, "testdata/trunc-after/tree.json", &want)
	config := tree.nodes[proto.ConfigPath]
	if config.st.Version != -1 || config.st.Mtime == 0 {
		t.Errorf("%+v", config.st)
	}
	for _, n := range want.Nodes { // set at every start, without a transaction
		if n.Path == proto.ConfigPath {
			config.st.Mtime = n.Persisted.Mtime
		}
	}
	want.compare(t, tree)
	ours, _ := vfs.ReadFile(m, "/d/version-2/log.100000001")
	theirs, err := vfs.ReadFile(vfs.OS, "testdata/trunc-after/data/version-2/log.100000001")
	if err != nil || string(ours) != string(theirs) {
		t.Errorf("the log that is left has %d bytes, Apache's %d; %v", len(ours), len(theirs), err)
	}
	// The new leader's epoch.
	appendTxns(t, s, at(2, 1), 2)
	s.Close()
	if r := mustRecover(t, m, newMapTree()); r.LastZxid != at(2, 2) {
		t.Errorf("%+v", r)
	}
}

// TestTruncateSnapshotGolden: Apache leaves newer snapshots, which bring back all
// that was cut (storage-format.md section 2.6).
func TestTruncateSnapshotGolden(t *testing.T) {
	for z := proto.Zxid(0); z <= 0x5d; z++ {
		m := memDirOf(t, "testdata/rolled-standalone/data")
		s := mustOpen(t, testOptions(m))
		before, err := s.Recover(newMapTree())
		if err != nil {
			t.Fatal(err)
		}
		last, err := s.Truncate(z)
		if err != nil || last != min(z, before.LastZxid) {
			t.Fatalf("%s: %s, %v", z, last, err)
		}
		tree := newMapTree()
		r, err := s.Recover(tree)
		if err != nil || r.LastZxid != last || r.ContentZxid > last {
			t.Fatalf("%s: %+v, %v", z, r, err)
		}
		if len(tree.mismatches) > 0 {
			t.Errorf("%s: %v", z, tree.mismatches)
		}
	}
}

// past is a directory: snapshots by zxid, and logs by their first zxid and number
// of transactions.
type past struct {
	snapshots []proto.Zxid
	fuzzy     map[proto.Zxid]proto.Zxid // snapshots that hold more than their name says
	logs      [][2]proto.Zxid
}

func (p past) build(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	s := mustOpen(t, testOptions(m))
	for _, z := range p.snapshots {
		last := max(z, p.fuzzy[z])
		tree := p.tree(last)
		w, err := s.CreateSnapshot(z)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.writeTo(w); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Finish(last, &SnapDigest{last, 2, tree.digest}); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range p.logs {
		putFile(m, filepath.Join("/d", versionDir, hexName(logPrefix, l[0])), logOf(l[0], int(l[1])))
	}
	return m
}

// tree is what the transactions up to z lead to, whatever the log has of them.
func (p past) tree(z proto.Zxid) *mapTree {
	tree := newInitialTree()
	for _, l := range p.logs {
		for x := l[0]; x < l[0]+l[1] && x <= z; x++ {
			tree.Replay(testTxn(x))
		}
	}
	tree.zxid = z
	for _, n := range tree.nodes {
		n.aclKey = -1
	}
	tree.acls = nil
	return tree
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		name string
		past past
		z    proto.Zxid
		last proto.Zxid
		left string
		err  string
	}{
		{"in the middle of a log", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{1, 9}}}, 5, 5, "log.1 snapshot.0", ""},
		{"at its end", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{1, 9}}}, 9, 9, "log.1 snapshot.0", ""},
		{"after its end", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{1, 9}}}, 20, 9, "log.1 snapshot.0", ""},
		{"all of it", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{1, 9}, {10, 2}}}, 0, 0, "snapshot.0", ""},
		{"between two logs", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{1, 5}, {6, 5}, {11, 5}}}, 5, 5, "log.1 snapshot.0", ""},
		{"an older log", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{1, 5}, {6, 5}, {11, 5}}}, 8, 8, "log.1 log.6 snapshot.0", ""},
		{"before the first larger one", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(2, 1), 5}}}, at(1, 9), at(1, 5), "log.100000001 snapshot.0", ""},
		{"the start of an epoch", past{snapshots: []proto.Zxid{0}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(2, 1), 5}}}, at(2, 0), at(1, 5), "log.100000001 snapshot.0", ""},
		{"newer snapshots", past{snapshots: []proto.Zxid{0, 3, 7, 9}, logs: [][2]proto.Zxid{{1, 5}, {6, 5}}}, 4, 4, "log.1 snapshot.0 snapshot.3", ""},
		{"to a snapshot", past{snapshots: []proto.Zxid{0, 3, 7}, logs: [][2]proto.Zxid{{1, 5}, {6, 5}}}, 7, 7, "log.1 log.6 snapshot.0 snapshot.3 snapshot.7", ""},
		{"a snapshot that holds more than its name says", past{snapshots: []proto.Zxid{0, 3}, fuzzy: map[proto.Zxid]proto.Zxid{3: 6}, logs: [][2]proto.Zxid{{1, 9}}}, 4, 4, "log.1 snapshot.0", ""},
		{"and one that holds no more than wanted", past{snapshots: []proto.Zxid{0, 3}, fuzzy: map[proto.Zxid]proto.Zxid{3: 4}, logs: [][2]proto.Zxid{{1, 9}}}, 4, 4, "log.1 snapshot.0 snapshot.3", ""},
		{"past the oldest snapshot", past{snapshots: []proto.Zxid{5}, logs: [][2]proto.Zxid{{1, 9}}}, 4, 0, "", "every snapshot holds later transactions"},
		{"past a hole", past{snapshots: []proto.Zxid{0, at(1, 20)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 21), 5}}}, at(1, 3), at(1, 3), "log.100000001 snapshot.0", ""},
		{"into a hole", past{snapshots: []proto.Zxid{0, at(1, 20)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 21), 5}}}, at(1, 9), 0, "", "only those up to 0x100000005, and it may lack some"},
		{"into a hole at the end", bareJump, at(1, 9), 0, "", "only those up to 0x100000005, and it may lack some"},
		{"to the end before such a hole", bareJump, at(1, 5), at(1, 5), "log.100000001 snapshot.0", ""},
		{"between epochs, a tree was taken over there", jumpPast, at(2, 9), 0, "", "only those up to 0x200000003, and it may lack some"},
		{"after a hole", past{snapshots: []proto.Zxid{0, at(1, 20)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 21), 5}}}, at(1, 22), at(1, 22), "log.100000001 log.100000015 snapshot.0 snapshot.100000014", ""},
		{"a hole that only the snapshot to be removed covers", past{snapshots: []proto.Zxid{0, at(1, 20)}, fuzzy: map[proto.Zxid]proto.Zxid{at(1, 20): at(1, 24)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(1, 21), 5}}}, at(1, 22), 0, "", "of a history between them"},
		{"the same across epochs", past{snapshots: []proto.Zxid{0, at(1, 20)}, fuzzy: map[proto.Zxid]proto.Zxid{at(1, 20): at(2, 4)}, logs: [][2]proto.Zxid{{at(1, 1), 5}, {at(2, 1), 5}}}, at(2, 2), 0, "", "of a history between them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.past.build(t)
			s := mustOpen(t, testOptions(m))
			if _, err := s.Recover(newMapTree()); err != nil {
				t.Fatal(err)
			}
			before := fingerprint(t, m)
			last, err := s.Truncate(c.z)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), c.z.String()) {
					t.Fatalf("%s, %v; want a refusal: %s", last, err, c.err)
				}
				if after := fingerprint(t, m); after != before {
					t.Errorf("a refusal changed the directory:\n%s%s", before, after)
				}
				appendTxns(t, s, s.Log().LastZxid()+1, 1) // and the log lives
				return
			}
			if err != nil || last != c.last || s.Log().LastZxid() != last {
				t.Fatalf("%s, %v; want %s", last, err, c.last)
			}
			if got := filesOf(t, m); got != c.left {
				t.Errorf("left are %s, want %s", got, c.left)
			}
			for _, disk := range []vfs.FS{m, m.CrashClone(nil)} {
				tree := newMapTree()
				if r := mustRecover(t, disk, tree); r.LastZxid != last {
					t.Errorf("recovered %+v", r)
				}
				// Replay of what a snapshot has already counts children of the root twice:
				// these transactions leave that to the server.
				want := c.past.tree(last)
				if len(tree.nodes) != len(want.nodes) || c.past.fuzzy == nil && tree.digest != want.digest {
					t.Errorf("digest %x, %d znodes; want %x, %d", tree.digest, len(tree.nodes), want.digest, len(want.nodes))
				}
			}
			// The log goes on, in the same epoch and in a new one.
			appendTxns(t, s, last+1, 2)
			appendTxns(t, s, at(7, 1), 2)
			if again, err := s.Truncate(last + 1); err != nil || again != last+1 {
				t.Fatalf("again: %s, %v", again, err)
			}
			appendTxns(t, s, last+2, 2)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if r := mustRecover(t, m, newMapTree()); r.LastZxid != last+3 {
				t.Errorf("after going on: %+v", r)
			}
		})
	}
}

// TestTruncateUnreadableSnapshots: those that are to go may be damaged; of those
// that stay the log must make up for them.
func TestTruncateUnreadableSnapshots(t *testing.T) {
	p := past{snapshots: []proto.Zxid{0, 3, 7}, logs: [][2]proto.Zxid{{1, 5}, {6, 5}}}
	for _, c := range []struct {
		edits [][]any
		z     proto.Zxid
		left  string
		err   string
	}{
		{[][]any{{"write", "snapshot.7", 40.0, "ff"}}, 4, "log.1 snapshot.0 snapshot.3", ""},
		{[][]any{{"truncate", "snapshot.7", 50.0}}, 4, "log.1 snapshot.0 snapshot.3", ""},
		{[][]any{{"write", "snapshot.3", 40.0, "ff"}}, 4, "log.1 snapshot.0 snapshot.3", ""},
		{[][]any{{"truncate", "snapshot.3", 50.0}}, 3, "log.1 snapshot.0 snapshot.3", ""},
		{[][]any{{"write", "snapshot.3", 40.0, "ff"}, {"delete", "snapshot.0"}}, 4, "", ErrTooFarBack.Error()},
		{[][]any{{"write", "snapshot.3", 40.0, "ff"}, {"delete", "log.1"}}, 3, "", "can't be read"},
		{[][]any{{"write", "log.1", 200.0, "ff"}}, 2, "", "damaged"},
		{[][]any{{"write", "log.6", 200.0, "ff"}}, 4, "log.1 snapshot.0 snapshot.3", ""},
	} {
		m := p.build(t)
		editDirectory(t, m, c.edits)
		before := fingerprint(t, m)
		last, err := mustOpen(t, testOptions(m)).Truncate(c.z)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || fingerprint(t, m) != before {
				t.Errorf("%v: %s, %v; want a refusal: %s", c.edits, last, err, c.err)
			}
			continue
		}
		if got := filesOf(t, m); err != nil || last != c.z || got != c.left {
			t.Errorf("%v: %s, %v, left %s; want %s", c.edits, last, err, got, c.left)
			continue
		}
		tree := newInitialTree()
		if r, err := mustOpen(t, testOptions(m)).Recover(tree); err != nil || r.LastZxid != c.z || tree.digest != p.tree(c.z).digest {
			t.Errorf("%v: recovered %+v, %v", c.edits, r, err)
		}
	}
}

// TestTruncateWithoutSnapshot: logs that are replayed from nothing can be cut if
// they begin at the beginning.
func TestTruncateWithoutSnapshot(t *testing.T) {
	for _, c := range []struct {
		trust bool
		first proto.Zxid
		z     proto.Zxid
		ok    bool
	}{
		{true, 1, 4, true}, {true, at(1, 1), at(1, 4), true}, {false, 1, 4, false},
		{true, 3, 4, false}, {true, 1, 0, false}, {true, at(2, 1), at(2, 4), false},
	} {
		m := vfs.NewMem()
		o := testOptions(m)
		o.TrustEmpty = c.trust
		s := mustOpen(t, o)
		putFile(m, filepath.Join("/d", versionDir, hexName(logPrefix, c.first)), logOf(c.first, 9))
		last, err := s.Truncate(c.z)
		if c.ok && (err != nil || last != c.z) || !c.ok && !errors.Is(err, ErrTooFarBack) {
			t.Errorf("%+v: %s, %v", c, last, err)
		}
	}
}

// TestTruncateLive cuts a log that is being written, with zeros ahead.
func TestTruncateLive(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.PreAlloc, o.SnapCount = 1<<20, 1000
	s := started(t, o)
	defer s.Close()
	appendTxns(t, s, 1, 20)
	appendTxns(t, s, 21, 20)
	for z := proto.Zxid(40); z > 30; z-- {
		if last, err := s.Truncate(z - 1); err != nil || last != z-1 {
			t.Fatalf("%s, %v", last, err)
		}
		if r := mustRecover(t, m.CrashClone(nil), newMapTree()); r.LastZxid != z-1 || r.TornFile != "" {
			t.Fatalf("%+v", r)
		}
		appendTxns(t, s, z, 1)
	}
	if got, want := logNames(t, m), []string{"log.1", "log.1f"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if s.Log().txns != 31 {
		t.Errorf("%d transactions count towards the next snapshot", s.Log().txns)
	}
}

func TestTruncateAfterAFailure(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	s := started(t, testOptions(f))
	appendTxns(t, s, 1, 9)
	broken := errors.New("the disk is gone")
	f.FailSyncs("version-2", broken)
	_, err := s.Truncate(4)
	f.FailSyncs("", nil)
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	var b Batch
	b.Add(testTxn(10))
	_, again := s.Truncate(9)
	_, recovered := s.Recover(newMapTree())
	for what, e := range map[string]error{"Append": s.Log().Append(&b), "Truncate": again, "Recover": recovered} {
		if !errors.Is(e, broken) {
			t.Errorf("%s after a failed truncation: %v", what, e)
		}
	}
}

func TestTruncateClosed(t *testing.T) {
	s := started(t, testOptions(vfs.NewMem()))
	s.Close()
	if _, err := s.Truncate(0); err == nil {
		t.Error("a closed log was cut")
	}
}

// TestRecoverAgain: between uses of the log, as after a truncation.
func TestRecoverAgain(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.PreAlloc, o.SnapCount = 64<<10, 100
	s := started(t, o)
	defer s.Close()
	for z := proto.Zxid(1); z < 60; z += 3 {
		appendTxns(t, s, z, 3)
		tree := newInitialTree()
		r, err := s.Recover(tree)
		if err != nil || r.LastZxid != z+2 || r.Txns != int(z)+2 || s.Log().LastZxid() != z+2 || s.Log().txns != int64(z)+2 {
			t.Fatalf("%+v, %v", r, err)
		}
		if want := fmt.Sprintf("/n%d", z+2); tree.nodes[want] == nil {
			t.Fatalf("%s is missing", want)
		}
	}
}
