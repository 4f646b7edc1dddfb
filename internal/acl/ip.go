// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An entry of the ip scheme is an address, or an address and the number of
// leading bits that count: "10.0.0.0/8", "2001:db8::/32". The texts accepted
// are those of the reference: an IPv4 part may have leading zeros, an IPv6 text
// has no embedded IPv4 and no scope.

// address is a parsed address: 4 or 16 bytes of it count.
type address struct {
	bytes [16]byte
	size  int // bytes; 0 is no address
}

func validIP(entry string) bool {
	_, _, ok := parseIPEntry(entry)
	return ok
}

// matchIP tells whether the address of a connection is in what an entry means.
func matchIP(id, entry string) bool {
	want, bits, ok := parseIPEntry(entry)
	if !ok {
		return false
	}
	is := parseAddress(id)
	if is.size != want.size {
		return false
	}
	whole := bits / 8
	for i := range whole {
		if is.bytes[i] != want.bytes[i] {
			return false
		}
	}
	rest := bits % 8
	return rest == 0 || (is.bytes[whole]^want.bytes[whole])>>(8-rest) == 0
}

func parseIPEntry(entry string) (addr address, bits int, ok bool) {
	text, mask, masked := strings.Cut(entry, "/")
	addr = parseAddress(text)
	if addr.size == 0 {
		return addr, 0, false
	}
	bits = addr.size * 8
	if masked {
		n, ok := parseNumber(mask, 10)
		if !ok || n < 0 || n > bits {
			return addr, 0, false
		}
		bits = n
	}
	return addr, bits, true
}

func parseAddress(s string) address {
	if strings.IndexByte(s, ':') >= 0 {
		return parseIPv6(s)
	}
	a := address{}
	for i := range 4 {
		part, rest, more := strings.Cut(s, ".")
		n, ok := parseNumber(part, 10)
		if !ok || n < 0 || n > 255 || more != (i < 3) {
			return address{}
		}
		a.bytes[i], s = byte(n), rest
	}
	a.size = 4
	return a
}

func parseIPv6(s string) address {
	head, tail, gap := strings.Cut(s, "::")
	if strings.Contains(tail, "::") {
		return address{}
	}
	var a, end address
	n, ok := segments(head, &a, gap)
	m, ok2 := segments(tail, &end, true)
	if !ok || !ok2 || !gap && n != 8 || gap && n+m > 7 {
		return address{}
	}
	copy(a.bytes[16-2*m:], end.bytes[:2*m])
	a.size = 16
	return a
}

// segments parses groups of up to four hex digits into the front of a and
// returns their number. No text at all is no group where that may be.
func segments(s string, a *address, mayBeEmpty bool) (n int, ok bool) {
	if s == "" {
		return 0, mayBeEmpty
	}
	for more := true; more; n++ {
		var part string
		part, s, more = strings.Cut(s, ":")
		v, ok := parseNumber(part, 16)
		if n == 8 || len(part) > 4 || !ok {
			return 0, false
		}
		a.bytes[2*n], a.bytes[2*n+1] = byte(v>>8), byte(v)
	}
	return n, true
}

// parseNumber is an optional sign and digits, as the reference reads numbers,
// within 32 bits.
func parseNumber(s string, base int) (int, bool) {
	sign, digits := 1, s
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if digits = s[1:]; s[0] == '-' {
			sign = -1
		}
	}
	if digits == "" {
		return 0, false
	}
	n := 0
	for i := range len(digits) {
		d := 99
		switch c := digits[i]; {
		case c >= '0' && c <= '9':
			d = int(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			d = int(c|0x20-'a') + 10
		}
		if d >= base {
			return 0, false
		}
		if n = n*base + d; n > 1<<31-1 {
			return 0, false
		}
	}
	return sign * n, true
}

// PeerIP is the id of the ip scheme for a peer: an IPv4 address as dotted quad,
// an IPv6 address as eight groups in hex without leading zeros and without
// "::", with its scope after a % (client-protocol.md section 9.1). It is ""
// for an address that has no IP.
func PeerIP(addr net.Addr) string {
	ap, ok := addr.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return ""
	}
	ip := ap.AddrPort().Addr().Unmap()
	if !ip.Is6() {
		if !ip.IsValid() {
			return ""
		}
		return ip.String()
	}
	b := ip.As16()
	out := make([]byte, 0, 48)
	for i := 0; i < 16; i += 2 {
		if i > 0 {
			out = append(out, ':')
		}
		out = strconv.AppendUint(out, uint64(b[i])<<8|uint64(b[i+1]), 16)
	}
	if zone := ip.Zone(); zone != "" {
		out = append(append(out, '%'), zone...)
	}
	return string(out)
}
