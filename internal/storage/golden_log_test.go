// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// TestReadLogGolden compares every entry with its decoded description.
func TestReadLogGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/log.*.jsonl")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	type entry struct {
		Off, CRC, Len int64
		Hdr           struct {
			ClientID, Zxid hexID
			Cxid           int32
			Time           int64
			Type           int32
		}
		Digest *struct {
			Version    int32
			TreeDigest uint64
		}
		Payload string
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			h, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			lines := bufio.NewScanner(h)
			lines.Buffer(nil, 1<<20)
			lines.Scan() // facts of the file
			name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
			path := filepath.Join(filepath.Dir(file), "data", versionDir, name)
			end, err := ReadLog(vfs.OS, path, 0, func(e Entry) error {
				if !lines.Scan() {
					t.Fatalf("more entries than described: %s", e.Zxid)
				}
				var want entry
				if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
					t.Fatal(err)
				}
				x, err := e.Txn()
				if err != nil {
					t.Fatal(err)
				}
				if e.Offset != want.Off || hex.EncodeToString(e.Payload) != want.Payload || e.Zxid != proto.Zxid(want.Hdr.Zxid) ||
					x.Session != int64(want.Hdr.ClientID) || x.Cxid != want.Hdr.Cxid || x.Time != want.Hdr.Time || int32(x.Type) != want.Hdr.Type {
					t.Errorf("entry %+v, want %+v", x, want)
				}
				if want.Digest != nil && (x.Digest.Version != want.Digest.Version || x.Digest.Tree != want.Digest.TreeDigest) ||
					want.Digest == nil && x.Digest.Version != 0 {
					t.Errorf("%s: digest %+v, want %+v", e.Zxid, x.Digest, want.Digest)
				}
				if again := x.Append(nil); !bytes.Equal(again, e.Payload) {
					t.Errorf("%s: encodes as %x, was %x", e.Zxid, again, e.Payload)
				}
				return nil
			})
			if err != nil || end.Torn != "" {
				t.Fatal(err, end)
			}
			if lines.Scan() {
				t.Errorf("described, but not read: %s", lines.Text())
			}
		})
	}
}

// TestRewriteLogGolden writes the entries of Apache's logs and gets its bytes.
func TestRewriteLogGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/data/version-2/log.*")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			m := vfs.NewMem()
			s := mustOpen(t, testOptions(m))
			var b Batch
			end, err := ReadLog(vfs.OS, file, 0, func(e Entry) error {
				x, err := e.Txn()
				if err != nil {
					return err
				}
				b.Reset()
				b.Add(&x)
				return s.Log().Append(&b)
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := vfs.ReadFile(m, filepath.Join("/d", versionDir, filepath.Base(file)))
			if err != nil {
				t.Fatal(err)
			}
			want, _ := os.ReadFile(file)
			if !bytes.Equal(got, want[:end.Offset]) || !allZero(want[end.Offset:]) {
				t.Error("the bytes differ")
			}
		})
	}
}

// TestDefaultPrealloc reads the sparse log of a server with default settings.
func TestDefaultPrealloc(t *testing.T) {
	head, err := os.ReadFile("testdata/default-prealloc/log.1.head")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log.1")
	if err := os.WriteFile(path, head, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 67108880); err != nil {
		t.Fatal(err)
	}
	end, err := ReadLog(vfs.OS, path, 0, func(Entry) error { return nil })
	if err != nil || end.Offset != 177 || end.Torn != "" || end.Size != 67108880 {
		t.Errorf("%+v, %v", end, err)
	}
}
