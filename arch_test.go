// SPDX-License-Identifier: Apache-2.0

// Package paddock holds no code but this test of the lay of the land:
// docs/architecture.md says in prose what the tables below enforce.
package paddock

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport has one line per package: "package: what it may import of this
// module; third-party modules". A line may name only packages of lines above
// it, so that arrows point one way. A star is all of them, for the tools of
// tests; the tests themselves may import what they like.
const mayImport = `
jute:
proto: jute
internal/vfs:
internal/sock:
internal/procs:
internal/quorum:
internal/zab: jute proto internal/quorum
internal/config: internal/vfs internal/quorum
internal/session:
internal/acl: jute proto
internal/watch: proto
internal/tree: jute proto internal/procs
internal/storage: jute proto internal/vfs; github.com/klauspost/compress
internal/pipeline: jute proto internal/acl internal/procs internal/session internal/tree internal/watch
internal/replica: proto internal/procs internal/storage internal/tree internal/pipeline
internal/ensemble: jute proto internal/quorum internal/zab internal/tree internal/storage internal/pipeline internal/replica internal/sock
internal/conn: internal/acl internal/pipeline internal/procs internal/sock
internal/admin: proto internal/quorum internal/config internal/session internal/pipeline internal/ensemble
internal/server: proto internal/acl internal/admin internal/config internal/conn internal/ensemble internal/pipeline internal/quorum internal/replica internal/storage internal/tree internal/vfs internal/zab
zk: jute proto
internal/cli: proto zk
cmd/paddock: internal/cli internal/config internal/procs internal/server; github.com/spf13/cobra

internal/servertest: internal/config internal/server
internal/golden: *
internal/check: *; github.com/anishathalye/porcupine
internal/sim: proto internal/quorum internal/zab internal/check; github.com/anishathalye/porcupine
internal/sim/cmd: internal/sim
internal/crashtest: *
`

// noClock lists the packages that are told the time and never ask for it.
var noClock = []string{"jute", "proto", "internal/acl", "internal/quorum", "internal/session", "internal/tree", "internal/watch",
	"internal/zab", "internal/sim"}

// pure lists the packages that are functions of what they are given: the same
// events give the same answers, in a simulation as on a machine.
var pure = []string{"internal/quorum", "internal/zab"}

// mayStart lists every function that starts a goroutine, with what it is for.
// docs/architecture.md says who ends each.
var mayStart = map[string]string{
	"cmd/paddock askWord":   "an end of the context ends the wait for an answer",
	"cmd/paddock runServer": "processors follow the load",

	"internal/conn spares.serve":   "the beginning and the end of one connection after another",
	"internal/conn newRounds":      "a worker that reads for all connections",
	"internal/conn openRounds":     "one more where a round has taken very long",
	"internal/conn rounds.relieve": "one more where a round takes long, or its reader waits",
	"internal/conn rounds.again":   "one while the leader sleeps",
	"internal/conn conn.Flush":     "the rest of a write that the socket did not take at once",
	"internal/conn conn.Hangup":    "the last bytes of a connection that is let go",
	"internal/conn Server.Close":   "waits for all connections with a deadline",

	"internal/ensemble Ballots.serve":   "accepts on an election port",
	"internal/ensemble Ballots.accept":  "the reader of an election connection",
	"internal/ensemble Ballots.keep":    "the writer of one",
	"internal/ensemble Ballots.dial":    "a dial, then the reader of what it made",
	"internal/ensemble Ballots.Reset":   "listens anew",
	"internal/ensemble Links.listen":    "accepts on a quorum port",
	"internal/ensemble Links.accept":    "a stranger, then the reader of a link",
	"internal/ensemble Links.register":  "a dial, then the reader of a link",
	"internal/ensemble link.run":        "the writer of a link",
	"internal/ensemble start":           "the loop",
	"internal/ensemble disk.start":      "the disk",
	"internal/ensemble Driver.probe":    "a look into the log for a learner",
	"internal/ensemble Driver.lost":     "an election connection that does not come back",
	"internal/ensemble Driver.HandOver": "the driver's end ends the wait",
	"internal/ensemble dialAny":         "one of several addresses",

	"internal/pipeline Pipeline.background": "expiry of sessions; the reaper of containers",
	"internal/pipeline limits.drain":        "an end of the context ends the wait for the last requests",
	"internal/pipeline Client.startDrain":   "reads that had to wait behind a write",
	"internal/pipeline flushAll":            "the replies and events of very many clients",

	"internal/replica NewKeeper": "snapshots; purge",
	"internal/replica NewSingle": "flush and commit",

	"internal/server Server.start": "the client port",
	"internal/server quotaLog":     "a log line out of the tree's lock",

	"internal/storage startPadder":  "zeros ahead of the log's end",
	"internal/storage Log.rollFile": "cuts and closes a finished log",

	"zk Connect":            "the client's session",
	"zk Client.serve":       "the writer of a connection; a search for a server that takes writes",
	"zk Client.open":        "a handshake is cut when its context ends",
	"zk Client.takesWrites": "likewise a question to another server",
	"zk queue.put":          "events that nobody has taken yet",
}

