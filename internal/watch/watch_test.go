// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"paddock/proto"
)

// conn is a watcher with a name.
type conn struct {
	name string
	set  Set
}

func (c *conn) Watches() *Set { return &c.set }

// record collects visits as "conn type path".
type record []string

func (r *record) visit(w Watcher, e proto.EventType, path string) {
	*r = append(*r, fmt.Sprintf("%s %v %s", w.(*conn).name, e, path))
}

// do runs "create /a", "delete /a" or "set /a" and returns what was visited,
// the order between connections of one step left out.
func do(t *Table, change string) []string {
	var r record
	verb, path, _ := strings.Cut(change, " ")
	switch verb {
	case "create":
		t.Created(path, r.visit)
	case "delete":
		t.Deleted(path, r.visit)
	case "set":
		t.DataChanged(path, r.visit)
	default:
		panic(change)
	}
	slices.SortStableFunc(r, func(a, b string) int {
		if eventOf(a) != eventOf(b) {
			return 0
		}
		return strings.Compare(a, b)
	})
	return r
}

func eventOf(visit string) string { return strings.Fields(visit)[1] }

// The rows are "effects by watch kind" of client-protocol.md section 8.3: what
// a watch at /n hears, and whether it is there afterwards.
func TestEffects(t *testing.T) {
	const (
		created, deleted, data, children = "NodeCreated", "NodeDeleted", "NodeDataChanged", "NodeChildrenChanged"
	)
	for _, tc := range []struct {
		change                             string
		dataKind, child, persist, recursed string // event and path, "" for none
	}{
		{"create /n", created + " /n", "", created + " /n", created + " /n"},
		{"set /n", data + " /n", "", data + " /n", data + " /n"},
		{"delete /n", deleted + " /n", deleted + " /n", deleted + " /n", deleted + " /n"},
		{"create /n/c", "", children + " /n", children + " /n", created + " /n/c"},
		{"set /n/c", "", "", "", data + " /n/c"},
		{"delete /n/c", "", children + " /n", children + " /n", deleted + " /n/c"},
		{"create /n/c/d", "", "", "", created + " /n/c/d"},
		{"set /n/c/d", "", "", "", data + " /n/c/d"},
		{"delete /n/c/d", "", "", "", deleted + " /n/c/d"},
		{"set /nn", "", "", "", ""},
		{"create /nn/c", "", "", "", ""},
		{"set /", "", "", "", ""},
	} {
		for _, k := range []struct {
			name string
			kind Kind
			want string
			once bool
		}{
			{"data", Data, tc.dataKind, true}, {"child", Child, tc.child, true},
			{"persistent", Persistent, tc.persist, false}, {"recursive", Recursive, tc.recursed, false},
		} {
			t.Run(tc.change+" seen by "+k.name, func(t *testing.T) {
				table, w := New(), &conn{name: "w"}
				table.Add("/n", w, k.kind)
				var want []string
				if k.want != "" {
					want = []string{"w " + k.want}
				}
				if got := do(table, tc.change); !slices.Equal(got, want) {
					t.Errorf("visits %q, want %q", got, want)
				}
				if k.once && want != nil {
					want = nil
				}
				if got := do(table, tc.change); !slices.Equal(got, want) {
					t.Errorf("the second time: visits %q, want %q", got, want)
				}
			})
		}
	}
}

