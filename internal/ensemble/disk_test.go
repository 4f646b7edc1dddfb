// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"paddock/internal/replica"
	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/internal/vfs"
	"paddock/internal/zab"
	"paddock/jute"
	"paddock/proto"
)

// entry is a transaction that creates a session.
func entry(z proto.Zxid) zab.Entry {
	t := proto.Txn{Session: int64(z), Zxid: z, Type: proto.OpCreateSession, Body: &proto.CreateSessionTxn{TimeOut: 4000}}
	enc := jute.Encoder(nil)
	t.Encode(&enc)
	return zab.Entry{Zxid: z, Data: enc.Bytes()}
}

// diskRig is a disk on a file system in memory.
type diskRig struct {
	*disk
	fs    vfs.FS
	tree  *tree.Tree
	ops   atomic.Uint64
	told  chan struct{} // capacity 1: ops has risen
	fails chan error
}

func storageOn(fs vfs.FS) storage.Options {
	return storage.Options{DataDir: "/data", FS: fs, AutocreateDir: true, AutocreateDB: true, ForceSync: true, WriteDigest: true}
}

func newDiskRig(t *testing.T, fs vfs.FS) *diskRig {
	t.Helper()
	r := &diskRig{fs: fs, told: make(chan struct{}, 1), fails: make(chan error, 1), tree: tree.New()}
	store, err := storage.Open(storageOn(fs))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if _, err := replica.Recover(store, r.tree, log); err != nil {
		t.Fatal(err)
	}
	keeper := replica.NewKeeper(store, r.tree, replica.KeeperOptions{Logger: log, SnapRetain: 3})
	r.disk = &disk{store: store, keeper: keeper, budget: newBudget(1 << 20), fail: func(err error) { r.fails <- err },
		saved: func(ops uint64, _ bool) {
			r.ops.Store(ops)
			select {
			case r.told <- struct{}{}:
			default:
			}
		}}
	r.disk.start()
	t.Cleanup(func() {
		keeper.Close()
		r.tree.Close()
	})
	return r
}

// await waits until n operations are durable.
func (r *diskRig) await(t *testing.T, n uint64) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for r.ops.Load() < n {
		select {
		case <-r.told:
		case err := <-r.fails:
			t.Fatal(err)
		case <-deadline:
			t.Fatalf("%d of %d operations are durable", r.ops.Load(), n)
		}
	}
}

func TestDiskDoesAllInOrder(t *testing.T) {
	fs := vfs.NewMem()
	r := newDiskRig(t, fs)
	accepted, current := int64(3), int64(2)
	var ran atomic.Uint64
	r.put(zab.DiskOp{Append: []zab.Entry{entry(1), entry(2)}})
	r.put(zab.DiskOp{AcceptedEpoch: &accepted})
	r.then(func() { ran.Store(r.ops.Load()) })
	r.put(zab.DiskOp{Append: []zab.Entry{entry(3)}})
	r.put(zab.DiskOp{CurrentEpoch: &current})
	r.await(t, 4)
	if ran.Load() != 2 {
		t.Errorf("the function ran after %d operations, want 2", ran.Load())
	}
	r.disk.close()
	if err := r.store.Log().Close(); err != nil {
		t.Fatal(err)
	}

	store, err := storage.Open(storageOn(fs))
	if err != nil {
		t.Fatal(err)
	}
	again := tree.New()
	defer again.Close()
	rec, err := replica.Recover(store, again, slog.New(slog.DiscardHandler))
	if err != nil || rec.LastZxid != 3 || rec.Txns != 3 {
		t.Errorf("recovered up to %s, %d transactions, %v; want 3", rec.LastZxid, rec.Txns, err)
	}
	for name, want := range map[string]int64{storage.AcceptedEpoch: 3, storage.CurrentEpoch: 2} {
		if got, err := store.ReadEpoch(name); got != want || err != nil {
			t.Errorf("%s is %d, %v; want %d", name, got, err, want)
		}
	}
}

// Appends that wait while the disk is busy share one flush.
func TestDiskSharesAFlush(t *testing.T) {
	r := newDiskRig(t, vfs.NewMem())
	hold, busy := make(chan struct{}), make(chan struct{})
	r.then(func() { close(busy); <-hold })
	<-busy
	const n = 100
	for z := proto.Zxid(1); z <= n; z++ {
		r.put(zab.DiskOp{Append: []zab.Entry{entry(z)}})
	}
	before := r.store.Log().Stats().Count.Load()
	close(hold)
	r.await(t, n)
	if got := r.store.Log().Stats().Count.Load() - before; got != 1 {
		t.Errorf("%d flushes for %d appends that waited, want 1", got, n)
	}
	if r.budget.used != 0 {
		t.Errorf("%d bytes still count as not durable", r.budget.used)
	}
	r.disk.close()
	r.store.Log().Close()
}

// After a failure nothing is said to be durable any more.
func TestDiskFailsOnce(t *testing.T) {
	r := newDiskRig(t, vfs.NewMem())
	r.put(zab.DiskOp{Append: []zab.Entry{entry(1)}})
	r.await(t, 1)
	r.put(zab.DiskOp{Append: []zab.Entry{entry(1)}}) // again: the log refuses it
	r.put(zab.DiskOp{Append: []zab.Entry{entry(2)}})
	select {
	case err := <-r.fails:
		if err == nil {
			t.Error("failed without a reason")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no failure is reported")
	}
	r.disk.close()
	if r.ops.Load() != 1 {
		t.Errorf("%d operations are said to be durable after a failure", r.ops.Load())
	}
	r.store.Log().Close()
}
