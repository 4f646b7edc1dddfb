// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"path/filepath"

	"paddock/internal/vfs"
	"paddock/jute"
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
	out   io.WriteCloser // the compressor around the file
	buf   []byte         // plain bytes not yet handed to out
	sum   hash.Hash32    // of the plain bytes handed to out
	enc   jute.Coder

	written int64 // to the file
	synced  int64
	err     error
}

const (
	snapBuffer = 256 << 10
	// snapSyncStep is how much of a snapshot may wait in memory for the disk. The
	// log's sync may have to wait for all of it: beside a snapshot of 200 MB its
	// longest took 3 ms with this step, 7 ms with 8 MiB, 100 ms without steps.
	snapSyncStep = 1 << 20
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
	w := &SnapshotWriter{store: s, zxid: zxid, tmp: tmp, file: h, sum: adler32.New(), buf: make([]byte, 0, snapBuffer+4096)}
	w.out, w.err = compress((*pacedWriter)(w), s.opt.Compression)
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
	if err == nil && p.written-p.synced >= snapSyncStep {
		p.synced = p.written
		err = p.file.Datasync()
	}
	return n, err
}

// flush hands the buffer to the compressor.
func (w *SnapshotWriter) flush() {
	if w.err == nil {
		w.sum.Write(w.buf)
		_, w.err = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// Sessions writes the session table: each must yield n sessions.
func (w *SnapshotWriter) Sessions(n int, each func(yield func(id int64, timeoutMs int32))) {
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(n))
	w.counted("sessions", n, func(count func()) {
		each(func(id int64, timeoutMs int32) {
			w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(id))
			w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(timeoutMs))
			count()
		})
	})
}

// ACLs writes the ACL map: each must yield n entries, with keys above 0.
func (w *SnapshotWriter) ACLs(n int, each func(yield func(key int64, acl []proto.ACL))) {
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(n))
	w.counted("ACLs", n, func(count func()) {
		each(func(key int64, acl []proto.ACL) {
			w.enc = jute.Encoder(w.buf)
			w.enc.Long(&key)
			proto.ACLs(&w.enc, &acl)
			w.buf = w.enc.Bytes()
			count()
		})
	})
}

func (w *SnapshotWriter) counted(what string, n int, each func(count func())) {
	got := 0
	each(func() {
		got++
		if len(w.buf) >= snapBuffer {
			w.flush()
		}
	})
	if got != n && w.err == nil {
		w.err = fmt.Errorf("storage: snapshot: %d %s announced, %d written", n, what, got)
	}
}

// Node writes one znode; the root has path "", nil data is null. Nothing is
// kept of the arguments.
func (w *SnapshotWriter) Node(path, data []byte, aclKey int64, st *proto.StatPersisted) error {
	b := binary.BigEndian.AppendUint32(w.buf, uint32(len(path)))
	b = append(b, path...)
	if data == nil {
		b = binary.BigEndian.AppendUint32(b, 0xffffffff)
	} else {
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, data...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(aclKey))
	b = binary.BigEndian.AppendUint64(b, uint64(st.Czxid))
	b = binary.BigEndian.AppendUint64(b, uint64(st.Mzxid))
	b = binary.BigEndian.AppendUint64(b, uint64(st.Ctime))
	b = binary.BigEndian.AppendUint64(b, uint64(st.Mtime))
	b = binary.BigEndian.AppendUint32(b, uint32(st.Version))
	b = binary.BigEndian.AppendUint32(b, uint32(st.Cversion))
	b = binary.BigEndian.AppendUint32(b, uint32(st.Aversion))
	b = binary.BigEndian.AppendUint64(b, uint64(st.EphemeralOwner))
	w.buf = binary.BigEndian.AppendUint64(b, uint64(st.Pzxid))
	if len(w.buf) >= snapBuffer {
		w.flush()
	}
	return w.err
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
	w.buf = append(w.buf, slashPath...)
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
		w.err = w.out.Close()
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
