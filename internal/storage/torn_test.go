// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/adler32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// tornCase is one edit of a golden directory and what Apache does then.
type tornCase struct {
	Name, Base string
	Ops        [][]any
	JVM        []string
	Result     struct {
		LoadError         string
		LastProcessedZxid hexID
		TreeDigest        hexID
		Sessions          map[string]int32
	}
}

// deviations are the cases in which Apache is not followed, and why.
var deviations = map[string]struct {
	zxid   proto.Zxid
	digest uint64
	why    string
}{
	"partial-header-newer-log": {0x36, 0xb4d2e1200,
		"Apache refuses. A newest log that ends inside its header is a creation cut short, as an empty one is; it holds no transaction, so it is removed and told."},
	"junk-name-log.1.bak-empty": {0x36, 0xb4d2e1200,
		"Apache takes a copy beside log.1 for a second log of zxid 1. Here log.1 is that log and the copy is left alone and told."},
}

// tornTails are the cases in which there is something to cut.
var tornTails = map[string]int64{
	"cut-mid-payload-of-last":           5346,
	"cut-just-before-EOR-of-last":       5346,
	"cut-inside-crc-of-last":            0, // only zero bytes of it are left
	"cut-inside-length-of-last":         5346,
	"EOR-of-last-zero":                  5346,
	"payload-tail-and-EOR-of-last-zero": 5346,
	"length-zero-crc-nonzero":           5454,
}

func editDirectory(t *testing.T, m vfs.FS, ops [][]any) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, op := range ops {
		path := filepath.Join("/d", versionDir, op[1].(string))
		switch op[0] {
		case "truncate", "write":
			h, err := m.OpenFile(path, os.O_RDWR, 0)
			must(err)
			if op[0] == "truncate" {
				must(h.Truncate(int64(op[2].(float64))))
			} else {
				b, err := hex.DecodeString(op[3].(string))
				must(err)
				_, err = h.WriteAt(b, int64(op[2].(float64)))
				must(err)
			}
			must(h.Sync())
			must(h.Close())
		case "create":
			b, err := hex.DecodeString(op[2].(string))
			must(err)
			must(putFile(m, path, b))
		case "delete":
			must(m.Remove(path))
		case "copy":
			b, err := vfs.ReadFile(m, path)
			must(err)
			must(putFile(m, filepath.Join("/d", versionDir, op[2].(string)), b))
		default:
			t.Fatalf("unknown edit %v", op)
		}
	}
}

// fingerprint is the names and content of a directory.
func fingerprint(t *testing.T, m vfs.FS) string {
	t.Helper()
	dir := filepath.Join("/d", versionDir)
	list, err := m.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range list {
		c, _ := vfs.ReadFile(m, filepath.Join(dir, f.Name))
		fmt.Fprintf(&b, "%s %d %x\n", f.Name, len(c), adler32.Checksum(c))
	}
	return b.String()
}

func TestTornCases(t *testing.T) {
	var cases []tornCase
	readJSON(t, "testdata/torn/cases.json", &cases)
	if len(cases) != 43 { // 42 and the unmodified directory
		t.Fatalf("%d cases", len(cases))
	}
	known := 0
	for _, c := range cases {
		if _, ok := deviations[c.Name]; ok {
			known++
		}
		t.Run(c.Name, func(t *testing.T) {
			m := memDirOf(t, filepath.Join("testdata", c.Base, "data"))
			editDirectory(t, m, c.Ops)
			o := testOptions(m)
			for _, p := range c.JVM {
				switch p {
				case "-Dzookeeper.snapshot.trust.empty=true":
					o.TrustEmpty = true
				case "-Dzookeeper.db.autocreate=false":
					o.AutocreateDB = false
				default:
					t.Fatalf("unknown property %s", p)
				}
			}
			before := fingerprint(t, m)
			tree := newInitialTree()
			r, err := mustOpen(t, o).Recover(tree)

			wantZxid, wantDigest, refused := proto.Zxid(c.Result.LastProcessedZxid), uint64(c.Result.TreeDigest), c.Result.LoadError != ""
			if d, ok := deviations[c.Name]; ok {
				wantZxid, wantDigest, refused = d.zxid, d.digest, false
			}
			if refused {
				if err == nil {
					t.Fatalf("recovered %+v; Apache says %s", r, c.Result.LoadError)
				}
				checkRefusal(t, err)
				if after := fingerprint(t, m); after != before {
					t.Errorf("a refusal changed the directory:\n%s%s", before, after)
				}
				return
			}
			if err != nil {
				t.Fatalf("refused: %v; Apache has %s", err, wantZxid)
			}
			if r.LastZxid != wantZxid || tree.digest != wantDigest {
				t.Errorf("zxid %s, digest %x; want %s, %x", r.LastZxid, tree.digest, wantZxid, wantDigest)
			}
			if r.TornOffset != tornTails[c.Name] || (r.TornFile != "") != (r.TornOffset > 0) || (r.TornBytes > 0) != (r.TornOffset > 0) {
				t.Errorf("torn %s at %d, %d bytes; want %d", r.TornFile, r.TornOffset, r.TornBytes, tornTails[c.Name])
			}
			again := newInitialTree()
			o.AutocreateDB = true // the file `initialize` is used up
			r2, err := mustOpen(t, o).Recover(again)
			if err != nil || again.digest != wantDigest || r2.TornFile != "" || len(r2.Removed) > 0 {
				t.Errorf("the second start: %+v, %v", r2, err)
			}
		})
	}
	if known != len(deviations) {
		t.Errorf("%d of %d deviations are no case", len(deviations)-known, len(deviations))
	}
}