// The rows follow the recording 06_watches: several modes and connections.
func TestCombinations(t *testing.T) {
	type arm struct {
		who  string
		path string
		kind Kind
	}
	for _, tc := range []struct {
		name   string
		arms   []arm
		change string
		want   []string
		again  []string // the same change once more
	}{
		{"registered three times", []arm{{"a", "/w", Data}, {"a", "/w", Data}, {"a", "/w", Data}}, "set /w",
			[]string{"a NodeDataChanged /w"}, nil},
		{"data and child, deleted: once", []arm{{"a", "/w", Data}, {"a", "/w", Child}}, "delete /w", []string{"a NodeDeleted /w"}, nil},
		{"deleted: the node, then its parent", []arm{{"a", "/w", Child}, {"a", "/w/c", Data}, {"a", "/w/c", Child}}, "delete /w/c",
			[]string{"a NodeDeleted /w/c", "a NodeChildrenChanged /w"}, nil},
		{"created: the node, then its parent", []arm{{"a", "/w", Child}, {"a", "/w/c", Data}}, "create /w/c",
			[]string{"a NodeCreated /w/c", "a NodeChildrenChanged /w"}, nil},
		{"child watch stays when data is set", []arm{{"a", "/w", Child}, {"a", "/w", Data}}, "set /w", []string{"a NodeDataChanged /w"}, nil},
		{"persistent and one-shot: one event", []arm{{"a", "/w", Persistent}, {"a", "/w", Data | Child}}, "set /w",
			[]string{"a NodeDataChanged /w"}, []string{"a NodeDataChanged /w"}},
		{"persistent, deleted: one event", []arm{{"a", "/w", Persistent}}, "delete /w", []string{"a NodeDeleted /w"}, []string{"a NodeDeleted /w"}},
		{"recursive at the node, above and at the root: one event", []arm{{"a", "/w/c", Recursive}, {"a", "/w", Recursive}, {"a", "/", Recursive}},
			"set /w/c", []string{"a NodeDataChanged /w/c"}, []string{"a NodeDataChanged /w/c"}},
		{"recursive above and data at the node: one event, the data watch is used up", []arm{{"a", "/", Recursive}, {"a", "/w", Data}},
			"set /w", []string{"a NodeDataChanged /w"}, []string{"a NodeDataChanged /w"}},
		{"a child watch below a recursive one still fires", []arm{{"a", "/w", Recursive}, {"a", "/w/c", Child}}, "create /w/c/g",
			[]string{"a NodeCreated /w/c/g", "a NodeChildrenChanged /w/c"}, []string{"a NodeCreated /w/c/g"}},
		{"persistent and recursive at one path", []arm{{"a", "/w", Recursive}, {"a", "/w", Persistent}}, "create /w/d",
			[]string{"a NodeCreated /w/d", "a NodeChildrenChanged /w"}, []string{"a NodeCreated /w/d", "a NodeChildrenChanged /w"}},
		{"recursive at the root covers everything", []arm{{"a", "/", Recursive}}, "set /x/y/z",
			[]string{"a NodeDataChanged /x/y/z"}, []string{"a NodeDataChanged /x/y/z"}},
		{"child of the root", []arm{{"a", "/", Child}}, "create /x", []string{"a NodeChildrenChanged /"}, nil},
		{"data of the root", []arm{{"a", "/", Data}}, "set /", []string{"a NodeDataChanged /"}, nil},
		{"the empty path is a key of its own", []arm{{"a", "", Data | Child | Persistent | Recursive}}, "set /", nil, nil},
		{"nothing fires the empty path", []arm{{"a", "", Data | Child | Persistent | Recursive}}, "create /x", nil, nil},
		{"not even itself", []arm{{"a", "", Data | Child | Persistent | Recursive}}, "set ", nil, nil},
		{"several connections", []arm{{"a", "/w", Data}, {"b", "/w", Persistent}, {"c", "/w", Child}, {"d", "/", Recursive}, {"e", "/w", Data}},
			"delete /w", []string{"a NodeDeleted /w", "b NodeDeleted /w", "c NodeDeleted /w", "d NodeDeleted /w", "e NodeDeleted /w"},
			[]string{"b NodeDeleted /w", "d NodeDeleted /w"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table, conns := New(), map[string]*conn{}
			for _, a := range tc.arms {
				if conns[a.who] == nil {
					conns[a.who] = &conn{name: a.who}
				}
				table.Add(a.path, conns[a.who], a.kind)
			}
			if got := do(table, tc.change); !slices.Equal(got, tc.want) {
				t.Errorf("visits %q, want %q", got, tc.want)
			}
			if got := do(table, tc.change); !slices.Equal(got, tc.again) {
				t.Errorf("the second time: visits %q, want %q", got, tc.again)
			}
		})
	}
}

// The rows are seq 118 to 138 of the recording 06_watches.
func TestTypes(t *testing.T) {
	table, r := New(), &conn{name: "r"}
	table.Add("/q", r, Persistent)
	table.Add("/q", r, Recursive)
	has := func(typ int32, want bool) {
		t.Helper()
		if got := table.Has("/q", r, typ); got != want {
			t.Errorf("Has(%d) = %v", typ, got)
		}
	}
	remove := func(path string, typ int32, want bool) {
		t.Helper()
		if got := table.Remove(path, r, typ); got != want {
			t.Errorf("Remove(%s, %d) = %v", path, typ, got)
		}
	}
	has(proto.WatcherAny, true)
	has(proto.WatcherPersistent, true)
	has(proto.WatcherPersistentRecursive, true)
	has(proto.WatcherChildren, false)
	has(proto.WatcherData, false)
	has(0, false)
	has(6, false)
	remove("/q", proto.WatcherChildren, false)
	remove("/q", proto.WatcherPersistent, true)
	has(proto.WatcherPersistentRecursive, true)
	remove("/q", proto.WatcherPersistentRecursive, true)
	remove("/q", proto.WatcherPersistentRecursive, false)
	table.Add("/q", r, Data)
	table.Add("/q", r, Child)
	remove("/q", proto.WatcherAny, true)
	has(proto.WatcherAny, false)
	remove("/", proto.WatcherAny, false)
	table.Add("/q", r, Data|Child)
	remove("/q", proto.WatcherData, true)
	has(proto.WatcherChildren, true)
	if table.Has("/q", &conn{}, proto.WatcherAny) || table.Remove("/q", &conn{}, proto.WatcherAny) {
		t.Error("a stranger has the watch")
	}
	if w, p, c := table.Counts(); w != 1 || p != 1 || c != 1 {
		t.Errorf("Counts = %d, %d, %d", w, p, c)
	}
}

