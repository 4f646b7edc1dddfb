// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"paddock/jute"
	"paddock/proto"
)

// The rows are the recorded answers of the reference to setACL and create, and
// what its providers say of the same texts.
func TestFix(t *testing.T) {
	null := jute.Null()
	all, few := full(t, nil), plain(t)
	addr := ID{IP, "127.0.0.1"}
	joe := "joe:FENxr4a6NjHyAS6SdVQsKD0b0CA="
	two := []ID{addr, {Digest, bob}, {Digest, joe}}
	for _, tc := range []struct {
		name string
		a    *Authority
		ids  []ID
		list []proto.ACL
		code proto.Code
		want []proto.ACL // nil: as given
	}{
		{"null", few, nil, nil, proto.ErrInvalidACL, nil},
		{"empty", few, nil, []proto.ACL{}, proto.ErrInvalidACL, nil},
		{"world", few, nil, []proto.ACL{entry(31, World, "anyone")}, proto.OK, nil},
		{"no bits and unknown bits", few, nil, []proto.ACL{entry(0, World, "anyone"), entry(-1, World, "anyone")}, proto.OK, nil},
		{"world:other", few, nil, []proto.ACL{entry(31, World, "bob")}, proto.ErrInvalidACL, nil},
		{"duplicates", few, nil, []proto.ACL{entry(31, World, "anyone"), entry(1, IP, "::1"), entry(31, World, "anyone")}, proto.OK,
			[]proto.ACL{entry(31, World, "anyone"), entry(1, IP, "::1")}},
		{"same id, other bits", few, nil, []proto.ACL{entry(31, World, "anyone"), entry(1, World, "anyone")}, proto.OK, nil},
		{"unknown scheme", few, nil, []proto.ACL{entry(31, "nope", "x")}, proto.ErrInvalidACL, nil},
		{"unknown scheme, null id", few, nil, []proto.ACL{entry(31, "nope", null)}, proto.ErrInvalidACL, nil},
		{"empty scheme", few, nil, []proto.ACL{entry(31, "", "x")}, proto.ErrInvalidACL, nil},
		{"null scheme", few, nil, []proto.ACL{entry(31, null, "x")}, proto.ErrInvalidACL, nil},
		{"null scheme and id", few, nil, []proto.ACL{entry(31, null, null)}, proto.ErrInvalidACL, nil},
		{"text like our null", few, nil, []proto.ACL{entry(31, Digest, strings.Clone("\x00null"))}, proto.ErrInvalidACL, nil},
		{"null id, world", few, nil, []proto.ACL{entry(31, World, null)}, proto.ErrMarshalling, nil},
		{"null id, digest", few, nil, []proto.ACL{entry(31, Digest, null)}, proto.ErrMarshalling, nil},
		{"null id, ip", few, nil, []proto.ACL{entry(31, IP, null)}, proto.ErrMarshalling, nil},
		{"null id, x509", all, nil, []proto.ACL{entry(31, X509, null)}, proto.ErrMarshalling, nil},
		{"null id, ensemble", all, nil, []proto.ACL{entry(31, Ensemble, null)}, proto.ErrInvalidACL, nil},
		{"null id, auth", few, two, []proto.ACL{entry(31, Auth, null)}, proto.OK, []proto.ACL{entry(31, Digest, bob), entry(31, Digest, joe)}},
		{"digest", few, nil, []proto.ACL{entry(31, Digest, "bob:x")}, proto.OK, nil},
		{"digest without colon", few, nil, []proto.ACL{entry(31, Digest, "bob")}, proto.ErrInvalidACL, nil},
		{"digest switched off", full(t, func(o *Options) { o.DigestEnabled = false }), nil,
			[]proto.ACL{entry(31, Digest, "bob:x")}, proto.ErrInvalidACL, nil},
		{"ip", few, nil, []proto.ACL{entry(1, IP, "10.0.0.0/8"), entry(1, IP, "2001:db8::/32")}, proto.OK, nil},
		{"bad ip", few, nil, []proto.ACL{entry(1, IP, "1.2.3")}, proto.ErrInvalidACL, nil},
		{"good, then bad", few, nil, []proto.ACL{entry(31, World, "anyone"), entry(1, IP, "1.2.3")}, proto.ErrInvalidACL, nil},
		{"sasl", all, nil, []proto.ACL{entry(1, SASL, "svc/host@REALM")}, proto.OK, nil},
		{"sasl, bad name", all, nil, []proto.ACL{entry(1, SASL, "a@b@c")}, proto.ErrInvalidACL, nil},
		{"sasl not configured", few, nil, []proto.ACL{entry(1, SASL, "bob")}, proto.ErrInvalidACL, nil},
		{"x509", all, nil, []proto.ACL{entry(1, X509, "CN=client,OU=Eng,O=Test Org,C=US")}, proto.OK, nil},
		{"x509, no name", all, nil, []proto.ACL{entry(1, X509, "not a dn")}, proto.ErrInvalidACL, nil},
		{"x509 not configured", few, nil, []proto.ACL{entry(1, X509, "CN=a")}, proto.ErrInvalidACL, nil},
		{"ensemble", all, nil, []proto.ACL{entry(1, Ensemble, "a")}, proto.ErrInvalidACL, nil},
		{"super is no scheme", all, []ID{{Super, ""}}, []proto.ACL{entry(1, Super, "x")}, proto.ErrInvalidACL, nil},
		{"auth without any id", few, nil, []proto.ACL{entry(31, Auth, "")}, proto.ErrInvalidACL, nil},
		{"auth with the address only", few, []ID{addr}, []proto.ACL{entry(31, Auth, "bob")}, proto.ErrInvalidACL, nil},
		{"auth of schemes gone", few, []ID{addr, {SASL, "al"}}, []proto.ACL{entry(31, Auth, "")}, proto.ErrInvalidACL, nil},
		{"auth, id text ignored", few, two, []proto.ACL{entry(5, Auth, "whatever")}, proto.OK, []proto.ACL{entry(5, Digest, bob), entry(5, Digest, joe)}},
		{"auth of a super user", few, []ID{addr, {Super, ""}, {Digest, super}}, []proto.ACL{entry(31, Auth, "")}, proto.OK, []proto.ACL{entry(31, Digest, super)}},
		{"auth of sasl and x509", all, []ID{{SASL, "al"}, {X509, "CN=a"}}, []proto.ACL{entry(1, Auth, "")}, proto.OK,
			[]proto.ACL{entry(1, SASL, "al"), entry(1, X509, "CN=a")}},
		{"duplicates go before auth is expanded", few, two,
			[]proto.ACL{entry(1, World, "anyone"), entry(31, Auth, ""), entry(31, Digest, bob)}, proto.OK,
			[]proto.ACL{entry(1, World, "anyone"), entry(31, Digest, bob), entry(31, Digest, joe), entry(31, Digest, bob)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			given := slices.Clone(tc.list)
			got, code := tc.a.Fix(tc.list, tc.ids)
			want := tc.want
			if want == nil && tc.code == proto.OK {
				want = given
			}
			if code != tc.code || !slices.Equal(got, want) {
				t.Errorf("Fix = %v, %v\nwant  %v, %v", got, code, want, tc.code)
			}
			if !reflect.DeepEqual(tc.list, given) {
				t.Errorf("the list given became %v", tc.list)
			}
		})
	}
}

