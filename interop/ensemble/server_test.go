// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// superAuth is the password behind the superDigest of every server here.
const (
	superAuth   = "super:test"
	superDigest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
)

// Ports are the same for all: each server has an address of its own.
const (
	clientPort   = 21810
	quorumPort   = 28880
	electionPort = 38880
)

// A kind of server: the reference, or the one under test.
type kind byte

const (
	apache  kind = 'A'
	paddock kind = 'P'
)

func (k kind) String() string {
	if k == apache {
		return "apache"
	}
	return "paddock"
}

func (k kind) command(t *testing.T) []string {
	t.Helper()
	name := "SUT"
	if k == apache {
		name = "REFERENCE"
	}
	c := strings.Fields(os.Getenv(name))
	if len(c) == 0 {
		t.Fatalf("%s is not set; use interop/run ensemble", name)
	}
	return c
}

// A server is one member: a place with an address and a directory, in which
// processes of either kind take turns.
type server struct {
	c         *cluster
	id        int
	observer  bool
	kind      kind // of the process that runs, or of the last one
	dir       string
	cmd       *exec.Cmd  // nil: no process
	ends      chan error // receives once when cmd has ended
	frozen    bool
	starts    int
	read      int    // bytes of its log that mend has looked at
	broken    bool   // it is down because it cannot load what it has: see mend
	robbed    bool   // it lost a snapshot for that reason
	trees     int    // that it got from leaders, by Apache's log
	fuzzyUpTo uint64 // a tree that came under load may have been ahead of itself until here
}

func (s *server) String() string { return fmt.Sprintf("server %d (%v)", s.id, s.kind) }

func (s *server) addr() string {
	return net.JoinHostPort(s.c.lab.addr(s.id), strconv.Itoa(clientPort))
}

// line is the value of this server's line in a configuration.
func (s *server) line() string {
	host, role := s.c.lab.addr(s.id), "participant"
	if s.observer {
		role = "observer"
	}
	return fmt.Sprintf("%s:%d:%d:%s;%s:%d", host, quorumPort, electionPort, role, host, clientPort)
}

// data is the directory of snapshots and logs.
func (s *server) data() string { return filepath.Join(s.dir, "data", "version-2") }

// write makes the server's directory with its zoo.cfg.
func (s *server) write(members []*server, more string) {
	s.c.t.Helper()
	must(s.c.t, os.MkdirAll(filepath.Join(s.dir, "data"), 0o700))
	must(s.c.t, os.WriteFile(filepath.Join(s.dir, "data", "myid"), fmt.Appendln(nil, s.id), 0o600))
	var b strings.Builder
	// Small snapshots and logs, so that a test meets several of each.
	fmt.Fprintf(&b, `tickTime=%d
initLimit=40
syncLimit=%d
maxSessionTimeout=60000
dataDir=%s
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
extendedTypesEnabled=true
snapCount=3000
preAllocSize=1024
%s`, tick.Milliseconds(), syncLimit, filepath.Join(s.dir, "data"), more)
	if s.observer {
		fmt.Fprintln(&b, "peerType=observer")
	}
	for _, m := range members {
		fmt.Fprintf(&b, "server.%d=%s\n", m.id, m.line())
	}
	must(s.c.t, os.WriteFile(filepath.Join(s.dir, "zoo.cfg"), []byte(b.String()), 0o600))
}

const (
	tick      = 500 * time.Millisecond
	syncLimit = 6 // ticks: after 3 s of silence a server is given up
)

// start runs a process of the kind; it does not wait.
func (s *server) start(k kind) {
	t := s.c.t
	t.Helper()
	if s.cmd != nil {
		t.Fatalf("%v runs already", s)
	}
	s.kind = k
	s.starts++
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer log.Close()
	command := s.c.lab.within(s.id, append(k.command(t), filepath.Join(s.dir, "zoo.cfg")))
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Dir = s.dir
	// Nothing may leave the tree by itself while trees are compared, unless a test says so.
	s.cmd.Env = append(os.Environ(), "SERVER_JVMFLAGS=-Xmx192m -Dinterop.level=INFO "+s.c.flags+
		" -Dzookeeper.DigestAuthenticationProvider.superDigest="+superDigest)
	must(t, s.cmd.Start())
	s.c.note("start %v, pid %d", s, s.cmd.Process.Pid)
	s.ends = make(chan error, 1)
	go func(cmd *exec.Cmd, ends chan<- error) { ends <- cmd.Wait() }(s.cmd, s.ends)
}

func (s *server) log() string { return filepath.Join(s.dir, s.kind.String()+".log") }

// signal sends a signal to the process.
func (s *server) signal(sig syscall.Signal) {
	s.c.t.Helper()
	if s.cmd == nil {
		s.c.t.Fatalf("%v does not run", s)
	}
	s.c.note("%v to %v", sig, s)
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.c.t.Fatal(err)
	}
}

