// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// differs lists the recorded cases in which paddock means to be better than the original, each with the reason
// and the outcome here: "ok" or a part of the error.
var differs = map[string]struct{ why, outcome string }{
	"purgeInterval 1h (3.10 syntax)":   {"the suffixes of 3.10 are understood", "ok"},
	"multi-address enabled":            {"the key counts in the file, too", "ok"},
	"quorum myid not in list":          {"refused at once rather than later in the start", "no server.9 line"},
	"server id 300 with extendedTypes": {"refused at once rather than later in the start", "at most 254"},
	"BOM first line":                   {"the mark is ignored, so that tickTime counts", "ok"},
	"multi-address different roles":    {"the key counts in the file, so that the next fault shows", "same role"},
	"server two semicolons":            {"a second client part is the TLS address of 3.10", "ok"},
}

// golden is one case recorded from the configuration parser of Apache ZooKeeper 3.9.5.
type golden struct {
	name, myid string
	hasMyID    bool
	file       string
	result     []string
}

func readGolden(t *testing.T) []golden {
	data, err := os.ReadFile("testdata/parse-results.txt")
	if err != nil {
		t.Fatal(err)
	}
	withMyID := regexp.MustCompile(`^(.*) \(myid file: '(.*)'\)$`)
	var cases []golden
	for _, block := range strings.Split("\n"+string(data), "\n### ")[1:] {
		lines := strings.Split(strings.TrimRight(block, "\n"), "\n")
		g := golden{name: lines[0]}
		if m := withMyID.FindStringSubmatch(lines[0]); m != nil {
			g.name, g.hasMyID = m[1], true
			g.myid = strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(m[2])
		}
		for _, line := range lines[1:] {
			if text, ok := strings.CutPrefix(line, "    "); ok {
				g.file += strings.ReplaceAll(text, "<CR>", "\r") + "\n"
			} else {
				g.result = append(g.result, line)
			}
		}
		cases = append(cases, g)
	}
	return cases
}

// TestRecordedCases feeds every recorded file to Load: what the original accepts is accepted with the same
// meaning and the same system properties, what it refuses is refused.
func TestRecordedCases(t *testing.T) {
	cases := readGolden(t)
	if len(cases) < 70 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, g := range cases {
		t.Run(g.name, func(t *testing.T) {
			dir := t.TempDir()
			three := "server.1=127.0.0.1:2888:3888\nserver.2=127.0.0.2:2888:3888\nserver.3=127.0.0.3:2888:3888\n"
			for name, content := range map[string]string{"d.dynamic": three, "d.dynamic.100000000": three,
				"v.dynamic": three + "version=1\n", "u.dynamic": three + "tickTime=1\n"} {
				write(t, filepath.Join(dir, name), content)
			}
			if g.hasMyID {
				write(t, filepath.Join(dir, "myid"), g.myid)
			}
			text := strings.NewReplacer("/var/lib/zookeeper", dir, "/etc/zookeeper", dir).Replace(g.file)
			file := write(t, filepath.Join(dir, "zoo.cfg"), text)
			c, err := Load(Source{File: file, Resolve: noSuchHost})
			want := g.result[0]
			if d, ok := differs[g.name]; ok {
				switch {
				case d.outcome == "ok" && err != nil:
					t.Errorf("refused: %v", err)
				case d.outcome != "ok" && (err == nil || !strings.Contains(err.Error(), d.outcome)):
					t.Errorf("got %v, want an error with %q", err, d.outcome)
				}
				return
			}
			if !strings.HasPrefix(want, "OK ") {
				if err == nil {
					t.Errorf("accepted; the original says %s", strings.Join(g.result, " "))
				}
				return
			}
			if err != nil {
				t.Fatalf("refused: %v; the original accepts it", err)
			}
			checkOutcome(t, c, g)
		})
	}
}

func checkOutcome(t *testing.T, c *Config, g golden) {
	head, qv, _ := strings.Cut(strings.TrimPrefix(g.result[0], "OK "), " qv=")
	for field := range strings.SplitSeq(head, " ") {
		name, want, _ := strings.Cut(field, "=")
		var got string
		switch name {
		case "distributed":
			got = strconv.FormatBool(c.Distributed())
		case "clientPort":
			got = "null"
			if c.ClientAddr != "" {
				got = c.ClientAddr
			}
			want = want[strings.IndexByte(want, '/')+1:]
			want = strings.TrimPrefix(want, "0.0.0.0")
		case "min":
			got = strconv.FormatInt(c.MinSessionTimeout.Milliseconds(), 10)
		case "max":
			got = strconv.FormatInt(c.MaxSessionTimeout.Milliseconds(), 10)
		case "serverId":
			got = strconv.FormatInt(c.Ensemble.ServerID, 10)
		case "snapRetain":
			got = strconv.Itoa(c.SnapRetainCount)
		case "peerType":
			got = "PARTICIPANT"
			if c.Ensemble.Observer {
				got = "OBSERVER"
			}
		default:
			continue
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	var got []string
	for _, s := range c.Ensemble.Members.Members {
		got = append(got, "server."+strconv.FormatInt(s.ID, 10)+"="+s.String())
	}
	var want []string
	for line := range strings.SplitSeq(qv, " | ") {
		if strings.HasPrefix(line, "server.") {
			want = append(want, line)
		}
		if v, ok := strings.CutPrefix(line, "version="); ok && v != strconv.FormatInt(c.Ensemble.Members.Version, 16) {
			t.Errorf("version %x, want %s", c.Ensemble.Members.Version, v)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("servers\n got %q\nwant %q", got, want)
	}
	props := map[string]string{}
	for _, line := range g.result[1:] {
		list, ok := strings.CutPrefix(line, "sysprops {")
		if !ok {
			continue
		}
		for pair := range strings.SplitSeq(strings.TrimSuffix(list, "}"), ", ") {
			k, v, _ := strings.Cut(pair, "=")
			props[k] = v
		}
	}
	delete(props, "zookeeper.authProvider.x509") // set by the TLS port, not by a line
	for k, v := range props {
		if c.Properties[k] != v {
			t.Errorf("property %s=%q, want %q", k, c.Properties[k], v)
		}
	}
	if len(props) != len(c.Properties) {
		t.Errorf("properties %v, want %v", c.Properties, props)
	}
}
