// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"os"
	"strings"
	"testing"
)

// recorded is the texts of memberships that Apache's servers have sent.
func recorded(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/texts.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, block := range strings.Split(string(data), "\n## ")[1:] {
		name, text, _ := strings.Cut(block, "\n")
		out[name] = strings.TrimSuffix(text, "\n")
	}
	if len(out) < 7 {
		t.Fatalf("%d texts", len(out))
	}
	return out
}

func TestRecordedTexts(t *testing.T) {
	for name, text := range recorded(t) {
		if c := mustParse(t, text); c.String() != text {
			t.Errorf("%s:\n%s\nis written\n%s", name, text, c)
		}
	}
}

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string // want: the text, or "!" and a part of the error
	}{
		{"empty", "", "version=0"},
		{"order", "version=A\nserver.10=j:1:2\nserver.9=i:1:2", "server.9=i:1:2:participant\nserver.10=j:1:2:participant\nversion=a"},
		{"blanks and comments", "\n# x\n ! y\r\n \tserver.1 = h:1:2 \r\nversion : 3\n", "server.1=h:1:2:participant\nversion=3"},
		{"no equals sign", "server.1 h:1:2", "server.1=h:1:2:participant\nversion=0"},
		{"the last counts", "server.1=a:1:2\nserver.1=b:1:2\nversion=1\nversion=2", "server.1=b:1:2:participant\nversion=2"},
		{"ipv6", "server.1=[::1]:1:2;[2001:db8::]:3", "server.1=[0:0:0:0:0:0:0:1]:1:2:participant;[2001:db8:0:0:0:0:0:0]:3\nversion=0"},
		{"mapped ipv4", "server.1=[::ffff:10.0.0.1]:1:2", "server.1=10.0.0.1:1:2:participant\nversion=0"},
		{"zone", "server.1=[fe80::1%eth0]:1:2", "server.1=[fe80:0:0:0:0:0:0:1%eth0]:1:2:participant\nversion=0"},
		{"secure", "server.1=h:1:2;;4\nserver.2=h:1:2;x:3;y:4", "server.1=h:1:2:participant;;0.0.0.0:4\nserver.2=h:1:2:participant;x:3;y:4\nversion=0"},
		{"groups", "group.2=2:1\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=3\nweight.2=0\nversion=1",
			"server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\ngroup.1=3\ngroup.2=1:2\nweight.1=1\nweight.2=0\nweight.3=1\nversion=1"},

		{"unknown key", "tickTime=1", "!tickTime: unknown key"},
		{"unknown family", "servers.1=h:1:2", "!unknown key"},
		{"id", "server.x=h:1:2", "!is not a number"},
		{"negative id", "server.-1=h:1:2", "!is not a number"},
		{"no id", "server=h:1:2", "!is not a number"},
		{"version", "version=xyz", "!is not a version"},
		{"negative version", "version=-1", "!is not a version"},
		{"server", "server.1=h:1", "!server.1: must have the form"},
		{"escape", `server.1=h\:1:2`, "!backslash"},
		{"group", "group.1=a", "!is not the id of a server"},
		{"weight", "weight.1=-1", "!is not a weight"},
		{"overflowing weight", "weight.1=9223372036854775807", "!is not a weight"},
		{"two groups", "server.1=h:1:2\ngroup.1=1\ngroup.2=1", "!server 1 is in group 1 already"},
		{"twice in a group", "server.1=h:1:2\ngroup.1=1:1", "!server 1 is in group 1 already"},
		{"no group", "server.1=h:1:2\nserver.2=i:1:2\ngroup.1=1", "!server 2 is in no group"},
		{"weights alone", "server.1=h:1:2\nweight.1=1", "!server 1 is in no group"},
		{"stranger in a group", "server.1=h:1:2\ngroup.1=1:7", "!server 7 is no participant"},
		{"too long", strings.Repeat("#", TextMax+1), "!at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Parse(tc.in)
			if part, bad := strings.CutPrefix(tc.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, %v", c, err)
				}
			} else if err != nil || c.String() != tc.want {
				t.Errorf("got\n%s\n%v", c, err)
			}
		})
	}
}

// FuzzParse: no panic, and what is read is written and read alike.
func FuzzParse(f *testing.F) {
	for _, text := range recorded(f) {
		f.Add(text)
	}
	f.Add("server.1=[fe80::1%x]:1:2:observer|b:3:4;5;6\ngroup.1=2:3\nserver.2=a:1:2\nserver.3=b:1:2\nweight.3=0\nversion=f")
	f.Add("!\n#\n server.1 a:1:2;;4\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(c.String())
		if err != nil || again.String() != c.String() || !again.SameMembers(c) {
			t.Fatalf("%q is written %q and read again as %q, %v", text, c, again, err)
		}
		for i, m := range c.Members {
			if i > 0 && m.ID <= c.Members[i-1].ID || len(m.Addrs) == 0 {
				t.Fatalf("%+v", c)
			}
		}
		if c.Quorum(func(int64) bool { return false }) {
			t.Fatalf("%q: nobody is a quorum", text)
		}
	})
}
