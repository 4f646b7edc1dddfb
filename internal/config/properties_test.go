// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseProperties(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     string // line:key=value, joined by |
	}{
		{"empty", "", ""},
		{"separators", "a=1\nb:2\nc 3\nd\t=\t4\ne = = 5", "1:a=1|2:b=2|3:c=3|4:d=4|5:e== 5"},
		{"no separator", "a\nb=", "1:a=|2:b="},
		{"comments", "# x\n ! y\n\n \t\na=1#2", "5:a=1#2"},
		{"comments do not continue", "# x\\\na=1", "2:a=1"},
		{"line ends", "a=1\rb=2\r\nc=3", "1:a=1|2:b=2|3:c=3"},
		{"continuation", "a=1\\\n   2\nb=3", "1:a=12|3:b=3"},
		{"continuation over a blank line", "a=1\\\n\nb=3", "1:a=1|3:b=3"},
		{"continuation takes a comment", "a=1\\\n#2\nb=3", "1:a=1#2|3:b=3"},
		{"even backslashes end the line", `a=1\\` + "\nb=2", `1:a=1\|2:b=2`},
		{"continuation at the end", `a=1\`, "1:a=1"},
		{"lone backslash", "\\\n\na=1", "3:a=1"},
		{"escapes", `a\ b\=\:=x\t\n\\\q\u0041`, "1:a b=:=x\t\n\\qA"},
		{"an escaped blank in front is trimmed", `a=\tx`, "1:a=x"},
		{"surrogates", `a=\ud83d\ude00.`, "1:a=😀."},
		{"windows path", `dataDir=C:\data\zk`, "1:dataDir=C:datazk"},
		{"latin-1", "a=\xe9", "1:a=é"},
		{"utf-8 bytes", "a=é", "1:a=Ã©"},
		{"bom", "\xef\xbb\xbfa=1", "1:a=1"},
		{"trailing blanks", "a=1 \t ", "1:a=1"},
		{"last one wins", "a=1\nb=2\na=3", "2:b=2|3:a=3"},
		{"three times", "a=1\na=2\na=3", "3:a=3"},
		{"empty key", "=x", "1:=x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			props, _, problems := parseProperties("f", []byte(tc.in))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			var got []string
			for _, p := range props {
				got = append(got, fmt.Sprintf("%d:%s=%s", p.line, p.key, p.value))
			}
			if strings.Join(got, "|") != tc.want {
				t.Errorf("got %q, want %q", strings.Join(got, "|"), tc.want)
			}
		})
	}
}

func TestBadEscapes(t *testing.T) {
	_, _, problems := parseProperties("f", []byte("a=\\u12g4\nb=1\nc=\\u12"))
	if len(problems) != 2 || problems[0].Line != 1 || problems[1].Line != 3 {
		t.Errorf("got %v", problems)
	}
}

func TestWarningsOfSyntax(t *testing.T) {
	_, warnings, _ := parseProperties("f", []byte("\xef\xbb\xbfa=1\n\na=2\nb=\xe9"))
	if len(warnings) != 3 || !strings.HasPrefix(warnings[0], "f:1: a UTF-8 byte order mark") ||
		warnings[1] != "f:3: a is given twice; this line wins over line 1" || !strings.HasPrefix(warnings[2], "f:4: b: bytes above") {
		t.Errorf("got %q", warnings)
	}
}

// TestManyDuplicates keeps the parser linear.
func TestManyDuplicates(t *testing.T) {
	var b strings.Builder
	for range 2 {
		for i := range 50000 {
			fmt.Fprintf(&b, "k%d=1\n", i)
		}
	}
	start := time.Now()
	props, _, _ := parseProperties("f", []byte(b.String()))
	if len(props) != 50000 || time.Since(start) > 20*time.Second {
		t.Errorf("%d keys in %s", len(props), time.Since(start))
	}
}

// FuzzParseProperties: no panic, keys unique, lines rising, output bounded by input; and what was read can be
// written and is read again the same.
func FuzzParseProperties(f *testing.F) {
	for _, g := range seedFiles(f) {
		f.Add(g)
	}
	f.Add([]byte("\xef\xbb\xbfa\\\n b:\\u00e9\\\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		props, _, problems := parseProperties("f", data)
		seen, last, total := map[string]bool{}, 0, 0
		var text strings.Builder
		for _, p := range props {
			if seen[p.key] || p.line <= last {
				t.Fatalf("%+v after line %d", p, last)
			}
			seen[p.key], last = true, p.line
			total += len(p.key) + len(p.value)
			text.WriteString(escapeProperty(p.key) + "=" + escapeProperty(p.value) + "\n")
		}
		if total > 3*len(data) {
			t.Fatalf("%d bytes from %d", total, len(data))
		}
		again, _, bad := parseProperties("f", []byte(text.String()))
		if len(bad) > 0 || len(again) != len(props) {
			t.Fatalf("%d keys read again as %d, %v (first: %v)", len(props), len(again), bad, problems)
		}
		for i := range again {
			if again[i].key != props[i].key || again[i].value != props[i].value {
				t.Fatalf("%+v read again as %+v", props[i], again[i])
			}
		}
	})
}

// escapeProperty writes every character of a key or value as an escape.
func escapeProperty(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// FuzzLoad: any file gives a Config or Problems, never a panic; a Config keeps what its fields promise.
func FuzzLoad(f *testing.F) {
	for _, g := range seedFiles(f) {
		f.Add(g, "-Xmx1g -Dzookeeper.snapCount=5")
	}
	f.Add([]byte("clientPort=1\n"), "\"-Xa\nb\"") // a quoted line break
	for _, r := range allRows() {
		f.Add([]byte(r.key+"="+r.def+"\n"), "-D"+r.key+"=1")
	}
	f.Fuzz(func(t *testing.T, data []byte, flags string) {
		dir := t.TempDir()
		file := filepath.Join(dir, "zoo.cfg")
		// Keep the paths a file may name inside the test's directory.
		if strings.Contains(string(data), "dynamicConfigFile") || strings.Contains(string(data), `\`) {
			data = []byte("clientPort=1\n")
		}
		if err := os.WriteFile(file, append([]byte("dataDir="+dir+"\n"), data...), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Source{File: file, Resolve: noSuchHost, Env: func(name string) string {
			if name == "JVMFLAGS" {
				return flags
			}
			return ""
		}})
		if err != nil {
			if len(err.(Problems)) == 0 || err.Error() == "" {
				t.Fatal("an error without a word")
			}
			return
		}
		if c.TickTime <= 0 || c.MinSessionTimeout > c.MaxSessionTimeout || c.MinSessionTimeout < 0 || c.JuteMaxBuffer <= 0 ||
			c.SnapCount < 2 || c.SnapRetainCount < 3 || c.SnapSizeLimit < 0 || c.PreAllocSize < 0 || c.DataLogDir == "" {
			t.Fatalf("%+v", c)
		}
		if slices.ContainsFunc(c.Warnings, func(w string) bool { return strings.ContainsAny(w, "\n\r") }) {
			t.Fatalf("%q", c.Warnings)
		}
	})
}

// seedFiles is the files of the recorded cases.
func seedFiles(f *testing.F) [][]byte {
	data, err := os.ReadFile("testdata/parse-results.txt")
	if err != nil {
		f.Fatal(err)
	}
	var seeds [][]byte
	for _, block := range strings.Split(string(data), "\n### ") {
		var file strings.Builder
		for line := range strings.SplitSeq(block, "\n") {
			if text, ok := strings.CutPrefix(line, "    "); ok {
				file.WriteString(text + "\n")
			}
		}
		seeds = append(seeds, []byte(file.String()))
	}
	return seeds
}
