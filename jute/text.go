// SPDX-License-Identifier: Apache-2.0

package jute

import "unicode/utf8"

func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if (b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7])&0x80 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x >= 0x80 {
			return false
		}
	}
	return true
}

const replacement = "\xef\xbf\xbd" // U+FFFD

// Normalize returns the text of b as the reference would send it back: bytes
// that are not UTF-8 become U+FFFD, one for each longest broken piece, and a
// character above U+FFFF becomes its two surrogates of three bytes each
// (client-protocol.md section 1.2).
func Normalize(b []byte) string {
	out := make([]byte, 0, len(b)+len(b)/2)
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			out = append(out, b[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			out = append(out, replacement...)
			i += brokenLen(b[i:])
			continue
		case r > 0xffff:
			hi, lo := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
			out = append(out, unit(hi)...)
			out = append(out, unit(lo)...)
		default:
			out = append(out, b[i:i+n]...)
		}
		i += n
	}
	return string(out)
}

// unit is one UTF-16 code unit above 0x7ff as three bytes.
func unit(r rune) []byte {
	return []byte{0xe0 | byte(r>>12), 0x80 | byte(r>>6)&0x3f, 0x80 | byte(r)&0x3f}
}

// brokenLen is how many bytes at the start of b one U+FFFD stands for: the
// longest start of a well-formed sequence, a whole encoded surrogate, or one.
func brokenLen(b []byte) int {
	cont := func(i int) bool { return i < len(b) && b[i]&0xc0 == 0x80 }
	switch lead := b[0]; {
	case lead == 0xed && cont(1) && b[1] >= 0xa0: // surrogate
		if cont(2) {
			return 3
		}
		return min(2, len(b))
	case lead >= 0xe0 && lead < 0xf0:
		if !cont(1) || lead == 0xe0 && b[1] < 0xa0 {
			return 1
		}
		return 2
	case lead >= 0xf0 && lead <= 0xf4:
		if !cont(1) || lead == 0xf0 && b[1] < 0x90 || lead == 0xf4 && b[1] >= 0x90 {
			return 1
		}
		if !cont(2) {
			return 2
		}
		return 3
	}
	return 1
}
