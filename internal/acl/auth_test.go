// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"slices"
	"strings"
	"testing"

	"paddock/proto"
)

func TestAuthenticate(t *testing.T) {
	addr := ID{IP, "127.0.0.1"}
	start := []ID{addr}
	few := plain(t)
	sup := full(t, func(o *Options) { o.SuperDigest = super })
	ens := full(t, func(o *Options) { o.EnsembleNames = []string{"a", "b"} })
	tls := []ID{addr, {X509, "CN=a"}}
	for _, tc := range []struct {
		name    string
		a       *Authority
		scheme  string
		data    []byte
		has     []ID
		want    []ID
		outcome Outcome
	}{
		{"digest", few, "digest", []byte("bob:pw"), start, []ID{addr, {Digest, bob}}, Granted},
		{"digest again", few, "digest", []byte("bob:pw"), []ID{addr, {Digest, bob}}, []ID{addr, {Digest, bob}}, Granted},
		{"digest, second id", few, "digest", []byte("nocolon"), []ID{addr, {Digest, bob}},
			[]ID{addr, {Digest, bob}, {Digest, "nocolon:Ra+cHr2ZoHvBjtNArFGNGlVie4g="}}, Granted},
		{"digest, empty", few, "digest", []byte{}, start, []ID{addr, {Digest, ":2jmj7l5rSw0yVb/vlWAYkK/YBwk="}}, Granted},
		{"digest, null", few, "digest", nil, start, start, Refused},
		{"digest, switched off", full(t, func(o *Options) { o.DigestEnabled = false }), "digest", []byte("bob:pw"), start, start, Refused},
		{"super", sup, "digest", []byte("super:admin"), start, []ID{addr, {Super, ""}, {Digest, super}}, Granted},
		{"super, wrong password", sup, "digest", []byte("super:x"), start, []ID{addr, {Digest, "super:eXJov8znpQ4dl1Mi6FnyKh1mSgw="}}, Granted},
		{"super not set up", few, "digest", []byte("super:admin"), start, []ID{addr, {Digest, super}}, Granted},
		{"ip", few, "ip", []byte("9.9.9.9"), start, start, Granted},
		{"ip, null", few, "ip", nil, nil, start, Granted},
		{"world", few, "world", []byte("anyone"), start, start, Refused},
		{"auth", few, "auth", []byte("x"), start, start, Refused},
		{"super scheme", few, "super", []byte("x"), start, start, Refused},
		{"unknown scheme", few, "nope", []byte("x"), start, start, Refused},
		{"empty scheme", few, "", []byte("x"), start, start, Refused},
		{"sasl not set up", few, "sasl", []byte("x"), start, start, Refused},
		{"sasl", full(t, nil), "sasl", []byte("x"), start, start, Refused},
		{"x509 over TLS", full(t, nil), "x509", nil, tls, tls, Granted},
		{"x509 without TLS", full(t, nil), "x509", []byte{}, start, start, Refused},
		{"x509 not set up", few, "x509", nil, tls, tls, Refused},
		{"ensemble", ens, "ensemble", []byte("b"), start, start, Granted},
		{"ensemble, wrong", ens, "ensemble", []byte("c"), start, start, CloseSilently},
		{"ensemble, empty", ens, "ensemble", []byte{}, start, start, Granted},
		{"ensemble, null", ens, "ensemble", nil, start, start, Granted},
		{"ensemble, no names", full(t, nil), "ensemble", []byte("c"), start, start, Granted},
		{"ensemble not set up", few, "ensemble", []byte("b"), start, start, Refused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// Room behind has: an append in place would show in the spare element.
			has := append(slices.Clone(tc.has), ID{"spare", "spare"})
			got, o := tc.a.Authenticate(tc.scheme, tc.data, "127.0.0.1", has[:len(tc.has)])
			if o != tc.outcome || !sameIDs(got, tc.want) {
				t.Errorf("Authenticate = %v, %v\nwant %v, %v", got, o, tc.want, tc.outcome)
			}
			if !slices.Equal(has[:len(tc.has)], tc.has) || has[len(tc.has)].Scheme != "spare" {
				t.Errorf("the ids given were written to: %v", has)
			}
		})
	}
}

func sameIDs(a, b []ID) bool {
	byText := func(x, y ID) int { return strings.Compare(x.Scheme+"\x00"+x.ID, y.Scheme+"\x00"+y.ID) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), byText), slices.SortedFunc(slices.Values(b), byText))
}

// The values are the reference's, for bob:pw.
func TestDigestAlgorithms(t *testing.T) {
	for alg, want := range map[string]string{
		"":         bob,
		"sha1":     bob,
		"SHA-256":  "bob:lXdkgIa9O1CDDWAryQ0pe9wUYi2LkG6M7Uocn/Vyn2g=",
		"SHA-512":  "bob:jQFpfQMlS0Fkelz3cdxBlcfmOOApGvKAjybCSpc/oHQD7ouOUKaAFXPlHr/2XpjmwJ0yssqB0Mh7gRRVqmyALQ==",
		"SHA3-256": "bob:W/mjsw4pvF0wVTGZI9EiUQDRnUt7BAezTWEy2LgNGUU=",
		"MD5":      "bob:mFIN705h49CRioANaL/new==",
	} {
		a := full(t, func(o *Options) { o.DigestAlg = alg })
		if got := a.digestID([]byte("bob:pw")); got != want {
			t.Errorf("%s: %s, want %s", alg, got, want)
		}
	}
}

