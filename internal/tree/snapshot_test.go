// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"paddock/proto"
)

// file is a snapshot as it would be written.
type file struct {
	zxid     proto.Zxid
	sessions map[int64]int32
	lists    []SnapshotACL
	nodes    []fileNode
}

type fileNode struct {
	path, data []byte
	acl        int64
	st         proto.StatPersisted
}

// write takes a snapshot of t; between is called with no lock held after each
// znode. It checks what a reader of snapshots relies on.
func write(t *testing.T, tr *Tree, between func()) *file {
	t.Helper()
	s := tr.Snapshot()
	defer s.Close()
	f := &file{zxid: s.Zxid, sessions: s.Sessions(), lists: s.ACLs()}
	keys := map[int64]bool{-1: true}
	for _, l := range f.lists {
		keys[l.Key] = true
	}
	seen := map[string]bool{}
	err := s.Nodes(func(path, data []byte, key int64, st *proto.StatPersisted) error {
		p := string(path)
		switch {
		case seen[p]:
			t.Errorf("%q comes twice", p)
		case p != "" && !seen[parentOf(p)]:
			t.Errorf("%q comes before its parent", p)
		case !keys[key]:
			t.Errorf("%q has list %d, which the snapshot lacks", p, key)
		case st.Czxid > f.zxid:
			t.Errorf("%q was created at %s, after the snapshot's %s", p, st.Czxid, f.zxid)
		}
		seen[p] = true
		f.nodes = append(f.nodes, fileNode{slices.Clone(path), slices.Clone(data), key, *st})
		if between != nil {
			between()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// load fills tr from the file, then applies the log from the file's zxid on,
// as often as told.
func (f *file) load(t *testing.T, tr *Tree, log []*proto.Txn, times int) {
	t.Helper()
	l := tr.Load()
	defer l.Close()
	for id, ms := range f.sessions {
		l.LoadSession(id, ms)
	}
	for _, e := range f.lists {
		l.LoadACL(e.Key, e.List)
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		if err := l.LoadNode(n.path, n.data, n.acl, &n.st); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.LoadDone(f.zxid); err != nil {
		t.Fatal(err)
	}
	if l.Dangled > 0 {
		t.Errorf("%d znodes without their list", l.Dangled)
	}
	for range times {
		for _, x := range log {
			if x.Zxid > f.zxid {
				l.Apply(x)
			}
		}
	}
}

// withQuotas begins a history with quotas on two paths.
func withQuotas(h *history, tr *Tree) (log []*proto.Txn) {
	for _, path := range []string{proto.QuotaPath + "/n0", proto.QuotaPath + "/n0/" + proto.LimitsNode, proto.QuotaPath + "/n0/" + proto.StatsNode,
		proto.QuotaPath + "/n1", proto.QuotaPath + "/n1/n2", proto.QuotaPath + "/n1/n2/" + proto.StatsNode, proto.QuotaPath + "/n1/n2/" + proto.LimitsNode} {
		x := h.header()
		x.Type, x.Body = proto.OpCreate, &proto.CreateTxn{Path: path, Data: []byte("count=5,bytes=500"), ACL: openList, ParentCversion: -1}
		applyAll(tr, x)
		log = append(log, x)
	}
	return log
}

// TestSnapshotWhileApplying takes a snapshot, goes on with the history between
// its znodes, and loads it: the log from the snapshot's zxid on brings the
// loaded tree to the same end, and so does the log when it is applied twice.
func TestSnapshotWhileApplying(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			h, tr := newHistory(seed, 6, 5), New()
			defer tr.Close()
			log := withQuotas(h, tr)
			h.m.zxid = h.now
			step := func() {
				x := h.settled(1500)
				applyAll(tr, x)
				log = append(log, x)
			}
			for range 1000 + h.IntN(4000) {
				step()
			}
			one := write(t, tr, nil)
			pace := h.IntN(6) // transactions a znode
			fuzzy := write(t, tr, func() {
				for range h.IntN(pace + 1) {
					step()
				}
			})
			again := write(t, tr, step)
			for range h.IntN(500) {
				step()
			}
			want := treeFacts(tr)
			if want["digest"] != fmt.Sprintf("%x", h.m.digest()) {
				t.Fatalf("digest %s, that of the model is %x", want["digest"], h.m.digest())
			}
			loaded := New()
			defer loaded.Close()
			for _, f := range []*file{fuzzy, one, again} {
				for times := 1; times <= 2; times++ {
					f.load(t, loaded, log, times) // what it held before is forgotten
					same(t, fmt.Sprintf("from zxid %s of %s, log applied %d times", f.zxid, h.now, times), treeFacts(loaded), want)
				}
			}
		})
	}
}

// TestSnapshotIsExact: while nothing changes a snapshot is the tree.
func TestSnapshotIsExact(t *testing.T) {
	h, tr, loaded := newHistory(1, 6, 5), New(), New()
	defer tr.Close()
	defer loaded.Close()
	for range 3000 {
		applyAll(tr, h.settled(700))
	}
	f := write(t, tr, nil)
	if len(f.nodes) != len(h.m.nodes) {
		t.Errorf("%d znodes, want %d", len(f.nodes), len(h.m.nodes))
	}
	f.load(t, loaded, nil, 0)
	same(t, "loaded", treeFacts(loaded), h.m.facts())
}

// TestSnapshotBesideApplier writes snapshots while another goroutine applies
// and others read; the race detector watches.
func TestSnapshotBesideApplier(t *testing.T) {
	h, tr := newHistory(7, 6, 5), New()
	defer tr.Close()
	var (
		mu   sync.Mutex
		log  []*proto.Txn
		wg   sync.WaitGroup
		stop = make(chan struct{})
	)
	apply := func(n int) {
		batch := make([]*proto.Txn, n)
		for i := range batch {
			batch[i] = h.settled(800)
		}
		mu.Lock()
		log = append(log, batch...)
		mu.Unlock()
		applyAll(tr, batch...)
	}
	apply(3000)
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				apply(20)
			}
		}
	})
	for slot := range uint32(2) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := tr.View(slot)
				if r := v.Find("/n1"); r != 0 && v.Path(r) != "/n1" {
					t.Error("found another path")
				}
				v.Close()
			}
		})
	}
	var files []*file
	for range 5 {
		files = append(files, write(t, tr, nil))
	}
	close(stop)
	wg.Wait()
	want, loaded := treeFacts(tr), New()
	defer loaded.Close()
	for i, f := range files {
		f.load(t, loaded, log, 1)
		same(t, fmt.Sprintf("snapshot %d", i), treeFacts(loaded), want)
	}
}

