// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"fmt"

	"paddock/proto"
	"paddock/zk"
)

// register is a znode that one writer creates and then sets, each time under
// the version that it knows.
type register struct {
	path    string
	version int32 // acknowledged; -1 is not there yet
	zxid    proto.Zxid
	data    string
	asked   string // data of the request under way, "" is none

	aversion int32
	acl      string
	askedACL string
}

func (r *register) settle(l *Ledger, d *Dump, rest map[string]bool) {
	defer func() { r.asked, r.askedACL = "", "" }()
	n, ok := d.Nodes[r.path]
	delete(rest, r.path)
	if !ok {
		if r.version >= 0 {
			l.fault("lost: %s, which had version %d, is not there", r.path, r.version)
		}
		return
	}
	switch st := n.Stat; {
	case st.Version == r.version && r.version >= 0 && n.Data == r.data && st.Mzxid == r.zxid:
	case st.Version == r.version+1 && r.asked != "" && n.Data == r.asked && st.Mzxid > l.floor:
		r.version, r.zxid, r.data = st.Version, st.Mzxid, n.Data
	default:
		l.fault("%s is version %d of zxid %s with %q; acknowledged was version %d of zxid %s with %q, asked for %q",
			r.path, st.Version, st.Mzxid, n.Data, r.version, r.zxid, r.data, r.asked)
	}
	switch st := n.Stat; {
	case st.Aversion == r.aversion && (n.ACL == r.acl || n.ACL == ""): // a client's dump has no lists
	case st.Aversion == r.aversion+1 && r.askedACL != "" && n.ACL == r.askedACL:
		r.aversion, r.acl = st.Aversion, n.ACL
	default:
		l.fault("%s has list %d %s; acknowledged was %d %s, asked for %q", r.path, st.Aversion, n.ACL, r.aversion, r.acl, r.askedACL)
	}
}

func (w *writer) register() {
	r := w.registers[w.rng.IntN(len(w.registers))]
	w.l.mu.Lock()
	version, aversion := r.version, r.aversion
	acl := version >= 0 && w.rng.IntN(6) == 0
	data := fmt.Sprintf("%s %d %s", r.path, w.l.nextID(), w.filler())
	list := []zk.ACL{{Perms: zk.PermAll, Scheme: "world", ID: "anyone"}, {Perms: zk.PermRead, Scheme: "ip", ID: fmt.Sprintf("10.0.0.%d", w.rng.IntN(9))}}
	if acl {
		r.askedACL = aclText(list)
	} else {
		r.asked = data
	}
	w.l.mu.Unlock()

	var st zk.Stat
	var err error
	switch {
	case acl:
		st, err = w.c.SetACL(w.ctx, r.path, list, aversion)
	case version < 0:
		_, st, err = w.c.CreateWithStat(w.ctx, r.path, []byte(data), zk.OpenACL, 0)
	default:
		st, err = w.c.Set(w.ctx, r.path, []byte(data), version)
	}
	if !w.done(err, "writing %s", r.path) {
		return
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if acl {
		w.l.acked(0, "")
		r.aversion, r.acl, r.askedACL = aversion+1, aclText(list), ""
	} else {
		w.l.acked(st.Mzxid, "version %d of %s", st.Version, r.path)
		r.version, r.zxid, r.data, r.asked = version+1, st.Mzxid, data, ""
	}
	if st.Version != r.version || st.Aversion != r.aversion || st.Mzxid != r.zxid {
		w.l.fault("%s was acknowledged as %+v, should be version %d, list %d, zxid %s", r.path, st, r.version, r.aversion, r.zxid)
	}
}

// shared is a znode that all writers set, whatever its version.
type shared struct {
	path  string
	base  int32 // the version that the last life left; -1 is not there yet
	data  string
	asked map[string]bool // requests of this life without answer
	acked map[int32]string
}

func (s *shared) settle(l *Ledger, d *Dump, rest map[string]bool) {
	n, ok := d.Nodes[s.path]
	delete(rest, s.path)
	last := s.base
	for v := range s.acked {
		last = max(last, v)
	}
	switch st := n.Stat; {
	case !ok && last >= 0:
		l.fault("lost: %s, which had version %d, is not there", s.path, last)
	case !ok:
	case st.Version < last:
		l.fault("lost: %s has version %d, acknowledged was %d", s.path, st.Version, last)
	case int(st.Version-s.base) > len(s.acked)+len(s.asked):
		l.fault("doubled: %s went from version %d to %d by %d writes, %d more without answer", s.path, s.base, st.Version, len(s.acked), len(s.asked))
	default:
		want, known := s.acked[st.Version]
		if st.Version == s.base {
			want, known = s.data, true
		}
		if known && n.Data != want || !known && !s.asked[n.Data] {
			l.fault("%s has %q in version %d; acknowledged was %q, asked for %v", s.path, n.Data, st.Version, want, s.asked)
		}
	}
	if ok {
		s.base, s.data = n.Stat.Version, n.Data
	}
	s.asked, s.acked = map[string]bool{}, map[int32]string{}
}

func (w *writer) shared() {
	s := w.w.shared[w.rng.IntN(len(w.w.shared))]
	w.l.mu.Lock()
	data := fmt.Sprintf("by %d, %d", w.id, w.l.nextID())
	absent := s.base < 0 && len(s.acked) == 0
	s.asked[data] = true
	w.l.mu.Unlock()

	var st zk.Stat
	var err error
	if absent {
		_, st, err = w.c.CreateWithStat(w.ctx, s.path, []byte(data), zk.OpenACL, 0)
	} else {
		st, err = w.c.Set(w.ctx, s.path, []byte(data), zk.AnyVersion)
	}
	if absent && isCode(err, zk.ErrNodeExists) { // another writer was quicker
		w.l.mu.Lock()
		delete(s.asked, data)
		w.l.mu.Unlock()
		return
	}
	if !w.done(err, "writing %s", s.path) {
		return
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.acked(st.Mzxid, "version %d of %s", st.Version, s.path)
	if other, ok := s.acked[st.Version]; ok || st.Version <= s.base {
		w.l.fault("version %d of %s was acknowledged twice: for %q and %q, after version %d", st.Version, s.path, other, data, s.base)
	}
	s.acked[st.Version] = data
	delete(s.asked, data)
}