// testTools are packages that only tests import; they may start goroutines.
var testTools = []string{"internal/check", "internal/crashtest", "internal/golden", "internal/servertest", "internal/sim"}

const module = "paddock"

type source struct {
	pkg, name string // "internal/tree", "tree.go"
	test      bool
	text      string
	ast       *ast.File
	fset      *token.FileSet
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		out = append(out, source{path.Dir(p), path.Base(p), strings.HasSuffix(p, "_test.go"), string(text), f, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// shipped leaves out tests and the modules of interop.
func shipped(all []source) []source {
	return slices.DeleteFunc(slices.Clone(all), func(s source) bool {
		return s.test || strings.HasPrefix(s.pkg, "interop")
	})
}

type allowed struct {
	own, foreign []string
	any          bool // all of our own but the test tools
}

func layers(t *testing.T) map[string]allowed {
	t.Helper()
	out := map[string]allowed{}
	for line := range strings.Lines(mayImport) {
		pkg, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		own, foreign, _ := strings.Cut(rest, ";")
		a := allowed{own: strings.Fields(own), foreign: strings.Fields(foreign)}
		if len(a.own) == 1 && a.own[0] == "*" {
			a.own, a.any = nil, true
		}
		for _, below := range a.own {
			if _, ok := out[below]; !ok {
				t.Errorf("mayImport: %s names %s, which is not above it", pkg, below)
			}
		}
		out[pkg] = a
	}
	return out
}

func TestImportsPointDown(t *testing.T) {
	rules := layers(t)
	unused := map[string][]string{} // arrows that nothing uses any more
	for pkg, a := range rules {
		unused[pkg] = slices.Concat(a.own, a.foreign)
	}
	seen := map[string]bool{}
	for _, s := range shipped(sources(t)) {
		rule, ok := rules[s.pkg]
		if !ok {
			t.Errorf("package %s has no line in mayImport", s.pkg)
			continue
		}
		seen[s.pkg] = true
		for _, i := range s.ast.Imports {
			name := strings.Trim(i.Path.Value, `"`)
			own, isOwn := strings.CutPrefix(name, module+"/")
			first, _, _ := strings.Cut(name, "/")
			switch {
			case name == "C":
				t.Errorf("%s/%s: cgo would end the static binary", s.pkg, s.name)
			case isOwn && rule.any && !slices.Contains(testTools, own):
			case isOwn && !slices.Contains(rule.own, own):
				t.Errorf("%s/%s imports %s, which %s may not", s.pkg, s.name, own, s.pkg)
			case isOwn:
				unused[s.pkg] = slices.DeleteFunc(unused[s.pkg], func(u string) bool { return u == own })
			case strings.Contains(first, "."):
				within := func(m string) bool { return name == m || strings.HasPrefix(name, m+"/") }
				if !slices.ContainsFunc(rule.foreign, within) && !within("golang.org/x/sys") {
					t.Errorf("%s/%s imports %s, which %s may not", s.pkg, s.name, name, s.pkg)
				}
				unused[s.pkg] = slices.DeleteFunc(unused[s.pkg], within)
			}
		}
	}
	for pkg := range rules {
		if !seen[pkg] {
			t.Errorf("mayImport has a line for %s, which does not exist", pkg)
		} else if len(unused[pkg]) > 0 {
			t.Errorf("%s no longer imports %s: take the arrow out", pkg, strings.Join(unused[pkg], ", "))
		}
	}
}

func TestGoroutinesStartWhereListed(t *testing.T) {
	unused := maps.Clone(mayStart)
	for _, s := range shipped(sources(t)) {
		if slices.Contains(testTools, s.pkg) {
			continue
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			where := s.pkg + " " + funcName(f)
			ast.Inspect(f, func(n ast.Node) bool {
				if startsGoroutine(n) {
					if _, ok := mayStart[where]; !ok {
						t.Errorf("%s starts a goroutine in %s, which is not in mayStart", s.fset.Position(n.Pos()), where)
					}
					delete(unused, where)
				}
				return true
			})
		}
	}
	for where := range unused {
		t.Errorf("mayStart lists %q, which starts no goroutine", where)
	}
}

// startsGoroutine knows go statements, sync.WaitGroup.Go and its like, and
// time.AfterFunc.
func startsGoroutine(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		return ok && (sel.Sel.Name == "Go" || sel.Sel.Name == "AfterFunc")
	}
	return false
}

// funcName is Type.Method, or the function's name.
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	return typ.(*ast.Ident).Name + "." + f.Name.Name
}

func TestPureCodeReadsNoClock(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
	for _, s := range shipped(sources(t)) {
		if !slices.Contains(noClock, s.pkg) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clock, sel.Sel.Name) {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: time.%s in package %s, which is told the time", s.fset.Position(n.Pos()), sel.Sel.Name, s.pkg)
				}
			}
			return true
		})
	}
}