// end sends a signal and waits for the end of the process.
func (s *server) end(sig syscall.Signal) {
	s.c.t.Helper()
	s.signal(sig)
	cmd := s.cmd
	s.cmd, s.frozen = nil, false
	select {
	case <-s.ends:
	case <-time.After(30 * time.Second):
		cmd.Process.Kill()
		s.c.t.Fatalf("%v did not end within 30 s of %v", s, sig)
	}
}

func (s *server) kill() { s.c.t.Helper(); s.end(syscall.SIGKILL) }

func (s *server) freeze() { s.c.t.Helper(); s.signal(syscall.SIGSTOP); s.frozen = true }
func (s *server) thaw()   { s.c.t.Helper(); s.signal(syscall.SIGCONT); s.frozen = false }

// wipe takes away all that the server remembers but its id.
func (s *server) wipe() {
	s.c.t.Helper()
	s.c.note("wipe %v", s)
	must(s.c.t, os.RemoveAll(s.data()))
}

// mend starts a server of Apache's again that ended, or goes in circles, because a
// tree which was taken under load has a znode whose ACL it does not have
// (ZOOKEEPER-4846, and 4689 of what is left of it). One that cannot load what it
// has for that reason is broken, and stays down until it can be renewed.
func (s *server) mend() bool {
	if s.kind != apache {
		return false
	}
	b, _ := os.ReadFile(s.log())
	news := b[s.read:]
	hole := s.robbed && bytes.Contains(news, []byte("java.lang.IllegalStateException: Committed proposal cached out of order"))
	if !hole && !bytes.Contains(news, []byte("java.lang.RuntimeException: Failed to fetch acls for")) {
		return false
	}
	s.read = len(b)
	if s.cmd != nil {
		s.kill()
	}
	s.c.t.Logf("%v ended by ZOOKEEPER-4846", s)
	if hole || bytes.Contains(news, []byte("FileTxnSnapLog.restore")) {
		s.c.note("%v cannot load what it has", s)
		s.broken = true
		return true
	}
	s.start(s.kind)
	return true
}

// renew gives a broken server a new beginning, as an operator would, once the
// others have all that was ever acknowledged.
func (s *server) renew() {
	if s.unneeded() {
		s.c.t.Logf("%v starts with nothing", s)
		s.wipe()
		s.broken, s.robbed = false, false
		s.start(s.kind)
	}
}

// unneeded tells whether all other voters follow one leader, so that what this
// server has they have.
func (s *server) unneeded() bool {
	var leader *server
	others := 0
	for _, o := range s.c.servers {
		if o == s || o.observer {
			continue
		}
		others++
		switch o.mode() {
		case "":
			return false
		case "leader":
			if leader != nil {
				return false
			}
			leader = o
		}
	}
	return leader != nil && leader.metric("synced_followers") >= others-1
}

// rob has a broken server that may be needed for what it has begin without its
// newest snapshot: it has an older one and the logs since. If the snapshot was of
// a tree that it had been sent, these logs have a hole where the tree had been.
func (s *server) rob() {
	snapshots, _ := filepath.Glob(filepath.Join(s.data(), "snapshot.*"))
	if s.robbed || len(snapshots) < 2 {
		return
	}
	newest := slices.MaxFunc(snapshots, func(a, b string) int { return cmp.Compare(suffix(a), suffix(b)) })
	s.c.t.Logf("%v starts without %s", s, filepath.Base(newest))
	must(s.c.t, os.Remove(newest))
	s.broken, s.robbed = false, true
	s.start(s.kind)
}

// suffix is the zxid in the name of a snapshot.
func suffix(name string) uint64 {
	z, _ := strconv.ParseUint(strings.TrimPrefix(filepath.Ext(name), "."), 16, 64)
	return z
}

// word asks a four-letter word; no answer is "".
func (s *server) word(w string) string {
	if s.cmd == nil || s.frozen {
		return ""
	}
	c, err := net.DialTimeout("tcp", s.addr(), time.Second)
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

// mode is "leader", "follower", "observer", or "" for a server that does not serve.
func (s *server) mode() string {
	_, rest, _ := strings.Cut(s.word("srvr"), "Mode: ")
	m, _, _ := strings.Cut(rest, "\n")
	return m
}

// metric is a number of mntr, or -1 when it is not told.
func (s *server) metric(name string) int {
	_, rest, found := strings.Cut("\n"+s.word("mntr"), "\nzk_"+name+"\t")
	text, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(text, 64)
	if !found || err != nil {
		return -1
	}
	return int(n)
}

// zxid is the last transaction that the server shows, or 0 when it does not say.
func (s *server) zxid() (z uint64) {
	_, rest, _ := strings.Cut(s.word("srvr"), "Zxid: 0x")
	text, _, _ := strings.Cut(rest, "\n")
	z, _ = strconv.ParseUint(text, 16, 64)
	return z
}

// digests are the recorded digests of the tree by zxid, both as the word hash writes them.
func (s *server) digests() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(s.word("hash")) {
		if zxid, digest, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			out[zxid] = digest
		}
	}
	return out
}

// tail is the end of the server's log, for a message.
func (s *server) tail() string {
	b, _ := os.ReadFile(s.log())
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
