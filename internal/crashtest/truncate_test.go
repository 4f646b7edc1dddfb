// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/storage"
	"paddock/internal/vfs"
	"paddock/proto"
	"paddock/zk"
)

// author writes one transaction of every kind that a client can cause.
type author struct {
	ctx  context.Context
	addr string
	c    *zk.Client
	e    *zk.Client // with a session of its own, which is closed again
}

func (a *author) open() (c *zk.Client, err error) {
	return zk.Connect(a.ctx, a.addr, zk.WithSessionTimeout(HeldTimeout))
}

func (a *author) create(p, data string, flags zk.CreateFlags) error {
	_, err := a.c.Create(a.ctx, p, []byte(data), zk.OpenACL, flags)
	return err
}

var onlyLocal = []zk.ACL{{Perms: zk.PermAll, Scheme: "ip", ID: "127.0.0.1"}}

// steps log one transaction each.
var steps = []struct {
	name string
	do   func(*author) error
}{
	{"open session", func(a *author) (err error) { a.c, err = a.open(); return err }},
	{"create", func(a *author) error { return a.create("/a", "one", 0) }},
	{"create without data", func(a *author) error {
		_, err := a.c.Create(a.ctx, "/a/null", nil, zk.OpenACL, 0)
		return err
	}},
	{"create with a list", func(a *author) error {
		_, _, err := a.c.CreateWithStat(a.ctx, "/a/listed", []byte{}, onlyLocal, 0)
		return err
	}},
	{"sequential", func(a *author) error { return a.create("/a/n-", "s", zk.Sequential) }},
	{"large set", func(a *author) error {
		_, err := a.c.Set(a.ctx, "/a/listed", bytes.Repeat([]byte("B\x00"), 150), -1)
		return err
	}},
	{"container", func(a *author) error {
		_, _, err := a.c.CreateContainer(a.ctx, "/container", []byte("c"), zk.OpenACL)
		return err
	}},
	{"second session", func(a *author) (err error) { a.e, err = a.open(); return err }},
	{"its ephemerals", func(a *author) error {
		_, err := a.e.Multi(a.ctx, zk.CreateOp("/e1", nil, zk.OpenACL, zk.Ephemeral), zk.CreateOp("/e2", nil, zk.OpenACL, zk.Ephemeral))
		return err
	}},
	{"refused multi", func(a *author) error {
		_, err := a.c.Multi(a.ctx, zk.SetOp("/a", []byte("never"), -1), zk.CheckOp("/a", 99))
		if !errors.Is(err, zk.ErrBadVersion) {
			return fmt.Errorf("want a bad version, got %v", err)
		}
		return nil
	}},
	{"set", func(a *author) error {
		_, err := a.c.Set(a.ctx, "/a", []byte("two"), 0)
		return err
	}},
	{"set list", func(a *author) error {
		_, err := a.c.SetACL(a.ctx, "/a", onlyLocal, 0)
		return err
	}},
	{"ttl", func(a *author) error {
		_, _, err := a.c.CreateTTL(a.ctx, "/ttl", []byte("t"), zk.OpenACL, 0, time.Hour)
		return err
	}},
	{"ephemeral", func(a *author) error { return a.create("/mine", "m", zk.Ephemeral) }},
	{"multi", func(a *author) error {
		_, err := a.c.Multi(a.ctx, zk.CreateOp("/b", []byte("b"), zk.OpenACL, 0), zk.SetOp("/a", []byte("three"), 1), zk.DeleteOp("/a/null", 0))
		return err
	}},
	{"close session", func(a *author) error { return a.e.Close() }},
	{"delete", func(a *author) error { return a.c.Delete(a.ctx, "/a/listed", -1) }},
}

var cutSettings = map[string]string{"preAllocSize": "0", "extendedTypesEnabled": "true", "maxSessionTimeout": fmt.Sprint(HeldTimeout.Milliseconds())}

const cutHome = "/data/version-2"

// cutDir is a directory of which the last log is to be cut.
type cutDir struct {
	files map[string][]byte // by name
	name  string            // of the last log
	log   []byte
	ends  []int64 // of its entries; the first is that of the header
	trees []*Dump // before the first entry, and after each, as the server had them
}

func writeCutDir(t *testing.T) *cutDir {
	mem := vfs.NewMem()
	s, err := start(mem, "/data", cutSettings, true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), opTimeout)
	defer cancel()
	a := &author{ctx: ctx, addr: s.ClientAddr().String()}
	d := &cutDir{files: map[string][]byte{}, trees: []*Dump{DumpTree(s.Tree())}}
	for i, step := range steps {
		if err := step.do(a); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		d.trees = append(d.trees, DumpTree(s.Tree()))
		if z := d.trees[i+1].Zxid; z != proto.Zxid(i+1) {
			t.Fatalf("after %q the zxid is %s, want %d", step.name, z, i+1)
		}
	}
	a.c.Detach()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	infos, err := mem.ReadDir(cutHome)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if d.files[i.Name], err = vfs.ReadFile(mem, path.Join(cutHome, i.Name)); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(i.Name, "log.") {
			d.name, d.log = i.Name, d.files[i.Name]
		}
	}
	end, err := storage.ReadLog(mem, path.Join(cutHome, d.name), 0, func(e storage.Entry) error {
		d.ends = append(d.ends, e.Offset)
		return nil
	})
	if err != nil || end.Entries != len(steps) {
		t.Fatalf("%+v, %v; want %d entries", end, err, len(steps))
	}
	d.ends = append(d.ends, end.Offset)
	return d
}

