// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Server is one server.N line.
type Server struct {
	ID       int64
	Addrs    []ServerAddr // at least one; sorted by host
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

// String is the address as the original writes it: IPv6 in full and in brackets.
func (h HostPort) String() string { return writtenHost(h.Host) + ":" + strconv.Itoa(h.Port) }

// String is the value of the server's line in the form the original normalises it to.
func (s Server) String() string {
	role := "participant"
	if s.Observer {
		role = "observer"
	}
	addrs := make([]string, len(s.Addrs))
	for i, a := range s.Addrs {
		addrs[i] = fmt.Sprintf("%s:%d:%d:%s", writtenHost(a.Host), a.QuorumPort, a.ElectionPort, role)
	}
	out := strings.Join(addrs, "|")
	if s.Client != nil {
		out += ";" + s.Client.String()
	}
	if s.Secure != nil {
		if s.Client == nil {
			out += ";"
		}
		out += ";" + s.Secure.String()
	}
	return out
}

// writtenHost writes an IPv6 address as eight groups without leading zeroes.
func writtenHost(host string) string {
	a, err := netip.ParseAddr(host)
	if err != nil || !a.Is6() {
		return host
	}
	b := a.As16()
	groups := make([]string, 8)
	for i := range groups {
		groups[i] = strconv.FormatUint(uint64(b[2*i])<<8|uint64(b[2*i+1]), 16)
	}
	return "[" + strings.Join(groups, ":") + "]"
}

const serverForm = "must have the form host:port:port[:role][|...][;[host:]port], where role is participant or observer"

// ParseServer reads the value of a server.N line.
func ParseServer(id int64, value string, multiAddress bool) (Server, error) {
	s := Server{ID: id}
	parts := strings.Split(value, ";")
	if len(parts) > 3 || len(parts) == 3 && parts[2] == "" {
		return s, fmt.Errorf("%s", serverForm)
	}
	addrs := strings.Split(parts[0], "|")
	if len(addrs) > 1 && !multiAddress {
		return s, fmt.Errorf("has several addresses, but multiAddress.enabled is not true")
	}
	for i, text := range addrs {
		a, observer, err := parseServerAddr(text)
		switch {
		case err != nil:
			return s, err
		case i > 0 && observer != s.Observer:
			return s, fmt.Errorf("all addresses of a server must have the same role")
		}
		s.Observer = observer
		s.Addrs = append(s.Addrs, a)
	}
	slices.SortStableFunc(s.Addrs, func(a, b ServerAddr) int { return strings.Compare(a.Host, b.Host) })
	var err error
	if len(parts) > 1 && !(parts[1] == "" && len(parts) == 3) {
		if s.Client, err = parseClientPart(parts[1]); err != nil {
			return s, err
		}
	}
	if len(parts) == 3 {
		s.Secure, err = parseClientPart(parts[2])
	}
	return s, err
}

func parseServerAddr(text string) (a ServerAddr, observer bool, err error) {
	fields, err := splitHost(text)
	if err != nil {
		return a, false, err
	}
	if len(fields) < 3 || len(fields) > 4 || fields[0] == "" {
		return a, false, fmt.Errorf("%s", serverForm)
	}
	a.Host = fields[0]
	if a.QuorumPort, err = parsePort(fields[1]); err != nil {
		return a, false, err
	}
	if a.ElectionPort, err = parsePort(fields[2]); err != nil {
		return a, false, err
	}
	if a.QuorumPort == a.ElectionPort {
		return a, false, fmt.Errorf("quorum port and election port must differ, both are %d", a.QuorumPort)
	}
	if len(fields) == 4 {
		role := strings.TrimSpace(fields[3])
		if checkPeerType(role) != "" {
			return a, false, fmt.Errorf("unknown role %q: must be participant or observer", printable(role))
		}
		observer = strings.EqualFold(role, "observer")
	}
	return a, observer, nil
}

// parseClientPart reads [host:]port; without a host it is every interface.
func parseClientPart(text string) (*HostPort, error) {
	fields, err := splitHost(text)
	if err != nil {
		return nil, err
	}
	if len(fields) == 1 && !strings.HasPrefix(text, "[") {
		fields = []string{"0.0.0.0", fields[0]}
	}
	if len(fields) != 2 || fields[0] == "" {
		return nil, fmt.Errorf("%s", serverForm)
	}
	port, err := parsePort(fields[1])
	if err != nil {
		return nil, err
	}
	return &HostPort{fields[0], port}, nil
}

// splitHost cuts at colons; a host in brackets is one field, without them.
func splitHost(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "[") {
		return strings.Split(text, ":"), nil
	}
	host, rest, ok := strings.Cut(text[1:], "]:")
	if !ok {
		return nil, fmt.Errorf("starts with '[' but has no matching ']:'")
	}
	if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
		return nil, fmt.Errorf("%q is not an IPv6 address", printable(host))
	}
	return append([]string{host}, strings.Split(rest, ":")...), nil
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", printable(text))
	}
	return int(n), nil
}