func TestRemoveAll(t *testing.T) {
	table, a, b := New(), &conn{name: "a"}, &conn{name: "b"}
	for i := range 100 {
		table.Add(fmt.Sprint("/n/", i), a, Data|Recursive)
		table.Add(fmt.Sprint("/n/", i), b, Data)
	}
	table.RemoveAll(a)
	table.Add("/n/1", a, Persistent)
	table.Add("/other", a, Data)
	if w, p, c := table.Counts(); w != 100 || p != 100 || c != 1 {
		t.Errorf("Counts = %d, %d, %d", w, p, c)
	}
	if got := do(table, "set /n/1"); !slices.Equal(got, []string{"b NodeDataChanged /n/1"}) {
		t.Errorf("visits %q", got)
	}
	table.RemoveAll(a)
	table.RemoveAll(b)
	table.RemoveAll(&conn{})
	checkEmpty(t, table)
}

func checkEmpty(t *testing.T, table *Table) {
	t.Helper()
	if w, p, c := table.Counts(); w != 0 || p != 0 || c != 0 || table.recursive.Load() != 0 {
		t.Errorf("Counts = %d, %d, %d, recursive %d", w, p, c, table.recursive.Load())
	}
	for i := range table.shards {
		for _, n := range table.shards[i].buckets {
			if n != nil {
				t.Errorf("%q is left", n.path)
			}
		}
	}
}

// Add must not keep the caller's memory.
func TestPathIsCopied(t *testing.T) {
	table, a := New(), &conn{name: "a"}
	buf := []byte("/abc")
	table.Add(unsafe.String(&buf[0], len(buf)), a, Data)
	copy(buf, "/xyz")
	var kept string
	table.ByPath(func(path string, w Watcher) { kept = path })
	if kept != "/abc" {
		t.Errorf("kept %q", kept)
	}
}

func TestLists(t *testing.T) {
	table, a, b := New(), &conn{name: "a"}, &conn{name: "b"}
	table.Add("/1", a, Data)
	table.Add("/1", b, Recursive)
	table.Add("/2", a, Persistent)
	table.Add("/3", a, Child) // not in the data table
	var byPath, byWatcher []string
	table.ByPath(func(path string, w Watcher) { byPath = append(byPath, path+" "+w.(*conn).name) })
	table.ByWatcher(func(w Watcher, path string) { byWatcher = append(byWatcher, w.(*conn).name+" "+path) })
	slices.Sort(byPath)
	slices.Sort(byWatcher)
	if want := []string{"/1 a", "/1 b", "/2 a"}; !slices.Equal(byPath, want) {
		t.Errorf("ByPath %q", byPath)
	}
	if want := []string{"a /1", "a /2", "b /1"}; !slices.Equal(byWatcher, want) {
		t.Errorf("ByWatcher %q", byWatcher)
	}
	if c, p, w := table.Summary(); c != 2 || p != 2 || w != 3 {
		t.Errorf("Summary = %d, %d, %d", c, p, w)
	}
	if w, p, c := table.Counts(); w != 5 || p != 3 || c != 2 {
		t.Errorf("Counts = %d, %d, %d", w, p, c)
	}
}

// Readers arm and disarm, connections come and go, while one goroutine
// announces; at the end nothing may be left over.
func TestConcurrent(t *testing.T) {
	const readers, rounds, paths = 6, 300, 20
	table := New()
	done := make(chan struct{})
	var readersDone, announcerDone sync.WaitGroup
	announcerDone.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			path := fmt.Sprint("/p/", i%paths)
			visit := func(w Watcher, e proto.EventType, path string) {
				if w.(*conn).name == "" {
					t.Error("a watcher without a name")
				}
				if i%97 == 0 {
					table.RemoveAll(w) // as a connection too slow to be told
				}
			}
			switch i % 3 {
			case 0:
				table.Created(path, visit)
			case 1:
				table.DataChanged(path, visit)
			default:
				table.Deleted(path, visit)
			}
		}
	})
	for r := range readers {
		readersDone.Go(func() {
			for round := range rounds {
				c := &conn{name: fmt.Sprint(r, "/", round)}
				for i := range paths {
					table.Add(fmt.Sprint("/p/", i), c, Kind(1<<((i+round)%4)))
					if i%3 == 0 {
						table.Has(fmt.Sprint("/p/", i), c, proto.WatcherAny)
						table.Remove(fmt.Sprint("/p/", i/2), c, proto.WatcherAny)
					}
				}
				if round%10 == 0 {
					table.ByPath(func(string, Watcher) {})
					table.Counts()
				}
				table.RemoveAll(c)
			}
		})
	}
	readersDone.Wait()
	close(done)
	announcerDone.Wait()
	checkEmpty(t, table)
}
