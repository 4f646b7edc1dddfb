// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"runtime"
	"testing"

	"paddock/proto"
)

// TestBytesPerWatch holds a million watches to what the package comment says:
// memory of the table and of what the Sets point to, paths of 30 bytes
// included; the Set itself is the connection's.
func TestBytesPerWatch(t *testing.T) {
	if testing.Short() {
		t.Skip("a million watches")
	}
	for _, tc := range []struct {
		name         string
		paths, conns int // each connection watches each path
		budget       float64
	}{
		{"a million paths, one connection", 1_000_000, 1, 135},
		{"one path, a million connections", 1, 1_000_000, 45},
		{"a thousand paths, a thousand connections", 1000, 1000, 55},
		{"half a million paths, two connections", 500_000, 2, 135},
	} {
		t.Run(tc.name, func(t *testing.T) {
			paths := make([]string, tc.paths)
			for i := range paths {
				paths[i] = fmt.Sprintf("/services/partition/%010d", i)
			}
			conns := make([]conn, tc.conns)
			before := heap()
			table := New()
			for _, p := range paths {
				for c := range conns {
					table.Add(p, &conns[c], Data)
				}
			}
			n := tc.paths * tc.conns
			if w, _, _ := table.Counts(); w != n {
				t.Fatalf("%d watches", w)
			}
			got := float64(heap()-before) / float64(n)
			t.Logf("%.1f bytes a watch", got)
			if got > tc.budget {
				t.Errorf("%.1f bytes a watch, more than %.0f", got, tc.budget)
			}
			for c := range conns {
				table.RemoveAll(&conns[c])
			}
			checkEmpty(t, table)
			runtime.KeepAlive(paths)
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAnnouncingDoesNotAllocate(t *testing.T) {
	table := New()
	conns := make([]conn, 5000)
	for i := range conns {
		table.Add("/busy", &conns[i], Persistent)
		table.Add("/busy/below", &conns[i], Recursive)
	}
	told := 0
	visit := func(Watcher, proto.EventType, string) { told++ }
	for _, path := range []string{"/quiet/path", "/busy/below/deeper"} {
		for name, announce := range map[string]func(string, func(Watcher, proto.EventType, string)){
			"Created": table.Created, "Deleted": table.Deleted, "DataChanged": table.DataChanged,
		} {
			if n := testing.AllocsPerRun(20, func() { announce(path, visit) }); n != 0 {
				t.Errorf("%s(%s): %v allocations", name, path, n)
			}
		}
	}
	if told == 0 {
		t.Error("nobody was told")
	}
}

func BenchmarkCreatedUnwatched(b *testing.B) {
	table, c := New(), &conn{}
	for i := range 100_000 {
		table.Add(fmt.Sprint("/watched/", i), c, Data)
	}
	visit := func(Watcher, proto.EventType, string) {}
	b.ReportAllocs()
	for b.Loop() {
		table.Created("/some/other/path", visit)
	}
}

func BenchmarkAddAndFire(b *testing.B) {
	for _, n := range []int{1, 5000} {
		b.Run(fmt.Sprint(n, " watchers"), func(b *testing.B) {
			table, conns := New(), make([]conn, n)
			visit := func(Watcher, proto.EventType, string) {}
			b.ReportAllocs()
			for b.Loop() {
				for i := range conns {
					table.Add("/path", &conns[i], Data)
				}
				table.DataChanged("/path", visit)
			}
		})
	}
}

func BenchmarkFanOutPersistent(b *testing.B) {
	table, conns := New(), make([]conn, 5000)
	for i := range conns {
		table.Add("/path", &conns[i], Persistent)
	}
	visit := func(Watcher, proto.EventType, string) {}
	b.ReportAllocs()
	for b.Loop() {
		table.DataChanged("/path", visit)
	}
}

func BenchmarkAddParallel(b *testing.B) {
	table := New()
	paths := make([]string, 4096)
	for i := range paths {
		paths[i] = fmt.Sprint("/p/", i)
	}
	b.RunParallel(func(pb *testing.PB) {
		c := &conn{}
		for i := 0; pb.Next(); i++ {
			table.Add(paths[i%len(paths)], c, Data)
		}
		table.RemoveAll(c)
	})
}
