// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"path/filepath"
	"time"

	"paddock/internal/vfs"
	"paddock/proto"
)

// SnapshotWriter writes one snapshot, in this order: Sessions, ACLs, Node for
// the root and then parents before children, Finish. It keeps its first error,
// which Node and Finish return; after an error, or instead of Finish, call
// Abort. Nothing appears under the snapshot's name before Finish returns.
type SnapshotWriter struct {
	store *Store
	zxid  proto.Zxid
	tmp   string
	file  vfs.File
	plain io.WriteCloser // the compressor around the file; out of treeWriter
	treeWriter

	written int64 // to the file
	synced  int64
	flushes int64               // of the log, when that was
	pause   func(time.Duration) // see GiveWay; may be nil
}

// snapSyncStep is how much of a snapshot may wait in memory for the disk: the log's
// sync may have to wait for all of it. After each step the log has the disk to
// itself for snapPause times as long as that took. Beside the snapshots of a million
// znodes one in a hundred of 500 writes a second took more than 1.7 ms then; with
// steps of 1 MiB 3.0 ms, with those and no pause 4.1 ms. Without steps the log's
// longest sync was 100 ms.
const (
	snapSyncStep = 256 << 10
	snapPause    = 3
)

var errSnapshotDone = errors.New("storage: this snapshot is finished already")

// CreateSnapshot begins the snapshot of zxid: the last transaction that is
// surely contained in it.
func (s *Store) CreateSnapshot(zxid proto.Zxid) (*SnapshotWriter, error) {
	tmp := filepath.Join(s.snapDir, tmpSnapPrefix+hexName("", zxid)[1:])
	h, err := vfs.Create(s.fs, tmp)
	if err != nil {
		return nil, fmt.Errorf("storage: snapshot: %w", err)
	}
	w := &SnapshotWriter{store: s, zxid: zxid, tmp: tmp, file: h}
	plain, err := compress((*pacedWriter)(w), s.opt.Compression)
	w.plain, w.treeWriter = plain, newTreeWriter(plain)
	w.sum, w.err = adler32.New(), err
	w.buf = append(w.buf, snapHeader...)
	if w.err != nil {
		w.Abort()
		return nil, fmt.Errorf("storage: snapshot: %w", w.err)
	}
	return w, nil
}

// pacedWriter writes to the snapshot's file and syncs as it goes.
type pacedWriter SnapshotWriter

func (p *pacedWriter) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.written += int64(n)
	if err != nil || p.written-p.synced < snapSyncStep {
		return n, err
	}
	p.synced = p.written
	start := time.Now()
	if err = p.file.Datasync(); err != nil || p.pause == nil {
		return n, err
	}
	if f := p.store.txns.syncs.Count.Load(); f != p.flushes {
		p.flushes = f
		p.pause(snapPause * time.Since(start))
	}
	return n, nil
}

// GiveWay has pause called after each step of the way to disk during which the
// log was synced too, with the time for which to leave the disk to it.
func (w *SnapshotWriter) GiveWay(pause func(time.Duration)) {
	w.pause, w.flushes = pause, w.store.txns.syncs.Count.Load()
}

// seal writes the checksum of everything before it.
func (w *SnapshotWriter) seal() {
	w.flush()
	w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(w.sum.Sum32()))
	w.buf = append(w.buf, slashPath...)
}

// Finish makes the snapshot durable and gives it its name. last is the last
// transaction contained in it, which is the snapshot's zxid or a later one;
// digest is the tree's after it, or nil.
func (w *SnapshotWriter) Finish(last proto.Zxid, digest *SnapDigest) (path string, size int64, err error) {
	if w.file == nil {
		return "", 0, errSnapshotDone
	}
	w.end()
	w.seal()
	if digest != nil && w.store.opt.WriteDigest {
		w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(digest.Zxid))
		w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(digest.Version))
		w.buf = binary.BigEndian.AppendUint64(w.buf, digest.Tree)
		w.seal()
		// Apache takes the section after the first seal for a digest unless its own
		// digests are off, and then refuses the snapshot. So no digest, no last zxid.
		if w.store.opt.WriteLastZxid {
			w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(last))
			w.seal()
		}
	}
	w.flush()
	if path, err = w.publish(); err != nil {
		w.Abort()
		return "", 0, fmt.Errorf("storage: snapshot %s: %w", hexName(snapPrefix, w.zxid), withFree(w.store.fs, w.store.snapDir, err))
	}
	return path, w.written, nil
}

// publish syncs and renames, in the order that leaves no half snapshot.
func (w *SnapshotWriter) publish() (string, error) {
	if w.err == nil {
		w.err = w.plain.Close()
	}
	if w.err == nil {
		w.err = w.file.Sync()
	}
	if w.err != nil {
		return "", w.err
	}
	if w.err = w.file.Close(); w.err != nil {
		return "", w.err
	}
	s := w.store
	path := filepath.Join(s.snapDir, hexName(snapPrefix, w.zxid)+extension(s.opt.Compression))
	if w.err = s.fs.Rename(w.tmp, path); w.err != nil {
		return "", w.err
	}
	w.file = nil
	w.err = s.fs.SyncDir(s.snapDir)
	return path, w.err
}

// Abort drops the snapshot. After Finish it does nothing.
func (w *SnapshotWriter) Abort() {
	if w.file == nil {
		return
	}
	w.file.Close()
	w.file = nil
	w.store.fs.Remove(w.tmp)
	if w.err == nil {
		w.err = errSnapshotDone
	}
}
