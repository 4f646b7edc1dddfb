// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"paddock/internal/server"
	"paddock/internal/vfs"
)

// stopped waits until s has given up, ends it, and checks that it says of
// which file.
func stopped(t *testing.T, w *Workload, s *server.Server, ended <-chan struct{}, file string, cause error) {
	t.Helper()
	select {
	case err := <-s.Fatal():
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), file) {
			t.Errorf("the server stopped with %v; it should name %q and %q", err, file, cause)
		}
	case <-time.After(opTimeout):
		t.Error("nothing can be written, and the server does not stop")
	}
	s.Close()
	awaitWriters(t, w, ended)
}

// TestFullDisk fills the disk under concurrent writers, anywhere in a write.
// The server stops; started again while the disk is still full it stops again
// and does no harm; and when there is room, what was acknowledged is there, even
// if nothing but what was synced is left.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	w := NewWorkload(5, rng)
	w.Filler = 400
	disk := vfs.NewMem()
	acks := 0
	n := rounds(t, 12, 4, 1)
	for round := range n {
		set := settings(rng)
		f := vfs.NewFaulty(disk)
		s, err := start(f, "/data", set, true)
		if err != nil {
			t.Fatal(err)
		}
		report(t, w.Ledger.Settle(DumpTree(s.Tree())))
		reached := w.Ledger.After(1 + rng.IntN(60))
		ended := w.begin(s.ClientAddr().String())
		<-reached
		f.SetRoom(int64(rng.IntN(40_000)))
		stopped(t, w, s, ended, "/data/version-2/log.", syscall.ENOSPC)

		for range rng.IntN(3) { // too early
			f.SetRoom(int64(rng.IntN(20)))
			if s, err = start(f, "/data", set, true); err != nil {
				t.Fatalf("reading needs no room: %v", err)
			}
			report(t, w.Ledger.Settle(DumpTree(s.Tree())))
			stopped(t, w, s, w.begin(s.ClientAddr().String()), "/data/version-2/log.", syscall.ENOSPC)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		acks = w.Ledger.Acks()
		if rng.IntN(2) == 0 {
			disk = disk.CrashClone(nil)
		}
	}
	s, err := start(disk, "/data", settings(rng), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report(t, w.Ledger.Settle(DumpTree(s.Tree())))
	t.Logf("%d writes acknowledged, the disk was full %d times", acks, n)
}

// TestFailedSync lets a sync of the log, of its name or of its padding fail
// under concurrent writers. Nothing may be acknowledged from then on: a crash
// that leaves only what was synced must lose nothing.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	w := NewWorkload(5, rng)
	disk := vfs.NewMem()
	for range rounds(t, 12, 4, 1) {
		f := vfs.NewFaulty(disk)
		s, err := start(f, "/data", settings(rng), true)
		if err != nil {
			t.Fatal(err)
		}
		report(t, w.Ledger.Settle(DumpTree(s.Tree())))
		reached := w.Ledger.After(1 + rng.IntN(200))
		ended := w.begin(s.ClientAddr().String())
		<-reached
		f.FailSyncs("log.", syscall.EIO)
		stopped(t, w, s, ended, "/data/version-2/log.", syscall.EIO)
		f.FailSyncs("", nil)
		disk = disk.CrashClone(nil)
	}
	s, err := start(disk, "/data", settings(rng), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report(t, w.Ledger.Settle(DumpTree(s.Tree())))
}

// TestFailedSnapshot lets no snapshot be written: the server goes on, keeps
// every log that it needs and no half snapshot, and writes one when it can.
func TestFailedSnapshot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fail func(*vfs.Faulty, error)
	}{
		{"write", func(f *vfs.Faulty, err error) { f.FailWrites("tmp-snapshot.", err) }},
		{"sync", func(f *vfs.Faulty, err error) { f.FailSyncs("tmp-snapshot.", err) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := seeded(t)
			w := NewWorkload(4, rng)
			disk := vfs.NewMem()
			f := vfs.NewFaulty(disk)
			set := settings(rng)
			set["snapCount"], set["autopurge.purgeInterval"] = "20", "5ms"
			s, err := start(f, "/data", set, true)
			if err != nil {
				t.Fatal(err)
			}
			report(t, w.Ledger.Settle(DumpTree(s.Tree())))
			c.fail(f, syscall.ENOSPC)
			before := names(t, f, "snapshot.")
			reached := w.Ledger.After(500)
			ended := w.begin(s.ClientAddr().String())
			<-reached
			if now := names(t, f, "snapshot."); fmt.Sprint(now) != fmt.Sprint(before) {
				t.Errorf("snapshots %q, there should be %q", now, before)
			}
			if logs := names(t, f, "log."); len(logs) < 5 {
				t.Errorf("only the logs %q are left", logs)
			}
			crashed := disk.CrashClone(nil) // as it stands: half a snapshot, perhaps
			c.fail(f, nil)
			await(t, "a snapshot", func() bool { return len(names(t, f, "snapshot.")) > len(before) })
			s.Close()
			awaitWriters(t, w, ended)
			if left := names(t, f, "tmp-snapshot."); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}

			early, err := start(crashed, "/data", set, false)
			if err != nil {
				t.Fatal(err)
			}
			report(t, DumpTree(early.Tree()).Faults())
			early.Close()
			if s, err = start(disk.CrashClone(nil), "/data", set, false); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			report(t, w.Ledger.Settle(DumpTree(s.Tree())))
		})
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(opTimeout); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// names lists the files of the data directory with a prefix.
func names(t *testing.T, fsys vfs.FS, prefix string) (found []string) {
	infos, err := fsys.ReadDir("/data/version-2")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if strings.HasPrefix(i.Name, prefix) {
			found = append(found, i.Name)
		}
	}
	return found
}

