// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"

	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// createArgs is a create of any kind.
type createArgs struct {
	op    proto.OpCode
	path  string
	data  []byte
	acl   []proto.ACL
	flags int32
	ttl   int64 // -1 where the request has none

	txn *proto.CreateTxn // room for the transaction, if there is some
}

// create checks in the order of client-protocol.md section 4.2. It returns the
// transaction's type and body and the path as made.
func (x *prep) create(a createArgs) (proto.OpCode, jute.Record, string, proto.Code) {
	fail := func(c proto.Code) (proto.OpCode, jute.Record, string, proto.Code) { return 0, nil, "", c }
	if a.flags < 0 || a.flags > 6 {
		return fail(proto.ErrBadArguments)
	}
	ttlFlag := a.flags == proto.FlagTTL || a.flags == proto.FlagPersistentSeqWithTTL
	if ttlFlag && !x.p.opt.ExtendedTypes {
		return fail(proto.ErrUnimplemented)
	}
	if ttlFlag && (a.ttl < 1 || a.ttl > proto.MaxTTL) || !ttlFlag && (a.ttl >= 0 || a.op == proto.OpCreateTTL) {
		// A createTTL without a TTL flag stops the reference when its ttl is -1.
		return fail(proto.ErrBadArguments)
	}
	c := x.checkSession()
	if c == proto.OK && ephemeralFlag(a.flags) {
		c = x.checkGlobal()
	}
	if c != proto.OK {
		return fail(c)
	}
	switch {
	case jute.IsNull(a.path):
		return fail(proto.ErrMarshalling)
	case !hasSlashNoNUL(a.path):
		return fail(proto.ErrBadArguments)
	}
	list, c := x.p.opt.ACL.Fix(a.acl, x.req.ids)
	if c != proto.OK {
		return fail(c)
	}
	up, _ := tree.Split(a.path)
	parent := x.get(up)
	if !parent.exists {
		return fail(proto.ErrNoNode)
	}
	if !x.may(parent.acl, proto.PermCreate) {
		return fail(proto.ErrNoAuth)
	}
	path := a.path
	if a.flags&proto.FlagSequential != 0 {
		path = sequential(path, parent.st.Cversion)
	}
	if !ValidPath(path) || path == proto.QuotaPath+"/"+proto.LimitsNode {
		// Limits for the quota of no path stop the reference.
		return fail(proto.ErrBadArguments)
	}
	node := x.get(path)
	if node.exists {
		return fail(proto.ErrNodeExists)
	}
	if proto.IsEphemeral(parent.st.EphemeralOwner) {
		return fail(proto.ErrNoChildrenForEphemeral)
	}
	if c := x.quota(path, 1, int64(len(a.data))); c != proto.OK {
		return fail(c)
	}

	ephemeral := (a.op == proto.OpCreate || a.op == proto.OpCreate2) && a.flags&proto.FlagEphemeral != 0 && a.flags < proto.FlagContainer
	cversion := parent.st.Cversion + 1
	var (
		typ   = a.op
		body  jute.Record
		owner int64
	)
	switch {
	case a.op == proto.OpCreateContainer:
		body, owner = &proto.CreateContainerTxn{Path: path, Data: a.data, ACL: list, ParentCversion: cversion}, proto.ContainerOwner
	case a.op == proto.OpCreateTTL:
		body, owner = &proto.CreateTTLTxn{Path: path, Data: a.data, ACL: list, ParentCversion: cversion, TTL: a.ttl}, proto.TTLOwner(a.ttl)
	default:
		if ephemeral {
			owner = x.session
		}
		if a.txn == nil {
			a.txn = new(proto.CreateTxn)
		}
		*a.txn = proto.CreateTxn{Path: path, Data: a.data, ACL: list, Ephemeral: ephemeral, ParentCversion: cversion}
		body = a.txn
	}

	made := state{exists: true, acl: list, crc: x.f.sums.Path(path, a.data), digested: digested(path), dataLen: int32(len(a.data)),
		st: proto.StatPersisted{Czxid: x.zxid, Mzxid: x.zxid, Pzxid: x.zxid, Ctime: x.now, Mtime: x.now, EphemeralOwner: owner}}
	bumped := parent
	bumped.children++
	if cversion > bumped.st.Cversion {
		bumped.st.Cversion, bumped.st.Pzxid = cversion, x.zxid
	}
	x.put(up, &parent, &bumped)
	x.put(path, &node, &made)
	return typ, body, path, proto.OK
}

