// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"strings"
	"testing"
)

func TestParseServer(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string // want: the normal form, or "!" and a part of the error
	}{
		{"plain", "h:1:2", "h:1:2:participant"},
		{"secure", "h:1:2;3;x:4", "h:1:2:participant;0.0.0.0:3;x:4"},
		{"secure only", "h:1:2;;4", "h:1:2:participant;;0.0.0.0:4"},
		{"several", "z:1:2|a:1:2", "a:1:2|z:1:2:participant"},
		{"one role for all", "z:1:2|a:1:2:observer", "a:1:2|z:1:2:observer"},
		{"a role each", "z:1:2:Observer|a:1:2: OBSERVER ", "a:1:2|z:1:2:observer"},
		{"several of ipv6", "[::2]:1:2|[::1]:1:2", "[0:0:0:0:0:0:0:1]:1:2|[0:0:0:0:0:0:0:2]:1:2:participant"},
		{"empty", "", "!must have the form"},
		{"no host", ":1:2", "!must have the form"},
		{"blank in the host", "a b:1:2", "!is not a host"},
		{"line break in the host", "a\nb:1:2", "!is not a host"},
		{"empty client", "h:1:2;", "!is not a port"},
		{"client host", "h:1:2;a\tb:3", "!is not a host"},
		{"port", "h:1:70000", `!"70000" is not a port`},
		{"same port", "h:1:1", "!must differ"},
		{"role", "h:1:2:king", `!unknown role "king"`},
		{"roles", "a:1:2:participant|b:1:2:observer", "!the same role"},
		{"open bracket", "[::1:2:3", "!no matching ']:'"},
		{"not v6", "[host]:2:3", "!is not an IPv6 address"},
		{"semicolons", "h:1:2;3;4;5", "!must have the form"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := ParseServer(1, tc.in, true)
			if part, bad := strings.CutPrefix(tc.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, %v", s, err)
				}
			} else if err != nil || s.String() != tc.want {
				t.Errorf("got %s, %v", s, err)
			}
		})
	}
	if _, err := ParseServer(1, "a:1:2|b:1:2", false); err == nil || !strings.Contains(err.Error(), "several addresses") {
		t.Errorf("several addresses while off: %v", err)
	}
}

func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"h:1:2", "[::1]:1:2:observer;3", "a:1:2|b:3:4;x:5;y:6", "h:1:2;;4", ";;;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseServer(1, text, true)
		if err != nil {
			return
		}
		again, err := ParseServer(1, s.String(), true)
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q is written %q and read again as %q, %v", text, s, again, err)
		}
	})
}
