// SPDX-License-Identifier: Apache-2.0

package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write docs/configuration.md from the table of keys")

const docFile = "../../docs/configuration.md"

// TestDocumentIsUpToDate compares docs/configuration.md with the table. After a change of the table run
//
//	go test ./internal/config -run TestDocumentIsUpToDate -rewrite
func TestDocumentIsUpToDate(t *testing.T) {
	want := document(t)
	if *rewrite {
		if err := os.WriteFile(docFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from the table of keys; run this test with -rewrite", docFile)
	}
}

// document renders the introduction and the table.
func document(t *testing.T) string {
	intro, err := os.ReadFile("testdata/configuration-intro.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.Write(intro)
	for _, s := range table() {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		switch s.fate {
		case honoured:
		case ensemble:
			b.WriteString("Checked and kept. A standalone server names the ones that are set in one warning.\n\n")
		case notYet:
			fmt.Fprintf(&b, "Checked, kept, and named in a warning: %s.\n\n", s.why)
		case noEffect:
			b.WriteString("Accepted, and named in a warning.")
			if s.why != "" {
				b.WriteString(" The reason: " + s.why + ".")
			}
			b.WriteString("\n\n")
		}
		if s.rows[0].doc == "" {
			for _, r := range s.rows {
				fmt.Fprintf(&b, "- `%s`\n", r.key)
			}
			continue
		}
		b.WriteString("| Key | Values | Default | Meaning |\n|---|---|---|---|\n")
		for _, r := range s.rows {
			fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s |\n", r.key, spellingNote(r), valueNote(r), code(r.def), meaning(r))
		}
	}
	return b.String()
}

func spellingNote(r row) string {
	switch r.spell {
	case fileOnly:
		return " (file only)"
	case bare:
		return " (-D without prefix)"
	case bareAlso:
		return " (-D with or without prefix)"
	}
	return ""
}

func valueNote(r row) string {
	if len(r.oneOf) > 0 {
		quoted := make([]string, len(r.oneOf))
		for i, v := range r.oneOf {
			quoted[i] = code(v)
			if v == "" {
				quoted[i] = "empty"
			}
		}
		return strings.Join(quoted, ", ")
	}
	switch r.kind {
	case number, size, span, port:
		least := fmt.Sprintf("%d", r.lo)
		if r.floor || r.lo == any32 {
			least = "any number"
		} else if r.upper() == largest || r.upper() == largestK {
			least = "≥ " + least
		} else {
			least += fmt.Sprintf(" to %d", r.upper())
		}
		if r.raise {
			least += " (smaller is raised)"
		}
		return least
	case ratio:
		return "0 to 1"
	case truth:
		return "true, false"
	case yesNo:
		return "yes, no"
	case list, words:
		return "comma list"
	case hours:
		return "hours"
	case path:
		return "path"
	}
	return "text"
}

func meaning(r row) string {
	doc := strings.ReplaceAll(r.doc, "|", `\|`)
	if r.guide != "" {
		doc += fmt.Sprintf(" The administrator's guide calls it `%s`, a name that has no effect.", r.guide)
	}
	return doc
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// TestTable checks what the table promises of itself.
func TestTable(t *testing.T) {
	for _, r := range allRows() {
		if r.fate == noEffect && r.why == "" {
			t.Errorf("%s: no reason", r.key)
		}
		if r.fate == notYet && r.why == "" {
			t.Errorf("%s: no reason", r.key)
		}
		if r.def != "" {
			if reason, note := r.store(&Config{}, r.def); reason != "" || note != "" {
				t.Errorf("%s: default %s: %s %s", r.key, r.def, reason, note)
			}
		}
		if r.guide != "" && find(r.guide) != nil {
			t.Errorf("%s: the guide's name %s is a key", r.key, r.guide)
		}
	}
}
