// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"strings"
	"testing"

	"paddock/jute"
)

func TestValidPath(t *testing.T) {
	for _, tc := range []struct {
		path string
		want bool
	}{
		{"/", true}, {"/a", true}, {"/a/b", true}, {"/zookeeper/config", true},
		{"/...", true}, {"/..a", true}, {"/a.", true}, {"/.a/a..b", true}, {"/ ", true}, {"/a b/ c", true}, {"/:%\\*?", true},
		{"/~", true}, {"/\u00a0", true}, {"/é", true}, {"/日本", true}, {"/\ud7ff", true}, {"/\uf900", true}, {"/\uffef", true},
		{"/0000000018", true}, {"/" + strings.Repeat("x", 1<<16), true}, {strings.Repeat("/x", 5000), true},
		{jute.Null(), false}, {"", false}, {"a", false}, {"a/b", false}, {"./a", false},
		{"/a/", false}, {"//", false}, {"//a", false}, {"/a//b", false}, {"/a/b/", false},
		{"/.", false}, {"/..", false}, {"/./a", false}, {"/../a", false}, {"/a/./b", false}, {"/a/..", false}, {"/a/.", false},
		{"/\x00", false}, {"/a\x00b", false}, {"/\x01", false}, {"/a\x1f", false}, {"/\t", false}, {"/\n", false}, {"/\x7f", false},
		{"/\u0080", false}, {"/\u009f", false}, {"/\ue000", false}, {"/\uf8ff", false}, {"/\ufff0", false}, {"/\ufffd", false}, {"/\uffff", false},
		{"/😀", false}, {"/\U00010000", false}, {"/\xed\xa0\x80", false}, {"/\xff", false}, {"/a/\xc3", false},
	} {
		if got := ValidPath(tc.path); got != tc.want {
			t.Errorf("ValidPath(%.40q) = %t", tc.path, got)
		}
	}
}

// FuzzValidPath: a valid path is made of valid components, and none is longer
// than it looks.
func FuzzValidPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a//b", "/é/😀", "/\xed\xa0\x80", "/..", "/\uf8ff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, want := ValidPath(path), path == "/"
		if rest, ok := strings.CutPrefix(path, "/"); ok && rest != "" {
			want = true
			for _, part := range strings.Split(rest, "/") {
				want = want && part != "" && part != "." && part != ".." && ValidPath("/"+part)
			}
		}
		if got != want {
			t.Errorf("ValidPath(%q) = %t, its components say %t", path, got, want)
		}
		if got && !hasSlashNoNUL(path) {
			t.Errorf("%q is valid, but fails the first look", path)
		}
	})
}