// checkRefusal: an operator is told which file, and where.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var damage *CorruptError
	var gap *GapError
	switch {
	case errors.As(err, &damage):
		if damage.File == "" || damage.Hint == "" || !strings.Contains(err.Error(), "offset") {
			t.Errorf("an unclear refusal: %v", err)
		}
	case errors.As(err, &gap):
		if gap.File == "" || gap.Hint == "" {
			t.Errorf("an unclear refusal: %v", err)
		}
	case errors.Is(err, ErrNoSnapshot):
	default:
		t.Errorf("refused with %v", err)
	}
}

// A newest log of which only the size reached the disk before a power cut is
// removed, as one that ends inside its header is; not so where something stands
// behind the zeros, or where later logs follow.
func TestZeroedLog(t *testing.T) {
	zeros := strings.Repeat("00", 2*4096)
	for _, tc := range []struct {
		name    string
		ops     [][]any
		refusal string
	}{
		{"newest", [][]any{{"create", "log.37", zeros}}, ""},
		{"a header's worth", [][]any{{"create", "log.37", zeros[:2*logHeaderSize]}}, ""},
		{"with bytes behind", [][]any{{"create", "log.37", zeros + "01"}}, "log.37: damaged at offset 0: the header is zeros, and other bytes follow"},
		{"with later logs", [][]any{{"create", "log.37", zeros}, {"create", "log.38", "5a4b4c47000000020000000000000000"}}, "the header of the log is missing, and there are later logs"},
		{"the header alone is gone", [][]any{{"write", "log.1", float64(0), zeros[:2*logHeaderSize]}}, "log.1: damaged at offset 0: the header is zeros, and other bytes follow"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := memDirOf(t, "testdata/alltypes-standalone/data")
			editDirectory(t, m, tc.ops)
			before := fingerprint(t, m)
			tree := newInitialTree()
			r, err := mustOpen(t, testOptions(m)).Recover(tree)
			if tc.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refusal) {
					t.Errorf("%v, want %q", err, tc.refusal)
				}
				if after := fingerprint(t, m); after != before {
					t.Errorf("a refusal changed the directory:\n%s%s", before, after)
				}
				return
			}
			if err != nil || r.LastZxid != 0x36 || len(r.Removed) != 1 || !strings.HasSuffix(r.Removed[0], "log.37") {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestCutAtEveryByte cuts a log at every byte of its last entries: what was
// whole is there, what was not is gone, and the server can go on.
func TestCutAtEveryByte(t *testing.T) {
	const dir, name = "testdata/alltypes-standalone/data", "/d/version-2/log.1"
	var ends []int64 // of entries
	end, err := ReadLog(vfs.OS, dir+"/version-2/log.1", 0, func(e Entry) error {
		ends = append(ends, e.Offset+int64(entryHead+len(e.Payload)+entryTail))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	padded := memDirOf(t, dir)
	const lastEntries = 6
	for cut := ends[len(ends)-1-lastEntries]; cut <= end.Offset; cut++ {
		m := padded.CrashClone(nil)
		editDirectory(t, m, [][]any{{"truncate", "log.1", float64(cut)}})
		content, _ := vfs.ReadFile(m, name)
		whole, wantEnd := 0, int64(logHeaderSize)
		for _, e := range ends {
			if e <= cut {
				whole++
				wantEnd = e
			}
		}
		for _, start := range []string{"first", "second"} {
			tree := newMapTree()
			s := mustOpen(t, testOptions(m))
			r, err := s.Recover(tree)
			if err != nil {
				t.Fatalf("cut at %d, %s start: %v", cut, start, err)
			}
			if r.LastZxid != proto.Zxid(whole) || r.Txns != whole || len(tree.mismatches) > 0 {
				t.Fatalf("cut at %d, %s start: %+v, want %d entries; %v", cut, start, r, whole, tree.mismatches)
			}
			if torn := start == "first" && !allZero(content[wantEnd:]); (r.TornFile != "") != torn || torn && (r.TornOffset != wantEnd || r.TornBytes > cut-wantEnd) {
				t.Fatalf("cut at %d, %s start: torn %+v, want end %d", cut, start, r, wantEnd)
			}
			if st, _ := m.Stat(name); st.Size > cut || st.Size < wantEnd {
				t.Fatalf("cut at %d, %s start: size %d", cut, start, st.Size)
			}
		}
		// The next transaction takes the zxid of the lost one, in a new file.
		s := mustOpen(t, testOptions(m))
		if _, err := s.Recover(newMapTree()); err != nil {
			t.Fatal(err)
		}
		appendTxns(t, s, proto.Zxid(whole+1), 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		tree := newMapTree()
		if r := mustRecover(t, m, tree); r.LastZxid != proto.Zxid(whole+1) {
			t.Fatalf("cut at %d: after going on %+v", cut, r)
		}
	}
}

// appendTxns logs n small creates of znodes from zxid z on, in one batch, durably.
func appendTxns(t testing.TB, s *Store, z proto.Zxid, n int) {
	t.Helper()
	var b Batch
	for i := range n {
		b.Add(testTxn(z + proto.Zxid(i)))
	}
	if err := s.Log().Append(&b); err != nil {
		t.Fatal(err)
	}
	if err := s.Log().Sync(); err != nil {
		t.Fatal(err)
	}
}

func testTxn(z proto.Zxid) *proto.Txn {
	return &proto.Txn{Session: 0x1234, Cxid: int32(z), Zxid: z, Time: 1700000000000, Type: proto.OpCreate,
		Body: &proto.CreateTxn{Path: fmt.Sprintf("/n%d", int64(z)), Data: []byte("some data"), ACL: openACL, ParentCversion: -1}}
}

// logOf returns the bytes of a log with the transactions from z on.
func logOf(z proto.Zxid, n int) []byte {
	var b Batch
	for i := range n {
		b.Add(testTxn(z + proto.Zxid(i)))
	}
	return append(append([]byte{}, logHeader...), b.Buf...)
}

// TestEndOfLog: what ends a file quietly, what is cut, what is refused, beyond
// the golden cases.
func TestEndOfLog(t *testing.T) {
	whole := logOf(1, 60)
	var offs []int64
	m := vfs.NewMem()
	m.MkdirAll("/d", 0o755)
	putFile(m, "/d/x", whole)
	ReadLog(m, "/d/x", 0, func(e Entry) error { offs = append(offs, e.Offset); return nil })
	put := func(at int64, b ...byte) func([]byte) []byte {
		return func(f []byte) []byte { copy(f[at:], b); return f }
	}
	const sector = 512
	for _, c := range []struct {
		name    string
		edit    func(f []byte) []byte
		entries int
		torn    bool
		corrupt int64 // offset, or 0
	}{
		{"whole", put(0), 60, false, 0},
		{"padding", func(f []byte) []byte { return append(f, make([]byte, 10000)...) }, 60, false, 0},
		{"padding shorter than a head", func(f []byte) []byte { return append(f, 0, 0, 0) }, 60, false, 0},
		{"one byte of the next entry", func(f []byte) []byte { return append(f, 0, 0, 0, 0, 1) }, 60, true, 0},
		{"something after the padding", func(f []byte) []byte { return append(append(f, make([]byte, 300)...), 9) }, 60, true, 0},
		{"an end mark flipped, entries follow", put(offs[31]-1, 'C'), 30, false, offs[30]},
		{"a length made 0, entries follow", put(offs[30]+8, 0, 0, 0, 0), 30, false, offs[30]},
		{"a length made longer than the file", put(offs[30]+8, 0, 1, 0, 0), 30, false, offs[30]},
		{"a length flipped inside the file", put(offs[30]+11, 0x99), 30, false, offs[30]},
		{"the last end mark flipped", put(int64(len(whole))-1, 'C'), 59, true, 0},
		{"a sector never written, later ones are", func(f []byte) []byte {
			from := (offs[30] + sector) / sector * sector
			clear(f[from : from+sector])
			return f
		}, -1, true, 0},
		{"all from a sector on never written", func(f []byte) []byte { clear(f[offs[30]/sector*sector:]); return f }, -1, true, 0},
		{"a payload too short for a transaction", func(f []byte) []byte {
			f = binary.BigEndian.AppendUint64(f, uint64(adler32.Checksum([]byte("short"))))
			return append(binary.BigEndian.AppendUint32(f, 5), "shortB"...)
		}, 60, false, int64(len(whole))},
	} {
		t.Run(c.name, func(t *testing.T) {
			putFile(m, "/d/x", c.edit(append([]byte{}, whole...)))
			end, err := ReadLog(m, "/d/x", 0, func(Entry) error { return nil })
			var damage *CorruptError
			if errors.As(err, &damage) != (c.corrupt > 0) || c.corrupt > 0 && damage.Offset != c.corrupt {
				t.Errorf("error %v, want damage at %d", err, c.corrupt)
			}
			if (end.Torn != "") != c.torn || c.entries >= 0 && end.Entries != c.entries || c.entries < 0 && (end.Entries < 20 || end.Entries > 32) {
				t.Errorf("%+v, want %d entries, torn %v", end, c.entries, c.torn)
			}
		})
	}
}

// TestRefusedOrRecovered: whole directories, beyond the golden cases. A step of
// setup is an edit as in the golden set, or the name of a log and its first and
// number of transactions.
func TestRefusedOrRecovered(t *testing.T) {
	type logs map[string][2]int
	snapshot := func(z proto.Zxid) string { return hexName(snapPrefix, z) }
	for _, c := range []struct {
		name      string
		snapshots []proto.Zxid
		logs      logs
		edits     string
		last      proto.Zxid // or refused with
		refused   string
		skipped   int
	}{
		{"snapshot alone", []proto.Zxid{5}, nil, `[]`, 5, "", 0},
		{"snapshot and log", []proto.Zxid{0}, logs{"log.1": {1, 9}}, `[]`, 9, "", 0},
		{"an incomplete snapshot alone", []proto.Zxid{5}, nil, `[["truncate","snapshot.5",50]]`, 0, "snapshot.5 is incomplete and there is no log", 1},
		{"an empty snapshot alone", nil, nil, `[["create","snapshot.5",""]]`, 0, "", 0},
		{"hole between snapshot and log", []proto.Zxid{5}, logs{"log.7": {7, 3}}, `[]`, 0, "those between are missing", 0},
		{"hole in a log", []proto.Zxid{0}, logs{"log.1": {1, 3}, "log.5": {5, 3}}, `[]`, 0, "transaction 0x5 follows 0x3", 0},
		{"hole before the snapshot", []proto.Zxid{6}, logs{"log.1": {1, 3}, "log.5": {5, 3}}, `[]`, 7, "", 0},
		{"a log twice", []proto.Zxid{0}, logs{"log.1": {1, 3}, "log.2": {2, 3}}, `[]`, 0, "zxids must rise", 0},
		{"a new epoch", []proto.Zxid{0}, logs{"log.1": {1, 3}, "log.100000001": {0x100000001, 3}}, `[]`, 0x100000003, "", 0},
		{"a new epoch, not from its start", []proto.Zxid{0}, logs{"log.1": {1, 3}, "log.100000004": {0x100000004, 3}}, `[]`, 0x100000006, "", 0},
		{"the newer snapshot is damaged, the log covers it", []proto.Zxid{0, 2}, logs{"log.1": {1, 3}}, `[["write","snapshot.2",40,"ff"]]`, 3, "", 1},
		{"the newer snapshot is incomplete, the log covers it", []proto.Zxid{0, 2}, logs{"log.1": {1, 3}}, `[["truncate","snapshot.2",60]]`, 3, "", 1},
		{"the newer snapshot is damaged, the log ends below it", []proto.Zxid{0, 7}, logs{"log.1": {1, 3}}, `[["write","snapshot.7",40,"ff"]]`, 0, "reach only to zxid 0x3", 1},
		{"the newer snapshot is incomplete, the log ends below it", []proto.Zxid{0, 7}, logs{"log.1": {1, 3}}, `[["truncate","snapshot.7",60]]`, 0, "reach only to zxid 0x3", 1},
		{"the newer snapshot is damaged, the log begins behind it", []proto.Zxid{0, 7}, logs{"log.8": {8, 3}}, `[["write","snapshot.7",40,"ff"]]`, 0, "those between are missing", 1},
		{"the newer snapshot is damaged, the log begins inside a later epoch", []proto.Zxid{0, 7}, logs{"log.100000004": {0x100000004, 3}}, `[["write","snapshot.7",40,"ff"]]`, 0, "those between are missing", 1},
		{"torn, and then an empty log", []proto.Zxid{0}, logs{"log.1": {1, 3}}, `[["truncate","log.1",300],["create","log.3",""]]`, 2, "", 0},
		{"torn, and then a log with only a header", []proto.Zxid{0}, logs{"log.1": {1, 3}}, `[["truncate","log.1",300],["create","log.3","5a4b4c47000000020000000000000000"]]`, 2, "", 0},
		{"torn, and Apache went on in the next file", []proto.Zxid{0}, logs{"log.1": {1, 3}, "log.3": {3, 2}}, `[["truncate","log.1",300]]`, 4, "", 0},
		{"two empty logs at the end", []proto.Zxid{0}, logs{"log.1": {1, 3}}, `[["create","log.4",""],["create","log.5",""]]`, 3, "", 0},
		{"half a header of something else", []proto.Zxid{0}, logs{"log.1": {1, 3}}, `[["create","log.4","ffff"]]`, 0, "damaged at offset 0", 0},
		{"logs without a snapshot", nil, logs{"log.1": {1, 3}}, `[]`, 0, "no readable snapshot, but", 0},
		{"an unreadable log without a snapshot", nil, nil, `[["create","log.1","ff"]]`, 0, "no readable snapshot, but", 0},
		{"a header without a snapshot", nil, nil, `[["create","log.1","5a4b4c47000000020000000000000000"]]`, 0, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := vfs.NewMem()
			o := testOptions(m)
			o.WriteLastZxid = false
			for _, z := range c.snapshots {
				writeSnapshot(t, mustOpen(t, o), z)
				if ok, _ := vfs.Exists(m, filepath.Join("/d", versionDir, snapshot(z))); !ok {
					t.Fatal("no snapshot was written")
				}
			}
			mustOpen(t, o)
			for name, l := range c.logs {
				putFile(m, filepath.Join("/d", versionDir, name), logOf(proto.Zxid(l[0]), l[1]))
			}
			var edits [][]any
			if err := json.Unmarshal([]byte(c.edits), &edits); err != nil {
				t.Fatal(err)
			}
			editDirectory(t, m, edits)
			before := fingerprint(t, m)
			r, err := mustOpen(t, o).Recover(newInitialTree())
			if len(r.Skipped) != c.skipped {
				t.Errorf("skipped %v, want %d", r.Skipped, c.skipped)
			}
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("%+v, %v; want a refusal: %s", r, err, c.refused)
				}
				if after := fingerprint(t, m); after != before {
					t.Errorf("a refusal changed the directory:\n%s%s", before, after)
				}
				return
			}
			if err != nil || r.LastZxid != c.last {
				t.Errorf("%+v, %v; want zxid %s", r, err, c.last)
			}
		})
	}
}

// writeSnapshot writes the initial tree as the snapshot of z.
func writeSnapshot(t testing.TB, s *Store, z proto.Zxid) {
	t.Helper()
	w, err := s.CreateSnapshot(z)
	if err != nil {
		t.Fatal(err)
	}
	tree := newInitialTree()
	if err := tree.writeTo(w); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Finish(z, nil); err != nil {
		t.Fatal(err)
	}
}
