// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// digestFunc is base64 of a hash.
type digestFunc func([]byte) string

// digestByName finds a hash by the name that Java has for it, in any case, or
// returns nil.
func digestByName(name string) digestFunc {
	switch strings.ToUpper(name) {
	case "MD5":
		return func(b []byte) string { h := md5.Sum(b); return b64(h[:]) }
	case "SHA1", "SHA-1", "SHA":
		return func(b []byte) string { h := sha1.Sum(b); return b64(h[:]) }
	case "SHA-224":
		return func(b []byte) string { h := sha256.Sum224(b); return b64(h[:]) }
	case "SHA-256":
		return func(b []byte) string { h := sha256.Sum256(b); return b64(h[:]) }
	case "SHA-384":
		return func(b []byte) string { h := sha512.Sum384(b); return b64(h[:]) }
	case "SHA-512":
		return func(b []byte) string { h := sha512.Sum512(b); return b64(h[:]) }
	case "SHA-512/224":
		return func(b []byte) string { h := sha512.Sum512_224(b); return b64(h[:]) }
	case "SHA-512/256":
		return func(b []byte) string { h := sha512.Sum512_256(b); return b64(h[:]) }
	case "SHA3-224":
		return func(b []byte) string { h := sha3.Sum224(b); return b64(h[:]) }
	case "SHA3-256":
		return func(b []byte) string { h := sha3.Sum256(b); return b64(h[:]) }
	case "SHA3-384":
		return func(b []byte) string { h := sha3.Sum384(b); return b64(h[:]) }
	case "SHA3-512":
		return func(b []byte) string { h := sha3.Sum512(b); return b64(h[:]) }
	}
	return nil
}

func b64(h []byte) string { return base64.StdEncoding.EncodeToString(h) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plainUTF8 puts the pairs of three-byte surrogates, the wire's form of a
// character above U+FFFF, back into the four bytes over which the reference
// computes its hashes. s is text in the wire's form: surrogates come in pairs.
func plainUTF8(s string) string {
	if strings.IndexByte(s, 0xed) < 0 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		if i+6 <= len(s) && s[i] == 0xed && s[i+1]&0xf0 == 0xa0 && s[i+3] == 0xed && s[i+4]&0xf0 == 0xb0 {
			hi := rune(s[i+1]&0x0f)<<6 | rune(s[i+2]&0x3f)
			lo := rune(s[i+4]&0x0f)<<6 | rune(s[i+5]&0x3f)
			out.WriteRune(0x10000 + hi<<10 + lo)
			i += 6
			continue
		}
		out.WriteByte(s[i])
		i++
	}
	return out.String()
}
