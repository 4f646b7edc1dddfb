// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"

	"paddock/jute"
	"paddock/proto"
)

// Stat is a znode's numbers. ACL is one entry of its access control list.
type (
	Stat = proto.Stat
	ACL  = proto.ACL
)

// AnyVersion makes a write unconditional.
const AnyVersion int32 = -1

// Permissions of an ACL entry.
const (
	PermRead   = proto.PermRead
	PermWrite  = proto.PermWrite
	PermCreate = proto.PermCreate
	PermDelete = proto.PermDelete
	PermAdmin  = proto.PermAdmin
	PermAll    = proto.PermAll
)

// Usual access control lists. Do not change them.
var (
	OpenACL       = []ACL{{Perms: PermAll, Scheme: "world", ID: "anyone"}}
	ReadACL       = []ACL{{Perms: PermRead, Scheme: "world", ID: "anyone"}}
	CreatorAllACL = []ACL{{Perms: PermAll, Scheme: "auth", ID: ""}} // whoever AddAuth made the session
)

// CreateFlags say what kind of znode Create makes; 0 is a plain one.
type CreateFlags int32

const (
	// Ephemeral znodes end with the session and have no children.
	Ephemeral = CreateFlags(proto.FlagEphemeral)
	// Sequential znodes get a counter of ten digits appended to their name.
	Sequential = CreateFlags(proto.FlagSequential)
)

// Delete removes a znode that has no children, if its version is version.
func (c *Client) Delete(ctx context.Context, path string, version int32) error {
	abs, err := c.abs(proto.OpDelete, path)
	if err != nil {
		return err
	}
	return c.call(ctx, proto.OpDelete, path, &proto.PathVersion{Path: abs, Version: version}, nil, nil)
}

// Exists tells whether a znode is there, and its numbers if so.
func (c *Client) Exists(ctx context.Context, path string) (Stat, bool, error) {
	stat, ok, _, err := c.exists(ctx, path, false)
	return stat, ok, err
}

// ExistsWatch is Exists with a watch for the znode's next creation, change of
// data or deletion. The watch is armed also if the znode is missing.
func (c *Client) ExistsWatch(ctx context.Context, path string) (Stat, bool, <-chan Event, error) {
	return c.exists(ctx, path, true)
}

func (c *Client) exists(ctx context.Context, path string, watch bool) (stat Stat, ok bool, ch chan Event, err error) {
	abs, err := c.abs(proto.OpExists, path)
	if err != nil {
		return stat, false, nil, err
	}
	var arm func(proto.Code) error
	if watch {
		ch = make(chan Event, 1)
		arm = func(code proto.Code) error {
			switch code {
			case proto.OK:
				c.watches.data[abs] = append(c.watches.data[abs], ch)
			case proto.ErrNoNode:
				c.watches.exist[abs] = append(c.watches.exist[abs], ch)
			}
			return nil
		}
	}
	code, err := c.callCode(ctx, proto.OpExists, path, &proto.PathWatch{Path: abs, Watch: watch}, statRecord{&stat}, arm)
	switch {
	case err == nil:
		return stat, true, ch, nil
	case code == proto.ErrNoNode:
		return stat, false, ch, nil
	}
	return stat, false, nil, err
}

// statRecord is a reply that is a Stat and nothing else.
type statRecord struct{ *Stat }

func (r statRecord) Fields(c *jute.Coder) { r.Stat.Fields(c) }

// Get returns a znode's data and numbers. Null data is nil, empty data is not.
func (c *Client) Get(ctx context.Context, path string) ([]byte, Stat, error) {
	data, stat, _, err := c.get(ctx, path, false)
	return data, stat, err
}

// GetWatch is Get with a watch for the znode's next change of data or deletion.
func (c *Client) GetWatch(ctx context.Context, path string) ([]byte, Stat, <-chan Event, error) {
	return c.get(ctx, path, true)
}

func (c *Client) get(ctx context.Context, path string, watch bool) ([]byte, Stat, chan Event, error) {
	abs, err := c.abs(proto.OpGetData, path)
	if err != nil {
		return nil, Stat{}, nil, err
	}
	return c.getAbs(ctx, abs, path, watch)
}

// getAbs is get of a path on the server.
func (c *Client) getAbs(ctx context.Context, abs, path string, watch bool) ([]byte, Stat, chan Event, error) {
	ch, arm := c.oneShot(watch, c.watches.data, abs)
	var resp proto.DataStat
	if err := c.call(ctx, proto.OpGetData, path, &proto.PathWatch{Path: abs, Watch: watch}, &resp, arm); err != nil {
		return nil, Stat{}, nil, err
	}
	return resp.Data, resp.Stat, ch, nil
}

