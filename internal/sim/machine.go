// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"

	"paddock/internal/check"
	"paddock/internal/zab"
	"paddock/proto"
)

// state is the znodes of one server, those of the model of internal/check: few
// and contended.
type state [check.Nodes]znode

type znode struct {
	exists         bool
	version, value int32
	mzxid          proto.Zxid
}

func pathOf(n int) string { return "/" + strconv.Itoa(n) }

// find is the znode at path, or nil: /zookeeper/config is not part of the
// model.
func (s *state) find(path string) *znode {
	if n, err := strconv.Atoi(path[1:]); err == nil {
		return &s[n]
	}
	return nil
}

// apply moves the state on by a settled transaction. As in the tree, what it
// finds different from what it expects has a defined outcome, so that replay
// over a fuzzy snapshot ends right.
func (s *state) apply(t *proto.Txn) {
	switch b := t.Body.(type) {
	case *proto.CreateTxn:
		if n := s.find(b.Path); n != nil {
			*n = znode{exists: true, value: valueOf(b.Data), mzxid: t.Zxid}
		}
	case *proto.DeleteTxn:
		if n := s.find(b.Path); n != nil {
			*n = znode{}
		}
	case *proto.SetDataTxn:
		if n := s.find(b.Path); n != nil && n.exists {
			*n = znode{true, b.Version, valueOf(b.Data), t.Zxid}
		}
	}
}

func valueOf(b []byte) int32 {
	v, err := strconv.ParseInt(string(b), 10, 32)
	if err != nil {
		panic(fmt.Sprintf("znode with data %q", b))
	}
	return int32(v)
}

// digest is that of the whole state.
func (s *state) digest() uint64 {
	h := fnv.New64a()
	var b [24]byte
	for i := range s {
		n := &s[i]
		if n.exists {
			b[0] = 1
		} else {
			b[0] = 0
		}
		binary.BigEndian.PutUint32(b[1:], uint32(n.version))
		binary.BigEndian.PutUint32(b[5:], uint32(n.value))
		binary.BigEndian.PutUint64(b[9:], uint64(n.mzxid))
		h.Write(b[:])
	}
	return h.Sum64()
}

// moment is a history: its last transaction and, by prev, all before it. Two
// servers with the same history have the same *moment, so that "is a prefix of"
// is a question about pointers.
type moment struct {
	prev  *moment
	zxid  proto.Zxid
	depth int // transactions up to here
	data  []byte
	txn   proto.Txn
	state state // that all servers must have here
	next  []*moment
}

// with is the history m and e after it.
func (m *moment) with(e zab.Entry) *moment {
	for _, n := range m.next {
		if n.zxid == e.Zxid && bytes.Equal(n.data, e.Data) {
			return n
		}
	}
	t, err := proto.DecodeTxn(e.Data)
	if err != nil {
		panic(fmt.Sprintf("transaction %s: %v", short(e.Zxid), err))
	}
	n := &moment{prev: m, zxid: e.Zxid, depth: m.depth + 1, data: e.Data, txn: t, state: m.state}
	n.state.apply(&t)
	m.next = append(m.next, n)
	return n
}

// ancestor is the history m when it had depth transactions.
func (m *moment) ancestor(depth int) *moment {
	for m.depth > depth {
		m = m.prev
	}
	return m
}

// upTo is the history m without all after zxid.
func (m *moment) upTo(z proto.Zxid) *moment {
	for m.zxid > z {
		m = m.prev
	}
	return m
}

// snap is a machine as it was written down: at names the history it is known
// by, but it may show znodes as they are as late as fuzzy.
type snap struct {
	at    *moment
	state state
	fuzzy proto.Zxid
	// foreign: it came from a leader, and the log may lack what it holds.
	foreign bool
}

// machine is the tree of one server.
type machine struct {
	at    *moment
	state state
	fuzzy proto.Zxid // before it, the state is ahead of what at says
	half  bool       // a leader's tree broke off: it is of no use
}

func (s snap) machine() machine { return machine{at: s.at, state: s.state, fuzzy: s.fuzzy} }

// snapshot begun at a moment and ended now.
func (m *machine) snapshot(begun *moment) snap {
	return snap{at: begun, state: m.state, fuzzy: max(m.fuzzy, m.at.zxid)}
}

// apply returns a complaint if the transaction does not follow, or if the state
// after it is not what it is elsewhere.
func (m *machine) apply(e zab.Entry) error {
	if m.half {
		return fmt.Errorf("applies %s to half a tree", short(e.Zxid))
	}
	if !follows(m.at.zxid, e.Zxid) {
		return fmt.Errorf("applies %s after %s", short(e.Zxid), short(m.at.zxid))
	}
	m.at = m.at.with(e)
	m.state.apply(&m.at.txn)
	if m.at.zxid < m.fuzzy {
		return nil
	}
	if m.state != m.at.state {
		return fmt.Errorf("has another state than its history gives at %s", short(e.Zxid))
	}
	if d := m.at.txn.Digest; d.Version != 0 && d.Tree != m.state.digest() {
		return fmt.Errorf("has another digest than the leader at %s", short(e.Zxid))
	}
	return nil
}

// follows tells whether b may come right after a: the next of the same epoch,
// or the first of a later one.
func follows(a, b proto.Zxid) bool {
	return b == a+1 || b.Epoch() > a.Epoch() && b.Counter() == 1
}

// short prints a zxid as epoch:counter, in hex.
func short(z proto.Zxid) string { return fmt.Sprintf("%x:%x", z.Epoch(), z.Counter()) }
