// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"paddock/internal/config"
	"paddock/internal/server"
	"paddock/internal/storage"
	"paddock/internal/vfs"
	"paddock/proto"
)

// settings are those of every server under test: ticks short enough for
// sessions to expire while one looks, snapshots often enough for several.
var settings = map[string]string{
	"clientPort": "0", "tickTime": "100", "maxSessionTimeout": "30000", "snapCount": "500", "preAllocSize": "256",
	"maxClientCnxns": "0", "autopurge.purgeInterval": "0",
}

func newServer(dir string) (*server.Server, error) {
	src := config.Embedded(dir)
	src.Flags = settings
	cfg, err := config.Load(src)
	if err != nil {
		return nil, err
	}
	return server.New(cfg, server.Options{})
}

// target is a server under test that can be stopped and started again on its
// directory.
type target interface {
	Addr() string
	Stop() error
	Start() error
	Dir() string
	Close()
}

// local is a server in this process; Stop lets it finish first.
type local struct {
	dir string
	mu  sync.Mutex
	srv *server.Server
}

func startLocal(t *testing.T) *local {
	t.Helper()
	l := &local{dir: t.TempDir()}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func (l *local) Start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	srv, err := newServer(l.dir)
	if err == nil {
		l.srv = srv
	}
	return err
}

func (l *local) Addr() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.srv.ClientAddr().String()
}

func (l *local) Stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return l.srv.Shutdown(ctx)
}

func (l *local) Dir() string { return l.dir }

func (l *local) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.srv.Close()
}

// child is a server in a process of its own; Stop kills it.
type child struct {
	dir  string
	mu   sync.Mutex
	addr string
	cmd  *exec.Cmd
	in   io.Closer // the process ends when this does
}

const childEnv = "PADDOCK_CHECK_CHILD"

// TestMain turns this binary into the server of a child.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		srv, err := newServer(dir)
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		fmt.Println(srv.ClientAddr())
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func startChild(t *testing.T) *child {
	t.Helper()
	c := &child{dir: t.TempDir()}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (c *child) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), childEnv+"="+c.dir)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	c.in = in
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	r := bufio.NewReader(out)
	if _, err := fmt.Fscanln(r, &c.addr); err != nil || c.addr == "failed:" {
		rest, _ := r.ReadString('\n')
		return fmt.Errorf("the server did not start: %s %v", rest, err)
	}
	return nil
}

func (c *child) Addr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addr
}

func (c *child) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cmd.Process.Kill()
	c.in.Close()
	c.cmd.Wait()
	return nil
}

func (c *child) Dir() string { return c.dir }

func (c *child) Close() { c.Stop() }

// readLogs reads all transaction logs of a server that is stopped.
func readLogs(t *testing.T, dir string) Logged {
	t.Helper()
	type key struct {
		session int64
		xid     int32
		closes  bool
	}
	found := map[key]proto.Zxid{}
	files, err := filepath.Glob(filepath.Join(dir, "version-2", "log.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no logs in %s (%v)", dir, err)
	}
	for _, f := range files {
		_, err := storage.ReadLog(vfs.OS, f, 0, func(e storage.Entry) error {
			txn, err := e.Txn()
			k := key{txn.Session, txn.Cxid, txn.Type == proto.OpCloseSession}
			if k.closes {
				k.xid = 0 // nobody ends a session twice
			}
			if z, twice := found[k]; twice && err == nil {
				return fmt.Errorf("session %v xid %d is logged as %v and as %v", proto.SessionID(k.session), k.xid, z, txn.Zxid)
			}
			found[k] = txn.Zxid
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return func(session proto.SessionID, xid int32, typ proto.OpCode) (proto.Zxid, bool) {
		k := key{int64(session), xid, typ == proto.OpCloseSession}
		if k.closes {
			k.xid = 0
		}
		z, ok := found[k]
		return z, ok
	}
}
