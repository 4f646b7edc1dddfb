// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"math"
	"slices"
)

// Weight is what a member's vote counts: 1 where there are no groups; with
// groups, a server that is neither a voter nor named in a weight line counts 0.
func (c *Config) Weight(id int64) int64 {
	if c.Groups == nil {
		return 1
	}
	if w, ok := c.Weights[id]; ok {
		return w
	}
	if c.IsVoter(id) {
		return 1
	}
	return 0
}

// Quorum says whether the voters for which in is true decide: more than half of
// them, or, with groups, more than half of the weight in more than half of the
// groups that have any. Only voters are asked.
func (c *Config) Quorum(in func(id int64) bool) bool {
	if c.Groups != nil {
		return c.quorumOfGroups(in)
	}
	voters, have := 0, 0
	for i := range c.Members {
		if c.Members[i].Observer {
			continue
		}
		voters++
		if in(c.Members[i].ID) {
			have++
		}
	}
	return have > voters/2
}

// quorumOfGroups: a group counts its members' weights whether they may vote or
// not, as the reference does, so that in a mixed ensemble all servers agree on
// what a quorum is.
func (c *Config) quorumOfGroups(in func(id int64) bool) bool {
	groups, won := 0, 0
	for _, ids := range c.Groups {
		var all, have int64
		for _, id := range ids {
			w := c.Weight(id)
			all += w
			if c.IsVoter(id) && in(id) {
				have += w
			}
		}
		if all == 0 {
			continue
		}
		groups++
		if have > all/2 {
			won++
		}
	}
	return won > groups/2
}

// Reached says whether the servers are a quorum of each membership. A nil one
// asks for nothing.
func Reached(in func(id int64) bool, cs ...*Config) bool {
	for _, c := range cs {
		if c != nil && !c.Quorum(in) {
			return false
		}
	}
	return true
}

// CommittedUpTo is the highest value that a quorum has reached: the voters with
// at(id) >= that value are one. Where nobody votes it is the lowest int64.
// at must give the same answer for an id throughout the call.
func (c *Config) CommittedUpTo(at func(id int64) int64) int64 {
	var few [7]int64 // no ensemble of more votes in practice, and none such allocates
	votes := few[:0]
	for i := range c.Members {
		if !c.Members[i].Observer {
			votes = append(votes, at(c.Members[i].ID))
		}
	}
	slices.Sort(votes)
	if c.Groups == nil {
		if len(votes) == 0 {
			return math.MinInt64
		}
		return votes[(len(votes)-1)/2] // leaves more than half at or above it
	}
	for i := len(votes) - 1; i >= 0; i-- {
		if c.Quorum(func(id int64) bool { return at(id) >= votes[i] }) {
			return votes[i]
		}
	}
	return math.MinInt64
}

// CommittedUpTo is the highest value that quorums of all memberships have
// reached. A nil one asks for nothing.
func CommittedUpTo(at func(id int64) int64, cs ...*Config) int64 {
	low := int64(math.MaxInt64)
	for _, c := range cs {
		if c != nil {
			low = min(low, c.CommittedUpTo(at))
		}
	}
	return low
}
