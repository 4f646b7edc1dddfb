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
	// read answers from a view: it appends the response record to out, or
	// returns the code to answer with.
	read func(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code)
	// local answers by itself; it takes its place in the session's order.
	local func(c *Client, b *burst, r *request, body []byte)
	// write prepares a transaction. ok is false when the request cannot be
	// read, which uses up no zxid.
	write func(c *Client, r *request, d *jute.Coder) (f prepFunc, ok bool)
}

type prepFunc func(*prep) (proto.OpCode, jute.Record, proto.Code)

type kind uint8

const (
	kindUnknown kind = iota
	kindRead
	kindLocal
	kindPing
	kindWrite
)

var ops = map[proto.OpCode]opRow{
	proto.OpExists:               {kind: kindRead, read: readExists},
	proto.OpGetData:              {kind: kindRead, read: readData},
	proto.OpGetACL:               {kind: kindRead, read: readACL},
	proto.OpGetChildren:          {kind: kindRead, read: readChildren},
	proto.OpGetChildren2:         {kind: kindRead, read: readChildren2},
	proto.OpGetEphemerals:        {kind: kindRead, read: readEphemerals},
	proto.OpGetAllChildrenNumber: {kind: kindRead, read: readAllChildrenNumber},
	proto.OpMultiRead:            {kind: kindRead, read: readMulti},
	proto.OpWhoAmI:               {kind: kindRead, read: readWhoAmI},
	proto.OpSync:                 {kind: kindRead, read: readSync},

	proto.OpAddWatch:      {kind: kindRead, read: addWatch},
	proto.OpCheckWatches:  {kind: kindRead, read: checkWatches},
	proto.OpRemoveWatches: {kind: kindRead, read: removeWatches},
	proto.OpSetWatches:    {kind: kindLocal, local: setWatches},
	proto.OpSetWatches2:   {kind: kindLocal, local: setWatches},
	proto.OpPing:          {kind: kindPing},

	proto.OpCreate:          {kind: kindWrite, write: writeCreate},
	proto.OpCreate2:         {kind: kindWrite, write: writeCreate},
	proto.OpCreateContainer: {kind: kindWrite, write: writeCreate},
	proto.OpCreateTTL:       {kind: kindWrite, write: writeCreateTTL},
	proto.OpDelete:          {kind: kindWrite, write: writeDelete},
	proto.OpDeleteContainer: {kind: kindWrite, write: writeDeleteContainer},
	proto.OpSetData:         {kind: kindWrite, write: writeSetData},
	proto.OpSetACL:          {kind: kindWrite, write: writeSetACL},
	proto.OpMulti:           {kind: kindWrite, write: writeMulti},
	proto.OpReconfig:        {kind: kindWrite, write: writeReconfig},
	proto.OpCloseSession:    {kind: kindWrite, write: writeCloseSession},
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

// submit prepares a write and proposes it.
func (c *Client) submit(r *request, body []byte) {
	d := jute.AliasDecoder(body)
	d.Limit(c.p.opt.MaxRecord)
	f, ok := lookup(r.op).write(c, r, &d)
	if !ok || d.Err() != nil {
		r.code = proto.ErrMarshalling
		r.frame = make([]byte, 8)
		if c.waiting.Load() == 0 {
			var b burst
			c.run(&b, r, r.frame)
			b.close()
		} else {
			c.push(r)
		}
		c.p.limits.release(r)
		return
	}
	if r.op == proto.OpCloseSession {
		c.gone = true
		c.session.SetClosing()
	}
	c.p.propose(r, c.session.ID(), f)
}

func writeCreate(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	var q proto.Create
	q.Fields(d)
	return c.create(r, createArgs{op: r.op, path: q.Path, data: q.Data, acl: q.ACL, flags: q.Flags, ttl: -1}), true
}

func writeCreateTTL(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	var q proto.CreateTTL
	q.Fields(d)
	return c.create(r, createArgs{op: r.op, path: q.Path, data: q.Data, acl: q.ACL, flags: q.Flags, ttl: q.TTL}), true
}

func (c *Client) create(r *request, a createArgs) prepFunc {
	return func(x *prep) (proto.OpCode, jute.Record, proto.Code) {
		typ, body, _, code := x.create(a)
		return typ, body, code
	}
}

func writeDelete(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	var q proto.PathVersion
	q.Fields(d)
	return func(x *prep) (proto.OpCode, jute.Record, proto.Code) {
		return x.delete(proto.OpDelete, q.Path, q.Version)
	}, true
}

// writeDeleteContainer declines what only the server itself may ask: the
// reference lets any client remove any empty znode with it.
func writeDeleteContainer(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	var q proto.Path
	q.Fields(d)
	return func(*prep) (proto.OpCode, jute.Record, proto.Code) { return 0, nil, proto.ErrUnimplemented }, true
}

func writeSetData(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	var q proto.SetData
	q.Fields(d)
	return func(x *prep) (proto.OpCode, jute.Record, proto.Code) { return x.setData(q.Path, q.Data, q.Version) }, true
}

func writeSetACL(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	var q proto.SetACL
	q.Fields(d)
	return func(x *prep) (proto.OpCode, jute.Record, proto.Code) { return x.setACL(q.Path, q.ACL, q.Version) }, true
}

func writeMulti(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	subs, code := parseMulti(d, false)
	if code != proto.OK {
		if d.Err() == nil && code == errNullACL {
			return nil, false
		}
		// Unlike other writes, a multi that cannot be read uses up a zxid.
		*d = jute.Coder{}
		return func(*prep) (proto.OpCode, jute.Record, proto.Code) { return 0, nil, proto.ErrMarshalling }, true
	}
	r.subs = subs
	return func(x *prep) (proto.OpCode, jute.Record, proto.Code) {
		for i := range subs {
			if jute.IsNull(subs[i].path) {
				return 0, nil, proto.ErrMarshalling
			}
		}
		return x.multi(subs)
	}, true
}

// writeReconfig answers as a single server does: it has no membership.
func writeReconfig(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	var q proto.Reconfig
	q.Fields(d)
	code := proto.ErrReconfigDisabled
	if c.p.opt.Reconfig {
		code = proto.ErrUnimplemented
	}
	return func(*prep) (proto.OpCode, jute.Record, proto.Code) { return 0, nil, code }, true
}

func writeCloseSession(c *Client, r *request, d *jute.Coder) (prepFunc, bool) {
	return func(x *prep) (proto.OpCode, jute.Record, proto.Code) { return x.closing() }, true
}

func itoa(n int) string { return strconv.Itoa(n) }

func quote(s string) string {
	if jute.IsNull(s) {
		return "(null)"
	}
	return strconv.QuoteToASCII(s[:min(len(s), 64)])
}
