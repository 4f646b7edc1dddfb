// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paddock/proto"
)

// Create makes a znode and returns its path, which for a Sequential one is
// longer than the path given.
func (c *Client) Create(ctx context.Context, path string, data []byte, acl []ACL, flags CreateFlags) (string, error) {
	abs, err := c.prepareCreate(proto.OpCreate, path, acl, flags)
	if err != nil {
		return "", err
	}
	var resp proto.Path
	req := &proto.Create{Path: abs, Data: data, ACL: acl, Flags: int32(flags)}
	if err := c.call(ctx, proto.OpCreate, path, req, &resp, nil); err != nil {
		return "", err
	}
	return c.rel(resp.Path), nil
}

// CreateWithStat is Create, and returns the new znode's numbers.
func (c *Client) CreateWithStat(ctx context.Context, path string, data []byte, acl []ACL, flags CreateFlags) (string, Stat, error) {
	abs, err := c.prepareCreate(proto.OpCreate2, path, acl, flags)
	if err != nil {
		return "", Stat{}, err
	}
	var resp proto.PathStat
	req := &proto.Create{Path: abs, Data: data, ACL: acl, Flags: int32(flags)}
	if err := c.call(ctx, proto.OpCreate2, path, req, &resp, nil); err != nil {
		return "", Stat{}, err
	}
	return c.rel(resp.Path), resp.Stat, nil
}

// CreateContainer makes a znode that the server removes some time after its
// last child is gone.
func (c *Client) CreateContainer(ctx context.Context, path string, data []byte, acl []ACL) (string, Stat, error) {
	abs, err := c.prepareCreate(proto.OpCreateContainer, path, acl, 0)
	if err != nil {
		return "", Stat{}, err
	}
	var resp proto.PathStat
	req := &proto.Create{Path: abs, Data: data, ACL: acl, Flags: proto.FlagContainer}
	if err := c.call(ctx, proto.OpCreateContainer, path, req, &resp, nil); err != nil {
		return "", Stat{}, err
	}
	return c.rel(resp.Path), resp.Stat, nil
}

// CreateTTL makes a znode that the server removes when it has no children and
// its data was not set for ttl, which is 1 ms to 2^40-1 ms. flags may be
// Sequential. A server that has this switched off answers ErrUnimplemented.
func (c *Client) CreateTTL(ctx context.Context, path string, data []byte, acl []ACL, flags CreateFlags, ttl time.Duration) (string, Stat, error) {
	abs, err := c.prepareCreate(proto.OpCreateTTL, path, acl, flags)
	if err != nil {
		return "", Stat{}, err
	}
	wire, err := ttlFlags(flags, ttl)
	if err != nil {
		return "", Stat{}, &Error{Op: proto.OpCreateTTL.String(), Path: path, Code: ErrBadArguments, Cause: err}
	}
	var resp proto.PathStat
	req := &proto.CreateTTL{Path: abs, Data: data, ACL: acl, Flags: wire, TTL: ttl.Milliseconds()}
	if err := c.call(ctx, proto.OpCreateTTL, path, req, &resp, nil); err != nil {
		return "", Stat{}, err
	}
	return c.rel(resp.Path), resp.Stat, nil
}

// ttlFlags are the flags on the wire of a znode with a time to live.
func ttlFlags(flags CreateFlags, ttl time.Duration) (int32, error) {
	if ms := ttl.Milliseconds(); ms < 1 || ms > proto.MaxTTL {
		return 0, fmt.Errorf("ttl %v is not in 1ms..%dms", ttl, proto.MaxTTL)
	}
	switch flags {
	case 0:
		return proto.FlagTTL, nil
	case Sequential:
		return proto.FlagPersistentSeqWithTTL, nil
	}
	return 0, errors.New("a znode with a ttl may be sequential and nothing else")
}

// prepareCreate does the checks that need no server.
func (c *Client) prepareCreate(op proto.OpCode, path string, acl []ACL, flags CreateFlags) (string, error) {
	if flags&^(Ephemeral|Sequential) != 0 {
		return "", &Error{Op: op.String(), Path: path, Code: ErrBadArguments, Cause: fmt.Errorf("flags %d", flags)}
	}
	if err := checkACL(op, path, acl); err != nil {
		return "", err
	}
	return c.absNew(op, path, flags)
}

func checkACL(op proto.OpCode, path string, acl []ACL) error {
	if len(acl) == 0 {
		return &Error{Op: op.String(), Path: path, Code: ErrInvalidACL, Cause: errors.New("the list is empty")}
	}
	return nil
}

// GetACL returns a znode's access control list and numbers.
func (c *Client) GetACL(ctx context.Context, path string) ([]ACL, Stat, error) {
	abs, err := c.abs(proto.OpGetACL, path)
	if err != nil {
		return nil, Stat{}, err
	}
	var resp proto.ACLStat
	err = c.call(ctx, proto.OpGetACL, path, &proto.Path{Path: abs}, &resp, nil)
	return resp.ACL, resp.Stat, err
}

// SetACL replaces a znode's access control list, if the list's version (Stat's
// Aversion) is version.
func (c *Client) SetACL(ctx context.Context, path string, acl []ACL, version int32) (Stat, error) {
	var stat Stat
	abs, err := c.abs(proto.OpSetACL, path)
	if err != nil {
		return stat, err
	}
	if err := checkACL(proto.OpSetACL, path, acl); err != nil {
		return stat, err
	}
	err = c.call(ctx, proto.OpSetACL, path, &proto.SetACL{Path: abs, ACL: acl, Version: version}, statRecord{&stat}, nil)
	return stat, err
}