// TestSnapshotStops: an error of the writer ends the snapshot, and the next
// one may begin.
func TestSnapshotStops(t *testing.T) {
	tr := New()
	defer tr.Close()
	s := tr.Snapshot()
	bad := fmt.Errorf("disk full")
	if err := s.Nodes(func([]byte, []byte, int64, *proto.StatPersisted) error { return bad }); err != bad {
		t.Errorf("error %v, want %v", err, bad)
	}
	s.Close()
	if f := write(t, tr, nil); len(f.nodes) != 4 {
		t.Errorf("%d znodes, want 4", len(f.nodes))
	}
}

// TestLoadOddities: snapshots of other writers, and files that are damaged in
// ways that a checksum may let pass.
func TestLoadOddities(t *testing.T) {
	list := []proto.ACL{{Perms: 1, Scheme: "ip", ID: "10.0.0.1"}}
	type step struct {
		path, data string
		key        int64
		cz         proto.Zxid
		bad        bool
	}
	for _, tc := range []struct {
		name  string
		steps []step
		want  map[string]string // path to data and list
		done  bool              // LoadDone fails
	}{
		{name: "without the server's own znodes", steps: []step{{"", "", -1, 0, false}, {"/a", "x", 5, 1, false}},
			want: map[string]string{"/a": "x 10.0.0.1", "/zookeeper": " anyone", "/zookeeper/quota": " anyone", "/zookeeper/config": " anyone"}},
		{name: "a path comes twice: the later counts, what was below the first goes", steps: []step{{"", "", -1, 0, false}, {"/a", "x", 5, 1, false}, {"/a/b", "", -1, 2, false}, {"/a", "y", -1, 3, false}},
			want: map[string]string{"/a": "y anyone", "/a/b": "none"}},
		{name: "a list is missing", steps: []step{{"", "", -1, 0, false}, {"/a", "x", 77, 1, false}, {"/b", "y", 78, 1, false}},
			want: map[string]string{"/a": "x anyone 0", "/b": "y anyone 0"}},
		{name: "a child before its parent", steps: []step{{"", "", -1, 0, false}, {"/a/b", "", -1, 1, true}}},
		{name: "a znode before the root", steps: []step{{"/a", "", -1, 1, true}}, done: true},
		{name: "the root twice", steps: []step{{"", "", -1, 0, false}, {"", "", -1, 0, true}}},
		{name: "a relative path", steps: []step{{"", "", -1, 0, false}, {"a", "", -1, 0, true}}},
		{name: "the root by its other name", steps: []step{{"", "", -1, 0, false}, {"/a", "", -1, 0, false}, {"/", "", -1, 0, true}}},
		{name: "an empty name", steps: []step{{"", "", -1, 0, false}, {"/a", "", -1, 0, false}, {"/a/", "", -1, 0, true}}},
		{name: "nothing", done: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := New()
			defer tr.Close()
			l := tr.Load()
			l.LoadACL(5, list)
			for _, s := range tc.steps {
				err := l.LoadNode([]byte(s.path), []byte(s.data), s.key, &proto.StatPersisted{Czxid: s.cz})
				if (err != nil) != s.bad {
					t.Errorf("%q: %v", s.path, err)
				}
			}
			if err := l.LoadDone(9); (err != nil) != tc.done {
				t.Errorf("done: %v", err)
			}
			l.Close()
			if tc.done {
				return
			}
			v := tr.View(0)
			defer v.Close()
			for _, path := range slices.Sorted(maps.Keys(tc.want)) {
				got := "none"
				if r := v.Find(path); r != 0 {
					got = string(v.Data(r)) + " " + v.ACL(r)[0].ID
					if v.ACL(r)[0].Perms == 0 {
						got += " 0"
					}
				}
				if got != tc.want[path] {
					t.Errorf("%s: %q, want %q", path, got, tc.want[path])
				}
			}
		})
	}
}
