// SPDX-License-Identifier: Apache-2.0

package watch

// Counts returns the number of watches as mntr's watch_count has it (a path
// and a connection count once in the data and once in the child table), of
// paths with a watch, and of connections with a watch.
func (t *Table) Counts() (watches, paths, watchers int) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		watches += sh.watches
		paths += sh.paths
		sh.mu.Unlock()
	}
	return watches, paths, int(t.watchers.Load())
}

// Summary returns the numbers of the command wchs, which like wchc and wchp
// sees the data table only (operations.md). It walks the table.
func (t *Table) Summary() (watchers, paths, watches int) {
	seen := make(map[Watcher]struct{})
	last := ""
	t.ByPath(func(path string, w Watcher) {
		if watches == 0 || path != last {
			paths++
			last = path
		}
		watches++
		seen[w] = struct{}{}
	})
	return len(seen), paths, watches
}

// ByPath visits each path of the data table with each of its watchers, all of
// one path in a row. It is no one moment's picture: a shard is copied at a
// time, and no lock is held while visit runs.
func (t *Table) ByPath(visit func(path string, w Watcher)) {
	type pair struct {
		path string
		set  *Set
	}
	var pairs []pair
	for i := range t.shards {
		sh := &t.shards[i]
		pairs = pairs[:0]
		sh.mu.Lock()
		for _, n := range sh.buckets {
			for ; n != nil; n = n.next {
				for pos := range n.len() {
					if n.kind(pos)&dataTable != 0 {
						pairs = append(pairs, pair{n.path, n.set(pos)})
					}
				}
			}
		}
		sh.mu.Unlock()
		for _, p := range pairs {
			visit(p.path, p.set.owner)
		}
	}
}

// ByWatcher is ByPath with all paths of one watcher in a row.
func (t *Table) ByWatcher(visit func(w Watcher, path string)) {
	paths := make(map[Watcher][]string)
	t.ByPath(func(path string, w Watcher) { paths[w] = append(paths[w], path) })
	for w, list := range paths {
		for _, path := range list {
			visit(w, path)
		}
	}
}
