// SPDX-License-Identifier: Apache-2.0

package config

// Server is one server.N line.
type Server struct {
	ID       int64
	Addrs    []ServerAddr
	Observer bool
	Client   *HostPort // nil when the line has no client part
	Secure   *HostPort // TLS client address; nil when the line has none
}

// ServerAddr is where the other servers reach a server.
type ServerAddr struct {
	Host         string // without brackets
	QuorumPort   int
	ElectionPort int
}

// HostPort is an address of a client port.
type HostPort struct {
	Host string // without brackets
	Port int
}