// disk is the directory with another last log.
func (d *cutDir) disk(t *testing.T, log []byte) *vfs.Mem {
	m := vfs.NewMem()
	m.MkdirAll(cutHome, 0o755)
	for name, content := range d.files {
		if name == d.name {
			content = log
		}
		if err := vfs.WriteFileAtomic(m, path.Join(cutHome, name), content); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// want is the tree that a cut at offset leaves.
func (d *cutDir) want(offset int64) *Dump {
	n, found := slices.BinarySearch(d.ends, offset)
	if !found {
		n--
	}
	return d.trees[max(n, 0)]
}

// TestTruncatedLog cuts the last log at every byte of its last transactions, and puts behind the cut
// nothing, the zeros of a preallocated file, or garbage. The server has the
// tree that it had after the last whole transaction, or (with garbage) says
// what is wrong with which file, and where.
func TestTruncatedLog(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	d := writeCutDir(t)
	for _, c := range []struct {
		name  string
		tail  func(cut int64) []byte
		exact bool // never refused
	}{
		{"cut", func(int64) []byte { return nil }, true},
		{"zeros", func(int64) []byte { return make([]byte, 8192) }, true},
		{"zeros to the old end", func(cut int64) []byte { return make([]byte, int64(len(d.log))-cut) }, true},
		{"garbage", func(int64) []byte { return garbage(rng, 1+rng.IntN(600)) }, false},
		{"garbage and zeros", func(int64) []byte { return append(garbage(rng, 1+rng.IntN(40)), make([]byte, 4096)...) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused := 0
			from := int64(0)
			if last := rounds(t, 8, 5, 1); last < len(steps) {
				from = d.ends[len(steps)-last]
			}
			for cut := from; cut <= int64(len(d.log)); cut++ {
				tail := c.tail(cut)
				if cut < d.ends[0] && len(tail) > 0 {
					continue // inside the header: storage's own tests
				}
				disk := d.disk(t, append(slices.Clone(d.log[:cut]), tail...))
				err := d.check(t, disk, cut)
				switch {
				case err == nil:
				case c.exact:
					t.Fatalf("cut at %d: %v", cut, err)
				case !strings.Contains(err.Error(), path.Join(cutHome, d.name)) || !strings.Contains(err.Error(), "offset"):
					t.Fatalf("cut at %d: the error names neither file nor offset: %v", cut, err)
				default:
					refused++
				}
				if t.Failed() {
					t.Fatalf("cut at %d with %d bytes behind it", cut, len(tail))
				}
			}
			t.Logf("cut at %d to %d, %d times refused", from, len(d.log), refused)
		})
	}
}

func garbage(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	b[0] |= 1 // else it may be padding
	return b
}

// check starts a server on disk, twice; the error is its refusal.
func (d *cutDir) check(t *testing.T, disk *vfs.Mem, cut int64) error {
	for range 2 {
		s, err := start(disk, "/data", cutSettings, false)
		if err != nil {
			return err
		}
		report(t, DumpTree(s.Tree()).Difference(d.want(cut)))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	return nil
}

// TestGoOnAfterTruncation writes to a server whose log was cut, and looks for
// old and new after another restart.
func TestGoOnAfterTruncation(t *testing.T) {
	t.Parallel()
	d := writeCutDir(t)
	var cuts []int64
	for _, end := range d.ends {
		cuts = append(cuts, end-1, end, end+1, end+20)
	}
	for _, cut := range cuts {
		if cut > int64(len(d.log)) {
			continue
		}
		tail := make([]byte, cut%3*1000)
		if cut < d.ends[0] {
			tail = nil
		}
		disk := d.disk(t, append(slices.Clone(d.log[:cut]), tail...))
		s, err := start(disk, "/data", cutSettings, true)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		a := &author{ctx: t.Context(), addr: s.ClientAddr().String()}
		if a.c, err = a.open(); err == nil {
			err = errors.Join(a.create("/later", "new", 0), a.create("/later/n-", "new", zk.Sequential))
			a.c.Detach()
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		want := DumpTree(s.Tree())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = start(disk.CrashClone(nil), "/data", cutSettings, false); err != nil {
			t.Fatalf("cut at %d, and gone on: %v", cut, err)
		}
		got := DumpTree(s.Tree())
		s.Close()
		report(t, got.Difference(want))
		if z := d.want(cut).Zxid + 3; got.Zxid != z {
			t.Errorf("zxid %s, want %s", got.Zxid, z)
		}
		for p, n := range d.want(cut).Nodes {
			if m, ok := got.Nodes[p]; p != "/" && (!ok || m != n) {
				t.Errorf("%s was %+v, is %+v", p, n, m)
			}
		}
		if t.Failed() {
			t.Fatalf("cut at %d", cut)
		}
	}
}
