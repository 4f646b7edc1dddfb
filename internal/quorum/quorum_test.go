// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"slices"
	"testing"
)

func mustParse(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMembers(t *testing.T) {
	c := mustParse(t, "server.10=j:1:2\nserver.2=b:1:2:observer\nserver.1=a:1:2;3\nversion=1f")
	if c.Version != 0x1f || !slices.Equal(c.Voters(), []int64{1, 10}) || !slices.Equal(c.Observers(), []int64{2}) {
		t.Errorf("%+v", c)
	}
	for id, want := range map[int64][2]bool{1: {true, true}, 2: {true, false}, 10: {true, true}, 3: {false, false}, -1: {false, false}} {
		m, ok := c.Member(id)
		if ok != want[0] || ok && m.ID != id || c.IsVoter(id) != want[1] {
			t.Errorf("server %d: %+v %v, votes %v", id, m, ok, c.IsVoter(id))
		}
	}
	if again := c.WithVersion(5); again.Version != 5 || c.Version != 0x1f || !again.SameMembers(c) {
		t.Errorf("%+v", again)
	}
}

func TestWeight(t *testing.T) {
	c := grouped(t, 3, "1:2:3:4", "2=5/4=2")
	for id, want := range map[int64]int64{1: 1, 2: 5, 3: 1, 4: 2, 9: 0} {
		if got := c.Weight(id); got != want {
			t.Errorf("server %d weighs %d, want %d", id, got, want)
		}
	}
	if got := voters(1, 0).Weight(9); got != 1 {
		t.Errorf("without groups a server weighs %d", got)
	}
}

func TestSameMembers(t *testing.T) {
	const base = "server.1=a:1:2|b:3:4;5\nserver.2=[::1]:1:2:observer\nversion=1"
	for _, tc := range []struct {
		name, text string
		want       bool
	}{
		{"itself", base, true},
		{"another version", "server.1=a:1:2|b:3:4;5\nserver.2=[::1]:1:2:observer\nversion=2", true},
		{"another client address", "server.1=a:1:2|b:3:4\nserver.2=[::1]:1:2:observer;7", true},
		{"another way to write it", "server.1=B:3:4|A:1:2\nserver.2=[0:0:0:0:0:0:0:1]:1:2:OBSERVER", true},
		{"a port", "server.1=a:1:9|b:3:4\nserver.2=[::1]:1:2:observer", false},
		{"an address less", "server.1=a:1:2\nserver.2=[::1]:1:2:observer", false},
		{"a role", "server.1=a:1:2|b:3:4\nserver.2=[::1]:1:2", false},
		{"an id", "server.1=a:1:2|b:3:4\nserver.3=[::1]:1:2:observer", false},
		{"a member less", "server.1=a:1:2|b:3:4", false},
		{"groups", "server.1=a:1:2|b:3:4\nserver.2=[::1]:1:2:observer\ngroup.1=1", false},
	} {
		a, b := mustParse(t, base), mustParse(t, tc.text)
		if a.SameMembers(b) != tc.want || b.SameMembers(a) != tc.want {
			t.Errorf("%s: %v and %v", tc.name, a.SameMembers(b), b.SameMembers(a))
		}
	}
	if a := mustParse(t, base); a.SameMembers(nil) {
		t.Error("a membership is none")
	}
	g := "server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2\n"
	if !mustParse(t, g+"weight.1=1").SameMembers(mustParse(t, "server.1=a:1:2\nserver.2=b:1:2\ngroup.1=2:1")) ||
		mustParse(t, g+"weight.1=2").SameMembers(mustParse(t, g)) {
		t.Error("weights make a difference, unless they are written out only")
	}
}
