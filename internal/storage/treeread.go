// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/binary"
	"fmt"

	"paddock/jute"
	"paddock/proto"
)

// treeReader reads what a snapshot file and a SNAP stream have in common:
// sessions, ACLs, znodes, and the path "/" that ends them.
type treeReader struct {
	name string // of the file, or what the stream is
	hint string // what the operator can do about damage
	scan *scanner
	max  int // length of a path or of data
	sink TreeSink
	info SnapshotInfo
}

func (r *treeReader) tree() error {
	for _, section := range []func() error{r.sessions, r.acls, r.nodes} {
		if err := section(); err != nil {
			return err
		}
	}
	return nil
}

func (r *treeReader) corrupt(cause error, format string, args ...any) error {
	return &CorruptError{File: r.name, Offset: r.scan.offset(), What: fmt.Sprintf(format, args...), Hint: r.hint, Err: cause}
}

func (r *treeReader) short() error {
	return r.corrupt(r.scan.failure(), "the snapshot ends early")
}

// take returns the next n bytes, valid until the next call.
func (r *treeReader) take(n int) ([]byte, error) {
	b := r.scan.peek(n)
	if len(b) < n {
		return nil, r.short()
	}
	r.scan.skip(n)
	return b, nil
}

func (r *treeReader) count(what string) (int, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	n := int32(binary.BigEndian.Uint32(b))
	if n < 0 {
		return 0, r.corrupt(nil, "%d %s", n, what)
	}
	return int(n), nil
}

func (r *treeReader) sessions() error {
	n, err := r.count("sessions")
	if err != nil {
		return err
	}
	for range n {
		b, err := r.take(12)
		if err != nil {
			return err
		}
		r.sink.LoadSession(int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:])))
		r.info.Sessions++
	}
	return nil
}

func (r *treeReader) acls() error {
	n, err := r.count("ACLs")
	if err != nil {
		return err
	}
	for range n {
		if err := r.acl(); err != nil {
			return err
		}
		r.info.ACLs++
	}
	return nil
}

// maxACLEntry bounds one entry of the ACL map.
const maxACLEntry = 64 << 20

// acl reads one entry of the ACL map: key, count, then permissions, scheme and
// id of each. No byte behind it is asked for: on a connection it might never
// come.
func (r *treeReader) acl() error {
	b := r.scan.peek(12)
	if len(b) < 12 {
		return r.short()
	}
	n := int(int32(binary.BigEndian.Uint32(b[8:])))
	size := 12
	for range n {
		size += 4 // permissions
		for range 2 {
			b = r.scan.peek(size + 4)
			if len(b) < size+4 {
				return r.short()
			}
			text := int(int32(binary.BigEndian.Uint32(b[size:])))
			if size += 4 + max(text, 0); text > r.max || size > maxACLEntry {
				return r.corrupt(nil, "entry of the ACL map is unreasonably long")
			}
		}
	}
	if b = r.scan.peek(size); len(b) < size {
		return r.short()
	}
	c := jute.RawDecoder(b)
	c.Limit(r.max)
	var key int64
	var list []proto.ACL
	c.Long(&key)
	proto.ACLs(&c, &list)
	if c.Err() != nil || c.Pos() != size {
		return r.corrupt(c.Err(), "entry of the ACL map")
	}
	r.scan.skip(size)
	r.sink.LoadACL(key, list)
	return nil
}

func (r *treeReader) nodes() error {
	var st proto.StatPersisted
	for {
		// Length of the path, the path, length of the data.
		b := r.scan.peek(4)
		if len(b) < 4 {
			return r.short()
		}
		pathLen := int(int32(binary.BigEndian.Uint32(b)))
		if pathLen < 0 || pathLen > r.max {
			return r.corrupt(nil, "unreasonable path length %d", pathLen)
		}
		if pathLen == 1 {
			if b = r.scan.peek(5); len(b) == 5 && b[4] == '/' {
				r.scan.skip(5)
				return nil
			}
		}
		b = r.scan.peek(4 + pathLen + 4)
		if len(b) < 4+pathLen+4 {
			return r.short()
		}
		dataLen := int(int32(binary.BigEndian.Uint32(b[4+pathLen:])))
		if dataLen < -1 || dataLen > r.max {
			return r.corrupt(nil, "unreasonable data length %d of %q", dataLen, b[4:4+pathLen])
		}
		null := dataLen < 0
		dataLen = max(dataLen, 0)

		size := 4 + pathLen + 4 + dataLen + 8 + statSize
		b = r.scan.peek(size)
		if len(b) < size {
			return r.short()
		}
		path := b[4 : 4+pathLen : 4+pathLen]
		if (pathLen == 0) != (r.info.Nodes == 0) || pathLen > 0 && path[0] != '/' {
			return r.corrupt(nil, "path %q in the place of znode %d", path, r.info.Nodes)
		}
		b = b[4+pathLen+4:]
		data := b[:dataLen:dataLen]
		if null {
			data = nil
		}
		b = b[dataLen:]
		decodeStat(b[8:], &st)
		if err := r.sink.LoadNode(path, data, int64(binary.BigEndian.Uint64(b)), &st); err != nil {
			return r.corrupt(err, "znode %q", path)
		}
		r.scan.skip(size)
		r.info.Nodes++
	}
}

// decodeStat is (*proto.StatPersisted).Fields by hand: a million times at every
// start.
func decodeStat(b []byte, st *proto.StatPersisted) {
	_ = b[statSize-1]
	st.Czxid = proto.Zxid(binary.BigEndian.Uint64(b))
	st.Mzxid = proto.Zxid(binary.BigEndian.Uint64(b[8:]))
	st.Ctime = int64(binary.BigEndian.Uint64(b[16:]))
	st.Mtime = int64(binary.BigEndian.Uint64(b[24:]))
	st.Version = int32(binary.BigEndian.Uint32(b[32:]))
	st.Cversion = int32(binary.BigEndian.Uint32(b[36:]))
	st.Aversion = int32(binary.BigEndian.Uint32(b[40:]))
	st.EphemeralOwner = int64(binary.BigEndian.Uint64(b[44:]))
	st.Pzxid = proto.Zxid(binary.BigEndian.Uint64(b[52:]))
}
