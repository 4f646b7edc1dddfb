// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"strings"

	"paddock/jute"
	"paddock/proto"
)

// ClientInfo is one identity of a connection: a scheme ("ip", "digest", …) and
// a user.
type ClientInfo = proto.ClientInfo

// WhoAmI returns the identities that the server knows this connection by.
func (c *Client) WhoAmI(ctx context.Context) ([]ClientInfo, error) {
	var resp proto.WhoAmI
	err := c.call(ctx, proto.OpWhoAmI, "", nil, &resp, nil)
	return resp.IDs, err
}

// GetConfig returns the ensemble's configuration: a line for each server and a
// last one "version=…" in hex. It is empty for a standalone server. The chroot
// has no bearing on it.
func (c *Client) GetConfig(ctx context.Context) ([]byte, Stat, error) {
	data, stat, _, err := c.getAbs(ctx, proto.ConfigPath, proto.ConfigPath, false)
	return data, stat, err
}

// GetConfigWatch is GetConfig with a watch for its next change.
func (c *Client) GetConfigWatch(ctx context.Context) ([]byte, Stat, <-chan Event, error) {
	return c.getAbs(ctx, proto.ConfigPath, proto.ConfigPath, true)
}

// Reconfiguration is a change of the ensemble: either Joining and Leaving, or
// all of Members.
type Reconfiguration struct {
	Joining []string // "server.N=host:port:port[:role];[host:]port"
	Leaving []string // server numbers
	Members []string // as Joining
	Version int64    // of the configuration to be changed; -1 accepts any
}

// Reconfig changes the ensemble and returns its new configuration.
func (c *Client) Reconfig(ctx context.Context, r Reconfiguration) ([]byte, Stat, error) {
	list := func(l []string) string {
		if len(l) == 0 {
			return jute.Null()
		}
		return strings.Join(l, ",")
	}
	req := &proto.Reconfig{
		Joining: list(r.Joining), Leaving: list(r.Leaving), NewMembers: list(r.Members), CurConfigID: r.Version,
	}
	var resp proto.DataStat
	err := c.call(ctx, proto.OpReconfig, "", req, &resp, nil)
	return resp.Data, resp.Stat, err
}
