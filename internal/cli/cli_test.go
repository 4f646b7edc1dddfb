// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"paddock/internal/servertest"
	"paddock/zk"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into testdata")

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// paddock runs one command line and returns what it printed and its status.
func paddock(ctx context.Context, args ...string) (stdout, stderr string, status int) {
	var out, err bytes.Buffer
	status = Run(ctx, args, strings.NewReader(""), &out, &err)
	return out.String(), err.String(), status
}

// Each script is run on a fresh server. Lines with '$' are commands; stdout
// follows, then stderr behind "! ", then a status that is not 0. Dates are
// masked, zxids are not: each command's session takes two of its own.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			addr := servertest.Addr(t)
			want, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for line := range strings.Lines(string(want)) {
				command, ok := strings.CutPrefix(line, "$ ")
				if !ok {
					continue
				}
				got.WriteString(line)
				args := append([]string{"-server", addr}, split(strings.ReplaceAll(strings.TrimSpace(command), "CHROOT", addr))...)
				stdout, stderr, status := paddock(t.Context(), args...)
				got.WriteString(mask(stdout, addr))
				for l := range strings.Lines(mask(stderr, addr)) {
					got.WriteString("! " + l)
				}
				if status != 0 {
					fmt.Fprintf(&got, "[%d]\n", status)
				}
			}
			if *rewrite {
				if err := os.WriteFile(script, []byte(got.String()), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			diff(t, got.String(), string(want))
		})
	}
}

// diff shows the first lines in which two texts differ, with their command.
func diff(t *testing.T, got, want string) {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	command := ""
	for i := range max(len(g), len(w)) {
		a, b := at(g, i), at(w, i)
		if strings.HasPrefix(b, "$ ") {
			command = b
		}
		if a != b {
			t.Fatalf("%s\ngot  %s\nwant %s", command, strings.Join(g[min(i, len(g)):min(i+3, len(g))], "\n     "), strings.Join(w[i:min(i+3, len(w))], "\n     "))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

var date = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC 2\d{3}`)

func mask(s, addr string) string {
	return strings.ReplaceAll(date.ReplaceAllString(s, "DATE"), addr, "SERVER")
}

// split takes a line apart at spaces that are not between double quotes.
func split(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func TestWithoutServer(t *testing.T) {
	cases := []struct {
		args           string
		status         int
		stdout, stderr string // parts of them
	}{
		{"", 2, "", "usage: paddock cli"},
		{"-h", 0, "usage: paddock cli", ""},
		{"help", 0, "\tls [-s] [-w] [-R] path\n", ""},
		{"help ls", 0, "ls [-s] [-w] [-R] path\n", ""},
		{"version", 0, "paddock CLI version: ", ""},
		{"version x", 1, "", "version\n"},
		{"nosuch", 127, "", "Command not found: nosuch\n"},
		{"-server", 2, "", "flag needs an argument: -server"},
		{"-server 127.0.0.1:1 ls /", 1, "", "connection refused"},
		{"-server 127.0.0.1:1 ls", 1, "", "ls [-s] [-w] [-R] path\n"},
		{"-server 127.0.0.1:1 create -c -s /a", 1, "", "-c cannot be combined"},
	}
	for _, tc := range cases {
		stdout, stderr, status := paddock(t.Context(), split(tc.args)...)
		if status != tc.status || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) ||
			tc.stdout == "" && stdout != "" || tc.stderr == "" && stderr != "" {
			t.Errorf("%q: status %d, stdout %q, stderr %q", tc.args, status, stdout, stderr)
		}
	}
}

// A command with -w stays for the event.
func TestWatching(t *testing.T) {
	addr := servertest.Addr(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := zk.Connect(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(ctx, "/watched", []byte("v"), zk.OpenACL, 0); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		args, first, event string
		change             func() error
	}{
		{"get -w /watched", "v\n", "NodeDataChanged path:/watched", func() error { _, err := c.Set(ctx, "/watched", nil, -1); return err }},
		{"ls -w /watched", "[]\n", "NodeChildrenChanged path:/watched", func() error { _, err := c.Create(ctx, "/watched/a", nil, zk.OpenACL, 0); return err }},
		{"stat -w /none", "", "NodeCreated path:/none", func() error { _, err := c.Create(ctx, "/none", nil, zk.OpenACL, 0); return err }},
	}
	for _, tc := range cases {
		out := &signal{text: "\n", ready: make(chan struct{})}
		var errOut bytes.Buffer
		status := make(chan int)
		go func() {
			words := append([]string{"-server", addr}, split(tc.args)...)
			if tc.first == "" { // what it prints first goes to stderr
				status <- Run(ctx, words, nil, &errOut, out)
				return
			}
			status <- Run(ctx, words, nil, out, &errOut)
		}()
		<-out.ready
		if err := tc.change(); err != nil {
			t.Fatal(err)
		}
		if s := <-status; s != 0 {
			t.Errorf("%s: status %d", tc.args, s)
		}
		all := out.String() + errOut.String()
		if !strings.HasPrefix(out.String(), tc.first) ||
			!strings.Contains(all, "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:"+tc.event+" zxid: ") {
			t.Errorf("%s: %q", tc.args, all)
		}
	}

	ctx, cancel = context.WithCancel(ctx)
	out := &signal{text: "\n", ready: make(chan struct{})}
	var errOut bytes.Buffer
	status := make(chan int)
	go func() { status <- Run(ctx, []string{"-server", addr, "get", "-w", "/watched"}, nil, out, &errOut) }()
	<-out.ready
	cancel()
	if s := <-status; s != 1 || errOut.String() != "interrupted\n" {
		t.Errorf("interrupted: status %d, %q", s, errOut.String())
	}
}

// signal is a buffer that tells when the first line is in it.
type signal struct {
	bytes.Buffer
	text  string
	ready chan struct{}
	told  bool
}

func (s *signal) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if !s.told && strings.Contains(s.String(), s.text) {
		s.told = true
		close(s.ready)
	}
	return n, err
}
