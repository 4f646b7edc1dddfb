// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"

	"paddock/internal/tree"
	"paddock/internal/watch"
	"paddock/jute"
	"paddock/proto"
)

func (c *Client) arm(path string, k watch.Kind) { c.p.watches.Add(path, c, k) }

// addWatch asks for no permission: events are filtered when they are sent.
func addWatch(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	var q proto.PathType
	q.Fields(d)
	if d.Err() != nil {
		return out, proto.ErrMarshalling
	}
	path := q.Path
	if jute.IsNull(path) {
		path = "\x00null" // nothing fires it; it can be found and removed again
	}
	switch q.Type {
	case proto.AddWatchPersistent:
		c.arm(path, watch.Persistent)
	case proto.AddWatchPersistentRecursive:
		c.arm(path, watch.Recursive)
	default:
		return out, proto.ErrMarshalling
	}
	return binary.BigEndian.AppendUint32(out, 0), proto.OK
}

func checkWatches(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	return c.lookForWatch(d, out, c.p.watches.Has)
}

func removeWatches(c *Client, v tree.View, r *request, d *jute.Coder, out []byte) ([]byte, proto.Code) {
	return c.lookForWatch(d, out, c.p.watches.Remove)
}

func (c *Client) lookForWatch(d *jute.Coder, out []byte, f func(string, watch.Watcher, int32) bool) ([]byte, proto.Code) {
	var q proto.PathType
	q.Fields(d)
	if d.Err() != nil || q.Type < proto.WatcherChildren || q.Type > proto.WatcherPersistentRecursive {
		return out, proto.ErrMarshalling
	}
	path := q.Path
	if jute.IsNull(path) {
		path = "\x00null"
	}
	if !f(path, c, q.Type) {
		return out, proto.ErrNoWatcher
	}
	return out, proto.OK
}

// setWatches arms a reconnected client's watches again and replays what it
// missed (client-protocol.md section 8.5). Events go out before the reply.
func setWatches(c *Client, b *burst, r *request, body []byte) {
	q := proto.SetWatches{WithPersistent: r.op == proto.OpSetWatches2}
	d := jute.Decoder(body)
	d.Limit(c.p.opt.MaxRecord)
	q.Fields(&d)
	if d.Err() != nil || q.Data == nil || q.Exist == nil || q.Child == nil || q.WithPersistent && (q.Persistent == nil || q.Recursive == nil) {
		c.sendNow(b, r, proto.ErrMarshalling)
		return
	}
	v := b.open(c)
	since := proto.Zxid(q.RelativeZxid)
	var frames []byte
	event := func(e proto.EventType, path string) { frames = appendEvent(frames, e, -1, path) }
	for _, p := range q.Data {
		switch n := v.Find(p); {
		case n == 0:
			event(proto.EventDeleted, p)
		case v.Stat(n).Mzxid > since:
			event(proto.EventDataChanged, p)
		default:
			c.arm(p, watch.Data)
		}
	}
	for _, p := range q.Exist {
		if v.Find(p) != 0 {
			event(proto.EventCreated, p)
		} else {
			c.arm(p, watch.Data)
		}
	}
	for _, p := range q.Child {
		switch n := v.Find(p); {
		case n == 0:
			event(proto.EventDeleted, p)
		case v.Stat(n).Pzxid > since:
			event(proto.EventChildrenChanged, p)
		default:
			c.arm(p, watch.Child)
		}
	}
	for _, p := range q.Persistent {
		c.arm(p, watch.Persistent)
	}
	for _, p := range q.Recursive {
		c.arm(p, watch.Recursive)
	}
	if len(frames) > 0 {
		c.sendRaw(frames)
	}
	c.send(r, v.Zxid(), proto.OK, nil, c.p.nowNs())
}

// appendEvent appends the frame of a watch event.
func appendEvent(b []byte, e proto.EventType, z proto.Zxid, path string) []byte {
	start := len(b)
	b = append(b, zeroHeader[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(e))
	b = binary.BigEndian.AppendUint32(b, uint32(proto.StateSyncConnected))
	b = appendString(b, path)
	putHeader(b, start, proto.XidEvent, z, proto.OK)
	return b
}
