// SPDX-License-Identifier: Apache-2.0

package acl

import "strings"

// x500Keywords are the attribute names that the reference's parser of X.500
// names knows, besides object ids.
var x500Keywords = map[string]bool{
	"CN": true, "C": true, "L": true, "S": true, "ST": true, "O": true, "OU": true, "T": true, "IP": true,
	"STREET": true, "DC": true, "DNQUALIFIER": true, "DNQ": true, "SURNAME": true, "GIVENNAME": true,
	"INITIALS": true, "GENERATION": true, "EMAIL": true, "EMAILADDRESS": true, "UID": true, "SERIALNUMBER": true,
}

// validX500Name tells whether the x509 scheme accepts the text of an entry:
// attributes "NAME=value" between commas, semicolons and pluses, or nothing.
func validX500Name(s string) bool {
	if s == "" {
		return true
	}
	for {
		name, rest, ok := strings.Cut(s, "=")
		if !ok || !validX500Type(strings.Trim(name, " \n")) {
			return false
		}
		n, ok := x500Value(rest)
		if !ok {
			return false
		}
		if n == len(rest) {
			return true
		}
		s = rest[n+1:]
	}
}

func validX500Type(s string) bool {
	if up := strings.ToUpper(s); x500Keywords[up] {
		return true
	} else if strings.HasPrefix(up, "OID.") {
		s = s[4:]
	}
	// An object id: 0 to 2, then, below 0 and 1, at most 39, then anything.
	parts := strings.Split(s, ".")
	for i, p := range parts {
		n, ok := 0, p != ""
		for _, c := range []byte(p) {
			ok = ok && c >= '0' && c <= '9'
			n = min(n*10+int(c-'0'), 1<<20)
		}
		if !ok || i == 0 && n > 2 || i == 1 && parts[0] != "2" && n > 39 {
			return false
		}
	}
	return len(parts) >= 2
}

// x500Value returns the length of the value at the start of s: up to a
// separator that is neither quoted nor escaped, or all of s.
func x500Value(s string) (n int, ok bool) {
	i := 0
	for i < len(s) && (s[i] == ' ' || s[i] == '\n') {
		i++
	}
	switch {
	case i < len(s) && s[i] == '#':
		return x500Hex(s, i+1)
	case i < len(s) && s[i] == '"':
		return x500Quoted(s, i+1)
	}
	for ; i < len(s); i++ {
		switch s[i] {
		case ',', ';', '+':
			return i, true
		case '\\':
			if i++; i == len(s) {
				return 0, false
			}
		case '"', '<', '>':
			return 0, false
		}
	}
	return i, true
}

// x500Hex is a value of hex digits, two a byte, with nothing but spaces behind.
func x500Hex(s string, i int) (n int, ok bool) {
	start := i
	for ; i < len(s); i++ {
		if _, ok := parseNumber(s[i:i+1], 16); !ok {
			break
		}
	}
	digits := i - start
	i, ok = x500End(s, i)
	return i, ok && digits > 0 && digits%2 == 0
}

// x500End skips spaces up to the end of a value.
func x500End(s string, i int) (n int, ok bool) {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n') {
		i++
	}
	return i, i == len(s) || s[i] == ',' || s[i] == ';' || s[i] == '+'
}

// x500Quoted is a value in quotes, with nothing but spaces behind.
func x500Quoted(s string, i int) (n int, ok bool) {
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	if i >= len(s) {
		return 0, false
	}
	return x500End(s, i+1)
}
