// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"paddock/proto"
)

// model is the tree once more, as plainly as it can be written: what the
// transactions do is restated from storage-format.md sections 7 and 8, and the
// digest is computed from nothing each time.
type model struct {
	nodes    map[string]*mnode // the root is ""
	sessions map[int64]int32
	zxid     proto.Zxid
}

type mnode struct {
	data []byte
	acl  []proto.ACL
	st   proto.StatPersisted
	kids map[string]bool // full paths
}

var readOnly = []proto.ACL{{Perms: proto.PermRead, Scheme: "world", ID: "anyone"}}

func newModel() *model {
	m := &model{nodes: map[string]*mnode{}, sessions: map[int64]int32{}}
	m.nodes[""] = &mnode{data: []byte{}, acl: openList, kids: map[string]bool{}}
	for _, p := range []string{proto.ZookeeperPath, proto.QuotaPath, proto.ConfigPath} {
		n := &mnode{data: []byte{}, acl: openList, kids: map[string]bool{}}
		if p == proto.ConfigPath {
			n.acl, n.st.Aversion = readOnly, -1
		}
		m.nodes[p] = n
		m.nodes[parentOf(p)].kids[p] = true
	}
	return m
}

func parentOf(p string) string { return p[:strings.LastIndexByte(p, '/')] }

func (m *model) apply(t *proto.Txn) {
	steps := []proto.SubTxn{{Type: t.Type, Body: t.Body}}
	if b, ok := t.Body.(*proto.MultiTxn); ok {
		if steps = b.Ops; b.Failed() {
			steps = nil
		}
	}
	for _, s := range steps {
		switch b := s.Body.(type) {
		case *proto.CreateTxn:
			owner := int64(0)
			if b.Ephemeral {
				owner = t.Session
			}
			m.create(t, b.Path, b.Data, b.ACL, owner, b.ParentCversion, s.Type == proto.OpCreate)
		case *proto.CreateContainerTxn:
			m.create(t, b.Path, b.Data, b.ACL, -1<<63, b.ParentCversion, false)
		case *proto.CreateTTLTxn:
			m.create(t, b.Path, b.Data, b.ACL, -1<<56|b.TTL, b.ParentCversion, false)
		case *proto.DeleteTxn:
			m.delete(t.Zxid, b.Path)
		case *proto.SetDataTxn:
			if n := m.nodes[b.Path]; n != nil {
				n.data, n.st.Version, n.st.Mzxid, n.st.Mtime = b.Data, b.Version, t.Zxid, t.Time
			}
		case *proto.SetACLTxn:
			if n := m.nodes[b.Path]; n != nil {
				n.acl, n.st.Aversion = b.ACL, b.Version
			}
		case *proto.CreateSessionTxn:
			m.sessions[t.Session] = b.TimeOut
		case *proto.CloseSessionTxn:
			delete(m.sessions, t.Session)
			for _, p := range b.Paths {
				m.delete(t.Zxid, p)
			}
			for _, p := range m.ephemerals(t.Session) {
				m.delete(t.Zxid, p)
			}
		}
	}
	m.zxid = max(m.zxid, t.Zxid)
}

func (m *model) create(t *proto.Txn, path string, data []byte, acl []proto.ACL, owner int64, cversion int32, plain bool) {
	up := m.nodes[parentOf(path)]
	if up == nil {
		return
	}
	n := m.nodes[path]
	if n != nil {
		n.acl = acl
	}
	if cversion == -1 {
		cversion = up.st.Cversion + 1
	}
	if (n == nil || plain) && cversion > up.st.Cversion {
		up.st.Cversion, up.st.Pzxid = cversion, t.Zxid
	}
	if n == nil {
		up.kids[path] = true
		m.nodes[path] = &mnode{data: data, acl: acl, kids: map[string]bool{}, st: proto.StatPersisted{
			Czxid: t.Zxid, Mzxid: t.Zxid, Pzxid: t.Zxid, Ctime: t.Time, Mtime: t.Time, EphemeralOwner: owner}}
	}
}

func (m *model) delete(z proto.Zxid, path string) {
	up := m.nodes[parentOf(path)]
	if up == nil {
		return
	}
	up.st.Pzxid = max(up.st.Pzxid, z)
	m.drop(path)
}

func (m *model) drop(path string) {
	n := m.nodes[path]
	if n == nil {
		return
	}
	for k := range n.kids {
		m.drop(k)
	}
	delete(m.nodes, path)
	delete(m.nodes[parentOf(path)].kids, path)
}

