// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"strings"
	"unicode/utf8"

	"paddock/jute"
)

// ValidPath tells whether a znode may have this path (client-protocol.md
// section 7.1).
func ValidPath(path string) bool {
	if jute.IsNull(path) || path == "" || path[0] != '/' {
		return false
	}
	if path == "/" {
		return true
	}
	start := 1 // of the component
	for i := 1; i <= len(path); {
		if i == len(path) || path[i] == '/' {
			switch path[start:i] {
			case "", ".", "..":
				return false
			}
			i++
			start = i
			continue
		}
		c := path[i]
		if c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(path[i:])
		if r == utf8.RuneError && n <= 1 {
			return false // a surrogate: texts are normalised when they are read
		}
		if r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
			return false
		}
		i += n
	}
	return true
}

// hasSlashNoNUL is all that create and delete ask of a path before they look
// for its parent.
func hasSlashNoNUL(path string) bool {
	return strings.IndexByte(path, '/') >= 0 && strings.IndexByte(path, 0) < 0
}
