// SPDX-License-Identifier: Apache-2.0

package conn_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"paddock/internal/check"
	"paddock/internal/config"
	"paddock/internal/server"
	"paddock/jute"
	"paddock/proto"
)

// settings make time pass fast: a session lives 1 s at least.
var settings = map[string]string{
	"clientPort": "0", "tickTime": "500", "maxSessionTimeout": "60000", "maxClientCnxns": "0",
	"nio.sessionlessCnxnTimeout": "500", "forceSync": "no", "preAllocSize": "1024", "autopurge.purgeInterval": "0",
}

// logLines keeps what a server logs.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// with returns the lines that contain all of the words.
func (l *logLines) with(words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
next:
	for line := range strings.Lines(l.buf.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

func newServer(dir string, flags map[string]string, log io.Writer) (*server.Server, error) {
	src := config.Embedded(dir)
	src.Flags = maps.Clone(settings)
	maps.Copy(src.Flags, flags)
	cfg, err := config.Load(src)
	if err != nil {
		return nil, err
	}
	return server.New(cfg, server.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
}

func start(t testing.TB, flags map[string]string) (addr string, log *logLines) {
	t.Helper()
	log = new(logLines)
	srv, err := newServer(t.TempDir(), flags, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv.ClientAddr().String(), log
}

// raceDetector tells that memory is not what it will be.
var raceDetector bool

// childEnv names the directory for which this binary is a server: for tests
// that measure the memory of a server alone.
const childEnv = "PADDOCK_CONN_CHILD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	srv, err := newServer(dir, nil, os.Stderr)
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println(srv.ClientAddr())
	// Each line asks for the resident memory and the number of goroutines.
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		debug.FreeOSMemory()
		status, _ := os.ReadFile("/proc/self/status")
		_, rss, _ := bytes.Cut(status, []byte("VmRSS:"))
		rss, _, _ = bytes.Cut(rss, []byte("kB"))
		fmt.Println(strings.TrimSpace(string(rss)), runtime.NumGoroutine())
	}
	os.Exit(0)
}

// child is a server in a process of its own.
type child struct {
	addr string
	log  *logLines
	in   io.Writer
	out  io.Reader
}

func startChild(t *testing.T) *child {
	t.Helper()
	c := &child{log: new(logLines)}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+t.TempDir())
	cmd.Stderr = c.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if _, err := fmt.Fscan(out, &c.addr); err != nil || c.addr == "failed:" {
		t.Fatalf("the server did not start: %v", err)
	}
	return c
}

// use returns the resident KiB and the goroutines of the server.
func (c *child) use(t *testing.T) (rss, goroutines int) {
	t.Helper()
	fmt.Fprintln(c.in)
	if _, err := fmt.Fscan(c.out, &rss, &goroutines); err != nil {
		t.Fatal(err)
	}
	return rss, goroutines
}

func dial(t testing.TB, addr string, timeoutMs int32) *check.Conn {
	t.Helper()
	c, err := check.Dial(addr, proto.ConnectRequest{TimeOut: timeoutMs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func call(t testing.TB, c *check.Conn, op proto.OpCode, r jute.Record) check.Frame {
	t.Helper()
	f, err := c.Call(op, r)
	if err == nil && f.Err != proto.OK {
		err = f.Err
	}
	if err != nil {
		t.Fatalf("%v: %v", op, err)
	}
	return f
}

// neighbour is a client that behaves, and that nobody is to harm.
type neighbour struct {
	t       testing.TB
	stop    chan struct{}
	done    chan struct{}
	calls   int
	slowest time.Duration
}

// patience is how long a neighbour waits for any one answer, on a machine that
// is busy with other things too.
const patience = 3 * time.Second

func moveIn(t testing.TB, addr string) *neighbour {
	t.Helper()
	n := &neighbour{t: t, stop: make(chan struct{}), done: make(chan struct{})}
	c := dial(t, addr, 60000)
	path := fmt.Sprintf("/neighbour-%v", c.Session)
	call(t, c, proto.OpCreate, &proto.Create{Path: path, ACL: check.OpenACL})
	go func() {
		defer close(n.done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-n.stop:
				return
			case <-tick.C:
			}
			begun := time.Now()
			for _, q := range []struct {
				op proto.OpCode
				r  jute.Record
			}{{proto.OpPing, nil}, {proto.OpSetData, &proto.SetData{Path: path, Data: []byte("x"), Version: -1}}, {proto.OpGetData, &proto.PathWatch{Path: path}}} {
				f, err := c.Call(q.op, q.r)
				if err != nil || f.Err != proto.OK {
					t.Errorf("neighbour: %v: %v %v", q.op, err, f.Err)
					return
				}
			}
			n.calls++
			n.slowest = max(n.slowest, time.Since(begun))
		}
	}()
	return n
}

// leave ends the neighbour's stay and says how it was.
func (n *neighbour) leave() {
	n.t.Helper()
	close(n.stop)
	<-n.done
	n.t.Logf("neighbour: %d rounds, the slowest took %v", n.calls, n.slowest)
	if n.slowest > patience {
		n.t.Errorf("a neighbour waited %v", n.slowest)
	}
	if n.calls == 0 {
		n.t.Error("a neighbour was never served")
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Errorf("in vain: %s", what)
			return
		}
	}
}

// heap is the memory in use, garbage collected.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
