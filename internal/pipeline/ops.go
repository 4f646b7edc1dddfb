// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"strconv"

	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// An operation is one row of this table: which path it takes, and the function
// that serves it.
type opRow struct {
	kind kind
	slow bool // it may take long however short the request is
	// read answers from a view: it appends the response record to out, or
	// returns the code to answer with.
	read func(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code)
	// local answers by itself; it takes its place in the session's order.
	local func(c *Client, b *burst, r *request, body []byte)
	// decode reads a write's record into r. ErrMarshalling declines it at
	// once, which uses up no zxid.
	decode func(r *request, d *jute.Coder) proto.Code
	// prepare turns it into a transaction: its type and body, or the code to
	// answer with.
	prepare func(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code)
}

type kind uint8

const (
	kindUnknown kind = iota
	kindRead
	kindLocal
	kindPing
	kindSync // a read, but for an ensemble's: there it waits for the leader
	kindWrite
)

var ops = map[proto.OpCode]opRow{
	proto.OpExists:               {kind: kindRead, read: readExists},
	proto.OpGetData:              {kind: kindRead, read: readData},
	proto.OpGetACL:               {kind: kindRead, read: readACL},
	proto.OpGetChildren:          {kind: kindRead, read: readChildren},
	proto.OpGetChildren2:         {kind: kindRead, read: readChildren2},
	proto.OpGetEphemerals:        {kind: kindRead, read: readEphemerals, slow: true},
	proto.OpGetAllChildrenNumber: {kind: kindRead, read: readAllChildrenNumber, slow: true},
	proto.OpMultiRead:            {kind: kindRead, read: readMulti, slow: true},
	proto.OpWhoAmI:               {kind: kindRead, read: readWhoAmI},
	proto.OpSync:                 {kind: kindSync, read: readSync},

	proto.OpAddWatch:      {kind: kindRead, read: addWatch},
	proto.OpCheckWatches:  {kind: kindRead, read: checkWatches},
	proto.OpRemoveWatches: {kind: kindRead, read: removeWatches},
	proto.OpSetWatches:    {kind: kindLocal, local: setWatches},
	proto.OpSetWatches2:   {kind: kindLocal, local: setWatches},
	proto.OpPing:          {kind: kindPing},

	proto.OpCreate:          {kind: kindWrite, decode: decodeCreate, prepare: prepareCreate},
	proto.OpCreate2:         {kind: kindWrite, decode: decodeCreate, prepare: prepareCreate},
	proto.OpCreateContainer: {kind: kindWrite, decode: decodeCreate, prepare: prepareCreate},
	proto.OpCreateTTL:       {kind: kindWrite, decode: decode[proto.CreateTTL], prepare: prepareCreateTTL},
	proto.OpDelete:          {kind: kindWrite, decode: decodeDelete, prepare: prepareDelete},
	proto.OpDeleteContainer: {kind: kindWrite, decode: decode[proto.Path], prepare: prepareDeleteContainer},
	proto.OpSetData:         {kind: kindWrite, decode: decodeSetData, prepare: prepareSetData},
	proto.OpSetACL:          {kind: kindWrite, decode: decode[proto.SetACL], prepare: prepareSetACL},
	proto.OpMulti:           {kind: kindWrite, decode: decodeMulti, prepare: prepareMulti},
	proto.OpReconfig:        {kind: kindWrite, decode: decode[proto.Reconfig], prepare: prepareReconfig},
	proto.OpCloseSession:    {kind: kindWrite, decode: decodeNothing, prepare: prepareCloseSession},
}

// table is ops by number, for the hot path.
var table = func() (t [128]*opRow) {
	for op, row := range ops {
		t[uint8(int8(op))&127] = &row
	}
	return t
}()

var unknownOp opRow

func lookup(op proto.OpCode) *opRow {
	if op < -16 || op > 110 {
		return &unknownOp
	}
	if row := table[uint8(int8(op))&127]; row != nil {
		return row
	}
	return &unknownOp
}

// Writes that no client sends.
var (
	openSessionRow  = opRow{kind: kindWrite, prepare: prepareOpenSession}
	closeSessionRow = opRow{kind: kindWrite, prepare: prepareCloseSession}
	reapRow         = opRow{kind: kindWrite, prepare: prepareReap}
)

// decode reads a record of type T.
func decode[T any, P interface {
	*T
	jute.Record
}](r *request, d *jute.Coder) proto.Code {
	return decodeInto(r, d, P(new(T)))
}

