// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// apacheLib is the folder of the reference's jars: $ZK_LIB, or where the
// benchmarks and the interoperability tests put them.
func apacheLib(t *testing.T) string {
	t.Helper()
	lib := os.Getenv("ZK_LIB")
	if lib == "" {
		cache, _ := os.UserCacheDir()
		lib = filepath.Join(cache, "zkbench", "apache")
	}
	if jars, _ := filepath.Glob(filepath.Join(lib, "zookeeper-[0-9]*.jar")); len(jars) == 0 {
		t.Skip("no jars of Apache ZooKeeper in ", lib)
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("no java")
	}
	return lib
}

// TestApacheOpens writes directories and has Apache's own classes load them:
// the same zxid, digest and number of sessions, and no digest of a transaction
// that differs.
func TestApacheOpens(t *testing.T) {
	lib := apacheLib(t)
	root := t.TempDir()
	want := map[string]string{}
	build := func(name string, o Options, f func(s *Store) *mapTree) {
		o.DataDir, o.FS = filepath.Join(root, name), vfs.OS
		s := mustOpen(t, o)
		tree := f(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		want[name] = fmt.Sprintf("zxid=%x digest=%x sessions=%d mismatches=0", int64(tree.zxid), tree.digest, len(tree.sessions))
	}
	base := Options{ForceSync: true, AutocreateDir: true, AutocreateDB: true, WriteDigest: true, WriteLastZxid: true, PreAlloc: 1 << 20}
	relog := func(s *Store, z proto.Zxid, tree *mapTree, from string) {
		var b Batch
		if _, err := ReadLog(vfs.OS, from, 0, func(e Entry) error {
			x, err := e.Txn()
			if err != nil || x.Zxid <= z {
				return err
			}
			b.Reset()
			b.Add(&x)
			if err := s.Log().Append(&b); err != nil {
				return err
			}
			if x.Zxid%17 == 0 {
				s.Log().Roll()
			}
			return tree.Replay(&x)
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, method := range []string{"", "gz", "snappy"} {
		o := base
		o.Compression = method
		build("snapshot"+method, o, func(s *Store) *mapTree {
			tree := newMapTree()
			info, err := ReadSnapshot(vfs.OS, "testdata/snapshot-plain/data/version-2/snapshot.36", 0, tree)
			if err != nil {
				t.Fatal(err)
			}
			w, err := s.CreateSnapshot(0x36)
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.writeTo(w); err != nil {
				t.Fatal(err)
			}
			if _, _, err := w.Finish(0x36, info.Digest); err != nil {
				t.Fatal(err)
			}
			tree.zxid = 0x36
			var b Batch
			for z := proto.Zxid(0x37); z < 0x50; z++ { // and a log that goes on from there
				x := testTxn(z)
				tree.Replay(x)
				x.Digest = proto.TxnDigest{Version: 2, Tree: tree.digest}
				b.Add(x)
			}
			if err := s.Log().Append(&b); err != nil {
				t.Fatal(err)
			}
			return tree
		})
	}
	for _, dir := range []string{"alltypes-standalone", "alltypes-ensemble"} {
		build(dir, base, func(s *Store) *mapTree {
			tree := newMapTree()
			first := filepath.Join("testdata", dir, "data", versionDir)
			if _, err := ReadSnapshot(vfs.OS, filepath.Join(first, "snapshot.0"), 0, tree); err != nil {
				t.Fatal(err)
			}
			w, err := s.CreateSnapshot(0)
			if err != nil {
				t.Fatal(err)
			}
			tree.writeTo(w)
			if _, _, err := w.Finish(0, &SnapDigest{0, 2, tree.digest}); err != nil {
				t.Fatal(err)
			}
			logs, _ := filepath.Glob(filepath.Join(first, "log.*"))
			for _, l := range logs {
				relog(s, 0, tree, l)
			}
			return tree
		})
	}
	// A torn tail that was cut, and a log that still has its padding.
	build("cut", base, func(s *Store) *mapTree {
		path := filepath.Join(s.LogDir(), "log.1")
		writeSnapshot(t, s, 0)
		torn := logOf(1, 10)
		if err := os.WriteFile(path, torn[:len(torn)-30], 0o644); err != nil {
			t.Fatal(err)
		}
		tree := newInitialTree()
		if r, err := s.Recover(newMapTree()); err != nil || r.LastZxid != 9 || r.TornFile != path {
			t.Fatalf("%+v, %v", r, err)
		}
		for z := proto.Zxid(1); z <= 12; z++ {
			tree.Replay(testTxn(z))
		}
		appendTxns(t, s, 10, 3)
		last := filepath.Join(s.LogDir(), "log.a")
		s.Close()
		if err := os.Truncate(last, 3<<20); err != nil {
			t.Fatal(err)
		}
		return tree
	})

	args := []string{"-Dzookeeper.extendedTypesEnabled=true", "-cp", filepath.Join(lib, "*"), "testdata/apache/LoadDir.java"}
	for name := range want {
		args = append(args, filepath.Join(root, name))
	}
	cmd := exec.Command("java", args...)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("java: %v", err)
	}
	got := map[string]string{}
	for line := range strings.Lines(out.String()) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "LOADED "); ok {
			name, what, _ := strings.Cut(rest, " ")
			got[name] = what
		}
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: Apache has %q, want %q", name, got[name], w)
		}
	}
}
