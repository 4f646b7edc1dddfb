// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// superAuth is the password behind the superDigest of every server here.
const (
	superAuth   = "super:test"
	superDigest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
)

// A place is one data directory with one address, at which servers take turns.
type place struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
	ends chan error // receives once when cmd has ended
}

func newPlace(t *testing.T) *place {
	t.Helper()
	port := os.Getenv("INTEROP_PORT")
	if port == "" || os.Getenv("SUT") == "" || os.Getenv("REFERENCE") == "" {
		t.Fatal("INTEROP_PORT, SUT and REFERENCE must be set; use interop/run handover")
	}
	dir, err := os.MkdirTemp(os.Getenv("INTEROP_OUT"), t.Name()+"-")
	if err != nil {
		t.Fatal(err)
	}
	// Small snapshots and logs, so that a hand-over meets several of each.
	cfg := fmt.Sprintf(`tickTime=500
dataDir=%s
clientPort=%s
clientPortAddress=127.0.0.1
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
extendedTypesEnabled=true
snapCount=1500
preAllocSize=1024
`, filepath.Join(dir, "data"), port)
	if err := os.WriteFile(filepath.Join(dir, "zoo.cfg"), []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, dir: dir, addr: "127.0.0.1:" + port}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.end(syscall.SIGKILL)
		}
	})
	return p
}

// kinds are the two servers: the reference and the one under test.
var kinds = [2]string{"reference", "sut"}

// starting is set while a server starts. The reference opens its port before it
// has loaded its tree; of who connects then it says that it is not running, fails
// (a NullPointerException in ZooKeeperServer.removeCnxn), and leaves the connection
// open. This client waits for its answer until its session has expired.
var starting atomic.Bool

// dialReady is a dialer that waits with that until a server serves.
func dialReady(network, addr string, timeout time.Duration) (net.Conn, error) {
	if starting.Load() {
		return nil, errors.New("the server is starting")
	}
	return net.DialTimeout(network, addr, timeout)
}

// start runs a server of the kind on the directory and returns when it serves.
func (p *place) start(kind string) {
	p.t.Helper()
	starting.Store(true)
	defer starting.Store(false)
	command := strings.Fields(os.Getenv(strings.ToUpper(kind)))
	log, err := os.OpenFile(filepath.Join(p.dir, kind+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(command[0], append(command[1:], filepath.Join(p.dir, "zoo.cfg"))...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Nothing may leave the tree by itself while two trees are compared.
	p.cmd.Env = append(os.Environ(), "SERVER_JVMFLAGS=-Dznode.container.checkIntervalMs=3600000 "+
		"-Dzookeeper.DigestAuthenticationProvider.superDigest="+superDigest)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ends = make(chan error, 1)
	go func(cmd *exec.Cmd, ends chan<- error) { ends <- cmd.Wait() }(p.cmd, p.ends)
	deadline := time.Now().Add(60 * time.Second)
	for !strings.Contains(p.word("srvr"), "Mode: standalone") {
		select {
		case err := <-p.ends:
			p.cmd = nil
			p.t.Fatalf("%s ended (%v); see %s", kind, err, log.Name())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not serve; see %s", kind, log.Name())
		}
	}
}

// end sends the signal and waits for the end of the server.
func (p *place) end(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	cmd := p.cmd
	p.cmd = nil
	select {
	case <-p.ends:
	case <-time.After(30 * time.Second):
		cmd.Process.Kill()
		p.t.Fatalf("the server did not end within 30 s of %v", sig)
	}
}

// word asks a four-letter word; no answer is "".
func (p *place) word(w string) string {
	c, err := net.DialTimeout("tcp", p.addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, w); err != nil {
		return ""
	}
	b, _ := io.ReadAll(c)
	return string(b)
}

// checkDigest fails when the server has found its tree and the digest in the log at odds: the
// reference compares them for each transaction that it replays.
func (p *place) checkDigest(kind string) {
	p.t.Helper()
	if n := mismatches(p); n > 0 || n < 0 && kind == "reference" {
		p.t.Errorf("%s counts %d digest mismatches", kind, n)
	}
	if b, _ := os.ReadFile(filepath.Join(p.dir, "reference.log")); strings.Contains(string(b), "Digests are not matching") {
		p.t.Errorf("the reference found a digest that does not match; see %s", p.dir)
	}
}