// These are decode with room in the request itself.

func decodeCreate(r *request, d *jute.Coder) proto.Code  { return decodeInto(r, d, &r.room.create) }
func decodeDelete(r *request, d *jute.Coder) proto.Code  { return decodeInto(r, d, &r.room.del) }
func decodeSetData(r *request, d *jute.Coder) proto.Code { return decodeInto(r, d, &r.room.set) }

func decodeInto(r *request, d *jute.Coder, rec jute.Record) proto.Code {
	rec.Fields(d)
	r.rec = rec
	if d.Err() != nil {
		return proto.ErrMarshalling
	}
	return proto.OK
}

func decodeNothing(*request, *jute.Coder) proto.Code { return proto.OK }

// decodeMulti reads the steps. Unlike other writes, a multi that cannot be
// read uses up a zxid, so it goes on to be declined by prepare.
func decodeMulti(r *request, d *jute.Coder) proto.Code {
	subs, code := parseMulti(d, r.subs[:0], false)
	r.subs, r.code = subs, code
	if code == errNullACL {
		return proto.ErrMarshalling
	}
	return proto.OK
}

func prepareCreate(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	q := r.rec.(*proto.Create)
	typ, body, _, code := x.create(createArgs{op: r.op, path: q.Path, data: q.Data, acl: q.ACL, flags: q.Flags, ttl: -1, txn: &r.room.createTxn})
	return typ, body, code
}

func prepareCreateTTL(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	q := r.rec.(*proto.CreateTTL)
	typ, body, _, code := x.create(createArgs{op: r.op, path: q.Path, data: q.Data, acl: q.ACL, flags: q.Flags, ttl: q.TTL})
	return typ, body, code
}

func prepareDelete(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	q := r.rec.(*proto.PathVersion)
	return x.delete(q.Path, q.Version, &r.room.delTxn)
}

// prepareDeleteContainer declines what only the server itself may ask: the
// reference lets any client remove any empty znode with it.
func prepareDeleteContainer(*prep, *request) (proto.OpCode, jute.Record, proto.Code) {
	return 0, nil, proto.ErrUnimplemented
}

func prepareSetData(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	q := r.rec.(*proto.SetData)
	return x.setData(q.Path, q.Data, q.Version, &r.room.setTxn)
}

func prepareSetACL(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	q := r.rec.(*proto.SetACL)
	return x.setACL(q.Path, q.ACL, q.Version)
}

func prepareMulti(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	if r.code != proto.OK {
		return 0, nil, proto.ErrMarshalling
	}
	for i := range r.subs {
		if jute.IsNull(r.subs[i].path) {
			return 0, nil, proto.ErrMarshalling
		}
	}
	return x.multi(r.subs)
}

// prepareReconfig asks the leadership; a single server has no membership.
func prepareReconfig(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	if !x.p.opt.Reconfig {
		return 0, nil, proto.ErrReconfigDisabled
	}
	l, ok := x.p.repl.(Reconfigurer)
	if !ok {
		return 0, nil, proto.ErrUnimplemented
	}
	return x.reconfig(l, r.rec.(*proto.Reconfig))
}

func prepareCloseSession(x *prep, _ *request) (proto.OpCode, jute.Record, proto.Code) {
	if s := x.p.sessions.Get(x.session); s != nil {
		s.SetClosing() // from here on nothing of it is proposed
	}
	return x.closing()
}

func prepareOpenSession(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	if r.remote {
		// Its learner may apply it, and its client be heard of, before it is
		// applied here.
		known := x.p.sessions.Get(r.session) != nil // an upgrade that was sent before may have come already, and its session moved on
		if s := x.p.sessions.Add(r.session, r.rec.(*proto.CreateSessionTxn).TimeOut, x.p.nowMs()); !known {
			s.SetOwner(r.from)
		}
	}
	return proto.OpCreateSession, r.rec, proto.OK
}

func prepareReap(x *prep, r *request) (proto.OpCode, jute.Record, proto.Code) {
	return x.reapNode(r.rec.(*proto.DeleteTxn).Path)
}

func itoa(n int) string { return strconv.Itoa(n) }

func quote(s string) string {
	if jute.IsNull(s) {
		return "(null)"
	}
	return strconv.QuoteToASCII(s[:min(len(s), 64)])
}
