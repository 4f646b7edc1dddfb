// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"paddock/proto"
)

// PathError says what is wrong with a path. It is the Cause of an Error with
// code ErrBadArguments; nothing was sent. The texts are the reference client's.
type PathError struct {
	Path   string
	Reason string
}

func (e *PathError) Error() string { return e.Reason }

// CheckPath tells whether p can name a znode (client-protocol.md section 7.1).
// The error is a *PathError.
func CheckPath(p string) error {
	whole := func(reason string) error { return &PathError{p, reason} }
	at := func(reason string, i int) error {
		return whole(fmt.Sprintf("Invalid path string \"%s\" caused by %s @%d", p, reason, i))
	}
	switch {
	case p == "":
		return whole("Path length must be > 0")
	case p[0] != '/':
		return whole("Path must start with / character")
	case p == "/":
		return nil
	case p[len(p)-1] == '/':
		return whole("Path must not end with / character")
	}
	begin := 0 // of the component, in bytes, its slash included
	unit := 0  // index in UTF-16 units, as the reference counts
	for i, r := range p {
		switch {
		case r == 0:
			return at("null character not allowed", unit)
		case r == '/':
			if i > 0 && begin == i-1 {
				return at("empty node name specified", unit)
			}
			if i > 0 && isRelative(p[begin+1:i]) {
				return at("relative paths not allowed", unit-1)
			}
			begin = i
		case r < 0x20 || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0:
			// Broken UTF-8 comes as U+FFFD, a character above U+FFFF would be
			// two surrogates: both are refused here.
			return at("invalid character", unit)
		}
		unit += utf16.RuneLen(r)
	}
	if isRelative(p[begin+1:]) {
		return at("relative paths not allowed", unit-1)
	}
	return nil
}

func isRelative(name string) bool { return name == "." || name == ".." }

// abs is the path on the server of a path that the caller gave.
func (c *Client) abs(op proto.OpCode, path string) (string, error) {
	if err := CheckPath(path); err != nil {
		return "", &Error{Op: op.String(), Path: path, Code: ErrBadArguments, Cause: err}
	}
	return joinChroot(c.chroot, path), nil
}

// absNew is abs for a znode that is to be created.
func (c *Client) absNew(op proto.OpCode, path string, flags CreateFlags) (string, error) {
	if flags&Sequential == 0 {
		return c.abs(op, path)
	}
	// The server appends ten digits, so a name may be empty here.
	if err := CheckPath(path + "1"); err != nil {
		return "", &Error{Op: op.String(), Path: path, Code: ErrBadArguments, Cause: err}
	}
	return c.chroot + path, nil
}

func joinChroot(chroot, path string) string {
	if chroot != "" && path == "/" {
		return chroot
	}
	return chroot + path
}

// rel is the path as the caller knows it of a path on the server. One outside
// the chroot (the ensemble's configuration) is left alone.
func (c *Client) rel(path string) string {
	rest, ok := strings.CutPrefix(path, c.chroot)
	switch {
	case !ok || c.chroot == "":
		return path
	case rest == "":
		return "/"
	case rest[0] != '/':
		return path
	}
	return rest
}
