// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paddock/jute"
	"paddock/proto"
)

// Op is one operation of a Multi or a MultiRead. The functions that end in Op
// make them.
type Op struct {
	code    proto.OpCode
	path    string
	data    []byte
	acl     []ACL
	flags   CreateFlags
	ttl     time.Duration
	version int32
}

// CreateOp is Create. Its result has the path.
func CreateOp(path string, data []byte, acl []ACL, flags CreateFlags) Op {
	return Op{code: proto.OpCreate, path: path, data: data, acl: acl, flags: flags}
}

// CreateWithStatOp is CreateWithStat. Its result has the path and the numbers.
func CreateWithStatOp(path string, data []byte, acl []ACL, flags CreateFlags) Op {
	return Op{code: proto.OpCreate2, path: path, data: data, acl: acl, flags: flags}
}

// CreateContainerOp is CreateContainer.
func CreateContainerOp(path string, data []byte, acl []ACL) Op {
	return Op{code: proto.OpCreateContainer, path: path, data: data, acl: acl}
}

// CreateTTLOp is CreateTTL.
func CreateTTLOp(path string, data []byte, acl []ACL, flags CreateFlags, ttl time.Duration) Op {
	return Op{code: proto.OpCreateTTL, path: path, data: data, acl: acl, flags: flags, ttl: ttl}
}

// DeleteOp is Delete.
func DeleteOp(path string, version int32) Op {
	return Op{code: proto.OpDelete, path: path, version: version}
}

// SetOp is Set. Its result has the numbers.
func SetOp(path string, data []byte, version int32) Op {
	return Op{code: proto.OpSetData, path: path, data: data, version: version}
}

// CheckOp lets a Multi go through only if a znode is there and its version is
// version.
func CheckOp(path string, version int32) Op {
	return Op{code: proto.OpCheck, path: path, version: version}
}

// GetOp is Get, for a MultiRead.
func GetOp(path string) Op { return Op{code: proto.OpGetData, path: path} }

// ChildrenOp is Children, for a MultiRead.
func ChildrenOp(path string) Op { return Op{code: proto.OpGetChildren, path: path} }

func (o *Op) reads() bool { return o.code == proto.OpGetData || o.code == proto.OpGetChildren }

// OpResult is what one operation came to.
type OpResult struct {
	Path  string   // of what a create made
	Stat  Stat     // of CreateWithStatOp, CreateContainerOp, CreateTTLOp, SetOp, GetOp
	Data  []byte   // of GetOp
	Names []string // of ChildrenOp
	// Err is nil or a proto.Code. Of a Multi that failed only the operation to
	// blame has a telling one: those before it have nil though they were undone,
	// those behind it ErrNotTried.
	Err error
}

// Multi does all of ops in order and at once, or none. If the server declines,
// the error names the first operation to blame, and the results are there too.
// Without operations nothing is sent.
func (c *Client) Multi(ctx context.Context, ops ...Op) ([]OpResult, error) {
	results, err := c.multi(ctx, proto.OpMulti, ops)
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		if r.Err != nil {
			return results, opError(proto.OpMulti, i, &ops[i], r.Err.(proto.Code), nil)
		}
	}
	return results, nil
}

// MultiRead does all reads at one moment of the tree. Each result has its own
// error.
func (c *Client) MultiRead(ctx context.Context, ops ...Op) ([]OpResult, error) {
	return c.multi(ctx, proto.OpMultiRead, ops)
}

func opError(multi proto.OpCode, i int, o *Op, code proto.Code, cause error) error {
	return &Error{Op: fmt.Sprintf("%s[%d] %s", multi, i, o.code), Path: o.path, Code: code, Cause: cause}
}

