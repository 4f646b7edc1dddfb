// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"
	"strings"

	"paddock/internal/acl"
	"paddock/internal/tree"
	"paddock/internal/watch"
	"paddock/jute"
	"paddock/proto"
)

func (c *Client) mayRead(v tree.View, n tree.Ref, ids []acl.ID) bool {
	return v.OpenACL(n) || c.p.opt.ACL.Allowed(v.ACL(n), proto.PermRead, ids)
}

// find is the start of most reads: the znode, if it is there and the client
// may READ it.
func (c *Client) find(v tree.View, path string, r *request) (tree.Ref, proto.Code) {
	if jute.IsNull(path) {
		return 0, proto.ErrMarshalling
	}
	n := v.Find(path)
	if n == 0 {
		return 0, proto.ErrNoNode
	}
	if !c.mayRead(v, n, r.ids) {
		return 0, proto.ErrNoAuth
	}
	return n, proto.OK
}

func readExists(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	var q proto.PathWatch
	q.Fields(d)
	if d.Err() != nil {
		return out, proto.ErrMarshalling
	}
	if !jute.IsNull(q.Path) && strings.IndexByte(q.Path, 0) >= 0 {
		return out, proto.ErrBadArguments
	}
	n, code := c.find(v, q.Path, r)
	if q.Watch && (code == proto.OK || code == proto.ErrNoNode) {
		c.arm(q.Path, watch.Data)
	}
	if code != proto.OK {
		return out, code
	}
	return appendStat(out, v.Stat(n)), proto.OK
}

func readData(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	var q proto.PathWatch
	q.Fields(d)
	if d.Err() != nil {
		return out, proto.ErrMarshalling
	}
	n, code := c.find(v, q.Path, r)
	if code != proto.OK {
		return out, code
	}
	if q.Watch {
		c.arm(q.Path, watch.Data)
	}
	return appendStat(appendBuffer(out, v.Data(n)), v.Stat(n)), proto.OK
}

func readChildren(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	out, _, code := c.children(v, r, d, out)
	return out, code
}

func readChildren2(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	out, n, code := c.children(v, r, d, out)
	if code != proto.OK {
		return out, code
	}
	return appendStat(out, v.Stat(n)), proto.OK
}

func (c *Client) children(v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, tree.Ref, proto.Code) {
	var q proto.PathWatch
	q.Fields(d)
	if d.Err() != nil {
		return out, 0, proto.ErrMarshalling
	}
	n, code := c.find(v, q.Path, r)
	if code != proto.OK {
		return out, 0, code
	}
	if q.Watch {
		c.arm(q.Path, watch.Child)
	}
	if v.NumChildren(n) > slowChildren {
		c.link.Slow()
	}
	return v.AppendChildren(out, n), n, proto.OK
}

func readACL(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	var q proto.Path
	q.Fields(d)
	if d.Err() != nil || jute.IsNull(q.Path) {
		return out, proto.ErrMarshalling
	}
	n := v.Find(q.Path)
	if n == 0 {
		return out, proto.ErrNoNode
	}
	list := v.ACL(n)
	if !c.p.opt.ACL.Allowed(list, proto.PermRead|proto.PermAdmin, r.ids) {
		return out, proto.ErrNoAuth
	}
	if !c.p.opt.ACL.Allowed(list, proto.PermAdmin, r.ids) {
		list = acl.Redact(list)
	}
	return jute.Append(out, &proto.ACLStat{ACL: list, Stat: v.Stat(n)}), proto.OK
}

func readAllChildrenNumber(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	var q proto.Path
	q.Fields(d)
	if d.Err() != nil {
		return out, proto.ErrMarshalling
	}
	n, code := c.find(v, q.Path, r)
	if code != proto.OK {
		return out, code
	}
	count := v.Descendants(n)
	if q.Path == "" {
		count++ // the reference counts the root by its other name
	}
	return binary.BigEndian.AppendUint32(out, uint32(count)), proto.OK
}

func readEphemerals(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	var q proto.Path
	q.Fields(d)
	if d.Err() != nil {
		return out, proto.ErrMarshalling
	}
	all := jute.IsNull(q.Path) || strings.TrimSpace(q.Path) == "" || q.Path == "/"
	names := []string{}
	for _, p := range v.Ephemerals(c.session.ID()) {
		if all || strings.HasPrefix(p, q.Path) {
			names = append(names, p)
		}
	}
	return jute.Append(out, &proto.Names{Names: names}), proto.OK
}

func readWhoAmI(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	return jute.Append(out, &proto.WhoAmI{IDs: c.p.opt.ACL.WhoAmI(r.ids)}), proto.OK
}

// readSync echoes the path: one server is never behind its leader, and the
// request has waited for all that its session sent before.
func readSync(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	var q proto.Path
	q.Fields(d)
	if d.Err() != nil {
		return out, proto.ErrMarshalling
	}
	return jute.Append(out, &q), proto.OK
}

// readMulti answers each step by itself.
func readMulti(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	start := len(out)
	subs, code := parseMulti(d, nil, true)
	if code != proto.OK {
		if d.Err() == nil && code == errWriteInRead {
			return appendMultiHeader(out, proto.MultiEnd), proto.ErrMarshalling
		}
		return out, proto.ErrMarshalling
	}
	for i := range subs {
		s := &subs[i]
		n, code := c.find(v, s.path, r)
		switch {
		case code == proto.ErrMarshalling:
			return appendMultiHeader(out[:start], proto.MultiEnd), code
		case code != proto.OK:
			out = appendMultiError(out, code)
		case s.op == proto.OpGetData:
			out = appendMultiHeader(out, proto.MultiHeader{Type: s.op})
			out = appendStat(appendBuffer(out, v.Data(n)), v.Stat(n))
		default:
			out = appendMultiHeader(out, proto.MultiHeader{Type: s.op})
			out = v.AppendChildren(out, n)
		}
	}
	return appendMultiHeader(out, proto.MultiEnd), proto.OK
}

func appendStat(b []byte, s proto.Stat) []byte {
	c := jute.Encoder(b)
	s.Fields(&c)
	return c.Bytes()
}

func appendBuffer(b, data []byte) []byte {
	if data == nil {
		return append(b, 0xff, 0xff, 0xff, 0xff)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendMultiHeader(b []byte, h proto.MultiHeader) []byte {
	c := jute.Encoder(b)
	h.Fields(&c)
	return c.Bytes()
}

// appendMultiError is the result of a step that failed or was not tried.
func appendMultiError(b []byte, code proto.Code) []byte {
	b = appendMultiHeader(b, proto.MultiHeader{Type: proto.OpError, Err: code})
	return binary.BigEndian.AppendUint32(b, uint32(code))
}
