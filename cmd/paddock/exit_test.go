// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A command line that cannot be understood has a status of its own.
func TestExitStatusOfACommand(t *testing.T) {
	said, err := paddock("sevrer").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(said), `unknown command "sevrer"`) {
		t.Errorf("%v, %s", err, said)
	}
}

// Scripts tell why a server did not start by its exit status: each is that of
// Apache's (operations.md section 1.9), and the last line says what was wrong.
func TestExitStatus(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, tc := range []struct {
		name   string
		config string // DIR is an empty directory
		args   []string
		status int
		says   string
	}{
		{"no such file", "", nil, 2, "none.cfg"},
		{"no such flag", "dataDir=DIR\nclientPort=0\n", []string{"--nothing"}, 2, "--nothing"},
		{"too many arguments", "dataDir=DIR\nclientPort=0\n", []string{"a", "b", "c", "d"}, 2, "accepts at most 4 arg"},
		{"a wrong value", "dataDir=DIR\nclientPort=many\n", nil, 2, "clientPort"},
		{"the client port is taken", "dataDir=DIR\nclientPortAddress=127.0.0.1\nclientPort=" + port + "\n", nil, 1, "address already in use"},
		{"no directory, and none may be made", "dataDir=DIR/none\nclientPort=0\ndatadir.autocreate=false\n", nil, 3, "DIR/none"},
		{"a file in the place of the directory", "dataDir=DIR/myid/data\nclientPort=0\n", nil, 3, "DIR/myid"},
		{"a log among the snapshots", "dataDir=DIR/mixed\ndataLogDir=DIR/logs\nclientPort=0\n", nil, 3, "mixed"},
		{"the election port is taken", "dataDir=DIR\nclientPort=0\ninitLimit=5\nsyncLimit=5\nelectionPortBindRetry=1\nserver.1=127.0.0.1:1:" + port +
			"\nserver.2=127.0.0.1:2:3\nserver.3=127.0.0.1:4:5\n", nil, 14, "election port 127.0.0.1:" + port},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "myid"), []byte("1"), 0o644))
			must(t, os.MkdirAll(filepath.Join(dir, "mixed", "version-2"), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "mixed", "version-2", "log.1"), nil, 0o644))
			file := filepath.Join(dir, "none.cfg")
			if tc.config != "" {
				file = filepath.Join(dir, "zoo.cfg")
				must(t, os.WriteFile(file, []byte(strings.ReplaceAll(tc.config, "DIR", dir)), 0o644))
			}
			said, err := paddock(append([]string{"server", file}, tc.args...)...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tc.status {
				t.Errorf("%v, want status %d", err, tc.status)
			}
			lines := strings.Split(strings.TrimSpace(string(said)), "\n")
			if says, last := strings.ReplaceAll(tc.says, "DIR", dir), lines[len(lines)-1]; !strings.Contains(last, says) {
				t.Errorf("the last line is %q, not about %q", last, says)
			}
		})
	}
}
