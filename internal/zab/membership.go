// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"fmt"

	"paddock/internal/quorum"
	"paddock/proto"
)

// adopt makes c the committed membership. It is one that some server knows to
// be committed.
func (p *Peer) adopt(c *quorum.Config) {
	if c.Version <= p.committed.Version {
		return
	}
	same := p.committed.SameMembers(c)
	p.committed = c
	if p.seen != nil && p.seen.Version <= c.Version {
		p.seen = nil
	}
	p.out.Membership = c
	p.election.membership(p.committed, p.seen)
	p.line(false, "the membership has changed", "version", fmt.Sprintf("%x", c.Version), "members", len(c.Members))
	if p.role == proto.Looking && !p.settling && !same {
		p.election.begin(p.now, p.ownVote())
	}
}

// propose notes a membership that is proposed and not decided.
func (p *Peer) proposed(c *quorum.Config) {
	if c == nil || c.Version <= p.committed.Version || !p.opt.Reconfig {
		return
	}
	p.seen = c
	p.out.Seen = c
	p.election.membership(p.committed, p.seen)
}

// forgetSeen drops a membership that was proposed in an epoch before that of the
// reign this server is part of, whose membership is the older version: the reconfig
// was no part of its history, and never will be decided. To wait for a quorum of it
// would be to wait for ever.
func (p *Peer) forgetSeen(version, epoch int64) {
	if p.seen == nil || version >= p.seen.Version || epoch <= p.seen.Version>>32 {
		return
	}
	p.line(false, "a proposed membership came to nothing", "version", fmt.Sprintf("%x", p.seen.Version))
	p.seen, p.out.Seen = nil, p.committed
	p.election.membership(p.committed, nil)
}
