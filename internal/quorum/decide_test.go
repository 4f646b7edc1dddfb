// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// voters is a membership with voters 1..n and observers up to n+m.
func voters(n, m int) *Config {
	c := &Config{}
	for i := range n + m {
		c.Members = append(c.Members, Member{ID: int64(i + 1), Observer: i >= n,
			Addrs: []Addr{{Host: fmt.Sprintf("h%d", i+1), QuorumPort: 1, ElectionPort: 2}}})
	}
	return c
}

// grouped adds groups to voters 1..n: text is "1:2/3:4:5", weights "1=2/3=0".
func grouped(t testing.TB, n int, groups, weights string) *Config {
	t.Helper()
	c := voters(n, 1)
	c.Groups = map[int64][]int64{}
	for g, text := range strings.Split(groups, "/") {
		ids, err := ParseGroup(text)
		if err != nil {
			t.Fatal(err)
		}
		c.Groups[int64(g+1)] = ids
	}
	c.Weights = map[int64]int64{}
	for _, text := range strings.Split(weights, "/") {
		var id, w int64
		if n, _ := fmt.Sscanf(text, "%d=%d", &id, &w); n == 2 {
			c.Weights[id] = w
		}
	}
	if faults := c.CheckGroups(); len(faults) > 0 {
		t.Fatal(faults[0])
	}
	return c
}

func among(ids ...int64) func(int64) bool {
	return func(id int64) bool { return slices.Contains(ids, id) }
}