// ephemerals are a session's paths, sorted.
func (m *model) ephemerals(session int64) []string {
	var out []string
	for p, n := range m.nodes {
		if session != 0 && n.st.EphemeralOwner == session {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

func (m *model) digest() uint64 {
	var sum uint64
	for p, n := range m.nodes {
		if strings.HasPrefix(p, "/zookeeper/") {
			continue
		}
		b := append([]byte(p), n.data...)
		for _, v := range []int64{int64(n.st.Czxid), int64(n.st.Mzxid), int64(n.st.Pzxid), n.st.Ctime, n.st.Mtime} {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
		for _, v := range []int32{n.st.Version, n.st.Cversion, n.st.Aversion} {
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		}
		sum += uint64(crc32.ChecksumIEEE(binary.BigEndian.AppendUint64(b, uint64(n.st.EphemeralOwner))))
	}
	return sum
}

// facts are all that can be asked of a tree, by name.
type facts map[string]string

func (m *model) facts() facts {
	f := facts{}
	eph := map[int64][]string{}
	var expendable []string
	var size int
	for p, n := range m.nodes {
		f[p] = nodeFacts(&n.st, n.data, n.acl, slices.Collect(maps.Keys(n.kids)))
		size += len(p) + len(n.data)
		switch o := n.st.EphemeralOwner; {
		case o > 0:
			eph[o] = append(eph[o], p)
		case o < 0 && len(n.kids) == 0:
			expendable = append(expendable, p)
		}
	}
	f.totals(m.zxid, m.digest(), len(m.nodes), int64(size), m.sessions, eph, expendable)
	return f
}

func treeFacts(t *Tree) facts {
	v := t.View(3)
	defer v.Close()
	f := facts{}
	t.walk(rootRef, func(r Ref) {
		var kids []string
		p := rootless(v.Path(r))
		v.Children(r, func(k Ref) { kids = append(kids, v.Path(k)) })
		st := v.Persisted(r)
		f[p] = nodeFacts(&st, v.Data(r), v.ACL(r), kids)
		if n := v.NumChildren(r); int(n) != len(kids) {
			f[p] += fmt.Sprintf(" but NumChildren is %d", n)
		}
		if v.Find(p) != r {
			f[p] += " but it is not found"
		}
	})
	eph := map[int64][]string{}
	count := 0
	v.EachEphemeral(func(s int64, paths []string) { eph[s] = paths; count += len(paths) })
	if count != v.EphemeralCount() {
		f["ephemeral count"] = fmt.Sprint(v.EphemeralCount())
	}
	var expendable []string
	v.Expendable(func(p string, _ proto.StatPersisted) { expendable = append(expendable, p) })
	f.totals(v.Zxid(), v.Digest(), v.Nodes(), v.DataSize(), v.Sessions(), eph, expendable)
	return f
}

func nodeFacts(st *proto.StatPersisted, data []byte, acl []proto.ACL, kids []string) string {
	slices.Sort(kids)
	return fmt.Sprintf("%+v %q null=%t %v %q", *st, data, data == nil, acl, kids)
}

func (f facts) totals(z proto.Zxid, digest uint64, nodes int, size int64, sessions map[int64]int32, eph map[int64][]string, expendable []string) {
	for _, paths := range eph {
		slices.Sort(paths)
	}
	slices.Sort(expendable)
	f["zxid"], f["digest"], f["nodes"], f["size"] = z.String(), fmt.Sprintf("%x", digest), fmt.Sprint(nodes), fmt.Sprint(size)
	f["sessions"], f["ephemerals"], f["expendable"] = fmt.Sprint(sessions), fmt.Sprint(eph), fmt.Sprint(expendable)
}

// same reports the first few differences.
func same(t *testing.T, what string, got, want facts) {
	t.Helper()
	names := maps.Clone(want)
	maps.Copy(names, got)
	bad := 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if got[name] == want[name] {
			continue
		}
		if bad++; bad > 5 {
			t.Fatalf("%s: and more", what)
		}
		t.Errorf("%s: %q is\n     %s\nwant %s", what, name, got[name], want[name])
	}
	if bad > 0 {
		t.FailNow()
	}
}

// history makes transactions at random and keeps the model that follows them.
type history struct {
	*rand.Rand
	m        *model
	now      proto.Zxid
	nextSID  int64
	names    int      // different names of children
	depth    int      // levels
	sessions []int64  // open
	paths    []string // may hold some that are gone
}

func newHistory(seed uint64, names, depth int) *history {
	return &history{Rand: rand.New(rand.NewPCG(seed, 2)), m: newModel(), nextSID: 0x100000000000000, names: names, depth: depth, paths: []string{""}}
}

// settled makes the next transaction the way a server does: it fits the model,
// which moves on by it.
func (h *history) settled(size int) *proto.Txn {
	for {
		if t := h.header(); h.fill(t, size) {
			h.m.apply(t)
			return t
		}
	}
}

func (h *history) header() *proto.Txn {
	h.now++
	return &proto.Txn{Zxid: h.now, Time: 1_700_000_000_000 + int64(h.now)*7, Cxid: int32(h.now)}
}

// fill makes t one transaction that the model allows; size is the number of
// znodes to stay near.
func (h *history) fill(t *proto.Txn, size int) bool {
	switch k := h.IntN(100); {
	case k < 2:
		h.nextSID++
		h.sessions = append(h.sessions, h.nextSID)
		t.Session, t.Type, t.Body = h.nextSID, proto.OpCreateSession, &proto.CreateSessionTxn{TimeOut: 4000 + h.Int32N(9)}
	case k < 3 && len(h.sessions) > 0:
		i := h.IntN(len(h.sessions))
		t.Session, t.Type = h.sessions[i], proto.OpCloseSession
		h.sessions = slices.Delete(h.sessions, i, i+1)
		t.Body = &proto.CloseSessionTxn{Paths: h.m.ephemerals(t.Session)}
	case k < 5:
		t.Type, t.Body = proto.OpError, &proto.ErrorTxn{Err: proto.ErrNoNode}
	case k < 12:
		// Each step fits what the steps before it leave.
		before, b := h.m.clone(), &proto.MultiTxn{}
		for range 1 + h.IntN(5) {
			if s, ok := h.step(t, size); ok {
				b.Ops = append(b.Ops, s)
				h.m.apply(&proto.Txn{Zxid: t.Zxid, Time: t.Time, Session: t.Session, Type: s.Type, Body: s.Body})
			}
		}
		h.m = before
		t.Type, t.Body = proto.OpMulti, b
	default:
		s, ok := h.step(t, size)
		t.Type, t.Body = s.Type, s.Body
		return ok
	}
	return true
}

// clone is deep enough for apply.
func (m *model) clone() *model {
	c := &model{nodes: make(map[string]*mnode, len(m.nodes)), sessions: maps.Clone(m.sessions), zxid: m.zxid}
	for p, n := range m.nodes {
		k := *n
		k.kids = maps.Clone(n.kids)
		c.nodes[p] = &k
	}
	return c
}

// pick returns a path that exists.
func (h *history) pick() string {
	for {
		i := h.IntN(len(h.paths))
		p := h.paths[i]
		if h.m.nodes[p] != nil {
			return p
		}
		h.paths[i] = h.paths[len(h.paths)-1]
		h.paths = h.paths[:len(h.paths)-1]
	}
}

func (h *history) step(t *proto.Txn, size int) (proto.SubTxn, bool) {
	create := 45
	if len(h.m.nodes) > size {
		create = 25
	}
	switch k := h.IntN(100); {
	case k < create:
		up := h.pick()
		n := h.m.nodes[up]
		path := up + "/" + fmt.Sprintf("n%d", h.IntN(h.names))
		if h.m.nodes[path] != nil || n.st.EphemeralOwner > 0 || strings.Count(up, "/") >= h.depth {
			return proto.SubTxn{}, false
		}
		h.paths = append(h.paths, path)
		return h.createStep(t, path, n.st.Cversion+1), true
	case k < 60:
		path := h.pick()
		if path == "" || len(h.m.nodes[path].kids) > 0 {
			return proto.SubTxn{}, false
		}
		typ := proto.OpDelete
		if h.m.nodes[path].st.EphemeralOwner < 0 {
			typ = proto.OpDeleteContainer
		}
		return proto.SubTxn{Type: typ, Body: &proto.DeleteTxn{Path: path}}, true
	case k < 85:
		path := h.pick()
		if path == "" {
			return proto.SubTxn{}, false
		}
		return proto.SubTxn{Type: proto.OpSetData, Body: &proto.SetDataTxn{Path: path, Data: h.data(), Version: h.m.nodes[path].st.Version + 1}}, true
	default:
		path := h.pick()
		if path == "" {
			return proto.SubTxn{}, false
		}
		return proto.SubTxn{Type: proto.OpSetACL, Body: &proto.SetACLTxn{Path: path, ACL: h.acl(), Version: h.m.nodes[path].st.Aversion + 1}}, true
	}
}

func (h *history) createStep(t *proto.Txn, path string, cversion int32) proto.SubTxn {
	data, acl := h.data(), h.acl()
	switch k := h.IntN(10); {
	case k == 0:
		return proto.SubTxn{Type: proto.OpCreateContainer, Body: &proto.CreateContainerTxn{Path: path, Data: data, ACL: acl, ParentCversion: cversion}}
	case k == 1:
		return proto.SubTxn{Type: proto.OpCreateTTL, Body: &proto.CreateTTLTxn{Path: path, Data: data, ACL: acl, ParentCversion: cversion, TTL: h.Int64N(proto.MaxTTL)}}
	}
	b := &proto.CreateTxn{Path: path, Data: data, ACL: acl, ParentCversion: cversion}
	if len(h.sessions) > 0 && h.IntN(4) == 0 && (t.Session == 0 || slices.Contains(h.sessions, t.Session)) {
		if t.Session == 0 {
			t.Session = h.sessions[h.IntN(len(h.sessions))]
		}
		b.Ephemeral = true
	}
	typ := proto.OpCreate
	if h.IntN(2) == 0 {
		typ = proto.OpCreate2
	}
	return proto.SubTxn{Type: typ, Body: b}
}

// data has lengths of every kind of block, null and none among them.
func (h *history) data() []byte {
	var b []byte
	switch k := h.IntN(100); {
	case k < 5:
		return nil
	case k < 10:
		return []byte{}
	case k < 80:
		b = make([]byte, h.IntN(100))
	case k < 99:
		b = make([]byte, h.IntN(3000))
	default:
		b = make([]byte, h.IntN(200_000))
	}
	for i := 0; i < len(b); i += 1 + i/8 {
		b[i] = byte(h.Uint32())
	}
	return b
}

// acl is one of a few lists, or one that comes once.
func (h *history) acl() []proto.ACL {
	if h.IntN(2) == 0 {
		return openList
	}
	id := h.IntN(5)
	if h.IntN(10) == 0 {
		id = h.IntN(1 << 30)
	}
	return []proto.ACL{{Perms: proto.PermAll, Scheme: "digest", ID: fmt.Sprint(id)}, {Perms: proto.PermRead, Scheme: "world", ID: "anyone"}}
}

// replayed makes a transaction that need not fit at all, as in a replay.
func (h *history) replayed() *proto.Txn {
	t := h.header()
	if h.IntN(3) == 0 {
		t.Zxid -= proto.Zxid(h.IntN(50)) // applied before
	}
	if len(h.sessions) > 0 {
		t.Session = h.sessions[h.IntN(len(h.sessions))]
	}
	path := ""
	for range 1 + h.IntN(h.depth) {
		path += fmt.Sprintf("/n%d", h.IntN(h.names))
	}
	switch k := h.IntN(10); {
	case k < 5:
		s := h.createStep(t, path, h.Int32N(20)-1)
		t.Type, t.Body = s.Type, s.Body
	case k < 7:
		t.Type, t.Body = proto.OpDelete, &proto.DeleteTxn{Path: path}
	case k < 8:
		t.Type, t.Body = proto.OpSetData, &proto.SetDataTxn{Path: path, Data: h.data(), Version: h.Int32N(9)}
	case k < 9:
		t.Type, t.Body = proto.OpSetACL, &proto.SetACLTxn{Path: path, ACL: h.acl(), Version: h.Int32N(9)}
	default:
		return h.settled(100)
	}
	h.m.apply(t)
	return t
}

func applyAll(t *Tree, txns ...*proto.Txn) {
	w := t.Write(nil)
	defer w.Close()
	for _, x := range txns {
		w.Apply(x)
	}
}

// TestModel applies histories to the tree and to the model: settled ones, and
// ones where nothing fits.
func TestModel(t *testing.T) {
	for _, tc := range []struct {
		name string
		next func(*history) *proto.Txn
	}{
		{"settled", func(h *history) *proto.Txn { return h.settled(150) }},
		{"as in a replay", (*history).replayed},
	} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s, seed %d", tc.name, seed), func(t *testing.T) {
				t.Parallel()
				h, tr := newHistory(seed, 4, 4), New()
				defer tr.Close()
				same(t, "at the start", treeFacts(tr), h.m.facts())
				for i := range 2000 {
					x := tc.next(h)
					applyAll(tr, x)
					if v := tr.View(0); v.Digest() != h.m.digest() {
						t.Fatalf("after %d transactions, %s: digest %x, want %x", i+1, x.Type, v.Digest(), h.m.digest())
					} else {
						v.Close()
					}
					if i%250 == 0 {
						same(t, fmt.Sprintf("after %d transactions", i+1), treeFacts(tr), h.m.facts())
					}
				}
				same(t, "at the end", treeFacts(tr), h.m.facts())
			})
		}
	}
}
