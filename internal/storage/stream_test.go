// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"paddock/internal/vfs"
	"paddock/proto"
)

// goldenStream is what a leader of Apache ZooKeeper 3.9.5 sent behind a SNAP
// packet, signature included, and the packet after it.
type goldenStream struct {
	Name  string
	Zxid  hexID
	Hex   string
	Next  string
	Nodes []string

	Sessions, ACLs int
}

func goldenStreams(t testing.TB) []goldenStream {
	t.Helper()
	var all []goldenStream
	readJSON(t, "testdata/snap-streams.json", &all)
	if len(all) != 5 {
		t.Fatalf("%d streams", len(all))
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oneByte gives out a byte at a time and fails when more than limit are asked
// for, as a connection would block.
type oneByte struct {
	b []byte
	n int
}

func (o *oneByte) Read(p []byte) (int, error) {
	if len(o.b) == 0 {
		return 0, errors.New("read past the end of what was sent")
	}
	n := copy(p[:1], o.b)
	o.b = o.b[n:]
	o.n += n
	return n, nil
}

func writeStream(t testing.TB, tree *mapTree) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewStreamWriter(&out)
	if err := tree.writeTo(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestStreamGolden reads Apache's streams, without a byte too much, writes them
// again and gets its bytes.
func TestStreamGolden(t *testing.T) {
	for _, g := range goldenStreams(t) {
		t.Run(g.Name, func(t *testing.T) {
			body, next := unhex(t, g.Hex), unhex(t, g.Next)
			for _, size := range []int{16, 4096, 1 << 20} {
				in := bufio.NewReaderSize(bytes.NewReader(append(slices.Clone(body), next...)), size)
				tree := newMapTree()
				info, err := ReadStream(in, 0, tree)
				if err != nil {
					t.Fatal(err)
				}
				if info.Sessions != g.Sessions || info.ACLs != g.ACLs || !slices.Equal(tree.loaded.nodes, g.Nodes) {
					t.Errorf("%+v, %v; want %+v", info, tree.loaded.nodes, g)
				}
				if rest, _ := io.ReadAll(in); !bytes.Equal(rest, next) {
					t.Errorf("left for the next packet: %x, want %x", rest, next)
				}
				if got := writeStream(t, tree); !bytes.Equal(got, body) {
					t.Errorf("written again:\n%x\n%x", got, body)
				}
			}
			// Nothing is asked for that was not sent: the leader may have nothing more to say.
			slow := &oneByte{b: slices.Clone(body)}
			if _, err := ReadStream(bufio.NewReaderSize(slow, 16), 0, newMapTree()); err != nil {
				t.Errorf("a byte at a time: %v", err)
			}
		})
	}
}

// TestStreamIsTheMiddleOfASnapshot: both are written from the same tree.
func TestStreamIsTheMiddleOfASnapshot(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		if strings.Contains(dir, "fuzzy") {
			continue
		}
		tree := newMapTree()
		m := memDirOf(t, dir+"/data")
		mustRecover(t, m, tree)
		tree.loaded.sessions, tree.loaded.acls, tree.loaded.nodes = nil, nil, nil
		for key, list := range tree.acls {
			tree.loaded.acls = append(tree.loaded.acls, aclRow{key, list})
		}
		for path, n := range tree.nodes {
			n.aclKey = -1
			tree.loaded.nodes = append(tree.loaded.nodes, path)
		}
		slices.Sort(tree.loaded.nodes)
		for id, ms := range tree.sessions {
			tree.loaded.sessions = append(tree.loaded.sessions, sessionRow{id, ms})
		}
		stream := writeStream(t, tree)
		w, err := mustOpen(t, testOptions(m)).CreateSnapshot(1 << 40)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.writeTo(w); err != nil {
			t.Fatal(err)
		}
		path, _, err := w.Finish(1<<40, nil)
		if err != nil {
			t.Fatal(err)
		}
		file, err := vfs.ReadFile(m, path)
		if err != nil {
			t.Fatal(err)
		}
		middle := file[snapHeaderSize : len(file)-sealSize]
		if body := stream[:len(stream)-4-len(streamSignature)]; !bytes.Equal(body, middle) {
			t.Errorf("%s: the stream is not the middle of the file", dir)
		}
		again := newMapTree()
		if _, err := ReadStream(bufio.NewReader(bytes.NewReader(stream)), 0, again); err != nil || again.digest != tree.digest {
			t.Errorf("%s: read again: digest %x, %v; want %x", dir, again.digest, err, tree.digest)
		}
	}
}

// TestStreamCutShort: wherever the connection ends, that is said, with its error.
func TestStreamCutShort(t *testing.T) {
	for _, g := range goldenStreams(t)[:3] {
		body := unhex(t, g.Hex)
		for n := range body {
			slow := &oneByte{b: body[:n:n]}
			_, err := ReadStream(bufio.NewReaderSize(slow, 16), 0, newMapTree())
			var damage *CorruptError
			if !errors.As(err, &damage) || !strings.Contains(err.Error(), "read past the end") {
				t.Fatalf("%s cut at %d: %v", g.Name, n, err)
			}
			if _, err := ReadStream(bufio.NewReader(bytes.NewReader(body[:n])), 0, newMapTree()); !errors.As(err, &damage) {
				t.Fatalf("%s ended at %d: %v", g.Name, n, err)
			}
		}
	}
}

func TestStreamRefused(t *testing.T) {
	body := unhex(t, goldenStreams(t)[2].Hex)
	end := len(body) - len(streamSignature)
	for _, c := range []struct {
		name string
		edit func(b []byte) []byte
		want string
	}{
		{"another signature", func(b []byte) []byte { copy(b[end:], "BenWasNot!"); return b }, `the signature is "BenWasNot!"`},
		{"a longer signature", func(b []byte) []byte { b[end-1] = 11; return append(b, 'x') }, "a signature of 11 bytes"},
		{"a null signature", func(b []byte) []byte { copy(b[end-4:], "\xff\xff\xff\xff"); return b }, "a signature of"},
		{"sessions below 0", func(b []byte) []byte { b[0] = 0xff; return b }, "sessions"},
		{"a znode without parent", func(b []byte) []byte { return bytes.Replace(b, []byte("/d4"), []byte("/x/"), 1) }, "has no parent"},
		{"a path longer than the limit", func([]byte) []byte { return append(make([]byte, 8), 0, 0x7f, 0, 0) }, "unreasonable path length"},
		{"an ACL with a long name", func([]byte) []byte {
			b := append(make([]byte, 4), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 31)
			return append(b, 0x7f, 0, 0, 0)
		}, "unreasonably long"},
	} {
		_, err := ReadStream(bufio.NewReader(bytes.NewReader(c.edit(slices.Clone(body)))), 0, newMapTree())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestStreamClaimsNoMemory: lengths are believed only as far as bytes come.
func TestStreamClaimsNoMemory(t *testing.T) {
	claims := binary.BigEndian.AppendUint32(nil, 0)         // no session
	claims = binary.BigEndian.AppendUint32(claims, 1<<31-1) // many ACLs
	claims = binary.BigEndian.AppendUint64(claims, 1)       // key
	claims = binary.BigEndian.AppendUint32(claims, 1<<31-1) // with many entries
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 10
	for range runs {
		if _, err := ReadStream(bufio.NewReader(bytes.NewReader(claims)), 0, new(counter)); err == nil {
			t.Fatal("believed")
		}
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > 2*scanBuffer {
		t.Errorf("%d bytes for a stream of %d", n, len(claims))
	}
}

// failAfter is a connection that breaks.
type failAfter int

func (f *failAfter) Write(p []byte) (int, error) {
	if *f -= failAfter(len(p)); *f < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestStreamToABrokenConnection(t *testing.T) {
	broken := failAfter(1 << 20)
	w := NewStreamWriter(&broken)
	w.Sessions(0, func(func(int64, int32)) {})
	w.ACLs(0, func(func(int64, []proto.ACL)) {})
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = w.Node([]byte("/big"), make([]byte, 100<<10), -1, &proto.StatPersisted{})
	}
	if !errors.Is(err, io.ErrClosedPipe) || n > 20 {
		t.Errorf("after %d znodes: %v", n, err)
	}
	if err := w.Finish(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Finish: %v", err)
	}
}

// TestACLAcrossBuffers: an entry of the ACL map may be longer than any buffer.
func TestACLAcrossBuffers(t *testing.T) {
	tree := newInitialTree()
	var long []proto.ACL
	for range 3000 {
		long = append(long, proto.ACL{Perms: 31, Scheme: "digest", ID: strings.Repeat("u", 200)})
	}
	tree.acls[7], tree.acls[8], tree.acls[9] = long, nil, []proto.ACL{}
	tree.nodes[""].aclKey = 7
	again := newMapTree()
	stream := writeStream(t, tree)
	if _, err := ReadStream(bufio.NewReader(bytes.NewReader(stream)), 0, again); err != nil || !slices.Equal(again.acls[7], long) || len(again.acls) != 4 {
		t.Errorf("%v, %d entries of %d", err, len(again.acls[7]), len(long))
	}
}

// FuzzReadStream: no panic, nothing larger than the input, not a byte read behind
// the signature, and what was read gives the same bytes again.
func FuzzReadStream(f *testing.F) {
	for _, g := range goldenStreams(f) {
		f.Add(unhex(f, g.Hex+g.Next))
		f.Add(unhex(f, g.Hex)[:40])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(b), 64)
		r := &recorder{t, newMapTree(), 0}
		_, err := ReadStream(in, 1<<20, r)
		if r.bytes > len(b) {
			t.Fatalf("%d bytes out of %d", r.bytes, len(b))
		}
		if err != nil {
			var damage *CorruptError
			if !errors.As(err, &damage) {
				t.Fatal(err)
			}
			return
		}
		if len(r.tree.loaded.nodes) != len(r.tree.nodes) || len(r.tree.loaded.acls) != len(r.tree.acls) || len(r.tree.loaded.sessions) != len(r.tree.sessions) {
			return // something twice
		}
		rest, _ := io.ReadAll(in)
		again := writeStream(t, r.tree)
		if len(again)+len(rest) != len(b) || !bytes.Equal(again[len(again)-len(streamSignature):], b[len(again)-len(streamSignature):len(again)]) {
			t.Fatalf("%d bytes of stream and %d behind it, of %d", len(again), len(rest), len(b))
		}
	})
}
