// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

func seeds(f *testing.F, patterns ...string) {
	f.Helper()
	n := 0
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			b, err := vfs.ReadFile(vfs.OS, file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(bytes.TrimRight(b, "\x00"))
			n++
		}
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
}

// FuzzReadLog: whatever is in the file, entries come in order, their bytes are
// those of the file, and the end is told or the damage.
func FuzzReadLog(f *testing.F) {
	seeds(f, "testdata/*/data/version-2/log.*")
	f.Add(logOf(1, 3))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := vfs.NewMem()
		m.MkdirAll("/d", 0o755)
		putFile(m, "/d/log.1", b)
		at := int64(logHeaderSize)
		end, err := ReadLog(m, "/d/log.1", 1<<20, func(e Entry) error {
			if e.Offset != at {
				t.Fatalf("entry at %d, want %d", e.Offset, at)
			}
			at += int64(entryHead + len(e.Payload) + entryTail)
			var again Batch
			again.AddPayload(e.Zxid, e.Payload)
			if !bytes.Equal(again.Buf, b[e.Offset:at]) {
				t.Fatal("framed again, the entry differs")
			}
			if x, err := e.Txn(); err == nil && x.Zxid != e.Zxid {
				t.Fatalf("zxid %s and %s", x.Zxid, e.Zxid)
			}
			return nil
		})
		var damage *CorruptError
		if err != nil && !errors.As(err, &damage) {
			t.Fatal(err)
		}
		if err == nil && !end.emptyFile && !end.cutHeader && (end.Offset != at || end.Size != int64(len(b)) ||
			(end.Torn == "") != allZero(b[at:]) || end.Torn != "" && !allZero(b[at+end.TornBytes:])) {
			t.Fatalf("%+v; entries end at %d of %d", end, at, len(b))
		}
	})
}

// recorder keeps what a snapshot brings, to write it again.
type recorder struct {
	t     *testing.T
	tree  *mapTree
	bytes int
}

func (r *recorder) Reset()                                 {}
func (r *recorder) LoadSession(id int64, ms int32)         { r.tree.LoadSession(id, ms) }
func (r *recorder) LoadACL(key int64, acl []proto.ACL)     { r.tree.LoadACL(key, acl) }
func (r *recorder) LoadDone(proto.Zxid, *SnapDigest) error { return nil }
func (r *recorder) Replay(*proto.Txn) error                { return nil }
func (r *recorder) LoadNode(path, data []byte, aclKey int64, st *proto.StatPersisted) error {
	r.bytes += len(path) + len(data)
	return r.tree.LoadNode(path, data, aclKey, st)
}

// FuzzReadSnapshot: no panic, nothing larger than the input, and what was read
// can be written and read again.
func FuzzReadSnapshot(f *testing.F) {
	seeds(f, "testdata/*/data/version-2/snapshot.*")
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &recorder{t, newMapTree(), 0}
		info, err := readSnapshot(bytes.NewReader(b), "x", 1<<20, r)
		if r.bytes > len(b) {
			t.Fatalf("%d bytes out of %d", r.bytes, len(b))
		}
		var damage *CorruptError
		if err != nil {
			if !errors.As(err, &damage) {
				t.Fatal(err)
			}
			return
		}
		m := vfs.NewMem()
		o := testOptions(m)
		o.WriteDigest, o.WriteLastZxid = info.Digest != nil, info.HasLastZxid
		w, err := mustOpen(t, o).CreateSnapshot(1)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.tree.loaded.nodes) != len(r.tree.nodes) {
			return // a path twice
		}
		if err := r.tree.writeTo(w); err != nil {
			t.Fatal(err)
		}
		path, _, err := w.Finish(info.LastZxid, info.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSnapshot(m, path, 1<<20, newMapTree()); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecompress: both containers, and no more memory than the input justifies.
func FuzzDecompress(f *testing.F) {
	seeds(f, "testdata/snapshot-gz/data/version-2/*", "testdata/snapshot-snappy/data/version-2/*")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"x.gz", "x.snappy"} {
			plain, err := decompress(bytes.NewReader(b), name)
			if err == nil {
				readSnapshot(plain, name, 1<<20, new(counter))
			}
		}
	})
}

// FuzzRecover: a log of any content behind a good snapshot is recovered or
// refused; if recovered, it is recovered again, alike and without repairs.
func FuzzRecover(f *testing.F) {
	seeds(f, "testdata/alltypes-standalone/data/version-2/log.1")
	f.Add(logOf(1, 3)[:200])
	f.Fuzz(func(t *testing.T, b []byte) {
		m := vfs.NewMem()
		writeSnapshot(t, mustOpen(t, testOptions(m)), 0)
		putFile(m, "/d/version-2/log.1", b)
		before := fingerprint(t, m)
		first, err := mustOpen(t, testOptions(m)).Recover(new(counter))
		if err != nil {
			if fingerprint(t, m) != before {
				t.Fatal("a refusal changed the directory")
			}
			return
		}
		second, err := mustOpen(t, testOptions(m)).Recover(new(counter))
		if err != nil || second.LastZxid != first.LastZxid || second.TornFile != "" {
			t.Fatalf("%+v, then %+v, %v", first, second, err)
		}
	})
}
