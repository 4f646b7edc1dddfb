// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paddock/internal/vfs"
	"paddock/jute"
	"paddock/proto"
)

// counter is a Sink that only counts.
type counter struct{ sessions, acls, nodes, bytes int }

func (c *counter) Reset()                                 { *c = counter{} }
func (c *counter) LoadSession(int64, int32)               { c.sessions++ }
func (c *counter) LoadACL(int64, []proto.ACL)             { c.acls++ }
func (c *counter) LoadDone(proto.Zxid, *SnapDigest) error { return nil }
func (c *counter) Replay(*proto.Txn) error                { return nil }
func (c *counter) LoadNode(path, data []byte, _ int64, _ *proto.StatPersisted) error {
	c.nodes++
	c.bytes += len(path) + len(data)
	return nil
}

// writeBig writes a snapshot of n znodes with data of size bytes each.
func writeBig(t testing.TB, o Options, n, size int) string {
	t.Helper()
	w, err := mustOpen(t, o).CreateSnapshot(1)
	if err != nil {
		t.Fatal(err)
	}
	w.Sessions(1000, func(yield func(int64, int32)) {
		for i := range int64(1000) {
			yield(i, 4000)
		}
	})
	w.ACLs(1, func(yield func(int64, []proto.ACL)) { yield(1, openACL) })
	data := bytes.Repeat([]byte{'x'}, size)
	var path []byte
	st := proto.StatPersisted{Czxid: 1}
	if err := w.Node(nil, nil, -1, &st); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		path = fmt.Appendf(path[:0], "/n%09d", i)
		if err := w.Node(path, data, 1, &st); err != nil {
			t.Fatal(err)
		}
	}
	name, _, err := w.Finish(1, &SnapDigest{1, 2, 7})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSnapshotOfManyBuffers(t *testing.T) {
	for _, compression := range []string{"", "gz", "snappy"} {
		for _, size := range []int{0, 100, 70_000} {
			m := vfs.NewMem()
			o := testOptions(m)
			o.Compression = compression
			n := min(20_000, 40_000_000/(size+100)/4)
			path := writeBig(t, o, n, size)
			var c counter
			info, err := ReadSnapshot(m, path, 0, &c)
			if err != nil {
				t.Fatalf("%q, %d bytes: %v", compression, size, err)
			}
			if c.nodes != n+1 || c.sessions != 1000 || c.acls != 1 || c.bytes != n*(size+11) || info.Digest == nil || info.Digest.Tree != 7 {
				t.Errorf("%q, %d bytes: %+v, %+v", compression, size, c, info)
			}
		}
	}
}

// TestSnapshotDamage flips every byte of a snapshot, and cuts it everywhere.
func TestSnapshotDamage(t *testing.T) {
	whole, err := vfs.ReadFile(vfs.OS, "testdata/rolled-standalone/data/version-2/snapshot.d")
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) error {
		_, err := readSnapshot(bytes.NewReader(b), "snapshot.d", 0, newMapTree())
		return err
	}
	if err := read(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x41
		err := read(b)
		if err == nil {
			t.Errorf("byte %d flipped and nobody noticed", i)
		}
		var damage *CorruptError
		if err != nil && !errors.As(err, &damage) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	accepted := 0
	for n := range whole {
		if read(whole[:n]) == nil {
			accepted++
			if !bytes.HasSuffix(whole[:n], slashPath) {
				t.Errorf("cut after %d bytes and nobody noticed", n)
			}
		}
	}
	if accepted != 2 { // after the first and after the second seal, as older servers ended it
		t.Errorf("%d cuts are accepted, want 2", accepted)
	}
	if read(append(bytes.Clone(whole), 0)) == nil {
		t.Error("a byte too many and nobody noticed")
	}
}

// TestSnapshotSections: every combination of sections is read by what is there,
// a last zxid without a digest too, which Apache writes with digests off.
func TestSnapshotSections(t *testing.T) {
	for i := range 4 {
		m := vfs.NewMem()
		o := testOptions(m)
		o.WriteDigest, o.WriteLastZxid = i&1 != 0, i&2 != 0
		w, err := mustOpen(t, o).CreateSnapshot(3)
		if err != nil {
			t.Fatal(err)
		}
		newInitialTree().writeTo(w)
		path, _, err := w.Finish(5, &SnapDigest{4, 2, 99})
		if err != nil {
			t.Fatal(err)
		}
		info, err := ReadSnapshot(m, path, 0, newMapTree())
		if err != nil || (info.Digest != nil) != o.WriteDigest || info.HasLastZxid != (o.WriteLastZxid && o.WriteDigest) ||
			info.Digest != nil && *info.Digest != (SnapDigest{4, 2, 99}) || info.HasLastZxid && info.LastZxid != 5 {
			t.Errorf("%+v, %v", info, err)
		}
		if i > 0 {
			continue
		}
		b, _ := vfs.ReadFile(m, path)
		b = binary.BigEndian.AppendUint64(b, 5)
		b = binary.BigEndian.AppendUint64(b, uint64(adler32.Checksum(b)))
		b = append(b, slashPath...)
		info, err = readSnapshot(bytes.NewReader(b), "x", 0, newMapTree())
		if err != nil || info.Digest != nil || info.LastZxid != 5 {
			t.Errorf("last zxid alone: %+v, %v", info, err)
		}
	}
}

