// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"paddock/jute"
	"paddock/proto"
)

// treeWriter writes what a snapshot file and a SNAP stream have in common, in
// this order: Sessions, ACLs, Node for the root and then parents before
// children, end. It keeps its first error.
type treeWriter struct {
	out io.Writer
	buf []byte      // bytes not yet handed to out
	sum hash.Hash32 // nil, or of the bytes handed to out
	enc jute.Coder
	err error
}

const snapBuffer = 256 << 10

func newTreeWriter(out io.Writer) treeWriter {
	return treeWriter{out: out, buf: make([]byte, 0, snapBuffer+4096)}
}

// flush hands the buffer on.
func (w *treeWriter) flush() {
	if w.err == nil {
		if w.sum != nil {
			w.sum.Write(w.buf)
		}
		_, w.err = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// Sessions writes the session table: each must yield n sessions.
func (w *treeWriter) Sessions(n int, each func(yield func(id int64, timeoutMs int32))) {
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
func (w *treeWriter) ACLs(n int, each func(yield func(key int64, acl []proto.ACL))) {
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

func (w *treeWriter) counted(what string, n int, each func(count func())) {
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
func (w *treeWriter) Node(path, data []byte, aclKey int64, st *proto.StatPersisted) error {
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

// end ends the znodes.
func (w *treeWriter) end() { w.buf = append(w.buf, slashPath...) }
