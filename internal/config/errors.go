// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
)

// Problem is one setting that is refused. It prints as
//
//	zoo.cfg:12: clientPort=70000: must be between 1 and 65535
type Problem struct {
	Origin
	Key    string // "" when the line or the file as a whole is at fault
	Value  string // "" when the key is missing; masked when the key is a secret
	Reason string
}

func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Origin.String())
	if p.Key != "" {
		b.WriteString(": " + p.Key)
		if p.Value != "" {
			b.WriteString("=" + printable(p.Value))
		}
	}
	return b.String() + ": " + p.Reason
}

// Problems is every refused setting of one Load, in the order of the sources and lines; it is never empty.
type Problems []*Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single Problem.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, one := range p {
		errs[i] = one
	}
	return errs
}

// String prints file:line, or the file alone where there are no lines.
func (o Origin) String() string {
	switch {
	case o.File == "":
		return "configuration"
	case o.Line > 0:
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	}
	return o.File
}

// printable keeps a value on one line of a log and within reason.
func printable(s string) string {
	const most = 200
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?")) + cut
}