// oneShot makes a watch that enters table when the read succeeds.
func (c *Client) oneShot(watch bool, table map[string][]chan Event, abs string) (chan Event, func(proto.Code) error) {
	if !watch {
		return nil, nil
	}
	ch := make(chan Event, 1)
	return ch, func(code proto.Code) error {
		if code == proto.OK {
			table[abs] = append(table[abs], ch)
		}
		return nil
	}
}

// Set replaces a znode's data, if its version is version.
func (c *Client) Set(ctx context.Context, path string, data []byte, version int32) (Stat, error) {
	var stat Stat
	abs, err := c.abs(proto.OpSetData, path)
	if err != nil {
		return stat, err
	}
	err = c.call(ctx, proto.OpSetData, path, &proto.SetData{Path: abs, Data: data, Version: version}, statRecord{&stat}, nil)
	return stat, err
}

// Children returns the names of a znode's children, in no particular order.
func (c *Client) Children(ctx context.Context, path string) ([]string, error) {
	abs, err := c.abs(proto.OpGetChildren, path)
	if err != nil {
		return nil, err
	}
	var resp proto.Names
	err = c.call(ctx, proto.OpGetChildren, path, &proto.PathWatch{Path: abs}, &resp, nil)
	return resp.Names, err
}

// ChildrenWithStat is Children with the znode's own numbers.
func (c *Client) ChildrenWithStat(ctx context.Context, path string) ([]string, Stat, error) {
	names, stat, _, err := c.children(ctx, path, false)
	return names, stat, err
}

// ChildrenWatch is ChildrenWithStat with a watch for the next creation or
// deletion of a child, or the deletion of the znode itself.
func (c *Client) ChildrenWatch(ctx context.Context, path string) ([]string, Stat, <-chan Event, error) {
	return c.children(ctx, path, true)
}

func (c *Client) children(ctx context.Context, path string, watch bool) ([]string, Stat, chan Event, error) {
	abs, err := c.abs(proto.OpGetChildren2, path)
	if err != nil {
		return nil, Stat{}, nil, err
	}
	ch, arm := c.oneShot(watch, c.watches.child, abs)
	var resp proto.NamesStat
	if err := c.call(ctx, proto.OpGetChildren2, path, &proto.PathWatch{Path: abs, Watch: watch}, &resp, arm); err != nil {
		return nil, Stat{}, nil, err
	}
	return resp.Names, resp.Stat, ch, nil
}

// AllChildrenNumber counts all znodes below path.
func (c *Client) AllChildrenNumber(ctx context.Context, path string) (int, error) {
	abs, err := c.abs(proto.OpGetAllChildrenNumber, path)
	if err != nil {
		return 0, err
	}
	var resp proto.Number
	err = c.call(ctx, proto.OpGetAllChildrenNumber, path, &proto.Path{Path: abs}, &resp, nil)
	return int(resp.N), err
}

// GetEphemerals returns the paths of this session's ephemeral znodes that begin
// with prefix, which is text and not a path: "/a" takes in "/ab", and "" all.
// Under a chroot only those below it are seen.
func (c *Client) GetEphemerals(ctx context.Context, prefix string) ([]string, error) {
	send := prefix
	if c.chroot != "" {
		if send == "" {
			send = "/"
		}
		send = c.chroot + send
	}
	var resp proto.Names
	if err := c.call(ctx, proto.OpGetEphemerals, prefix, &proto.Path{Path: send}, &resp, nil); err != nil {
		return nil, err
	}
	for i, p := range resp.Names {
		resp.Names[i] = c.rel(p)
	}
	return resp.Names, nil
}

// Sync makes later reads of this client see at least what the ensemble had
// committed when the call was made.
func (c *Client) Sync(ctx context.Context, path string) error {
	abs, err := c.abs(proto.OpSync, path)
	if err != nil {
		return err
	}
	return c.call(ctx, proto.OpSync, path, &proto.Path{Path: abs}, &proto.Path{}, nil)
}

// RemoveWatches ends all of this client's watches of a path that are of a kind,
// here and on the server. Each channel gets an event that says so. The error is
// ErrNoWatcher if there are none.
func (c *Client) RemoveWatches(ctx context.Context, path string, kind WatchKind) error {
	abs, err := c.abs(proto.OpRemoveWatches, path)
	if err != nil {
		return err
	}
	return c.call(ctx, proto.OpRemoveWatches, path, &proto.PathType{Path: abs, Type: int32(kind)}, nil, func(code proto.Code) error {
		if code == proto.OK {
			c.watches.remove(abs, kind)
		}
		return nil
	})
}

// CheckWatches asks the server whether this client has a watch of a path and a
// kind; the error is ErrNoWatcher if not.
func (c *Client) CheckWatches(ctx context.Context, path string, kind WatchKind) error {
	abs, err := c.abs(proto.OpCheckWatches, path)
	if err != nil {
		return err
	}
	return c.call(ctx, proto.OpCheckWatches, path, &proto.PathType{Path: abs, Type: int32(kind)}, nil, nil)
}
