// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"errors"
	"strings"
	"testing"
)

func TestNext(t *testing.T) {
	three := mustParse(t, "server.1=10.0.0.1:1:2;3\nserver.2=10.0.0.2:1:2;3\nserver.3=10.0.0.3:1:2;3\nversion=100000000")
	groups := mustParse(t, "server.1=a:1:2;3\nserver.2=b:1:2;3\ngroup.1=1:2\nversion=100000000")
	all := func(int64) bool { return true }
	for _, tc := range []struct {
		name       string
		c, seen    *Config
		ask        Ask
		min        int
		synced     func(int64) bool
		want       string // servers as id:role, by blanks
		wantErr    error
		wantReason string
	}{
		{name: "add", ask: Ask{From: -1, Joining: "server.4=10.0.0.4:1:2:observer;3"}, want: "1 2 3 4o"},
		{name: "the word before the dot", ask: Ask{From: -1, Joining: " 4 = 10.0.0.4:1:2;3 , x.y.5=10.0.0.5:1:2;3,"}, want: "1 2 3 4 5"},
		{name: "a secure port will do", ask: Ask{From: -1, Joining: "server.4=10.0.0.4:1:2;;3"}, want: "1 2 3 4"},
		{name: "remove", ask: Ask{From: 0x100000000, Leaving: "3, 9"}, want: "1 2"},
		{name: "replace", ask: Ask{From: -1, Joining: "server.3=10.0.0.3:7:8:observer;3"}, want: "1 2 3o"},
		{name: "leave and join", ask: Ask{From: -1, Leaving: "2,3", Joining: "server.3=10.0.0.2:1:2;3"}, want: "1 3"},
		{name: "nothing", ask: Ask{From: -1}, want: "1 2 3"},
		{name: "all", ask: Ask{From: -1, Full: true, Members: "server.1=a:1:2;3,server.2=b:1:2;3\nserver.7=c:1:2:observer", Leaving: "1"}, want: "1 2 7o"},
		{name: "one of an ensemble that may be one", ask: Ask{From: -1, Leaving: "2,3"}, min: 1, want: "1"},
		{name: "loopback is no one's", ask: Ask{From: -1, Joining: "server.4=127.0.0.1:1:2;3,server.5=127.0.0.1:1:2;3,server.6=localhost:1:2;3,server.7=localhost:1:2;3"}, want: "1 2 3 4 5 6 7"},
		{name: "every interface is no one's", ask: Ask{From: -1, Joining: "server.4=10.0.0.4:5:6;3,server.5=10.0.0.5:1:2;3"}, want: "1 2 3 4 5"},
		{name: "groups, listed", c: groups, ask: Ask{From: -1, Full: true, Members: "server.1=a:1:2,server.2=b:1:2,group.1=1:2,weight.1=1"}, want: "1 2"},

		{name: "pending", seen: three.WithVersion(0x100000007), ask: Ask{From: 5}, wantErr: ErrReconfigPending},
		{name: "version", ask: Ask{From: 5, Leaving: "x"}, wantErr: ErrOtherVersion},
		{name: "leaving is no number", ask: Ask{From: -1, Leaving: "x"}, wantErr: ErrBadID},
		{name: "joining is no number", ask: Ask{From: -1, Joining: "server.x=10.0.0.4:1:2;3"}, wantErr: ErrBadID},
		{name: "negative", ask: Ask{From: -1, Joining: "server.-4=10.0.0.4:1:2;3"}, wantErr: ErrBadMembers},
		{name: "no equals sign", ask: Ask{From: -1, Joining: "10.0.0.4:1:2;3"}, wantErr: ErrBadMembers},
		{name: "two equals signs", ask: Ask{From: -1, Joining: "server.4=a=b:1:2;3"}, wantErr: ErrBadMembers},
		{name: "no client port", ask: Ask{From: -1, Joining: "server.4=10.0.0.4:1:2"}, wantErr: ErrBadMembers, wantReason: "client port"},
		{name: "no election port", ask: Ask{From: -1, Joining: "server.4=10.0.0.4:1;3"}, wantErr: ErrBadMembers},
		{name: "second line", ask: Ask{From: -1, Joining: "server.4=a\nb:1:2;3"}, wantErr: ErrBadMembers},
		{name: "shared address", ask: Ask{From: -1, Joining: "server.4=10.0.0.4:1:2;10.0.0.2:2"}, wantErr: ErrBadMembers, wantReason: "10.0.0.2:2"},
		{name: "groups", c: groups, ask: Ask{From: -1, Leaving: "1"}, wantErr: ErrBadMembers, wantReason: "groups"},
		{name: "garbage", ask: Ask{From: -1, Full: true, Members: "hello"}, wantErr: ErrBadMembers},
		{name: "empty", ask: Ask{From: -1, Full: true}, wantErr: ErrBadMembers},
		{name: "too few", ask: Ask{From: -1, Leaving: "2,3"}, synced: among(), wantErr: ErrBadMembers, wantReason: "at least 2"},
		{name: "none left", ask: Ask{From: -1, Leaving: "1,2,3"}, min: 1, wantErr: ErrBadMembers},
		{name: "not in step", ask: Ask{From: -1, Leaving: "1"}, synced: among(1, 2), wantErr: ErrNoQuorum},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.c == nil {
				tc.c = three
			}
			if tc.min == 0 {
				tc.min = 2
			}
			if tc.synced == nil {
				tc.synced = all
			}
			before := tc.c.String()
			got, err := Next(tc.c, tc.seen, tc.ask, tc.min, tc.synced)
			if tc.c.String() != before {
				t.Error("the old membership has changed")
			}
			if tc.wantErr != nil {
				if !errors.Is(err, tc.wantErr) || !strings.Contains(err.Error(), tc.wantReason) {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, m := range got.Members {
				id := string(rune('0' + m.ID))
				if m.Observer {
					id += "o"
				}
				ids = append(ids, id)
			}
			if strings.Join(ids, " ") != tc.want || got.Version != 0 {
				t.Errorf("got %v", got)
			}
		})
	}
}

// FuzzNext: no panic, and a membership that is granted can be sent.
func FuzzNext(f *testing.F) {
	f.Add("server.4=10.0.0.4:1:2:observer;3", "3", "")
	f.Add("", "", "server.1=a:1:2;3,server.2=b:1:2;3\ngroup.1=1:2\nweight.2=0")
	f.Fuzz(func(t *testing.T, joining, leaving, members string) {
		c := mustParse(t, "server.1=a:1:2;3\nserver.2=b:1:2;3\nversion=1")
		for _, full := range []bool{false, true} {
			next, err := Next(c, nil, Ask{From: -1, Full: full, Members: members, Joining: joining, Leaving: leaving}, 1,
				func(int64) bool { return true })
			if err != nil {
				continue
			}
			again, err := Parse(next.String())
			if err != nil || !again.SameMembers(next) {
				t.Fatalf("%q is read again as %q, %v", next, again, err)
			}
		}
	})
}
