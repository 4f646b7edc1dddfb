// SPDX-License-Identifier: Apache-2.0

// Package storage keeps transactions and snapshots in Apache ZooKeeper's own
// files, so that a data directory can be handed from one server to the other
// and back (storage-format.md has every byte).
//
//	<DataDir>/version-2/snapshot.<hex zxid>[.gz|.snappy]   Store.CreateSnapshot
//	<LogDir>/version-2/log.<hex zxid of its first entry>   Store.Log
//
// A server calls Open, then Recover, which loads the newest readable snapshot
// and replays the log after it into a Sink; from then on one goroutine owns the
// Log and another, now and then, a SnapshotWriter. A member of an ensemble may
// have to take back what it logged (Store.Truncate) or to take over another's
// tree (ReadStream), and then may Recover again.
//
// Promises: what Log.Sync returned for survives a crash. A torn tail of the
// last log is cut and reported. Any other damage is refused with file and
// offset, and nothing is changed on disk. A snapshot is either whole under its
// name or not there.
//
// The package does not decide what a transaction does; that is the Sink.
package storage

import (
	"log/slog"
	"time"

	"paddock/internal/vfs"
	"paddock/proto"
)

// Options are the settings of one Store.
type Options struct {
	DataDir, LogDir string // without version-2; LogDir "" = DataDir
	FS              vfs.FS // nil = the operating system's
	Logger          *slog.Logger

	PreAlloc        int64 // bytes of zeros written ahead in a log at most; 0 = none
	SnapCount       int   // txns between snapshots; <= 0 = off, 1 = 2
	SnapSizeLimit   int64 // log bytes between snapshots; <= 0 = off
	TxnLogSizeLimit int64 // bytes of one log file; <= 0 = off

	ForceSync    bool          // false: nothing is ever synced
	FsyncWarning time.Duration // a longer sync is logged; 0 = never

	Compression string // of new snapshots: "", "gz" or "snappy"
	MaxBuffer   int    // longest log entry, path or data accepted when reading; 0 = 2097150 (jute.maxbuffer twice)

	KeepTail      int   // transactions that Store.Tail gives out at most; 0 = none
	KeepTailBytes int64 // and bytes of them; 0 = 64 MiB

	TrustEmpty    bool // logs without a snapshot are replayed from nothing
	AutocreateDir bool // version-2 is created where missing
	AutocreateDB  bool // a directory without snapshot and log is an empty database
	WriteDigest   bool // snapshots end with the tree's digest
	WriteLastZxid bool // and with the last zxid (3.9), if they have a digest
}

// Sink receives a recovery: sessions, ACLs and znodes of a snapshot in this
// order, LoadDone, then every transaction after it. Paths, data and bodies are
// valid only during the call. An error ends the recovery.
type Sink interface {
	// Reset says that a snapshot could not be read to its end: forget all.
	Reset()
	TreeSink
	// LoadDone ends the snapshot. zxid is that of the file's name; digest is nil
	// if none is stored. It is not called for an empty database.
	LoadDone(zxid proto.Zxid, digest *SnapDigest) error
	// Replay brings a logged transaction. The snapshot may contain its effect.
	Replay(t *proto.Txn) error
}

// TreeSink receives a tree: sessions, ACLs and znodes in this order. Paths and
// data are valid only during the call.
type TreeSink interface {
	LoadSession(id int64, timeoutMs int32)
	LoadACL(key int64, acl []proto.ACL)
	// LoadNode brings a znode, parents first. The root's path is "". Nil data is
	// null. A znode without parent is the snapshot's fault and must be an error.
	LoadNode(path, data []byte, aclKey int64, st *proto.StatPersisted) error
}

// Expecter is a Sink that wants to know before a snapshot comes how many bytes it
// and the logs after it have.
type Expecter interface{ Expect(bytes int64) }

// SnapDigest is the digest section of a snapshot: the tree's digest after Zxid.
type SnapDigest struct {
	Zxid    proto.Zxid
	Version int32
	Tree    uint64
}

// SkippedSnapshot is a snapshot that recovery could not use.
type SkippedSnapshot struct {
	Path string
	Zxid proto.Zxid
	Err  error
}

// Recovered tells what a recovery found and did.
type Recovered struct {
	// Empty: there was neither snapshot nor log. The owner must write its initial
	// tree with CreateSnapshot(0) before the first Append: Apache refuses logs
	// without any snapshot.
	Empty bool
	// Untrusted: as Empty, but AutocreateDB is off and there was no file
	// `initialize`. LastZxid is -1: such a server must not vote.
	Untrusted bool
	// NeedsSnapshot: no snapshot was loaded, so one must be written before the
	// first Append (Empty, or logs replayed from nothing with TrustEmpty).
	NeedsSnapshot bool

	Snapshot     string     // path of the snapshot loaded; "" = none
	SnapshotZxid proto.Zxid // of its name
	// ContentZxid is the last txn of which the snapshot may hold effects. If
	// LastZxid is less, the log has lost acknowledged txns (unsynced logs, or a
	// snapshot restored without its log); a standalone server should go on after
	// ContentZxid, so that no zxid is given twice.
	ContentZxid proto.Zxid
	LastZxid    proto.Zxid // of the last txn replayed, or the snapshot's
	Txns        int        // replayed

	TornFile   string // log whose torn tail was cut; "" = none
	TornOffset int64  // its size now
	TornBytes  int64  // cut, up to the last byte that was not zero

	Skipped []SkippedSnapshot
	Ignored []string // files with foreign names, and why they were left alone
	Removed []string // empty newest log

	TxnsSinceSnapshot  int
	BytesSinceSnapshot int64
	Took               time.Duration
}