func TestQuorum(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    *Config
		in   []int64
		want bool
	}{
		{"nobody votes", voters(0, 2), []int64{1, 2}, false},
		{"alone", voters(1, 0), []int64{1}, true},
		{"one of two", voters(2, 0), []int64{1}, false},
		{"two of two", voters(2, 0), []int64{1, 2}, true},
		{"two of three", voters(3, 0), []int64{1, 3}, true},
		{"two of four", voters(4, 0), []int64{1, 3}, false},
		{"three of five", voters(5, 0), []int64{1, 3, 5}, true},
		{"observers do not count", voters(3, 3), []int64{1, 4, 5, 6}, false},
		{"strangers do not count", voters(3, 0), []int64{1, 7, 8, 9}, false},

		{"two groups of three", grouped(t, 9, "1:2:3/4:5:6/7:8:9", ""), []int64{1, 2, 8, 9}, true},
		{"one group whole", grouped(t, 9, "1:2:3/4:5:6/7:8:9", ""), []int64{1, 2, 3, 4, 7}, false},
		{"half of an even group", grouped(t, 4, "1:2:3:4", ""), []int64{1, 2}, false},
		{"one of two groups", grouped(t, 6, "1:2:3/4:5:6", ""), []int64{1, 2, 3, 4}, false},
		{"both groups", grouped(t, 6, "1:2:3/4:5:6", ""), []int64{1, 2, 4, 5}, true},
		{"weight decides", grouped(t, 3, "1:2:3", "1=3"), []int64{1}, true},
		{"weight decides against", grouped(t, 3, "1:2:3", "1=3"), []int64{2, 3}, false},
		{"odd weight halves down", grouped(t, 3, "1:2:3", "1=1/2=2/3=0"), []int64{2}, true},
		{"a group without weight is not counted", grouped(t, 3, "1/2/3", "3=0"), []int64{1, 2}, true},
		{"nor is its vote", grouped(t, 3, "1/2/3", "3=0"), []int64{1, 3}, false},
		{"no weight at all", grouped(t, 2, "1:2", "1=0/2=0"), []int64{1, 2}, false},
		{"an observer's weight stands in the way", grouped(t, 2, "1:2:3", "3=5"), []int64{1, 2, 3}, false},
	} {
		if got := tc.c.Quorum(among(tc.in...)); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestJointQuorums(t *testing.T) {
	three, five := voters(3, 0), voters(5, 0)
	if !Reached(among(1, 2), three, nil) || Reached(among(1, 2), three, five) || !Reached(among(1, 2, 4), three, five) {
		t.Error("a joint quorum is one of each")
	}
	at := func(id int64) int64 { return id * 10 }
	if got := CommittedUpTo(at, three, five); got != 20 {
		t.Errorf("committed up to %d, want 20", got)
	}
	if got := CommittedUpTo(at, nil, five); got != 30 {
		t.Errorf("committed up to %d, want 30", got)
	}
	if got := voters(0, 3).CommittedUpTo(at); got != math.MinInt64 {
		t.Errorf("committed up to %d where nobody votes", got)
	}
}

// TestCommittedUpToAgainstQuorum: the answer is a value that a quorum has, and
// no voter's higher value is.
func TestCommittedUpToAgainstQuorum(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 5000 {
		c := randomConfig(r)
		at := map[int64]int64{}
		for _, m := range c.Members {
			at[m.ID] = r.Int63n(6)
		}
		want := int64(math.MinInt64)
		for _, id := range c.Voters() {
			v := at[id]
			if v > want && naive(c, func(id int64) bool { return at[id] >= v }) {
				want = v
			}
		}
		if got := c.CommittedUpTo(func(id int64) int64 { return at[id] }); got != want {
			t.Fatalf("%s\n%v: committed up to %d, want %d", c, at, got, want)
		}
	}
}

// TestQuorumsMeet: any two quorums of a membership share a voter, and every
// answer is that of the naive form.
func TestQuorumsMeet(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for range 5000 {
		c := randomConfig(r)
		a, b := randomSet(r, c), randomSet(r, c)
		for _, set := range []map[int64]bool{a, b} {
			in := func(id int64) bool { return set[id] }
			if got := c.Quorum(in); got != naive(c, in) {
				t.Fatalf("%s\n%v: %v", c, set, got)
			}
		}
		meet := slices.ContainsFunc(c.Voters(), func(id int64) bool { return a[id] && b[id] })
		if c.Quorum(func(id int64) bool { return a[id] }) && c.Quorum(func(id int64) bool { return b[id] }) && !meet {
			t.Fatalf("%s\n%v and %v are quorums and do not meet", c, a, b)
		}
	}
}

func randomConfig(r *rand.Rand) *Config {
	c := voters(r.Intn(9), r.Intn(3))
	if r.Intn(2) == 0 || len(c.Voters()) == 0 {
		return c
	}
	c.Groups, c.Weights = map[int64][]int64{}, map[int64]int64{}
	for _, id := range c.Voters() {
		g := r.Int63n(4)
		c.Groups[g] = append(c.Groups[g], id)
		if r.Intn(2) == 0 {
			c.Weights[id] = r.Int63n(4)
		}
	}
	for _, id := range c.Observers() {
		if g := r.Int63n(4); c.Groups[g] != nil && r.Intn(3) == 0 {
			c.Groups[g] = append(c.Groups[g], id)
			c.Weights[id] = r.Int63n(3)
		}
	}
	return c
}

func randomSet(r *rand.Rand, c *Config) map[int64]bool {
	set := map[int64]bool{}
	for _, m := range c.Members {
		set[m.ID] = r.Intn(3) > 0
	}
	return set
}

// naive follows section 3.6 word for word.
func naive(c *Config, in func(int64) bool) bool {
	acked := map[int64]bool{}
	for _, id := range c.Voters() {
		if in(id) {
			acked[id] = true
		}
	}
	if c.Groups == nil {
		return len(acked) > len(c.Voters())/2
	}
	weight := maps.Clone(c.Weights)
	for _, id := range c.Voters() {
		if _, ok := weight[id]; !ok {
			weight[id] = 1
		}
	}
	counted, won := 0, 0
	for _, ids := range c.Groups {
		total, have := int64(0), int64(0)
		for _, id := range ids {
			total += weight[id]
			if acked[id] {
				have += weight[id]
			}
		}
		if total != 0 {
			counted++
			if have > total/2 {
				won++
			}
		}
	}
	return won > counted/2
}

func TestNoGarbage(t *testing.T) {
	at := func(id int64) int64 { return id * 7 % 5 }
	in := among(1, 2, 3, 4)
	for n := range 8 {
		c := voters(n, 2)
		if got := testing.AllocsPerRun(100, func() { c.CommittedUpTo(at); c.Quorum(in) }); got != 0 {
			t.Errorf("%d voters: %v allocations", n, got)
		}
	}
}

func BenchmarkCommittedUpTo(b *testing.B) {
	at := func(id int64) int64 { return id * 7 % 5 }
	for _, tc := range []struct {
		name string
		c    *Config
	}{{"3", voters(3, 0)}, {"5", voters(5, 2)}, {"7", voters(7, 0)}, {"21", voters(21, 0)},
		{"groups", grouped(b, 9, "1:2:3/4:5:6/7:8:9", "")}} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tc.c.CommittedUpTo(at)
			}
		})
	}
}
