// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"encoding/hex"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// TestRewriteSnapshotGolden reads Apache's snapshots, writes them again in the
// same order and with the same sections, and gets its bytes.
func TestRewriteSnapshotGolden(t *testing.T) {
	var files []string
	for _, pattern := range []string{"testdata/*/data/version-2/snapshot.*", "testdata/*/*/data/version-2/snapshot.*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 20 {
		t.Fatal(files)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			tree := newMapTree()
			info, err := ReadSnapshot(vfs.OS, file, 0, tree)
			if err != nil {
				t.Fatal(err)
			}
			z, ext, _ := zxidOf(filepath.Base(file), snapPrefix)
			m := vfs.NewMem()
			o := testOptions(m)
			o.WriteDigest, o.WriteLastZxid = info.Digest != nil, info.HasLastZxid
			o.Compression = strings.TrimPrefix(ext, ".")
			w, err := mustOpen(t, o).CreateSnapshot(z)
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.writeTo(w); err != nil {
				t.Fatal(err)
			}
			path, size, err := w.Finish(info.LastZxid, info.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(path) != filepath.Base(file) {
				t.Errorf("written as %s", path)
			}
			if st, err := m.Stat(path); err != nil || st.Size != size {
				t.Errorf("size %d, %v; Finish says %d", st.Size, err, size)
			}
			if got, want := plainBytes(t, m, path), plainBytes(t, vfs.OS, file); !bytes.Equal(got, want) {
				t.Errorf("the bytes differ:\n%x\n%x", got, want)
			}
		})
	}
}

func plainBytes(t *testing.T, f vfs.FS, path string) []byte {
	t.Helper()
	h, err := vfs.Open(f, path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	r, err := decompress(h, path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSnapshotSectionsGolden checks the sections against their description.
func TestSnapshotSectionsGolden(t *testing.T) {
	var want struct {
		Digest struct {
			Zxid    int64
			Version int32
			Digest  uint64
		}
		LastZxid  int64
		Sessions  [][]any
		NodeOrder []string `json:"node_order"`
	}
	readJSON(t, "testdata/snapshot-plain/snapshot.36.json", &want)
	for _, file := range []string{"snapshot-plain/data/version-2/snapshot.36", "snapshot-gz/data/version-2/snapshot.36.gz"} {
		tree := newMapTree()
		info, err := ReadSnapshot(vfs.OS, "testdata/"+file, 0, tree)
		if err != nil {
			t.Fatal(err)
		}
		if info.Digest == nil || int64(info.Digest.Zxid) != want.Digest.Zxid || info.Digest.Version != want.Digest.Version ||
			info.Digest.Tree != want.Digest.Digest || int64(info.LastZxid) != want.LastZxid || info.Sessions != len(want.Sessions) {
			t.Errorf("%s: %+v %+v, want %+v", file, info, info.Digest, want)
		}
		if tree.digest != info.Digest.Tree {
			t.Errorf("%s: the tree's digest is %x, the section says %x", file, tree.digest, info.Digest.Tree)
		}
	}
	tree := newMapTree()
	if _, err := ReadSnapshot(vfs.OS, "testdata/snapshot-plain/data/version-2/snapshot.36", 0, tree); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(tree.loaded.nodes, want.NodeOrder) {
		t.Errorf("order %v, want %v", tree.loaded.nodes, want.NodeOrder)
	}
}

func TestNodeDigestVectors(t *testing.T) {
	var vectors struct {
		Nodes []struct {
			Path string
			Data *string
			Stat struct {
				Czxid, Mzxid, Pzxid, Ctime, Mtime, EphemeralOwner int64
				Version, Cversion, Aversion                       int32
			}
			Digest uint64
		}
	}
	readJSON(t, "testdata/digest-vectors.json", &vectors)
	if len(vectors.Nodes) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors.Nodes {
		if v.Path == "/" {
			v.Path = ""
		}
		n := &mapNode{}
		if v.Data != nil {
			n.data, _ = hex.DecodeString(*v.Data)
		}
		n.st = proto.StatPersisted{
			Czxid: proto.Zxid(v.Stat.Czxid), Mzxid: proto.Zxid(v.Stat.Mzxid), Pzxid: proto.Zxid(v.Stat.Pzxid), Ctime: v.Stat.Ctime, Mtime: v.Stat.Mtime,
			Version: v.Stat.Version, Cversion: v.Stat.Cversion, Aversion: v.Stat.Aversion, EphemeralOwner: v.Stat.EphemeralOwner,
		}
		if d := nodeDigest(v.Path, n); d != v.Digest {
			t.Errorf("%+v: %d", v, d)
		}
	}
}
