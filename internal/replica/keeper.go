// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"paddock/internal/procs"
	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/proto"
)

// KeeperOptions of a Keeper.
type KeeperOptions struct {
	Logger     *slog.Logger
	SnapRetain int
	// SnapExact takes a snapshot whenever the log asks for one. Otherwise a large
	// tree waits for half as many transactions as it has znodes: to write all of
	// it costs about as much as they do, and so does to replay them.
	SnapExact     bool
	SinceSnapshot int           // transactions that recovery has found after the last one
	PurgeInterval time.Duration // 0 is never
}

// Keeper writes snapshots beside the log and removes old files. Use NewKeeper.
type Keeper struct {
	opt   KeeperOptions
	store *storage.Store
	tree  *tree.Tree

	since int           // transactions since the last snapshot; the log's goroutine only
	due   chan struct{} // capacity 1: a snapshot is due
	stop  chan struct{}
	wg    sync.WaitGroup
	count atomic.Int64

	// busy is held while a snapshot is written or old files are removed, and by
	// Hold.
	busy sync.Mutex
	// hurry counts who waits for busy: a snapshot that is being written gives way
	// to the log no more.
	hurry atomic.Int32
}

// NewKeeper begins to keep the snapshots of t in store, until Close.
func NewKeeper(store *storage.Store, t *tree.Tree, opt KeeperOptions) *Keeper {
	k := &Keeper{opt: opt, store: store, tree: t, since: opt.SinceSnapshot, due: make(chan struct{}, 1), stop: make(chan struct{})}
	k.wg.Add(2)
	go k.snapshots()
	go k.purges()
	return k
}

// Logged says that n more transactions are in the log; when they are enough, the
// log is rolled and a snapshot taken. The log's goroutine calls it.
func (k *Keeper) Logged(n int) {
	k.since += n
	log := k.store.Log()
	if !log.WantsSnapshot() || !k.worthIt() {
		return
	}
	k.since = 0
	log.Roll()
	select {
	case k.due <- struct{}{}:
	default: // one is being written
	}
}

func (k *Keeper) worthIt() bool {
	if k.opt.SnapExact {
		return true
	}
	v := k.tree.View(0)
	defer v.Close()
	return k.since >= v.Nodes()/2
}

// Snapshots is the number of snapshots written so far.
func (k *Keeper) Snapshots() int64 { return k.count.Load() }

// Snapshot writes a snapshot now and says so in the log.
func (k *Keeper) Snapshot() error {
	k.busy.Lock()
	defer k.busy.Unlock()
	start := time.Now()
	path, zxid, err := Snapshot(k.store, k.tree, k.giveWay)
	if err != nil {
		return err
	}
	k.count.Add(1)
	k.opt.Logger.Info("snapshot written", "file", path, "zxid", zxid, "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// Hold keeps the directory and the tree to the caller until release is called:
// no snapshot is read from the tree, no old file removed.
func (k *Keeper) Hold() (release func()) {
	k.hurry.Add(1)
	k.busy.Lock()
	k.hurry.Add(-1)
	return k.busy.Unlock
}

// giveWay leaves the disk to the log for a while, of which d would be enough.
func (k *Keeper) giveWay(d time.Duration) { time.Sleep(k.patience(d)) }

// patience is not for long where a disk is slow, and none while somebody waits for
// the snapshot to end.
func (k *Keeper) patience(d time.Duration) time.Duration {
	if k.hurry.Load() > 0 {
		return 0
	}
	return min(d, 20*time.Millisecond)
}

// Close ends the keeping, after the snapshot that is being written.
func (k *Keeper) Close() {
	k.hurry.Add(1)
	close(k.stop)
	k.wg.Wait()
}

func (k *Keeper) snapshots() {
	defer k.wg.Done()
	for {
		select {
		case <-k.stop:
			return
		case <-k.due:
		}
		if err := k.Snapshot(); err != nil {
			// The log has it all: the next one may do better.
			k.opt.Logger.Error("snapshot failed, the log is kept", "err", err)
		}
	}
}

func (k *Keeper) purges() {
	defer k.wg.Done()
	if k.opt.PurgeInterval <= 0 {
		return
	}
	tick := time.NewTicker(k.opt.PurgeInterval)
	defer tick.Stop()
	for {
		k.purge()
		select {
		case <-k.stop:
			return
		case <-tick.C:
		}
	}
}

func (k *Keeper) purge() {
	k.busy.Lock()
	defer k.busy.Unlock()
	removed, err := k.store.Purge(k.opt.SnapRetain)
	if err != nil {
		k.opt.Logger.Error("old snapshots and logs could not be removed", "err", err)
	} else if len(removed) > 0 {
		k.opt.Logger.Info("old snapshots and logs removed", "files", len(removed), "kept", k.opt.SnapRetain)
	}
}

// Snapshot writes a snapshot of the tree; pause, if not nil, is called where it
// should give way to the log.
func Snapshot(store *storage.Store, t *tree.Tree, pause func(time.Duration)) (path string, zxid proto.Zxid, err error) {
	snap := t.Snapshot()
	defer snap.Close()
	w, err := store.CreateSnapshot(snap.Zxid)
	if err != nil {
		return "", 0, err
	}
	w.GiveWay(pause)
	if err := WriteTree(w, snap); err != nil {
		w.Abort()
		return "", 0, err
	}
	last, digest := snap.End()
	path, _, err = w.Finish(last, &storage.SnapDigest{Zxid: last, Version: proto.DigestVersion, Tree: digest})
	return path, snap.Zxid, err
}

// TreeWriter takes the three parts of a snapshot.
type TreeWriter interface {
	Sessions(n int, each func(yield func(id int64, timeoutMs int32)))
	ACLs(n int, each func(yield func(key int64, acl []proto.ACL)))
	Node(path, data []byte, aclKey int64, st *proto.StatPersisted) error
}

// largeTree is from how many znodes on a tree takes longer to write than a request
// should wait for a processor.
const largeTree = 20_000

// WriteTree writes what a snapshot holds.
func WriteTree(w TreeWriter, snap *tree.Snapshot) error {
	if snap.Znodes > largeTree {
		defer procs.Busy()()
	}
	w.Sessions(len(snap.Sessions()), func(yield func(int64, int32)) {
		for id, ms := range snap.Sessions() {
			yield(id, ms)
		}
	})
	w.ACLs(len(snap.ACLs()), func(yield func(int64, []proto.ACL)) {
		for _, a := range snap.ACLs() {
			yield(a.Key, a.List)
		}
	})
	if err := snap.Nodes(w.Node); err != nil {
		return fmt.Errorf("snapshot of %s: %w", snap.Zxid, err)
	}
	return nil
}
