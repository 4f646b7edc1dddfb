// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"paddock/internal/quorum"
)

// Source is where the settings of one server come from.
type Source struct {
	File     string                  // zoo.cfg; "" for none
	Base     map[string]string       // defaults of this way to start, below everything else
	BaseName string                  // how messages call them
	Flags    map[string]string       // overrides from paddock's own command line, by key
	Env      func(string) string     // os.Getenv; nil for an empty environment
	Resolve  func(host string) error // looks up clientPortAddress; nil asks the system
}

// Embedded is the source of a server that was given no file: data in dataDir, client port 2181 of the loopback
// interface, every four-letter word.
func Embedded(dataDir string) Source {
	return Source{BaseName: "embedded default", Base: map[string]string{
		"dataDir":                dataDir,
		"clientPort":             "2181",
		"clientPortAddress":      "127.0.0.1",
		"tickTime":               "2000",
		"4lw.commands.whitelist": "*",
	}}
}

// Default is the Config of Embedded(dataDir), without flags and environment.
func Default(dataDir string) (*Config, error) { return Load(Embedded(dataDir)) }

// DefaultDataDir is where the embedded default keeps its data: below the user's data directory, or below the
// working directory for a user without a home.
func DefaultDataDir(env func(string) string) string {
	if dir := env("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "paddock")
	}
	if home := env("HOME"); filepath.IsAbs(home) && home != "/" {
		return filepath.Join(home, ".local", "share", "paddock")
	}
	return "paddock-data"
}

// FromPositional is the source of the old form `port datadir [ticktime] [maxcnxns]`. Connections per client
// address are unlimited unless given, as in the original.
func FromPositional(args []string) (Source, error) {
	if len(args) < 2 || len(args) > 4 {
		return Source{}, Problems{{Origin: Origin{File: "command line"},
			Reason: fmt.Sprintf("want port datadir [ticktime] [maxcnxns], got %d arguments", len(args))}}
	}
	src := Source{BaseName: "command line", Base: map[string]string{"maxClientCnxns": "0"}}
	for i, key := range []string{"clientPort", "dataDir", "tickTime", "maxClientCnxns"}[:len(args)] {
		src.Base[key] = args[i]
	}
	return src, nil
}

// Ranks of the places a key may be set in; the highest wins.
const (
	rankBase = iota
	rankLegacyProperty
	rankProperty
	rankFile
	rankBareProperty
	rankFlag
)

// setting is one key as one place sets it.
type setting struct {
	key, value string
	origin     Origin
	rank       int
	property   string // its name as a system property, when it came as one
}

// loader gathers what one Load finds.
type loader struct {
	src      Source
	cfg      *Config
	chosen   map[string]setting
	ignored  []string // JVM flags
	problems Problems
	warnings []string
}

// Load reads all sources. The error, if any, is Problems: every setting that is refused.
func Load(src Source) (*Config, error) {
	l := &loader{src: src, chosen: map[string]setting{}, cfg: &Config{
		ConfigFile: src.File,
		Given:      map[string]Given{},
		Properties: map[string]string{},
		Ensemble:   Ensemble{Members: &quorum.Config{}},
	}}
	l.collectBase()
	l.collectProperties()
	l.collectFile()
	l.collectFlags()
	l.applyDefaults()
	l.applyChosen()
	l.resolve()
	l.membership()
	l.fates()
	if len(l.ignored) > 0 {
		l.warnings = append(l.warnings, "ignored JVM flags: "+strings.Join(l.ignored, " "))
	}
	l.cfg.Warnings = l.warnings
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	return l.cfg, nil
}

