// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paddock/internal/vfs"
)

var rewrite = flag.Bool("rewrite", false, "write the plans as they are now into testdata/plans")

// TestPlans runs the files of testdata/plans: a directory, one file a line, then
// what recovery and purge plan for it.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(b), "----\n")
			if !ok {
				t.Fatal("no line ----")
			}
			got := plansOf(t, input)
			if got == want {
				return
			}
			if !*rewrite {
				t.Fatalf("plans:\n%s\nwant:\n%s", got, want)
			}
			if err := os.WriteFile(file, []byte(input+"----\n"+got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// plansOf reads lines such as
//
//	snapshot.1f 400        size; "broken" after it fails the quick check
//	log.20 1000            "bare" after it: no transaction in it
//	option trust-empty     or no-autocreate, or retain 4
func plansOf(t *testing.T, input string) string {
	t.Helper()
	d := Directory{MayCreate: true}
	retain := 3
	for line := range strings.Lines(input) {
		line, _, _ = strings.Cut(line, "#")
		word := strings.Fields(line)
		if len(word) == 0 {
			continue
		}
		switch {
		case word[0] == "option" && word[1] == "trust-empty":
			d.TrustEmpty = true
		case word[0] == "option" && word[1] == "no-autocreate":
			d.MayCreate = false
		case word[0] == "option" && word[1] == "retain":
			fmt.Sscan(word[2], &retain)
		default:
			f := File{Name: word[0], Path: word[0], Usable: len(word) == 2}
			fmt.Sscan(word[1], &f.Size)
			prefix, _, _ := strings.Cut(f.Name, ".")
			z, ext, ok := zxidOf(f.Name, prefix)
			if !ok {
				t.Fatalf("bad line %q", line)
			}
			f.Zxid, f.Ext = z, ext
			if prefix == logPrefix {
				d.Logs = append(d.Logs, f)
			} else {
				d.Snapshots = append(d.Snapshots, f)
			}
		}
	}
	var b strings.Builder
	if p, err := PlanRecovery(d); err != nil {
		fmt.Fprintf(&b, "refuse: %v\n", err)
	} else {
		b.WriteString(p.String())
	}
	p := PlanPurge(d.Logs, d.Snapshots, retain)
	fmt.Fprintf(&b, "purge: %s\n", strings.Join(p.Remove, " "))
	return b.String()
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name, prefix string
		zxid         int64
		ext          string
		ok           bool
	}{
		{"log.1", "log", 1, "", true},
		{"log.1F", "log", 0x1f, "", true},
		{"log.001", "log", 1, "", true},
		{"snapshot.300000001.gz", "snapshot", 0x300000001, ".gz", true},
		{"snapshot.5.tmp", "snapshot", 5, ".tmp", true},
		{"log.1.bak.old", "log", 1, ".bak.old", true},
		{"log.zz", "log", 0, "", false},
		{"log.", "log", 0, "", false},
		{"log", "log", 0, "", false},
		{"logs.1", "log", 0, "", false},
		{"log.-1", "log", 0, "", false},
		{"log.ffffffffffffffff", "log", 0, "", false},
		{"tmp-snapshot.5", "snapshot", 0, "", false},
	} {
		z, ext, ok := zxidOf(c.name, c.prefix)
		if ok != c.ok || ok && (int64(z) != c.zxid || ext != c.ext) {
			t.Errorf("%s: %s, %q, %v", c.name, z, ext, ok)
		}
	}
}

// TestPurge: what is purged is not missed, whichever snapshot is left.
func TestPurge(t *testing.T) {
	m := memDirOf(t, "testdata/rolled-standalone/data")
	putFile(m, "/d/version-2/log.zz", []byte("not ours"))
	s := mustOpen(t, testOptions(m))
	removed, err := s.Purge(1) // 3 at least
	if err != nil {
		t.Fatal(err)
	}
	for i := range removed {
		removed[i] = filepath.Base(removed[i])
	}
	want := []string{"snapshot.0", "snapshot.d", "snapshot.1f", "snapshot.2f", "log.1", "log.f", "log.21"}
	if !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
	if ok, _ := vfs.Exists(m, "/d/version-2/log.zz"); !ok {
		t.Error("a foreign file is gone")
	}
	for _, left := range []string{"snapshot.5c", "snapshot.51", "snapshot.42"} {
		tree := newMapTree()
		if r := mustRecover(t, m, tree); filepath.Base(r.Snapshot) != left || tree.digest != 0x1e51ffe856 {
			t.Errorf("from %s: %+v, digest %x", left, r, tree.digest)
		}
		m.Remove("/d/version-2/" + left)
	}
	if removed, err := s.Purge(3); err != nil || len(removed) > 0 {
		t.Errorf("without snapshots: %v, %v", removed, err)
	}
}