func (c *Client) multi(ctx context.Context, code proto.OpCode, ops []Op) ([]OpResult, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	req := multiRequest{ops: make([]subRequest, len(ops))}
	for i := range ops {
		o := &ops[i]
		if o.reads() != (code == proto.OpMultiRead) {
			return nil, opError(code, i, o, ErrBadArguments, errors.New("reads and writes do not mix"))
		}
		rec, err := c.subRecord(o)
		if err != nil {
			var e *Error
			errors.As(err, &e)
			return nil, opError(code, i, o, e.Code, e.Cause)
		}
		req.ops[i] = subRequest{o.code, rec}
	}
	resp := multiResponse{max: len(ops)}
	if err := c.call(ctx, code, "", &req, &resp, nil); err != nil {
		return nil, err
	}
	if len(resp.results) != len(ops) {
		return nil, &Error{Op: code.String(), Code: ErrMarshalling,
			Cause: fmt.Errorf("%d results for %d operations", len(resp.results), len(ops))}
	}
	for i := range resp.results {
		if r := &resp.results[i]; r.Path != "" {
			r.Path = c.rel(r.Path)
		}
	}
	return resp.results, nil
}

// subRecord is the request of one operation, checked.
func (c *Client) subRecord(o *Op) (jute.Record, error) {
	switch o.code {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		abs, err := c.prepareCreate(o.code, o.path, o.acl, o.flags)
		if err != nil {
			return nil, err
		}
		if o.code == proto.OpCreateTTL {
			wire, err := ttlFlags(o.flags, o.ttl)
			if err != nil {
				return nil, &Error{Code: ErrBadArguments, Cause: err}
			}
			return &proto.CreateTTL{Path: abs, Data: o.data, ACL: o.acl, Flags: wire, TTL: o.ttl.Milliseconds()}, nil
		}
		rec := &proto.Create{Path: abs, Data: o.data, ACL: o.acl, Flags: int32(o.flags)}
		if o.code == proto.OpCreateContainer {
			rec.Flags = proto.FlagContainer
		}
		return rec, nil
	}
	abs, err := c.abs(o.code, o.path)
	if err != nil {
		return nil, err
	}
	switch o.code {
	case proto.OpDelete, proto.OpCheck:
		return &proto.PathVersion{Path: abs, Version: o.version}, nil
	case proto.OpSetData:
		return &proto.SetData{Path: abs, Data: o.data, Version: o.version}, nil
	case proto.OpGetData, proto.OpGetChildren:
		return &proto.PathWatch{Path: abs}, nil
	}
	return nil, &Error{Code: ErrBadArguments, Cause: errors.New("the zero Op does nothing")}
}

type subRequest struct {
	code proto.OpCode
	rec  jute.Record
}

// multiRequest is the body of opcodes 14 and 22.
type multiRequest struct{ ops []subRequest }

func (r *multiRequest) Fields(c *jute.Coder) {
	for i := range r.ops {
		h := proto.MultiHeader{Type: r.ops[i].code, Err: -1}
		h.Fields(c)
		r.ops[i].rec.Fields(c)
	}
	end := proto.MultiEnd
	end.Fields(c)
}

// multiResponse is the reply to them (client-protocol.md section 5). It is
// decoded only.
type multiResponse struct {
	results []OpResult
	max     int // results to expect at most
}

func (r *multiResponse) Fields(c *jute.Coder) {
	for {
		var h proto.MultiHeader
		h.Fields(c)
		if c.Err() != nil || h.Done {
			return
		}
		if len(r.results) == r.max {
			c.Fail(fmt.Errorf("more than %d results", r.max))
			return
		}
		var res OpResult
		switch h.Type {
		case proto.OpCreate:
			c.String(&res.Path)
		case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
			c.String(&res.Path)
			res.Stat.Fields(c)
		case proto.OpDelete, proto.OpCheck:
		case proto.OpSetData:
			res.Stat.Fields(c)
		case proto.OpGetData:
			c.Buffer(&res.Data)
			res.Stat.Fields(c)
		case proto.OpGetChildren:
			c.Strings(&res.Names)
		case proto.OpError:
			var code proto.Code
			c.Int((*int32)(&code))
			if code != proto.OK {
				res.Err = code
			}
		default:
			c.Fail(fmt.Errorf("result of type %d", int32(h.Type)))
		}
		if c.Err() != nil {
			return
		}
		r.results = append(r.results, res)
	}
}
