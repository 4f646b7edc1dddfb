// SPDX-License-Identifier: Apache-2.0

// Package quorum knows who the members of an ensemble are and which sets of
// them decide. It is pure: values in, values out.
package quorum

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
	Addrs    []Addr // at least one
	Observer bool
	Client   *HostPort // nil where the line names none
	Secure   *HostPort
}

// Config is a membership. It is not changed once it is made.
type Config struct {
	Version int64             // zxid of the reconfig that made it; 0: never reconfigured
	Members []Member          // by rising ID
	Groups  map[int64][]int64 // group id to members; nil is a plain majority
	Weights map[int64]int64   // by member; an absent one counts 1
}