func TestFixSkipACLStillChecks(t *testing.T) {
	a := full(t, func(o *Options) { o.SkipACL = true })
	if _, code := a.Fix([]proto.ACL{entry(31, "nope", "x")}, nil); code != proto.ErrInvalidACL {
		t.Errorf("code %v", code)
	}
}

func TestValidDigestID(t *testing.T) {
	for s, want := range map[string]bool{
		"a:b": true, ":b": true, "a:b:": true, "a:b::": true, "a:b\nc": true,
		"": false, "a": false, "a:": false, ":": false, "a:b:c": false, "::b": false, "a::b": false,
	} {
		if validDigestID(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func TestValidSASLName(t *testing.T) {
	for s, want := range map[string]bool{
		"bob": true, "svc/host@REALM": true, "svc@REALM": true, "a/b/c": true, "": true, "@": true, "@R": true,
		"a@": true, "/h@R": true, "a/@R": true, "a\nb@c": true,
		"a@b@c": false, "a/b/c@d": false, "a@b/c": false,
	} {
		if validSASLName(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func TestRedact(t *testing.T) {
	list := []proto.ACL{entry(1, World, "anyone"), entry(31, Digest, bob), entry(1, SASL, "a:b"), entry(1, Digest, ":x:y"), entry(1, Digest, "odd")}
	given := slices.Clone(list)
	want := []proto.ACL{entry(1, World, "anyone"), entry(31, Digest, "bob:x"), entry(1, SASL, "a:b"), entry(1, Digest, ":x"), entry(1, Digest, "odd")}
	if got := Redact(list); !slices.Equal(got, want) {
		t.Errorf("Redact = %v", got)
	}
	if !slices.Equal(list, given) {
		t.Errorf("the list given became %v", list)
	}
	if n := testing.AllocsPerRun(10, func() { Redact(list[:1]) }); n != 0 {
		t.Errorf("%v allocations with nothing to hide", n)
	}
}
