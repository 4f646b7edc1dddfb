// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errUsage is a command with missing or superfluous arguments.
var errUsage = errors.New("wrong arguments")

// badArgument is an argument that means nothing; its text says which.
type badArgument struct{ text string }

func (e *badArgument) Error() string { return e.text }

func badf(format string, args ...any) error { return &badArgument{fmt.Sprintf(format, args...)} }

// arguments are a command's words, options taken out.
type arguments struct {
	words  []string
	values map[byte]string // options given; "" for those without a value
}

// parseArgs takes options from anywhere among args. spec has a letter for each
// option, followed by ':' if it takes a value. "--" ends the options; "-" and
// negative numbers are plain words.
func parseArgs(spec string, args []string) (*arguments, error) {
	a := &arguments{values: map[byte]string{}}
	for i := 0; i < len(args); i++ {
		w := args[i]
		if w == "--" {
			a.words = append(a.words, args[i+1:]...)
			break
		}
		if len(w) < 2 || w[0] != '-' || w[1] >= '0' && w[1] <= '9' {
			a.words = append(a.words, w)
			continue
		}
		at := strings.IndexByte(spec, w[1])
		if len(w) > 2 || at < 0 || w[1] == ':' {
			return nil, badf("Unrecognized option: %s", w)
		}
		value := ""
		if at+1 < len(spec) && spec[at+1] == ':' {
			if i++; i == len(args) {
				return nil, badf("Missing argument for option: %c", w[1])
			}
			value = args[i]
		}
		a.values[w[1]] = value
	}
	return a, nil
}

func (a *arguments) has(option byte) bool {
	_, ok := a.values[option]
	return ok
}

// word is the i-th word, or "".
func (a *arguments) word(i int) string {
	if i < len(a.words) {
		return a.words[i]
	}
	return ""
}

// number is an option's 32-bit value, or missing.
func (a *arguments) number(option byte, missing int32) (int32, error) {
	v, ok := a.values[option]
	if !ok {
		return missing, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, badf("-%c argument must be an int value", option)
	}
	return int32(n), nil
}
