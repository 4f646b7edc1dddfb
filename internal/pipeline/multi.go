// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"paddock/jute"
	"paddock/proto"
)

// subOp is one step of a multi: as asked, and as prepared.
type subOp struct {
	op      proto.OpCode // after the kind rules of client-protocol.md section 5.1
	create  createArgs
	path    string
	data    []byte
	version int32
	made    string // path as created
}

// parseMulti reads the sub-operations of a multi, or of a multiRead when read
// is set, and appends them to ops. An error is answered with ErrMarshalling for
// the whole.
func parseMulti(c *jute.Coder, ops []subOp, read bool) ([]subOp, proto.Code) {
	for {
		var h proto.MultiHeader
		h.Fields(c)
		if c.Err() != nil {
			return nil, proto.ErrMarshalling
		}
		if h.Done {
			return ops, proto.OK
		}
		s, code := parseSub(c, h.Type, read)
		if c.Err() != nil {
			code = proto.ErrMarshalling
		}
		if code != proto.OK {
			return nil, code
		}
		ops = append(ops, s)
	}
}

// Two kinds of ErrMarshalling that are told apart here and by nobody else.
const (
	errNullACL     proto.Code = -1005 // uses up no zxid
	errWriteInRead proto.Code = -1006 // answered with a stray end of list
)

func isMultiOp(op proto.OpCode) bool {
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL, proto.OpDelete, proto.OpSetData, proto.OpCheck:
		return true
	}
	return false
}

func parseSub(c *jute.Coder, op proto.OpCode, read bool) (subOp, proto.Code) {
	s := subOp{op: op}
	if isRead := op == proto.OpGetData || op == proto.OpGetChildren; isRead != read {
		if read && isMultiOp(op) {
			return s, errWriteInRead
		}
		return s, proto.ErrMarshalling
	}
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		var r proto.Create
		r.Fields(c)
		if r.ACL == nil {
			return s, errNullACL
		}
		if r.Flags < 0 || r.Flags > 4 {
			return s, proto.ErrMarshalling
		}
		if r.Flags == proto.FlagContainer {
			s.op = proto.OpCreateContainer
		}
		s.path = r.Path
		s.create = createArgs{op: s.op, path: r.Path, data: r.Data, acl: r.ACL, flags: r.Flags, ttl: -1}
	case proto.OpCreateTTL:
		var r proto.CreateTTL
		r.Fields(c)
		if r.ACL == nil {
			return s, errNullACL
		}
		s.path = r.Path
		s.create = createArgs{op: op, path: r.Path, data: r.Data, acl: r.ACL, flags: r.Flags, ttl: r.TTL}
		if r.Flags >= 0 && r.Flags < proto.FlagTTL {
			s.op, s.create.op, s.create.ttl = proto.OpCreate, proto.OpCreate, -1
		}
	case proto.OpDelete, proto.OpCheck:
		var r proto.PathVersion
		r.Fields(c)
		s.path, s.version = r.Path, r.Version
	case proto.OpSetData:
		var r proto.SetData
		r.Fields(c)
		s.path, s.data, s.version = r.Path, r.Data, r.Version
	case proto.OpGetData, proto.OpGetChildren:
		var r proto.PathWatch
		r.Fields(c)
		s.path = r.Path
	default:
		return s, proto.ErrMarshalling
	}
	return s, proto.OK
}

// multi prepares all steps, each against what those before it leave, or none.
func (x *prep) multi(subs []subOp) (proto.OpCode, jute.Record, proto.Code) {
	if c := x.checkSession(); c != proto.OK && len(subs) == 0 {
		return 0, nil, c
	}
	body := &proto.MultiTxn{Ops: make([]proto.SubTxn, len(subs))}
	var sets []proto.SetDataTxn // room for all that may be needed
	digest := x.digest
	x.f.begin()
	failed := proto.OK
	for i := range subs {
		t := &body.Ops[i]
		if failed != proto.OK {
			t.Type, t.Body = proto.OpError, &proto.ErrorTxn{Err: proto.ErrRuntimeInconsistency}
			continue
		}
		var c proto.Code
		switch s := &subs[i]; s.op {
		case proto.OpDelete:
			t.Type, t.Body, c = x.delete(s.path, s.version, new(proto.DeleteTxn))
		case proto.OpSetData:
			if len(sets) == 0 {
				sets = make([]proto.SetDataTxn, len(subs)-i)
			}
			t.Type, t.Body, c = x.setData(s.path, s.data, s.version, &sets[0])
			sets = sets[1:]
		case proto.OpCheck:
			t.Type, t.Body, c = x.check(s.path, s.version)
		default:
			t.Type, t.Body, s.made, c = x.create(s.create)
		}
		if c != proto.OK {
			failed = c
			t.Type, t.Body = proto.OpError, &proto.ErrorTxn{Err: c}
		}
	}
	if failed != proto.OK {
		x.f.rollback()
		x.digest = digest
	} else {
		x.f.commit()
	}
	return proto.OpMulti, body, proto.OK
}
