// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// The directories in testdata were written by Apache ZooKeeper 3.9.5 (see the
// NOTE.txt in each), and each tree.json says what that server makes of them.

// hexID is a number written as "0x…" or as a JSON number.
type hexID int64

func (h *hexID) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		var i int64
		i, err = strconv.ParseInt(s, 0, 64)
		v = uint64(i)
	}
	*h = hexID(v)
	return err
}

type goldenTree struct {
	LastProcessedZxid hexID
	TreeDigest        hexID
	Sessions          map[string]int32
	Nodes             []struct {
		Path    string
		DataHex *string
		ACL     []struct {
			Perms      int32
			Scheme, ID string
		}
		Persisted struct {
			Czxid, Mzxid, Pzxid, EphemeralOwner hexID
			Ctime, Mtime                        int64
			Version, Cversion, Aversion         int32
		}
	}
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// memDirOf copies a directory into memory, as /d.
func memDirOf(t testing.TB, dir string) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		to := filepath.Join("/d", rel)
		if d.IsDir() {
			return m.MkdirAll(to, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return putFile(m, to, b)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func putFile(m vfs.FS, path string, b []byte) error {
	h, err := vfs.Create(m, path)
	if err != nil {
		return err
	}
	if _, err := h.Write(b); err != nil {
		return err
	}
	if err := h.Sync(); err != nil {
		return err
	}
	h.Close()
	return m.SyncDir(filepath.Dir(path))
}

func testOptions(f vfs.FS) Options {
	return Options{DataDir: "/d", FS: f, ForceSync: true, AutocreateDir: true, AutocreateDB: true, WriteDigest: true, WriteLastZxid: true}
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustRecover(t testing.TB, f vfs.FS, tree *mapTree) Recovered {
	t.Helper()
	r, err := mustOpen(t, testOptions(f)).Recover(tree)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// compare checks a tree against Apache's account of it.
func (g *goldenTree) compare(t *testing.T, tree *mapTree) {
	t.Helper()
	if tree.zxid != proto.Zxid(g.LastProcessedZxid) {
		t.Errorf("zxid %s, want %s", tree.zxid, proto.Zxid(g.LastProcessedZxid))
	}
	if tree.digest != uint64(g.TreeDigest) {
		t.Errorf("digest %x, want %x", tree.digest, uint64(g.TreeDigest))
	}
	sessions := map[string]int32{}
	for id, timeout := range tree.sessions {
		sessions[fmt.Sprintf("0x%x", uint64(id))] = timeout
	}
	if !maps.Equal(sessions, g.Sessions) {
		t.Errorf("sessions %v, want %v", sessions, g.Sessions)
	}
	var paths []string
	for _, want := range g.Nodes {
		path := want.Path
		if path == "/" {
			path = ""
		}
		paths = append(paths, path)
		n := tree.nodes[path]
		if n == nil {
			t.Errorf("%q is missing", path)
			continue
		}
		w := want.Persisted
		st := proto.StatPersisted{
			Czxid: proto.Zxid(w.Czxid), Mzxid: proto.Zxid(w.Mzxid), Pzxid: proto.Zxid(w.Pzxid), Ctime: w.Ctime, Mtime: w.Mtime,
			Version: w.Version, Cversion: w.Cversion, Aversion: w.Aversion, EphemeralOwner: int64(w.EphemeralOwner),
		}
		if n.st != st {
			t.Errorf("%q: stat %+v, want %+v", path, n.st, st)
		}
		var acl []proto.ACL
		for _, a := range want.ACL {
			acl = append(acl, proto.ACL{Perms: a.Perms, Scheme: a.Scheme, ID: a.ID})
		}
		if !slices.Equal(n.acl, acl) {
			t.Errorf("%q: acl %v, want %v", path, n.acl, acl)
		}
		if strings.HasPrefix(path, proto.QuotaPath) && strings.HasSuffix(path, proto.StatsNode) {
			continue // Apache recomputes these while it loads
		}
		if (n.data == nil) != (want.DataHex == nil) || want.DataHex != nil && hex.EncodeToString(n.data) != *want.DataHex {
			t.Errorf("%q: data %x (null %v), want %v", path, n.data, n.data == nil, want.DataHex)
		}
	}
	for path := range tree.nodes {
		if !slices.Contains(paths, path) {
			t.Errorf("%q should not be there", path)
		}
	}
}

func goldenDirs(t testing.TB) []string {
	t.Helper()
	var dirs []string
	for _, pattern := range []string{"testdata/*/tree.json", "testdata/*/*/tree.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			dirs = append(dirs, filepath.Dir(f))
		}
	}
	if len(dirs) < 15 {
		t.Fatalf("only %d directories in testdata", len(dirs))
	}
	return dirs
}

func TestRecoverGolden(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		t.Run(strings.TrimPrefix(dir, "testdata/"), func(t *testing.T) {
			tree := newMapTree()
			if strings.Contains(dir, "fuzzy") {
				tree.checkFrom = 1 << 62 // digests before the snapshot's end can't be right
			}
			r := mustRecover(t, memDirOf(t, filepath.Join(dir, "data")), tree)
			var want goldenTree
			readJSON(t, filepath.Join(dir, "tree.json"), &want)
			want.compare(t, tree)
			if len(tree.mismatches) > 0 {
				t.Errorf("digests of transactions: %v", tree.mismatches)
			}
			if r.TornFile != "" || len(r.Skipped)+len(r.Removed)+len(r.Ignored) > 0 || r.Empty || r.LastZxid != tree.zxid {
				t.Errorf("recovered %+v", r)
			}
		})
	}
}

// TestRecoverUncommitted: a directory for which there is no tree.json.
func TestRecoverUncommitted(t *testing.T) {
	tree := newMapTree()
	mustRecover(t, memDirOf(t, "testdata/pending-reconfig/data"), tree)
	if len(tree.mismatches) > 0 {
		t.Error(tree.mismatches)
	}
}

func TestInitialTreeDigest(t *testing.T) {
	if d := newInitialTree().digest; d != 0x51c6d660 {
		t.Errorf("digest %x", d)
	}
}
