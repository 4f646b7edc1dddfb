// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"paddock/proto"
)

// Announcer hears of changes while the applier makes them, before any reader
// can see them. Lists are those a receiver must be allowed to READ
// (client-protocol.md section 8.4).
type Announcer interface {
	Created(path string, acl, parentACL []proto.ACL)
	Deleted(path string, acl, parentACL []proto.ACL)
	DataChanged(path string, acl []proto.ACL)
}

// Writer changes the tree; readers are shut out while it is open. One
// goroutine at a time may have it.
type Writer struct {
	t  *Tree
	to Announcer
}

// Write opens the tree for change; to may be nil.
func (t *Tree) Write(to Announcer) Writer {
	t.lock.lock()
	return Writer{t, to}
}

// Close lets readers in again.
func (w Writer) Close() {
	w.t.size.Store(int64(w.t.nodes.live))
	w.t.lock.unlock()
}

// View looks at the tree between two changes. It must not be closed.
func (w Writer) View() View { return View{t: w.t} }

// Apply moves the tree on by one transaction.
func (w Writer) Apply(t *proto.Txn) {
	switch b := t.Body.(type) {
	case *proto.MultiTxn:
		if !b.Failed() {
			for i := range b.Ops {
				w.ApplyOp(t, b.Ops[i])
			}
		}
	default:
		w.ApplyOp(t, proto.SubTxn{Type: t.Type, Body: t.Body})
	}
	w.Done(t.Zxid)
}

// Done records that all of transaction z is applied.
func (w Writer) Done(z proto.Zxid) { w.t.zxid = max(w.t.zxid, z) }

// ApplyOp applies one step of a transaction (the whole of any but a multi).
// The caller ends the transaction with Done. It returns the znode that was
// created or changed, 0 if there is none.
func (w Writer) ApplyOp(t *proto.Txn, op proto.SubTxn) Ref {
	switch b := op.Body.(type) {
	case *proto.CreateTxn:
		owner := int64(0)
		if b.Ephemeral {
			owner = t.Session
		}
		return w.create(t, b.Path, b.Data, b.ACL, owner, b.ParentCversion, op.Type == proto.OpCreate)
	case *proto.CreateContainerTxn:
		return w.create(t, b.Path, b.Data, b.ACL, proto.ContainerOwner, b.ParentCversion, false)
	case *proto.CreateTTLTxn:
		return w.create(t, b.Path, b.Data, b.ACL, proto.TTLOwner(b.TTL), b.ParentCversion, false)
	case *proto.DeleteTxn:
		w.remove(t.Zxid, b.Path)
	case *proto.SetDataTxn:
		return w.setData(t, b)
	case *proto.SetACLTxn:
		return w.setACL(b)
	case *proto.CreateSessionTxn:
		w.t.sessions[t.Session] = b.TimeOut
	case *proto.CloseSessionTxn:
		w.closeSession(t, b.Paths)
	case nil:
		if op.Type == proto.OpCloseSession {
			w.closeSession(t, nil)
		}
	}
	return 0
}

// bumpParent moves a parent's numbers on for the create of a child.
func (t *Tree) bumpParent(p Ref, cversion int32, z proto.Zxid) {
	n := t.nodes.node(p)
	if cversion == -1 {
		cversion = n.cversion + 1
	}
	if cversion <= n.cversion {
		return
	}
	n.cversion, n.pzxid = cversion, int64(z)
	t.count(n)
}

func (w Writer) create(txn *proto.Txn, path string, data []byte, acl []proto.ACL, owner int64, cversion int32, plainType bool) Ref {
	t := w.t
	up, name := Split(path)
	parent := t.find(up)
	if parent == 0 || path == "" || path == "/" {
		return 0
	}
	if r := t.find(path); r != 0 {
		// Replay over a snapshot that has the znode already (section 7).
		n := t.nodes.node(r)
		id := t.acls.take(acl)
		t.acls.drop(n.acl)
		n.acl = id
		if plainType {
			t.bumpParent(parent, cversion, txn.Zxid)
		}
		return r
	}
	st := proto.StatPersisted{Czxid: txn.Zxid, Mzxid: txn.Zxid, Pzxid: txn.Zxid, Ctime: txn.Time, Mtime: txn.Time, EphemeralOwner: owner}
	id := t.acls.take(acl)
	t.bumpParent(parent, cversion, txn.Zxid)
	r := t.putChild(parent, path, name, data, id, &st)
	t.quotaCreated(r, path, up, name, data)
	if w.to != nil {
		w.to.Created(path, t.acls.lists[id].list, t.aclOf(parent))
	}
	return r
}

func (w Writer) remove(z proto.Zxid, path string) {
	t := w.t
	up, name := Split(path)
	parent := t.find(up)
	if parent == 0 {
		return
	}
	p := t.nodes.node(parent)
	if p.pzxid < int64(z) {
		p.pzxid = int64(z)
		t.count(p)
	}
	r := t.find(path)
	if r == 0 || r == rootRef {
		return
	}
	if t.nodes.node(r).children > 0 {
		// Replay over a fuzzy snapshot: these children were created after the
		// znode was deleted and made anew. The log makes all of them again.
		t.removeBelow(r)
	}
	acl := t.aclOf(r)
	dataLen := max(0, t.nodes.node(r).dataLen)
	t.remove(r, len(path))
	t.quotaRemoved(path, up, name, int64(dataLen))
	if w.to != nil {
		w.to.Deleted(path, acl, t.aclOf(parent))
	}
}

// removeBelow takes out everything below r.
func (t *Tree) removeBelow(r Ref) {
	for c := t.nodes.node(r).firstChild; c != 0; c = t.nodes.node(r).firstChild {
		t.removeBelow(c)
		t.remove(c, len(t.path(c)))
	}
}

func (w Writer) setData(txn *proto.Txn, b *proto.SetDataTxn) Ref {
	t := w.t
	r := t.find(b.Path)
	if r == 0 {
		return 0
	}
	n := t.nodes.node(r)
	grown := int64(len(b.Data)) - int64(max(0, n.dataLen))
	t.setData(n, rootless(b.Path), b.Data)
	n.version, n.mzxid, n.mtime = b.Version, int64(txn.Zxid), txn.Time
	t.count(n)
	t.quotaChanged(b.Path, 0, grown)
	if w.to != nil {
		w.to.DataChanged(b.Path, t.aclOf(r))
	}
	return r
}

// rootless is path as digests have it: the root's is "".
func rootless(path string) string {
	if path == "/" {
		return ""
	}
	return path
}

func (w Writer) setACL(b *proto.SetACLTxn) Ref {
	t := w.t
	r := t.find(b.Path)
	if r == 0 {
		return 0
	}
	n := t.nodes.node(r)
	if t.snap != nil {
		t.snap.keepACL(r, n)
	}
	id := t.acls.take(b.ACL)
	t.acls.drop(n.acl)
	n.acl = id
	n.aversion = b.Version
	t.count(n)
	return r
}

func (w Writer) closeSession(txn *proto.Txn, paths []string) {
	delete(w.t.sessions, txn.Session)
	for _, p := range paths {
		w.remove(txn.Zxid, p)
	}
	for _, p := range w.View().Ephemerals(txn.Session) {
		w.remove(txn.Zxid, p)
	}
}
