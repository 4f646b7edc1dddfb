// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"paddock/zk"
)

// What the scenarios rest on must itself say no to each thing that may be wrong.
func TestJudge(t *testing.T) {
	client := new(zk.Client) // session 0 owns nothing
	node := func(data string, version int32) znode {
		return znode{data: fmt.Sprintf("%q", data), stat: zk.Stat{Version: version}}
	}
	for _, tt := range []struct {
		name string
		tree tree
		want string
	}{
		{"as acknowledged", tree{"/w1": node("a", 2), "/w1/n1": node("b", 0), "/w10": node("x", 0)}, ""},
		{"lost", tree{"/w1": node("a", 2)}, "/w1/n1 is gone"},
		{"an older value", tree{"/w1": node("before", 1), "/w1/n1": node("b", 0)}, "/w1 holds"},
		{"done twice", tree{"/w1": node("a", 3), "/w1/n1": node("b", 0)}, "/w1 is {"},
		{"made by nobody", tree{"/w1": node("a", 2), "/w1/n1": node("b", 0), "/w1/n2": node("c", 0)}, "/w1/n2 exists"},
		{"deleted", tree{"/w1": node("a", 2), "/w1/n1": node("b", 0), "/w1/n3": node("c", 0)}, "/w1/n3 exists"},
	} {
		w := &worker{client: client, root: "/w1", known: map[string]value{
			"/w1": {exists: true, data: "a", version: 2}, "/w1/n1": {exists: true, data: "b"}, "/w1/n3": {},
		}}
		got := strings.Join(w.judge(tt.tree), "; ")
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDifferences(t *testing.T) {
	a := tree{"/a": {data: "1"}, "/b": {data: "1", stat: zk.Stat{Pzxid: 7}}, "/c": {acl: "x"}}
	if d := differences(a, tree{"/a": {data: "1"}, "/b": {data: "1", stat: zk.Stat{Pzxid: 7}}, "/c": {acl: "x"}}); len(d) != 0 {
		t.Errorf("the same trees differ: %v", d)
	}
	b := tree{"/b": {data: "1", stat: zk.Stat{Pzxid: 8}}, "/c": {acl: "y"}, "/d": {}}
	if d := differences(a, b); len(d) != 4 {
		t.Errorf("%d differences: %v, want 4", len(d), d)
	}
}

func TestGaps(t *testing.T) {
	var g gaps
	g.begin()
	g.last = g.last.Add(-time.Second) // since when nothing was acknowledged
	g.ack()
	if d := g.lap(); d < time.Second || g.count() != 1 {
		t.Errorf("gap %v after %d writes, want a second after one", d, g.count())
	}
	if d := g.lap(); d >= time.Second {
		t.Errorf("gap %v of the lap before", d)
	}
	g.last = g.last.Add(-2 * time.Second)
	if d := g.lap(); d < 2*time.Second {
		t.Errorf("gap %v, want two seconds that still last", d)
	}
	g.end()
	g.last = time.Time{}
	if d := g.lap(); d > 3*time.Second {
		t.Errorf("gap %v while nothing is measured", d)
	}
}
