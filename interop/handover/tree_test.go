// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// connect opens a session that may read and write all.
func connect(t *testing.T, addr string) *zk.Conn {
	t.Helper()
	c, _, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogger(quiet{}), zk.WithDialer(dialReady))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddAuth("digest", []byte(superAuth)); err != nil {
		t.Fatal(err)
	}
	return c
}

// A tree is the whole of what a client can see: for each path its data, Stat and ACL as one line.
type tree map[string]string

func readTree(t *testing.T, addr string) tree {
	t.Helper()
	c := connect(t, addr)
	defer c.Close()
	got := tree{}
	var walk func(path string)
	walk = func(path string) {
		data, stat, err := c.Get(path)
		if err != nil {
			t.Fatalf("get %s: %v", path, err)
		}
		acl, _, err := c.GetACL(path)
		if err != nil {
			t.Fatalf("getACL %s: %v", path, err)
		}
		kind := "null "
		if data != nil {
			kind = ""
		}
		got[path] = fmt.Sprintf("%s%q %+v %v", kind, data, *stat, acl)
		kids, _, err := c.Children(path)
		if err != nil {
			t.Fatalf("children of %s: %v", path, err)
		}
		for _, k := range kids {
			walk(strings.TrimSuffix(path, "/") + "/" + k)
		}
	}
	walk("/")
	return got
}

// sameTree reports each path at which the two trees differ.
func sameTree(t *testing.T, what string, before, after tree) {
	t.Helper()
	paths := map[string]bool{}
	for p := range before {
		paths[p] = true
	}
	for p := range after {
		paths[p] = true
	}
	var bad []string
	for p := range paths {
		if before[p] != after[p] {
			bad = append(bad, fmt.Sprintf("%s\n  before %s\n  after  %s", p, before[p], after[p]))
		}
	}
	sort.Strings(bad)
	if len(bad) > 0 {
		t.Errorf("%s: %d of %d znodes differ, as\n%s", what, len(bad), len(paths), strings.Join(bad[:min(len(bad), 10)], "\n"))
	}
}
