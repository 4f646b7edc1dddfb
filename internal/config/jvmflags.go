// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
)

// jvmFlags is what SERVER_JVMFLAGS and JVMFLAGS say to a Java server.
type jvmFlags struct {
	props   []jvmProperty // in order; of a name given twice, the last counts, as in a JVM
	ignored []string      // flags that mean nothing outside a JVM, without repetition
}

// jvmProperty is one -Dname=value.
type jvmProperty struct {
	name, value string
	env         string // the variable it stood in
}

// readJVMFlags reads the variables in the order in which zkServer.sh puts them on the java command line, so that
// of two -D of one name JVMFLAGS wins. ZOO_DATADIR_AUTOCREATE_DISABLE is the script's spelling of
// -Dzookeeper.datadir.autocreate=false.
func readJVMFlags(env func(string) string) jvmFlags {
	var f jvmFlags
	if env == nil {
		return f
	}
	if env("ZOO_DATADIR_AUTOCREATE_DISABLE") != "" {
		f.props = append(f.props, jvmProperty{"zookeeper.datadir.autocreate", "false", "ZOO_DATADIR_AUTOCREATE_DISABLE"})
	}
	for _, name := range []string{"SERVER_JVMFLAGS", "JVMFLAGS"} {
		f.add(name, splitWords(env(name)))
	}
	return f
}

// withArgument are the JVM's options whose value is the next word.
var withArgument = []string{"-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path",
	"--add-modules", "--add-opens", "--add-exports", "--add-reads", "--patch-module", "--enable-native-access",
	"--source", "-jar", "-m", "--module"}

func (f *jvmFlags) add(env string, words []string) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		if def, ok := strings.CutPrefix(w, "-D"); ok && def != "" {
			name, value, _ := strings.Cut(def, "=")
			f.props = append(f.props, jvmProperty{name, value, env})
			continue
		}
		if slices.Contains(withArgument, w) && i+1 < len(words) {
			i++
			w += " " + words[i]
		}
		f.ignore(printable(w))
	}
}

func (f *jvmFlags) ignore(flag string) {
	if !slices.Contains(f.ignored, flag) {
		f.ignored = append(f.ignored, flag)
	}
}

// splitWords cuts at white space. Single and double quotes hold a word together and vanish; a backslash is an
// ordinary character, as it is where the scripts expand the variable. A quote that is never closed reaches to
// the end.
func splitWords(s string) []string {
	var (
		words  []string
		word   strings.Builder
		inWord bool
		quote  rune
	)
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}