// TestFullTmpfs is TestFullDisk on a real file system of 4 MiB, with the server
// in a process of its own: its exit status and last words are those that an
// operator gets.
func TestFullTmpfs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small := filepath.Join(dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := mountTmpfs(small, "size=4m"); err != nil {
		t.Skipf("a tmpfs cannot be mounted here (%v): TestFullDisk has it with injected errors", err)
	}
	defer unmount(small)
	k := &killer{T: t, rng: seeded(t), dataDir: filepath.Join(small, "data"), config: filepath.Join(dir, "zoo.cfg"),
		log: filepath.Join(dir, "server.log"), ended: map[string]int{}}
	k.w = NewWorkload(6, k.rng)
	k.w.Filler = 20_000
	set := settings(k.rng)
	set["snapCount"] = "1000000"
	if err := os.WriteFile(k.config, configText(k.dataDir, set), 0o644); err != nil {
		t.Fatal(err)
	}
	k.copied()
	for _, when := range []string{"when the disk is full", "when it is still full"} {
		addr := k.start()
		if t.Failed() {
			return
		}
		ended := k.w.begin(addr)
		exited := make(chan int, 1)
		go func() {
			code, _ := k.p.Wait()
			exited <- code
		}()
		select {
		case code := <-exited:
			if code != 1 {
				t.Errorf("%s the exit status is %d", when, code)
			}
		case <-time.After(opTimeout):
			t.Fatalf("%s the server does not stop", when)
		}
		awaitWriters(t, k.w, ended)
		text, err := os.ReadFile(k.log)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		last := lines[len(lines)-1]
		for _, want := range []string{k.dataDir + "/version-2/log.", "no space left on device", "KiB are free", "start it again"} {
			if !strings.Contains(last, want) {
				t.Errorf("%s the last words are %q, without %q", when, last, want)
			}
		}
		k.copied()
	}
	if k.w.Ledger.Acks() < 50 {
		t.Errorf("only %d writes before the disk was full", k.w.Ledger.Acks())
	}

	if err := remount(small, "size=64m"); err != nil {
		t.Fatal(err)
	}
	found := k.copied()
	addr := k.start()
	if t.Failed() {
		return
	}
	k.inspect(addr, found)
	reached := k.w.Ledger.After(300)
	ended := k.w.begin(addr)
	<-reached
	k.stop(os.Kill)
	awaitWriters(t, k.w, ended)
	k.copied()
}
