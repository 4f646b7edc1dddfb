// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"testing"

	"paddock/proto"
)

const (
	bob   = "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="
	super = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="
)

// full is an Authority with every scheme.
func full(t testing.TB, change func(*Options)) *Authority {
	t.Helper()
	opt := Options{DigestEnabled: true, Providers: Providers{SASL: true, X509: true, Ensemble: true}}
	if change != nil {
		change(&opt)
	}
	a, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// plain is an Authority as a server without any settings has it.
func plain(t testing.TB) *Authority {
	return full(t, func(o *Options) { o.Providers = Providers{} })
}

func entry(perms int32, scheme, id string) proto.ACL {
	return proto.ACL{Perms: perms, Scheme: scheme, ID: id}
}

func TestNewRefuses(t *testing.T) {
	for name, opt := range map[string]Options{
		"unknown hash":             {DigestAlg: "SHA-0"},
		"enforced without sasl":    {EnforceSchemes: []string{"sasl"}},
		"enforced without digest":  {EnforceSchemes: []string{"digest"}},
		"enforced unknown":         {DigestEnabled: true, EnforceSchemes: []string{"digest", "nope"}},
		"enforced world":           {EnforceSchemes: []string{"world"}},
		"enforced empty text":      {EnforceSchemes: []string{""}},
		"enforced x509 not set up": {EnforceSchemes: []string{"x509"}, Providers: Providers{SASL: true}},
	} {
		if _, err := New(opt); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAllowed(t *testing.T) {
	local := ID{IP, "127.0.0.1"}
	all := full(t, func(o *Options) { o.LetAnySaslUserDoX = "any" })
	skip := full(t, func(o *Options) { o.SkipACL = true })
	noDigest := full(t, func(o *Options) { o.DigestEnabled = false })
	for _, tc := range []struct {
		name string
		a    *Authority
		list []proto.ACL
		perm int32
		ids  []ID
		want bool
	}{
		{"null list", all, nil, proto.PermAll, nil, true},
		{"empty list", all, []proto.ACL{}, proto.PermAll, nil, true},
		{"world", all, []proto.ACL{entry(31, World, "anyone")}, proto.PermRead, nil, true},
		{"world, other bit", all, []proto.ACL{entry(1, World, "anyone")}, proto.PermWrite, []ID{local}, false},
		{"world, either bit", all, []proto.ACL{entry(16, World, "anyone")}, proto.PermRead | proto.PermAdmin, nil, true},
		{"no permission at all", all, []proto.ACL{entry(0, World, "anyone")}, proto.PermRead, []ID{local}, false},
		{"unknown bits", all, []proto.ACL{entry(-32, World, "anyone")}, proto.PermRead, []ID{local}, false},
		{"super", all, []proto.ACL{entry(0, Digest, "x:y")}, proto.PermAdmin, []ID{local, {Super, ""}}, true},
		{"skipACL", skip, []proto.ACL{entry(0, Digest, "x:y")}, proto.PermAdmin, nil, true},
		{"digest", all, []proto.ACL{entry(1, Digest, bob)}, proto.PermRead, []ID{local, {Digest, bob}}, true},
		{"digest, other password", all, []proto.ACL{entry(1, Digest, bob)}, proto.PermRead, []ID{{Digest, "bob:x"}}, false},
		{"digest, other scheme", all, []proto.ACL{entry(1, Digest, bob)}, proto.PermRead, []ID{{SASL, bob}}, false},
		{"digest switched off", noDigest, []proto.ACL{entry(1, Digest, bob)}, proto.PermRead, []ID{{Digest, bob}}, false},
		{"second entry, second id", all, []proto.ACL{entry(1, IP, "10.0.0.1"), entry(2, Digest, bob)}, proto.PermWrite,
			[]ID{local, {Digest, "joe:x"}, {Digest, bob}}, true},
		{"ip", all, []proto.ACL{entry(1, IP, "127.0.0.0/8")}, proto.PermRead, []ID{local}, true},
		{"ip elsewhere", all, []proto.ACL{entry(1, IP, "10.0.0.0/8")}, proto.PermRead, []ID{local}, false},
		{"sasl", all, []proto.ACL{entry(1, SASL, "bob")}, proto.PermRead, []ID{{SASL, "bob"}}, true},
		{"sasl, other", all, []proto.ACL{entry(1, SASL, "bob")}, proto.PermRead, []ID{{SASL, "al"}}, false},
		{"sasl user named super", all, []proto.ACL{entry(1, SASL, "bob")}, proto.PermRead, []ID{{SASL, "super"}}, true},
		{"sasl, any user", all, []proto.ACL{entry(1, SASL, "any")}, proto.PermRead, []ID{{SASL, "al"}}, true},
		{"sasl, any user, not set", full(t, nil), []proto.ACL{entry(1, SASL, "")}, proto.PermRead, []ID{{SASL, "al"}}, false},
		{"sasl not configured", plain(t), []proto.ACL{entry(1, SASL, "bob")}, proto.PermRead, []ID{{SASL, "bob"}}, false},
		{"x509", all, []proto.ACL{entry(1, X509, "CN=a,O=b")}, proto.PermRead, []ID{{X509, "CN=a,O=b"}}, true},
		{"x509, other order", all, []proto.ACL{entry(1, X509, "O=b,CN=a")}, proto.PermRead, []ID{{X509, "CN=a,O=b"}}, false},
		{"ensemble never", all, []proto.ACL{entry(1, Ensemble, "a")}, proto.PermRead, []ID{{Ensemble, "a"}}, false},
		{"auth is no entry", all, []proto.ACL{entry(1, Auth, "")}, proto.PermRead, []ID{local, {Auth, ""}}, false},
		{"world with another id", all, []proto.ACL{entry(1, World, "bob")}, proto.PermRead, []ID{{World, "bob"}}, false},
		{"unknown scheme", all, []proto.ACL{entry(1, "nope", "x")}, proto.PermRead, []ID{{"nope", "x"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.a.Allowed(tc.list, tc.perm, tc.ids); got != tc.want {
				t.Errorf("Allowed = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAllowedDoesNotAllocate(t *testing.T) {
	a := full(t, nil)
	list := []proto.ACL{entry(1, IP, "2001:db8::/32"), entry(1, IP, "10.0.0.0/8"), entry(1, Digest, bob), entry(1, SASL, "al")}
	ids := []ID{{IP, "2001:db9:0:0:0:0:0:1"}, {IP, "127.0.0.1"}, {Digest, "joe:x"}, {SASL, "al"}}
	if n := testing.AllocsPerRun(100, func() {
		if !a.Allowed(list, proto.PermRead, ids) {
			t.Fatal("not allowed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEnforced(t *testing.T) {
	open := full(t, nil)
	some := full(t, func(o *Options) { o.EnforceSchemes = []string{"digest", "sasl"} })
	for _, tc := range []struct {
		name string
		a    *Authority
		ids  []ID
		want bool
	}{
		{"not enforced", open, nil, true},
		{"none", some, nil, false},
		{"only the address", some, []ID{{IP, "127.0.0.1"}}, false},
		{"first scheme", some, []ID{{IP, "127.0.0.1"}, {Digest, bob}}, true},
		{"second scheme", some, []ID{{SASL, "al"}}, true},
	} {
		if got := tc.a.Enforced(tc.ids); got != tc.want {
			t.Errorf("%s: Enforced = %v, want %v", tc.name, got, tc.want)
		}
	}
}