// sequential is the name that the n-th child of its parent gets.
func sequential(path string, n int32) string {
	if n < 0 { // after 2^31 children
		return fmt.Sprintf("%s%010d", path, n)
	}
	digits := [10]byte([]byte("0000000000"))
	for i := len(digits) - 1; n > 0; i, n = i-1, n/10 {
		digits[i] = byte('0' + n%10)
	}
	return path + string(digits[:])
}

// digested tells whether the tree's digest counts the znode at path.
func digested(path string) bool {
	const below = proto.ZookeeperPath + "/"
	return len(path) < len(below) || path[:len(below)] != below
}

// quota declines what would pass a hard limit, measured by committed usage.
func (x *prep) quota(path string, count, bytes int64) proto.Code {
	if !x.p.opt.EnforceQuota {
		return proto.OK
	}
	q, ok, err := x.v.Quota(path)
	switch {
	case err != nil:
		return proto.ErrMarshalling
	case !ok:
		return proto.OK
	case count > 0 && q.Limits.CountHard > -1 && q.Used.Count+count > q.Limits.CountHard:
		return proto.ErrQuotaExceeded
	case bytes > 0 && q.Limits.BytesHard > -1 && q.Used.Bytes+bytes > q.Limits.BytesHard:
		return proto.ErrQuotaExceeded
	}
	return proto.OK
}

// special paths cannot be deleted.
func special(path string) bool {
	switch path {
	case "/", proto.ZookeeperPath, proto.QuotaPath, proto.ConfigPath:
		return true
	}
	return false
}

// delete fills in body, its transaction.
func (x *prep) delete(path string, version int32, body *proto.DeleteTxn) (proto.OpCode, jute.Record, proto.Code) {
	if c := x.checkSession(); c != proto.OK {
		return 0, nil, c
	}
	switch {
	case jute.IsNull(path):
		return 0, nil, proto.ErrMarshalling
	case !hasSlashNoNUL(path) || special(path):
		return 0, nil, proto.ErrBadArguments
	}
	up, _ := tree.Split(path)
	parent := x.get(up)
	if !parent.exists {
		return 0, nil, proto.ErrNoNode
	}
	if !x.may(parent.acl, proto.PermDelete) {
		return 0, nil, proto.ErrNoAuth
	}
	node := x.get(path)
	switch {
	case !node.exists:
		return 0, nil, proto.ErrNoNode
	case version != -1 && version != node.st.Version:
		return 0, nil, proto.ErrBadVersion
	case node.children > 0:
		return 0, nil, proto.ErrNotEmpty
	}
	x.removed(path, up, &parent, &node)
	*body = proto.DeleteTxn{Path: path}
	return proto.OpDelete, body, proto.OK
}

// removed settles the future of a deleted znode and its parent.
func (x *prep) removed(path, up string, parent, node *state) {
	less := *parent
	less.children--
	less.st.Pzxid = max(less.st.Pzxid, x.zxid)
	x.put(up, parent, &less)
	x.put(path, node, &state{})
}

// reapNode prepares the removal of an empty container or an expired TTL znode.
func (x *prep) reapNode(path string) (proto.OpCode, jute.Record, proto.Code) {
	node := x.get(path)
	switch {
	case special(path):
		return 0, nil, proto.ErrBadArguments
	case !node.exists:
		return 0, nil, proto.ErrNoNode
	case node.children > 0:
		return 0, nil, proto.ErrNotEmpty
	case proto.IsEphemeral(node.st.EphemeralOwner) || node.st.EphemeralOwner == 0:
		return 0, nil, proto.ErrBadVersion
	}
	if ttl, ok := proto.OwnerTTL(node.st.EphemeralOwner); ok && x.now-node.st.Mtime <= ttl {
		return 0, nil, proto.ErrBadVersion // written since
	}
	up, _ := tree.Split(path)
	parent := x.get(up)
	x.removed(path, up, &parent, &node)
	return proto.OpDeleteContainer, &proto.DeleteTxn{Path: path}, proto.OK
}

