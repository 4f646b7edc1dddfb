// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// targetEnv names a command that runs another server in place of the one in this module: it is run as "CMD zoo.cfg",
// in the foreground, with the -D flags of the recording in SERVER_JVMFLAGS (zkServer.sh start-foreground does). The
// recordings must pass against Apache ZooKeeper 3.9.5 this way; that is how the replayer itself is checked.
const targetEnv = "PADDOCK_GOLDEN_TARGET_CMD"

// reference says whether the tests run against the recorded implementation: nothing deviates then, and the requests
// that it does not survive are not sent.
func reference() bool { return os.Getenv(targetEnv) != "" }

// target is one running server and what it takes to start it again on the same data.
type target struct {
	addr string // host:port of its client port
	dir  string // holds zoo.cfg and data
	jvm  string // value of SERVER_JVMFLAGS
	stop func(testing.TB)
}

// start runs a server with the settings of meta on a fresh data directory. It is stopped when the test ends.
func start(t testing.TB, meta Meta) *target {
	t.Helper()
	s := &target{dir: t.TempDir()}
	s.addr = freeAddr(t)
	flags := append([]string{"-Dzookeeper.admin.enableServer=false", "-Dzookeeper.4lw.commands.whitelist=*"}, meta.Server.Flags()...)
	s.jvm = strings.Join(flags, " ")

	data := filepath.Join(s.dir, "data")
	must(t, os.Mkdir(data, 0o755))
	for name, content := range meta.DataFiles {
		p := filepath.Join(data, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, os.WriteFile(p, content, 0o644))
	}
	host, port, _ := net.SplitHostPort(s.addr)
	cfg := map[string]string{"initLimit": "10", "syncLimit": "5", "dataDir": data, "clientPortAddress": host, "clientPort": port}
	for k, v := range meta.Server.Cfg {
		cfg[k] = string(v)
	}
	var lines []string
	for k, v := range cfg {
		lines = append(lines, k+"="+v+"\n")
	}
	sort.Strings(lines)
	must(t, os.WriteFile(s.cfg(), []byte(strings.Join(lines, "")), 0o644))

	s.run(t)
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *target) cfg() string { return filepath.Join(s.dir, "zoo.cfg") }

// run starts the server on s.dir; s.addr and s.stop are set, and stop may be called more than once.
func (s *target) run(t testing.TB) {
	t.Helper()
	if reference() {
		s.runCommand(t)
	} else {
		s.runPaddock(t)
	}
}

// restart stops the server and starts it on the data it left.
func (s *target) restart(t testing.TB) {
	t.Helper()
	s.stop(t)
	s.run(t)
}

func (s *target) runCommand(t testing.TB) {
	t.Helper()
	argv := strings.Fields(os.Getenv(targetEnv))
	cmd := exec.Command(argv[0], append(argv[1:], s.cfg())...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &out, s.dir
	cmd.Env = append(os.Environ(), "SERVER_JVMFLAGS="+s.jvm)
	must(t, cmd.Start())
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	s.stop = func(testing.TB) { cmd.Process.Kill(); <-exited }

	// The port answers before the server serves, so ask it until it names its mode.
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if text, err := FourLetterWord(s.addr, []byte("srvr")); err == nil && strings.Contains(text, "Mode:") {
			return
		}
		select {
		case <-exited:
			t.Fatalf("%s ended: %s", argv, out.String())
		case <-time.After(100 * time.Millisecond):
		}
	}
	s.stop(t)
	t.Fatalf("%s does not serve on %s: %s", argv, s.addr, out.String())
}

// freeAddr returns a loopback address that nobody listens on right now.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, file string) *Recording {
	t.Helper()
	rec, err := Load(filepath.Join("testdata", "client", file))
	if err != nil {
		t.Fatal(fmt.Errorf("testdata: %w", err))
	}
	return rec
}
