// SPDX-License-Identifier: Apache-2.0

// Package quorum knows who the members of an ensemble are and which sets of
// them decide. It is pure: values in, values out.
//
//	quorum.go   the membership and what is asked of it
//	decide.go   which sets of members are a quorum (quorum-protocol.md section 3.6)
//	member.go   one server line (section 13.1)
//	text.go     the text of a whole membership (section 13.2)
//	reconfig.go the membership that a reconfig asks for (section 13.4)
package quorum

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// HostPort is an address of a client port.
type HostPort struct {
	Host string // without brackets
	Port int
}

// Addr is one address of a member, with its two ports.
type Addr struct {
	Host         string // without brackets
	QuorumPort   int
	ElectionPort int
}

// Member is one server of an ensemble.
type Member struct {
	ID       int64
	Addrs    []Addr // at least one; sorted by host
	Observer bool
	Client   *HostPort // nil where the line names none
	Secure   *HostPort // TLS client address; nil where the line names none
}

// Config is a membership. It is not changed once it is made.
type Config struct {
	Version int64             // zxid of the reconfig that made it; 0: never reconfigured
	Members []Member          // by rising ID
	Groups  map[int64][]int64 // group id to members; nil is a plain majority
	Weights map[int64]int64   // by member; an absent one counts 1; used with Groups only
}

// Member finds a member by its id.
func (c *Config) Member(id int64) (Member, bool) {
	if i := c.find(id); i >= 0 {
		return c.Members[i], true
	}
	return Member{}, false
}

// find is the index of a member, -1 if there is none.
func (c *Config) find(id int64) int {
	i, ok := slices.BinarySearchFunc(c.Members, id, func(m Member, id int64) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return -1
	}
	return i
}

// IsVoter says whether a server is a member that votes.
func (c *Config) IsVoter(id int64) bool {
	i := c.find(id)
	return i >= 0 && !c.Members[i].Observer
}

// Voters are the ids of the members that vote, rising.
func (c *Config) Voters() []int64 { return c.ids(false) }

// Observers are the ids of the members that do not vote, rising.
func (c *Config) Observers() []int64 { return c.ids(true) }

func (c *Config) ids(observers bool) []int64 {
	var out []int64
	for i := range c.Members {
		if c.Members[i].Observer == observers {
			out = append(out, c.Members[i].ID)
		}
	}
	return out
}

// WithVersion is the same membership under another version.
func (c *Config) WithVersion(version int64) *Config {
	out := *c
	out.Version = version
	return &out
}

// SameMembers says whether an election among one membership is also one among
// the other: the same ids, roles, quorum and election addresses, groups and
// weights (section 3.9). Versions and client addresses may differ.
func (c *Config) SameMembers(o *Config) bool {
	if c == o {
		return true
	}
	if c == nil || o == nil || len(c.Members) != len(o.Members) || (c.Groups == nil) != (o.Groups == nil) {
		return false
	}
	for i := range c.Members {
		a, b := &c.Members[i], &o.Members[i]
		if a.ID != b.ID || a.Observer != b.Observer || !slices.EqualFunc(a.Addrs, b.Addrs, sameAddr) ||
			c.Weight(a.ID) != o.Weight(a.ID) {
			return false
		}
	}
	return maps.EqualFunc(c.Groups, o.Groups, sameSet)
}

func sameAddr(a, b Addr) bool {
	return sameHost(a.Host, b.Host) && a.QuorumPort == b.QuorumPort && a.ElectionPort == b.ElectionPort
}

// sameHost compares names without regard to case, and IPv6 addresses in full.
func sameHost(a, b string) bool {
	return a == b || strings.EqualFold(hostText(a), hostText(b))
}

func sameSet(a, b []int64) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