// setData fills in body, its transaction.
func (x *prep) setData(path string, data []byte, version int32, body *proto.SetDataTxn) (proto.OpCode, jute.Record, proto.Code) {
	if c := x.checkSession(); c != proto.OK {
		return 0, nil, c
	}
	if jute.IsNull(path) || !ValidPath(path) {
		return 0, nil, proto.ErrBadArguments
	}
	node := x.get(path)
	if !node.exists {
		return 0, nil, proto.ErrNoNode
	}
	if !x.may(node.acl, proto.PermWrite) {
		return 0, nil, proto.ErrNoAuth
	}
	if c := x.quota(path, 0, int64(len(data))-int64(node.dataLen)); c != proto.OK {
		return 0, nil, c
	}
	if version != -1 && version != node.st.Version {
		return 0, nil, proto.ErrBadVersion
	}
	next := node
	next.st.Version++
	next.st.Mzxid, next.st.Mtime = x.zxid, x.now
	next.dataLen = int32(len(data))
	key := path
	if key == "/" {
		key = ""
	}
	next.crc = x.f.sums.Path(key, data)
	x.put(path, &node, &next)
	*body = proto.SetDataTxn{Path: path, Data: data, Version: next.st.Version}
	return proto.OpSetData, body, proto.OK
}

func (x *prep) setACL(path string, list []proto.ACL, version int32) (proto.OpCode, jute.Record, proto.Code) {
	if c := x.checkSession(); c != proto.OK {
		return 0, nil, c
	}
	if jute.IsNull(path) || !ValidPath(path) {
		return 0, nil, proto.ErrBadArguments
	}
	fixed, c := x.p.opt.ACL.Fix(list, x.req.ids)
	if c != proto.OK {
		return 0, nil, c
	}
	node := x.get(path)
	switch {
	case !node.exists:
		return 0, nil, proto.ErrNoNode
	case !x.may(node.acl, proto.PermAdmin):
		return 0, nil, proto.ErrNoAuth
	case version != -1 && version != node.st.Aversion:
		return 0, nil, proto.ErrBadVersion
	}
	next := node
	next.st.Aversion++
	next.acl = fixed
	x.put(path, &node, &next)
	return proto.OpSetACL, &proto.SetACLTxn{Path: path, ACL: fixed, Version: next.st.Aversion}, proto.OK
}

func (x *prep) check(path string, version int32) (proto.OpCode, jute.Record, proto.Code) {
	if c := x.checkSession(); c != proto.OK {
		return 0, nil, c
	}
	if jute.IsNull(path) || !ValidPath(path) {
		return 0, nil, proto.ErrBadArguments
	}
	node := x.get(path)
	switch {
	case !node.exists:
		return 0, nil, proto.ErrNoNode
	case !x.may(node.acl, proto.PermRead):
		return 0, nil, proto.ErrNoAuth
	case version != -1 && version != node.st.Version:
		return 0, nil, proto.ErrBadVersion
	}
	return proto.OpCheck, &proto.CheckTxn{Path: path, Version: node.st.Version + 1}, proto.OK
}

// closing prepares the end of the session and of its ephemerals, those still
// in flight included.
func (x *prep) closing() (proto.OpCode, jute.Record, proto.Code) {
	paths := []string{}
	end := func(p string) { // once: from then on it does not exist
		paths = append(paths, p)
		up, _ := tree.Split(p)
		parent, node := x.get(up), x.get(p)
		x.removed(p, up, &parent, &node)
	}
	for _, p := range x.v.Ephemerals(x.session) {
		if s := x.f.states.get(p, x.v.Hash(p)); s == nil || s.exists && s.st.EphemeralOwner == x.session {
			end(p)
		}
	}
	if o := x.f.owned[x.session]; o != nil {
		for _, p := range o.paths {
			if s := x.f.states.get(p, x.v.Hash(p)); s != nil && s.exists && s.st.EphemeralOwner == x.session {
				end(p)
			}
		}
	}
	return proto.OpCloseSession, &proto.CloseSessionTxn{Paths: paths}, proto.OK
}
