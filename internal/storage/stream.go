// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bufio"
	"encoding/binary"
	"io"
)

// A leader sends its tree behind a SNAP packet as the middle of a snapshot file
// (snapformat.go), from the sessions to the path "/" that ends the znodes, and
// then this string (quorum-protocol.md section 6.2). There is no header and no
// checksum; the next packet follows at once.
const streamSignature = "BenWasHere"

const hintStream = "the connection is given up and the tree asked for again"

// StreamWriter sends one tree, in the order of a SnapshotWriter: Sessions, ACLs,
// Node for the root and then parents before children, Finish. It keeps its
// first error, which Node and Finish return.
type StreamWriter struct{ treeWriter }

// NewStreamWriter begins a tree on w, which is written to in large pieces.
func NewStreamWriter(w io.Writer) *StreamWriter { return &StreamWriter{newTreeWriter(w)} }

// Finish ends the tree; all of it was handed to w.
func (w *StreamWriter) Finish() error {
	w.end()
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(streamSignature)))
	w.buf = append(w.buf, streamSignature...)
	w.flush()
	if w.err == nil {
		w.err = errSnapshotDone
		return nil
	}
	return w.err
}

// ReadStream brings the tree that a leader sends to sink, and takes no byte of r
// behind it. maxBuffer bounds the length of a path and of data (0 =
// DefaultMaxBuffer). After an error, which wraps that of r if there was one, what
// sink was given is worth nothing, and so is r.
func ReadStream(r *bufio.Reader, maxBuffer int, sink TreeSink) (SnapshotInfo, error) {
	if maxBuffer <= 0 {
		maxBuffer = DefaultMaxBuffer
	}
	scan := newScanner(r)
	scan.exact = true
	t := &treeReader{name: "SNAP stream", hint: hintStream, scan: scan, max: maxBuffer, sink: sink}
	err := t.tree()
	if err == nil {
		err = t.signature()
	}
	return t.info, err
}

func (r *treeReader) signature() error {
	b, err := r.take(4)
	if err != nil {
		return err
	}
	if n := int(binary.BigEndian.Uint32(b)); n != len(streamSignature) {
		return r.corrupt(nil, "a signature of %d bytes", n)
	}
	if b, err = r.take(len(streamSignature)); err != nil {
		return err
	}
	if string(b) != streamSignature {
		return r.corrupt(nil, "the signature is %q", b)
	}
	return nil
}
