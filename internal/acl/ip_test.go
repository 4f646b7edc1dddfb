// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"net"
	"net/netip"
	"testing"
)

// The verdicts are those of the reference's provider.
func TestValidIP(t *testing.T) {
	for s, want := range map[string]bool{
		"1.2.3.4": true, "01.2.3.4": true, "+1.2.3.4": true, "-0.2.3.4": true, "1.2.3.4/0": true, "1.2.3.4/32": true,
		"1.2.3.4/+8": true, "1.2.3.4/08": true, "::": true, "::1": true, "1::": true, "::1/128": true, "::/0": true,
		"1:2:3:4:5:6:7:8": true, "1:2:3:4:5:6:7::": true, "::2:3:4:5:6:7:8": true, "2001:db8::/32": true, "2001:DB8::1": true,
		"0001::": true, "+1::": true, "-1::": true, "0:0:0:0:0:0:0:1": true, "1.2.3.00000000004": true,

		" 1.2.3.4": false, "1.2.3.4.": false, "1.2.3.4/": false, "1.2.3.4/-1": false, "1.2.3.4/33": false, "1.2.3.4/8/9": false,
		"1.2.3.4/ 8": false, "::1/129": false, "1:2:3:4:5:6:7": false, "1:2:3:4::5:6:7:8": false, "1:2:3:4:5:6:7:8:9": false,
		"12345::": false, "00001::": false, "::1.2.3.4": false, "::ffff:1.2.3.4": false, "fe80::1%eth0": false, "fe80::1%1": false,
		":1::2": false, "1::2:": false, "1:::2": false, "1::2::3": false, "": false, "/": false, "/8": false, ":": false, "g::": false,
		"[::1]": false, "::g": false, " ::1": false, "1.2.3": false, "256.1.1.1": false, "a.b.c.d": false, "1.2.3.4000": false,
		"0:0:0:0:0:0:0:0:": false, "localhost": false, "1:2:3:4:5:6:1.2.3.4": false, "1.2.3.4/x": false, "1.2.3.99999999999": false,
	} {
		if validIP(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func TestMatchIP(t *testing.T) {
	for _, tc := range []struct {
		id, entry string
		want      bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.0/8", true},
		{"127.0.0.1", "10.0.0.0/8", false},
		{"127.0.0.1", "0.0.0.0/0", true},
		{"127.0.0.1", "127.0.0.0/31", true},
		{"127.0.0.1", "127.0.0.2/31", false},
		{"127.0.0.1", "127.0.0.2", false},
		{"0:0:0:0:0:0:0:1", "::1", true},
		{"0:0:0:0:0:0:0:1", "0:0:0:0:0:0:0:0/127", true},
		{"0:0:0:0:0:0:0:2", "0:0:0:0:0:0:0:0/127", false},
		{"2001:db8:0:0:0:0:0:1", "2001:db8::/32", true},
		{"2001:db9:0:0:0:0:0:1", "2001:db8::/32", false},
		{"127.0.0.1", "::/0", false},
		{"0:0:0:0:0:0:0:1", "0.0.0.0/0", false},
		{"fe80:0:0:0:0:0:0:1%eth0", "fe80::/10", false},
		{"127.0.0.1", "0127.0.0.1", true},
		{"127.0.0.1", "::ffff:127.0.0.1", false},
		{"127.0.0.1", "127.0.0.1/33", false},
		{"127.0.0.1", "127.0.0.1/x", false},
		{"127.0.0.1", "junk", false},
		{"junk", "127.0.0.1", false},
		{"junk", "0.0.0.0/0", false},
		{"", "junk", false},
		{"127.0.0.1", "7f00:1::/0", false},
		{"7f00:1:0:0:0:0:0:0", "127.0.0.1", false},
	} {
		if got := matchIP(tc.id, tc.entry); got != tc.want {
			t.Errorf("%s in %s: %v", tc.id, tc.entry, got)
		}
	}
}

// Texts that net/netip reads as well must mean the same to us.
func FuzzIP(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "10.0.0.0/8", "::1", "2001:db8::/32", "1:2:3:4:5:6:7::", "::/0", "-1::", "1.2.3.4/+8"} {
		f.Add(s, "127.0.0.1")
	}
	f.Fuzz(func(t *testing.T, entry, id string) {
		if matchIP(id, entry) && !validIP(entry) {
			t.Fatalf("%q matches %q, which is not valid", id, entry)
		}
		addr, err := netip.ParseAddr(entry)
		if err != nil || addr.Zone() != "" || addr.Is4In6() {
			return
		}
		got := parseAddress(entry)
		if got.size == 0 {
			return // an IPv6 text with IPv4 inside
		}
		if addr.Is4() && [4]byte(got.bytes[:4]) != addr.As4() || addr.Is6() && got.bytes != addr.As16() {
			t.Fatalf("%q: %v, want %v", entry, got, addr)
		}
		if peer := PeerIP(&net.TCPAddr{IP: addr.AsSlice()}); !matchIP(peer, entry) {
			t.Fatalf("peer %q does not match %q", peer, entry)
		}
	})
}

type namedAddr struct{}

func (namedAddr) Network() string { return "pipe" }
func (namedAddr) String() string  { return "pipe" }

func TestPeerIP(t *testing.T) {
	for _, tc := range []struct {
		name string
		addr net.Addr
		want string
	}{
		{"IPv4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, "127.0.0.1"},
		{"IPv4 in 4 bytes", &net.TCPAddr{IP: net.IP{10, 0, 0, 9}}, "10.0.0.9"},
		{"loopback", &net.TCPAddr{IP: net.IPv6loopback}, "0:0:0:0:0:0:0:1"},
		{"IPv6", &net.TCPAddr{IP: net.ParseIP("2001:db8::ff00:42:8329")}, "2001:db8:0:0:0:ff00:42:8329"},
		{"link-local", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80:0:0:0:0:0:0:1%eth0"},
		{"none", &net.TCPAddr{}, ""},
		{"not IP", namedAddr{}, ""},
		{"nil", nil, ""},
	} {
		if got := PeerIP(tc.addr); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
