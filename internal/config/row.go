// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A fate is what becomes of a key.
type fate int

const (
	honoured fate = iota
	ensemble      // checked and kept; only an ensemble uses it
	notYet        // checked and kept; what it asks for is not built yet
	noEffect      // accepted: there is nothing here that it could tune
)

// A kind is the form of a value.
type kind int

const (
	text   kind = iota // into *string
	path               // into *string; not empty
	number             // into *int
	port               // into *int; 0 is none
	size               // into *int64, times the row's unit
	span               // into *time.Duration, times the row's unit
	ratio              // into *float64, 0 to 1
	truth              // into *bool: true or false in any case
	yesNo              // into *bool: yes or no
	list               // into *[]string: comma separated, blanks around the names dropped
	words              // into *Whitelist
	hours              // into *time.Duration: hours, or a number with ms, s, m, h or d
)

// spelling says which system properties reach a key, besides its line in the file.
type spelling int

const (
	prefixed spelling = iota // -Dzookeeper.<key>, over which the file wins
	fileOnly                 // none (operations.md 1.3)
	bare                     // -D<key>, which wins over the file because there the original does not see it (1.6)
	bareAlso                 // -D<key> as a legacy spelling, after everything else
)

// A row is all that is known of one key. The zero bounds mean 0 to the largest 32-bit number.
type row struct {
	key   string // in the file; a key that ends in .N or .* stands for a family
	kind  kind
	unit  int64  // bytes of a size; nanoseconds of a span
	def   string // default as one would write it; "" is none
	lo    int64
	hi    int64
	raise bool // a number below lo becomes lo, with a warning, rather than an error
	floor bool // a number below 0 is 0, which is "off"
	oneOf []string
	spell spelling
	guide string // the name under which the administrator's guide lists it, to no effect
	fate  fate
	why   string // of a fate other than honoured, where the section's reason does not say it all
	off   string // the value that asks for nothing, so that it needs no warning; of a truth that is false by default, false
	doc   string
	// secret values are masked in messages.
	secret bool
	bind   func(*Config) any   // the field; nil where the text is all there is
	check  func(string) string // a reason to refuse a text, or ""
}

const (
	kib = 1 << 10
	ms  = int64(time.Millisecond)

	any32    = math.MinInt32
	largest  = math.MaxInt32
	largestK = math.MaxInt64 / kib
)

func (r *row) pattern() bool { return strings.HasSuffix(r.key, ".N") || strings.HasSuffix(r.key, ".*") }

func (r *row) upper() int64 {
	if r.hi == 0 {
		return largest
	}
	return r.hi
}

// store parses s into the row's field of c. It returns a reason to refuse s, or a note for the warnings.
func (r *row) store(c *Config, s string) (reason, note string) {
	if len(r.oneOf) > 0 && !slices.Contains(r.oneOf, s) {
		return "must be one of " + quoteAll(r.oneOf), ""
	}
	if r.check != nil {
		if reason := r.check(s); reason != "" {
			return reason, ""
		}
	}
	var field any
	if r.bind != nil {
		field = r.bind(c)
	}
	switch r.kind {
	case number, port, size, span:
		n, reason, note := r.integer(s)
		if reason == "" {
			setNumber(field, n, r.unit)
		}
		return reason, note
	case hours:
		d, reason := parseHours(s)
		if reason == "" {
			*field.(*time.Duration) = d
		}
		return reason, ""
	case ratio:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f >= 0 && f <= 1) {
			return "must be a number from 0 to 1", ""
		}
		if field != nil {
			*field.(*float64) = f
		}
	case truth:
		return setBool(field, s, strings.EqualFold(s, "true"), strings.EqualFold(s, "false"), "true or false"), ""
	case yesNo:
		return setBool(field, s, s == "yes", s == "no", "yes or no"), ""
	case list:
		if field != nil {
			*field.(*[]string) = splitList(s)
		}
	case words:
		*field.(*Whitelist) = parseWhitelist(s)
	case path:
		if s == "" {
			return "is not set", ""
		}
		if strings.ContainsRune(s, 0) {
			return "must not hold a NUL character", ""
		}
		fallthrough
	case text:
		if field != nil {
			*field.(*string) = s
		}
	}
	return "", ""
}

func setNumber(field any, n, unit int64) {
	unit = max(unit, 1)
	switch f := field.(type) {
	case *int:
		*f = int(n)
	case *int64:
		*f = n * unit
	case *time.Duration:
		*f = time.Duration(n * unit)
	}
}

func setBool(field any, s string, yes, no bool, forms string) string {
	if !yes && !no {
		return "must be " + forms + hintInline(s)
	}
	if field != nil {
		*field.(*bool) = yes
	}
	return ""
}

// integer parses a number as Integer.decode does (0x for hexadecimal), and applies the bounds.
func (r *row) integer(s string) (n int64, reason, note string) {
	digits := s
	base := 10
	if rest, ok := cutHex(s); ok {
		digits, base = rest, 16
	}
	n, err := strconv.ParseInt(digits, base, 64)
	switch {
	case isRange(err):
		return 0, r.rangeText(), ""
	case err != nil:
		return 0, "is not a whole number" + hintInline(s), ""
	case n < 0 && r.floor:
		return 0, "", ""
	case n < r.lo && r.raise && n <= r.upper():
		return r.lo, "", fmt.Sprintf("is raised to %d, the least allowed", r.lo)
	case n < r.lo || n > r.upper():
		return 0, r.rangeText(), ""
	}
	return n, "", ""
}

func (r *row) rangeText() string {
	if r.kind == port {
		return "port out of range: must be between 0 and 65535"
	}
	if r.upper() == largest {
		if r.lo == any32 {
			return "does not fit into 32 bits"
		}
		return fmt.Sprintf("must be at least %d and fit into 32 bits", r.lo)
	}
	return fmt.Sprintf("must be between %d and %d", r.lo, r.upper())
}

func isRange(err error) bool {
	ne, ok := err.(*strconv.NumError)
	return ok && ne.Err == strconv.ErrRange
}

func cutHex(s string) (digits string, ok bool) {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	if rest, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok && rest != "" && rest[0] != '-' && rest[0] != '+' {
		return sign + rest, true
	}
	return "", false
}

// hintInline names the two mistakes of syntax that the format invites.
func hintInline(s string) string {
	switch {
	case strings.ContainsAny(s, "#!"):
		return " (a comment must stand on a line of its own)"
	case strings.ContainsAny(s, `"'`):
		return " (quotes are a part of the value; leave them out)"
	}
	return ""
}

// parseHours reads autopurge.purgeInterval: a bare number counts hours; the suffixes are those of 3.10.
func parseHours(s string) (time.Duration, string) {
	unit := time.Hour
	digits := s
	for _, suffix := range []struct {
		text string
		unit time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}} {
		if rest, ok := strings.CutSuffix(s, suffix.text); ok {
			digits, unit = rest, suffix.unit
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	switch {
	case isRange(err) || n > int64(math.MaxInt64/unit):
		return 0, "is too long"
	case err != nil:
		return 0, "is not a number of hours, nor a number followed by ms, s, m, h or d" + hintInline(s)
	case n <= 0:
		return 0, ""
	}
	return time.Duration(n) * unit, ""
}

func splitList(s string) []string {
	var names []string
	for name := range strings.SplitSeq(s, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func parseWhitelist(s string) Whitelist {
	w := Whitelist{Words: map[string]bool{}}
	for _, name := range splitList(s) {
		if name == "*" {
			w.All = true
		} else {
			w.Words[name] = true
		}
	}
	return w
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return strings.Join(quoted, ", ")
}