func (l *loader) refuse(o Origin, key, value, reason string) {
	if value != "" && IsSecret(key) {
		value = "****"
	}
	l.problems = append(l.problems, &Problem{Origin: o, Key: printable(key), Value: value, Reason: reason})
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

// pick lets a setting win over those of lower or equal rank.
func (l *loader) pick(s setting) {
	if old, ok := l.chosen[s.key]; !ok || s.rank >= old.rank {
		l.chosen[s.key] = s
	}
}

func (l *loader) collectBase() {
	for _, key := range slices.Sorted(maps.Keys(l.src.Base)) {
		l.pick(setting{key: key, value: trimJava(l.src.Base[key]), origin: Origin{File: l.src.BaseName}, rank: rankBase})
	}
}

// clientProperties are names a client reads; environment files often carry them for both.
var clientProperties = []string{"request.timeout", "clientCnxnSocket", "server.principal", "server.realm",
	"disableAutoWatchReset"}

func (l *loader) collectProperties() {
	flags := readJVMFlags(l.src.Env)
	l.ignored = flags.ignored
	last := map[string]int{}
	for i, p := range flags.props {
		last[p.name] = i
	}
	for i, p := range flags.props {
		if last[p.name] != i {
			continue
		}
		l.cfg.Properties[p.name] = p.value
		s := setting{value: trimJava(p.value), origin: Origin{File: p.env}, property: p.name}
		key, hasPrefix := strings.CutPrefix(p.name, "zookeeper.")
		s.key = key
		r := find(key)
		switch {
		case hasPrefix && (slices.Contains(clientProperties, key) || strings.HasPrefix(key, "client.secure") ||
			strings.HasPrefix(key, "sasl.client")):
			l.warn("%s: -D%s is for clients and has no effect on a server", p.env, p.name)
		case hasPrefix && r != nil && r.spell == fileOnly:
			l.warn("%s: -D%s has no effect: %s is read from the configuration file only", p.env, p.name, key)
		case hasPrefix:
			s.rank = rankProperty
			l.pick(s)
		case r != nil && r.spell == bare:
			s.rank = rankBareProperty
			l.pick(s)
		case r != nil && r.spell == bareAlso:
			s.rank = rankLegacyProperty
			l.pick(s)
		case r != nil && r.spell == prefixed:
			l.warn("%s: -D%s has no effect; write -Dzookeeper.%s", p.env, p.name, p.name)
		default:
			l.ignored = append(l.ignored, "-D"+printable(p.name))
		}
	}
}

func (l *loader) collectFile() {
	if l.src.File == "" {
		return
	}
	props, warnings, problems := readProperties(l.src.File)
	l.warnings = append(l.warnings, warnings...)
	l.problems = append(l.problems, problems...)
	for _, p := range props {
		s := setting{key: p.key, value: p.value, origin: Origin{l.src.File, p.line}, rank: rankFile}
		if old, ok := l.chosen[p.key]; ok && old.rank == rankBareProperty && old.value != s.value {
			l.warn("%s: %s=%s is overridden by -D%s=%s of %s", s.origin, p.key, printable(s.value),
				old.property, printable(old.value), old.origin)
		}
		l.pick(s)
	}
}

func (l *loader) collectFlags() {
	for _, key := range slices.Sorted(maps.Keys(l.src.Flags)) {
		origin := Origin{File: "command line"}
		if find(key) == nil {
			l.refuse(origin, key, l.src.Flags[key], "unknown key"+didYouMean(key))
			continue
		}
		l.pick(setting{key: key, value: trimJava(l.src.Flags[key]), origin: origin, rank: rankFlag})
	}
}

func didYouMean(key string) string {
	if best := suggest(key); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

func (l *loader) applyDefaults() {
	for _, r := range allRows() {
		if r.def == "" || r.bind == nil {
			continue
		}
		if reason, _ := r.store(l.cfg, r.def); reason != "" {
			panic(fmt.Sprintf("config: default %s=%s: %s", r.key, r.def, reason))
		}
	}
	l.cfg.FourLetterWords.Words = map[string]bool{}
	l.cfg.Ensemble.ServerID = -1
}

// inOrder is all chosen settings by file and line, so that messages come in the order of the lines.
func (l *loader) inOrder() []setting {
	all := slices.Collect(maps.Values(l.chosen))
	slices.SortFunc(all, func(a, b setting) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.origin.Line, b.origin.Line), cmp.Compare(a.key, b.key))
	})
	return all
}

func (l *loader) applyChosen() {
	for _, s := range l.inOrder() {
		if s.property == "" {
			l.exportProperty(s)
		}
		r := find(s.key)
		if r == nil {
			l.unknown(s)
			continue
		}
		l.cfg.Given[s.key] = Given{Value: s.value, Origin: s.origin}
		reason, note := r.store(l.cfg, s.value)
		if reason != "" {
			l.refuse(s.origin, s.key, s.value, reason)
		}
		if note != "" {
			l.warn("%s: %s=%s %s", s.origin, s.key, printable(s.value), note)
		}
	}
}

// exportProperty shows a setting as the original does: what it parses itself has no system property, everything
// else is copied under a prefix, and so are the server lines.
func (l *loader) exportProperty(s setting) {
	r := find(s.key)
	if r != nil && r.spell == fileOnly && !isMember(s.key) {
		return
	}
	l.cfg.Properties["zookeeper."+s.key] = s.value
}

// unknown names a key that nothing reads. It never stops the server: the original accepts any key.
func (l *loader) unknown(s setting) {
	name := s.key
	if s.property != "" {
		name = "-D" + s.property
	}
	name = printable(name)
	if r := guideName(s.key); r != nil {
		l.warn("%s: %s has no effect: the key's real name is %s", s.origin, name, r.key)
		return
	}
	if rest, ok := strings.CutPrefix(s.key, "zookeeper."); ok && find(rest) != nil {
		l.warn("%s: %s has no effect, as in Apache ZooKeeper: write %s", s.origin, name, printable(rest))
		return
	}
	l.warn("%s: %s is not a known key and has no effect%s", s.origin, name, didYouMean(s.key))
}

// fates names, in one line per reason, the settings that are not honoured.
func (l *loader) fates() {
	lines := map[string][]string{}
	var order []string
	for _, s := range l.inOrder() {
		r := find(s.key)
		if r == nil || r.fate == honoured || r.off != "" && strings.EqualFold(r.off, s.value) {
			continue
		}
		var head string
		switch r.fate {
		case ensemble:
			if l.cfg.Distributed() {
				continue
			}
			head = "no effect on a standalone server"
		case notYet:
			head = "not supported yet (" + r.why + ")"
		case noEffect:
			head = "accepted without effect (" + r.why + ")"
		}
		if lines[head] == nil {
			order = append(order, head)
		}
		lines[head] = append(lines[head], fmt.Sprintf("%s (%s)", printable(s.key), s.origin))
	}
	for _, head := range order {
		l.warn("%s: %s", head, strings.Join(lines[head], ", "))
	}
}

// lookUp resolves a host name; addresses need none.
func (l *loader) lookUp(host string) error {
	if net.ParseIP(host) != nil || strings.Contains(host, "%") {
		return nil
	}
	if l.src.Resolve != nil {
		return l.src.Resolve(host)
	}
	_, err := net.LookupHost(host)
	return err
}

// workingPath is the absolute form of a relative path, for messages.
func workingPath(p string) string {
	if abs, err := filepath.Abs(p); err == nil {
		return abs
	}
	return p
}

// isFile says whether path is a regular file.
func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