// TestSnapshotOldDigest: 3.6 wrote the digest as hex text.
func TestSnapshotOldDigest(t *testing.T) {
	b := append([]byte{}, snapHeader...)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // no sessions, no ACLs
	st := proto.StatPersisted{}
	b = append(b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)
	b = binary.BigEndian.AppendUint64(b, 1<<64-1)
	b = append(jute.Append(b, &st), slashPath...)
	seal := func() {
		b = binary.BigEndian.AppendUint64(b, uint64(adler32.Checksum(b)))
		b = append(b, slashPath...)
	}
	seal()
	b = binary.BigEndian.AppendUint64(b, 7)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = append(binary.BigEndian.AppendUint32(b, 8), "51c6d660"...)
	seal()
	info, err := readSnapshot(bytes.NewReader(b), "x", 0, newMapTree())
	if err != nil || info.Digest == nil || *info.Digest != (SnapDigest{7, 1, 0x51c6d660}) {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestSnapshotWriterChecksCounts(t *testing.T) {
	m := vfs.NewMem()
	w, err := mustOpen(t, testOptions(m)).CreateSnapshot(1)
	if err != nil {
		t.Fatal(err)
	}
	w.Sessions(2, func(yield func(int64, int32)) { yield(1, 1) })
	if _, _, err := w.Finish(1, nil); err == nil || !strings.Contains(err.Error(), "2 sessions announced, 1 written") {
		t.Error(err)
	}
	if got := fingerprint(t, m); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

// TestUnfinishedSnapshotIsNoSnapshot: its name means nothing to Apache either,
// and the next start removes it.
func TestUnfinishedSnapshotIsNoSnapshot(t *testing.T) {
	m := vfs.NewMem()
	s := started(t, testOptions(m))
	w, err := s.CreateSnapshot(9)
	if err != nil {
		t.Fatal(err)
	}
	if err := newInitialTree().writeTo(w); err != nil {
		t.Fatal(err)
	}
	if names := fingerprint(t, m); strings.Contains("\n"+names, "\nsnapshot.9 ") || !strings.Contains(names, "tmp-snapshot.9 ") {
		t.Errorf("files:\n%s", names)
	}
	if r := mustRecover(t, m, newMapTree()); r.SnapshotZxid != 0 {
		t.Errorf("%+v", r)
	}
	if strings.Contains(fingerprint(t, m), "tmp") {
		t.Error("the unfinished snapshot is still there")
	}
}

// TestSinkRefusal: a snapshot that the tree can't take is as bad as a damaged one.
func TestSinkRefusal(t *testing.T) {
	m := memDirOf(t, "testdata/rolled-standalone/data")
	tree := newMapTree()
	tree.failNode = "/r/x12"
	for path := range loadedBy(t, m, "snapshot.5c") {
		if !loadedBy(t, m, "snapshot.42")[path] {
			tree.failNode = path // is in the newer snapshots only
		}
	}
	r := mustRecover(t, m, tree)
	if len(r.Skipped) == 0 || r.LastZxid != 0x60 || tree.digest != 0x1e51ffe856 {
		t.Errorf("%+v, digest %x", r, tree.digest)
	}
	if want := "reset"; len(tree.calls) == 0 || tree.calls[0] != want {
		t.Errorf("calls %v", tree.calls)
	}
}

func loadedBy(t *testing.T, m vfs.FS, name string) map[string]bool {
	t.Helper()
	tree := newMapTree()
	if _, err := ReadSnapshot(m, filepath.Join("/d", versionDir, name), 0, tree); err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for p := range tree.nodes {
		paths[p] = true
	}
	return paths
}

// TestDecodeStat: the stat is decoded by hand; its declaration is the judge.
func TestDecodeStat(t *testing.T) {
	b := make([]byte, statSize)
	for i := range b {
		b[i] = byte(i*7 + 1)
	}
	var got, want proto.StatPersisted
	decodeStat(b, &got)
	if err := jute.Unmarshal(b, &want); err != nil || got != want {
		t.Errorf("%+v, want %+v, %v", got, want, err)
	}
}

func TestAdlerUpdate(t *testing.T) {
	b := make([]byte, 200_000)
	for i := range b {
		b[i] = byte(i*i>>3 | 0x80)
	}
	for _, n := range []int{0, 1, 13, 65520, 65521, 65522, 199_999} {
		if got, want := adlerUpdate(adler32.Checksum(b[:n]), b[n:]), adler32.Checksum(b); got != want {
			t.Errorf("split at %d: %x, want %x", n, got, want)
		}
	}
}

func BenchmarkLoadSnapshot(b *testing.B) {
	for _, compression := range []string{"", "gz", "snappy"} {
		b.Run("100k"+compression, func(b *testing.B) {
			o := testOptions(vfs.OS)
			o.DataDir, o.Compression = b.TempDir(), compression
			const n = 100_000
			path := writeBig(b, o, n, 100)
			for b.Loop() {
				var c counter
				if _, err := ReadSnapshot(vfs.OS, path, 0, &c); err != nil || c.nodes != n+1 {
					b.Fatal(c, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/znode")
		})
	}
}

func BenchmarkWriteSnapshot(b *testing.B) {
	o := testOptions(vfs.OS)
	o.DataDir = b.TempDir()
	const n = 100_000
	for b.Loop() {
		writeBig(b, o, n, 100)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/znode")
}

func BenchmarkReplay(b *testing.B) {
	o := testOptions(vfs.OS)
	o.DataDir = b.TempDir()
	s := started(b, o)
	const n = 100_000
	for z := proto.Zxid(1); z < n; z += 1000 {
		appendTxns(b, s, z, 1000)
	}
	s.Close()
	for b.Loop() {
		if r, err := mustOpen(b, o).Recover(new(counter)); err != nil || r.Txns != n {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/txn")
}

// TestSnapshotNewerThanItsName: written while transactions went on, and then
// the log was lost. The next start goes on behind what the snapshot contains.
func TestSnapshotNewerThanItsName(t *testing.T) {
	m := vfs.NewMem()
	s := mustOpen(t, testOptions(m))
	w, err := s.CreateSnapshot(5)
	if err != nil {
		t.Fatal(err)
	}
	tree := newInitialTree()
	tree.writeTo(w)
	if _, _, err := w.Finish(8, &SnapDigest{8, 2, tree.digest}); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testOptions(m))
	r, err := s.Recover(newMapTree())
	if err != nil || r.LastZxid != 5 || r.ContentZxid != 8 {
		t.Fatalf("%+v, %v", r, err)
	}
	appendTxns(t, s, r.ContentZxid+1, 2)
	s.Close()
	if r := mustRecover(t, m, newMapTree()); r.LastZxid != 10 || r.Txns != 2 {
		t.Errorf("%+v", r)
	}
}

// TestSnapshotGivesWay: while the log is in use each step of a snapshot's way to
// disk is followed by a pause, and without it none is.
func TestSnapshotGivesWay(t *testing.T) {
	for _, busy := range []bool{true, false} {
		s := started(t, testOptions(vfs.NewMem()))
		logged := proto.Zxid(1)
		appendTxns(t, s, logged, 1)
		w, err := s.CreateSnapshot(1)
		if err != nil {
			t.Fatal(err)
		}
		pauses := 0
		w.GiveWay(func(d time.Duration) {
			if pauses++; d <= 0 {
				t.Errorf("a pause of %s", d)
			}
		})
		w.Sessions(0, func(func(int64, int32)) {})
		w.ACLs(1, func(yield func(int64, []proto.ACL)) { yield(1, openACL) })
		st := proto.StatPersisted{Czxid: 1}
		if err := w.Node(nil, nil, -1, &st); err != nil {
			t.Fatal(err)
		}
		const steps = 5
		data := make([]byte, snapSyncStep/8)
		for i := range 8*steps + 2 {
			if busy {
				logged++
				appendTxns(t, s, logged, 1)
			}
			if err := w.Node(fmt.Appendf(nil, "/n%03d", i), data, 1, &st); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := w.Finish(1, &SnapDigest{1, 2, 7}); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: steps}[busy]; pauses != want {
			t.Errorf("log in use %v: %d pauses, want %d", busy, pauses, want)
		}
	}
}