// The values are the reference's. The user is in the wire's form of text, the
// hash is over real UTF-8.
func TestDigestText(t *testing.T) {
	a := plain(t)
	for in, want := range map[string]string{
		"":                    ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
		":x":                  ":57b19mLA2vMhI/edHul/TytWqWE=",
		"u:p:q":               "u:VIgTKUjc2iscZoJn2UUrdGNNgW4=",
		"é:ü":                 "é:Ztqg8TrMmzkSFpOaDBO87lu10+c=",
		"\xf0\x9f\x98\x80:p":  "\xed\xa0\xbd\xed\xb8\x80:mnxuLb+eH1AAHGgvuO6/0m5r6/g=",
		"\xef\xbf\xbd:p":      "\xef\xbf\xbd:" + a.hash([]byte("\xef\xbf\xbd:p")),
		"\xff:p":              "\xef\xbf\xbd:" + a.hash([]byte("\xef\xbf\xbd:p")),
		"u:\xed\xa0\xbd":      "u:" + a.hash([]byte("u:\xef\xbf\xbd")),
		"u:\xed\x95\x9c\xed":  "u:" + a.hash([]byte("u:\xed\x95\x9c\xef\xbf\xbd")),
		"\xf4\x8f\xbf\xbf:\n": "\xed\xaf\xbf\xed\xbf\xbf:" + a.hash([]byte("\xf4\x8f\xbf\xbf:\n")),
	} {
		if got := a.digestID([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestWithSASLAndX509(t *testing.T) {
	a := full(t, func(o *Options) {
		o.SuperUsers = []string{"bob", "root"}
		o.X509SuperUser = "CN=admin"
	})
	addr := []ID{{IP, "127.0.0.1"}}
	for _, tc := range []struct {
		name string
		got  []ID
		want []ID
	}{
		{"sasl", a.WithSASL("al", addr), []ID{addr[0], {SASL, "al"}}},
		{"sasl super", a.WithSASL("root", addr), []ID{addr[0], {SASL, "root"}, {Super, ""}}},
		{"x509", a.WithX509("CN=a", addr), []ID{addr[0], {X509, "CN=a"}}},
		{"x509 super", a.WithX509("CN=admin", addr), []ID{addr[0], {Super, "CN=admin"}, {X509, "CN=admin"}}},
	} {
		if !sameIDs(tc.got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

func TestWhoAmI(t *testing.T) {
	ids := []ID{{IP, "127.0.0.1"}, {Digest, bob}, {Digest, "nocolon"}, {Digest, ":x"}, {SASL, "al@R"}, {X509, "CN=a"}, {Super, ""}, {Super, "CN=a"}}
	want := []proto.ClientInfo{{Scheme: "ip", User: "127.0.0.1"}, {Scheme: "digest", User: "bob"}, {Scheme: "digest", User: "nocolon"},
		{Scheme: "digest"}, {Scheme: "sasl", User: "al@R"}, {Scheme: "x509", User: "CN=a"}, {Scheme: "super"}, {Scheme: "super"}}
	if got := full(t, nil).WhoAmI(ids); !slices.Equal(got, want) {
		t.Errorf("WhoAmI = %v", got)
	}
	if got := full(t, nil).WhoAmI(nil); got == nil || len(got) != 0 {
		t.Errorf("WhoAmI of nobody = %#v, want empty and not null", got)
	}
}

func FuzzDigestID(f *testing.F) {
	for _, s := range []string{"bob:pw", "", ":", "\xff:\xf0\x9f\x98\x80", "u:\xed\xa0\xbd\xed\xb8\x80"} {
		f.Add([]byte(s))
	}
	a := plain(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		id := a.digestID(data)
		user, hash, ok := strings.Cut(id, ":")
		if !ok || len(hash) != 28 || strings.Contains(hash, ":") {
			t.Fatalf("%q: %q", data, id)
		}
		if a.digestID(data) != id {
			t.Fatal("not a function")
		}
		// What the client is granted must be acceptable as an entry and shown by its user.
		fixed, code := a.Fix([]proto.ACL{{Perms: 1, Scheme: Auth}}, []ID{{Digest, id}})
		if code != proto.OK || !a.Allowed(fixed, 1, []ID{{Digest, id}}) {
			t.Fatalf("%q: %v, %v", data, fixed, code)
		}
		if info := a.WhoAmI([]ID{{Digest, id}}); info[0].User != user {
			t.Fatalf("%q: %v", data, info)
		}
		if !validDigestID(id) {
			t.Fatalf("%q: %q is not a valid entry", data, id)
		}
	})
}