func TestPureCodeIsAFunction(t *testing.T) {
	for _, s := range shipped(sources(t)) {
		if !slices.Contains(pure, s.pkg) {
			continue
		}
		for _, i := range s.ast.Imports {
			if name := strings.Trim(i.Path.Value, `"`); impure(name) {
				t.Errorf("%s/%s imports %s, which package %s may not", s.pkg, s.name, name, s.pkg)
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if what := forbidden(n); what != "" {
				t.Errorf("%s: %s in package %s", s.fset.Position(n.Pos()), what, s.pkg)
			}
			return true
		})
	}
}

// impure says whether a package of the standard library has a world behind it:
// sockets, files, threads, the machine. netip only knows what an address is.
func impure(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return name != "net/netip" && slices.Contains([]string{"log", "net", "os", "runtime", "sync", "syscall", "unsafe"}, first)
}

// forbidden names what a node has to do with other goroutines or with
// randomness that no seed repeats.
func forbidden(n ast.Node) string {
	seeded := []string{"New", "NewSource", "NewPCG", "NewChaCha8", "Rand", "Source"}
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a go statement"
	case *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
		return "a channel"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "a channel"
		}
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && x.Name == "rand" && !slices.Contains(seeded, n.Sel.Name) {
			return "the global rand." + n.Sel.Name
		}
	}
	return ""
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	comments := map[string]int{}
	for _, s := range shipped(sources(t)) {
		comments[s.pkg] += 0
		if s.ast.Doc == nil {
			continue
		}
		comments[s.pkg]++
		want := "Package " + s.ast.Name.Name + " "
		if s.ast.Name.Name == "main" {
			want = "Command " + path.Base(s.pkg) + " "
		}
		if !strings.HasPrefix(s.ast.Doc.Text(), want) {
			t.Errorf("%s/%s: the package comment does not begin with %q", s.pkg, s.name, want)
		}
	}
	for pkg, n := range comments {
		if n != 1 {
			t.Errorf("package %s has %d package comments, want 1", pkg, n)
		}
	}
}

func TestEveryFileNamesItsLicence(t *testing.T) {
	const spdx = "// SPDX-License-Identifier: Apache-2.0\n"
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.text, spdx) {
			t.Errorf("%s/%s does not begin with %q", s.pkg, s.name, strings.TrimSpace(spdx))
		}
	}
}

// TestEveryDependencyHasItsReason holds go.mod against docs/dependencies.md.
func TestEveryDependencyHasItsReason(t *testing.T) {
	reasons, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	mods, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mods)) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(f) >= 2 && strings.HasPrefix(f[1], "v") && !strings.Contains(string(reasons), "`"+f[0]+"`") {
			t.Errorf("%s is required in go.mod and has no row in docs/dependencies.md", f[0])
		}
	}
}
