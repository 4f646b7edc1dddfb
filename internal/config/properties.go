// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// fileMax bounds a configuration file: far above any real one, and small enough to read whole.
const fileMax = 1 << 20

// A property is one key of a file, trimmed at both ends as the original does.
type property struct {
	key, value string
	line       int // of the first character of the key, counted from 1
}

// readProperties reads a file of at most fileMax bytes and parses it.
func readProperties(file string) ([]property, []string, Problems) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, Problems{{Origin: Origin{File: file}, Reason: plainOS(err)}}
	}
	defer f.Close()
	data, err := readBounded(f, fileMax)
	if err != nil {
		return nil, nil, Problems{{Origin: Origin{File: file}, Reason: plainOS(err)}}
	}
	return parseProperties(file, data)
}

// parseProperties reads the format of java.util.Properties: ISO-8859-1; comment lines that start with # or !;
// key and value parted by the first unescaped '=', ':' or white space; backslash escapes; a backslash at the end
// of a line continues it. What the original swallows and an operator would want to know comes back as warnings.
// All keys are returned, in order; of a key given twice, only the last.
func parseProperties(file string, data []byte) ([]property, []string, Problems) {
	var (
		props    []property
		warnings []string
		problems Problems
		at       = map[string]int{} // key to index in props
	)
	if rest, ok := strings.CutPrefix(string(data), "\xef\xbb\xbf"); ok {
		data = []byte(rest)
		warnings = append(warnings, fmt.Sprintf("%s:1: a UTF-8 byte order mark is ignored; "+
			"Apache ZooKeeper takes it for a part of the first key", file))
	}
	s := lineScanner{data: data}
	for s.next() {
		rawKey, rawValue := splitProperty(s.text)
		key, err := unescape(rawKey)
		value, err2 := unescape(rawValue)
		if err == nil {
			err = err2
		}
		if err != nil {
			problems = append(problems, &Problem{Origin: Origin{file, s.line}, Key: printable(string(rawKey)),
				Reason: err.Error()})
			continue
		}
		p := property{key: trimJava(key), value: trimJava(value), line: s.line}
		if hasHighByte(s.text) {
			warnings = append(warnings, fmt.Sprintf("%s:%d: %s: bytes above 0x7f are read as ISO-8859-1, "+
				`as Apache ZooKeeper does; write \uXXXX for other characters`, file, s.line, printable(p.key)))
		}
		if i, twice := at[p.key]; twice {
			warnings = append(warnings, fmt.Sprintf("%s:%d: %s is given twice; this line wins over line %d",
				file, p.line, printable(p.key), props[i].line))
			props[i].line = 0 // dropped below
		}
		at[p.key] = len(props)
		props = append(props, p)
	}
	props = slices.DeleteFunc(props, func(p property) bool { return p.line == 0 })
	return props, warnings, problems
}

// lineScanner yields logical lines: comments and blank lines skipped, continuations joined, leading white space
// dropped. Escapes stay as they are.
type lineScanner struct {
	data []byte
	pos  int
	seen int // natural lines read so far

	text []byte
	line int // natural line the text starts on
	from int // where that line starts; the text ends before pos
}

func (s *lineScanner) next() bool {
	s.text = nil
	for s.pos < len(s.data) {
		s.from = s.pos
		nat := trimLeft(s.natural())
		if len(nat) == 0 || nat[0] == '#' || nat[0] == '!' {
			continue
		}
		s.line = s.seen
		for continues(nat) {
			s.text = append(s.text, nat[:len(nat)-1]...)
			if s.pos >= len(s.data) {
				nat = nil
				break
			}
			nat = trimLeft(s.natural())
		}
		s.text = append(s.text, nat...)
		if len(s.text) > 0 { // a lone backslash is nothing
			return true
		}
	}
	return false
}

// natural returns the next line without its end, which is \n, \r or \r\n.
func (s *lineScanner) natural() []byte {
	s.seen++
	rest := s.data[s.pos:]
	for i, c := range rest {
		if c != '\n' && c != '\r' {
			continue
		}
		s.pos += i + 1
		if c == '\r' && i+1 < len(rest) && rest[i+1] == '\n' {
			s.pos++
		}
		return rest[:i]
	}
	s.pos = len(s.data)
	return rest
}

// continues says whether the line ends in an odd number of backslashes.
func continues(line []byte) bool {
	n := 0
	for n < len(line) && line[len(line)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// splitProperty cuts a logical line into its raw key and raw value.
func splitProperty(line []byte) (key, value []byte) {
	i := 0
	for i < len(line) && line[i] != '=' && line[i] != ':' && !isBlank(line[i]) {
		if line[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(line))
	key, value = line[:i], trimLeft(line[i:])
	if len(value) > 0 && (value[0] == '=' || value[0] == ':') {
		value = trimLeft(value[1:])
	}
	return key, value
}

// unescape decodes backslash escapes and turns Latin-1 bytes into characters.
func unescape(raw []byte) (string, error) {
	var units []uint16 // UTF-16, because \uXXXX\uXXXX may be the two halves of one character
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			units = append(units, uint16(c))
			continue
		}
		i++
		if i == len(raw) {
			break
		}
		switch c = raw[i]; c {
		case 't':
			units = append(units, '\t')
		case 'n':
			units = append(units, '\n')
		case 'r':
			units = append(units, '\r')
		case 'f':
			units = append(units, '\f')
		case 'u':
			digits := raw[i+1 : min(i+5, len(raw))]
			u, err := strconv.ParseUint(string(digits), 16, 16)
			if err != nil || len(digits) < 4 {
				return "", fmt.Errorf(`\u must be followed by four hexadecimal digits`)
			}
			units = append(units, uint16(u))
			i += 4
		default:
			units = append(units, uint16(c))
		}
	}
	return string(utf16.Decode(units)), nil
}

// escapeValue writes a value so that it is read again as it is:
// ISO-8859-1 is all that a file may hold.
func escapeValue(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		switch {
		case u == '\\':
			b.WriteString(`\\`)
		case u < ' ' || u > '~':
			fmt.Fprintf(&b, `\u%04x`, u)
		default:
			b.WriteByte(byte(u))
		}
	}
	return b.String()
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' }

func trimLeft(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}

// trimJava is String.trim: every character up to the space goes, at both ends.
func trimJava(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

func hasHighByte(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
