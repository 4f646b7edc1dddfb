// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"paddock/zk"
)

// killer runs a server in a process of its own and kills it, round after round
// on the same data directory.
type killer struct {
	*testing.T
	rng     *rand.Rand
	w       *Workload
	dataDir string
	config  string // zoo.cfg of the round
	log     string // what the processes say
	p       *Process
	ended   map[string]int // how the lives ended
}

// TestKill kills the server's process at random moments: while it starts, while
// it recovers, under concurrent writers, beside snapshots, rolled logs and
// purges, while it shuts down. After each kill two servers must find all that
// was acknowledged: one on a copy of the directory, in this process, where the
// whole tree is at hand, and the next one on the directory itself, as a client
// sees it.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := &killer{T: t, rng: seeded(t), dataDir: filepath.Join(dir, "data"), config: filepath.Join(dir, "zoo.cfg"),
		log: filepath.Join(dir, "server.log"), ended: map[string]int{}}
	k.w = NewWorkload(8, k.rng)
	k.w.Filler = 1000
	n := rounds(t, 30, 10, 1)
	for round := range n {
		if k.life(); t.Failed() {
			text, _ := os.ReadFile(k.log)
			lines := strings.SplitAfter(string(text), "\n")
			t.Fatalf("in round %d; the servers' last words:\n%s", round, strings.Join(lines[max(0, len(lines)-30):], ""))
		}
	}
	found := k.copied()
	addr := k.start()
	if t.Failed() {
		return
	}
	defer k.stop(os.Kill)
	k.inspect(addr, found)
	c := k.connect(addr)
	defer c.Close()
	awaitDoomed(t, k.w.Ledger, func() *Dump {
		d, err := DumpClient(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
	t.Logf("%d writes acknowledged in %d lives, killed %v", k.w.Ledger.Acks(), n, k.ended)
}

// life is one round.
func (k *killer) life() {
	before := k.copied()
	if k.Failed() {
		return
	}
	set := settings(k.rng)
	if err := os.WriteFile(k.config, configText(k.dataDir, set), 0o644); err != nil {
		k.Fatal(err)
	}
	p, err := StartProcess(k.config, k.log)
	if err != nil {
		k.Fatal(err)
	}
	k.p = p
	if k.rng.IntN(8) == 0 { // anywhere between exec and serving
		k.ended["while starting"]++
		time.Sleep(time.Duration(k.rng.IntN(15_000)) * time.Microsecond)
		k.stop(os.Kill)
		return
	}
	addr := k.ready()
	if k.Failed() {
		return
	}
	k.inspect(addr, before)
	if k.Failed() {
		k.stop(os.Kill)
		return
	}
	acks := 1 + k.rng.IntN(700)
	if k.rng.IntN(5) == 0 {
		acks = 1 + k.rng.IntN(10)
	}
	reached := k.w.Ledger.After(acks)
	ended := k.w.begin(addr)
	select {
	case <-reached:
	case <-time.After(opTimeout):
		k.Errorf("no %d writes in %v", acks, opTimeout)
	case <-ended:
		k.Error("the writers ended before the server")
	}
	switch k.rng.IntN(8) {
	case 0:
		k.ended["while shutting down"]++
		k.p.Signal(syscall.SIGTERM)
		time.Sleep(time.Duration(k.rng.IntN(5000)) * time.Microsecond)
		k.stop(os.Kill)
	case 1:
		k.ended["not, but shut down"]++
		k.stop(syscall.SIGTERM)
	default:
		k.ended["under load"]++
		time.Sleep(time.Duration(k.rng.IntN(2000)) * time.Microsecond)
		k.stop(os.Kill)
	}
	awaitWriters(k, k.w, ended)
}

// start runs a server without writers and returns its address.
func (k *killer) start() string {
	p, err := StartProcess(k.config, k.log)
	if err != nil {
		k.Fatal(err)
	}
	k.p = p
	return k.ready()
}

func (k *killer) ready() string {
	select {
	case addr, ok := <-k.p.Ready:
		if ok {
			return addr
		}
		code, err := k.p.Wait()
		k.Errorf("the server refuses its own directory: exit status %d, %v", code, err)
	case <-time.After(opTimeout):
		k.Error("the server does not start")
		k.stop(os.Kill)
	}
	return ""
}

func (k *killer) stop(sig os.Signal) {
	k.p.Signal(sig)
	if code, err := k.p.Wait(); err != nil || sig == syscall.SIGTERM && code != 0 {
		k.Errorf("ended by %v: exit status %d, %v", sig, code, err)
	}
}

// copied recovers a copy of the directory in this process and holds it against
// the ledger.
func (k *killer) copied() *Dump {
	dir := filepath.Join(k.TempDir(), "copy")
	if _, err := os.Stat(k.dataDir); err == nil {
		if err := os.CopyFS(dir, os.DirFS(k.dataDir)); err != nil {
			k.Fatal(err)
		}
	}
	s, err := start(nil, dir, nil, false)
	if err != nil {
		k.Errorf("a copy of the directory is refused: %v", err)
		return nil
	}
	defer os.RemoveAll(dir)
	defer s.Close()
	d := DumpTree(s.Tree())
	report(k, k.w.Ledger.Settle(d))
	return d
}

func (k *killer) connect(addr string) *zk.Client {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	c, err := zk.Connect(ctx, addr, zk.WithSessionTimeout(HeldTimeout))
	if err != nil {
		k.Fatal(err)
	}
	return c
}

// inspect compares what clients see with the tree that the copy gave. Sessions
// may expire meanwhile, so theirs is left out.
func (k *killer) inspect(addr string, want *Dump) {
	c := k.connect(addr)
	defer c.Close()
	got, err := DumpClient(k.Context(), c)
	if err != nil {
		k.Errorf("reading the tree: %v", err)
		return
	}
	for _, d := range []*Dump{got, want} {
		for p := range d.Nodes {
			if p == leaseHome || strings.HasPrefix(p, leaseHome+"/") {
				delete(d.Nodes, p)
			}
		}
	}
	report(k, got.Difference(want))
}
