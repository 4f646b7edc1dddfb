// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"paddock/proto"
)

// model is the rules of section 8, written down as two tables of plain maps.
type model struct {
	data, child map[string]map[*conn]Kind // path, connection, modes
	gone        map[*conn]bool
}

func newModel() *model {
	return &model{map[string]map[*conn]Kind{}, map[string]map[*conn]Kind{}, map[*conn]bool{}}
}

func armIn(table map[string]map[*conn]Kind, path string, c *conn, k Kind) {
	if table[path] == nil {
		table[path] = map[*conn]Kind{}
	}
	table[path][c] |= k
}

func (m *model) add(path string, c *conn, k Kind) {
	if m.gone[c] {
		return
	}
	if k := k & (Data | Persistent | Recursive); k != 0 {
		armIn(m.data, path, c, k)
	}
	if k := k & (Child | Persistent); k != 0 {
		armIn(m.child, path, c, k)
	}
}

func (m *model) has(path string, c *conn, typ int32) bool {
	d, ch := m.data[path][c], m.child[path][c]
	switch typ {
	case 1:
		return ch&Child != 0
	case 2:
		return d&Data != 0
	case 3:
		return d|ch != 0
	case 4:
		return (d|ch)&Persistent != 0
	case 5:
		return d&Recursive != 0
	}
	return false
}

func (m *model) remove(path string, c *conn, typ int32) bool {
	had := m.has(path, c, typ)
	for _, table := range []map[string]map[*conn]Kind{m.data, m.child} {
		if k, ok := table[path][c]; ok {
			set(table, path, c, k&^map[int32]Kind{1: Child, 2: Data, 3: 15, 4: Persistent, 5: Recursive}[typ])
		}
	}
	return had
}

func set(table map[string]map[*conn]Kind, path string, c *conn, k Kind) {
	if table[path][c] = k; k == 0 {
		delete(table[path], c)
	}
}

func (m *model) removeAll(c *conn) {
	m.gone[c] = true
	for _, table := range []map[string]map[*conn]Kind{m.data, m.child} {
		for path := range table {
			delete(table[path], c)
		}
	}
}

// fire is one table's part in one step.
func (m *model) fire(table map[string]map[*conn]Kind, path string, e proto.EventType, not map[*conn]bool) (out []string, told map[*conn]bool) {
	told = map[*conn]bool{}
	for c, k := range table[path] {
		told[c] = true
		set(table, path, c, k&^(Data|Child))
	}
	for at := path; at != "/"; {
		if at = at[:strings.LastIndexByte(at, '/')]; at == "" {
			at = "/"
		}
		for c, k := range table[at] {
			if k&Recursive != 0 {
				told[c] = true
			}
		}
	}
	for c := range told {
		if !not[c] {
			out = append(out, fmt.Sprintf("%s %v %s", c.name, e, path))
		}
	}
	slices.Sort(out)
	return out, told
}

func (m *model) do(verb, path string) []string {
	switch verb {
	case "set":
		out, _ := m.fire(m.data, path, proto.EventDataChanged, nil)
		return out
	case "create":
		out, _ := m.fire(m.data, path, proto.EventCreated, nil)
		return append(out, m.parent(path)...)
	}
	one, told := m.fire(m.data, path, proto.EventDeleted, nil)
	two, _ := m.fire(m.child, path, proto.EventDeleted, told)
	both := append(one, two...)
	slices.Sort(both) // the order between connections is free
	return append(both, m.parent(path)...)
}

func (m *model) parent(path string) []string {
	q := path[:strings.LastIndexByte(path, '/')]
	if q == "" {
		q = "/"
	}
	out, _ := m.fire(m.child, q, proto.EventChildrenChanged, nil)
	return out
}

func (m *model) counts() (watches, paths, watchers int) {
	ps, cs := map[string]bool{}, map[*conn]bool{}
	for _, table := range []map[string]map[*conn]Kind{m.data, m.child} {
		for path, conns := range table {
			for c := range conns {
				watches++
				ps[path], cs[c] = true, true
			}
		}
	}
	return watches, len(ps), len(cs)
}

// TestAgainstModel runs random histories on the table and on the model. A
// failure prints the seed of its history.
func TestAgainstModel(t *testing.T) {
	base := rand.Uint64()
	histories := 150
	if testing.Short() {
		histories = 20
	}
	for i := range histories {
		runHistory(t, base+uint64(i))
		if t.Failed() {
			return
		}
	}
}

func runHistory(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	var paths []string
	for _, a := range "abc" {
		paths = append(paths, "/"+string(a))
		for _, b := range "xyz" {
			paths = append(paths, fmt.Sprintf("/%c/%c", a, b), fmt.Sprintf("/%c/%c/deep", a, b))
		}
	}
	watched := append([]string{"/", ""}, paths...)
	table, m := New(), newModel()
	conns := make([]*conn, 1+rng.IntN(30))
	for i := range conns {
		conns[i] = &conn{name: fmt.Sprintf("c%02d", i)}
	}
	var log []string
	for step := range 400 {
		c, path := rng.IntN(len(conns)), watched[rng.IntN(len(watched))]
		var got, want any
		switch n := rng.IntN(100); {
		case n < 50:
			k := Kind(1 + rng.IntN(15))
			log = append(log, fmt.Sprintf("%s adds %04b at %q", conns[c].name, k, path))
			table.Add(path, conns[c], k)
			m.add(path, conns[c], k)
		case n < 60:
			typ := int32(rng.IntN(7))
			log = append(log, fmt.Sprintf("%s removes %d at %q", conns[c].name, typ, path))
			got, want = table.Remove(path, conns[c], typ), m.remove(path, conns[c], typ)
		case n < 70:
			typ := int32(rng.IntN(7))
			log = append(log, fmt.Sprintf("%s asks %d at %q", conns[c].name, typ, path))
			got, want = table.Has(path, conns[c], typ), m.has(path, conns[c], typ)
		case n < 73:
			log = append(log, conns[c].name+" leaves")
			table.RemoveAll(conns[c])
			m.removeAll(conns[c])
			if rng.IntN(2) == 0 { // and another one comes
				conns[c] = &conn{name: fmt.Sprintf("c%02d+%d", c, step)}
			}
		default:
			verb := []string{"create", "delete", "set"}[rng.IntN(3)]
			path = paths[rng.IntN(len(paths))]
			log = append(log, verb+" "+path)
			got, want = strings.Join(do(table, verb+" "+path), "\n"), strings.Join(m.do(verb, path), "\n")
		}
		gw, gp, gc := table.Counts()
		ww, wp, wc := m.counts()
		if got != want || gw != ww || gp != wp || gc != wc {
			t.Fatalf("seed %#x, step %d: %s\ngot  %v\nwant %v\ncounts %d %d %d, want %d %d %d\nbefore: %s", seed, step,
				log[len(log)-1], got, want, gw, gp, gc, ww, wp, wc, strings.Join(log[max(0, len(log)-30):], "\n  "))
		}
	}
	for _, c := range conns {
		table.RemoveAll(c)
	}
	checkEmpty(t, table)
}
