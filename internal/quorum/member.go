// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// String is the address as Apache writes it: IPv6 in full and in brackets.
func (h HostPort) String() string { return writtenHost(h.Host) + ":" + strconv.Itoa(h.Port) }

// String is the value of the member's server line in the form Apache normalises
// it to. The role stands once, behind the last address.
func (m Member) String() string {
	var b strings.Builder
	for i, a := range m.Addrs {
		if i > 0 {
			b.WriteByte('|')
		}
		fmt.Fprintf(&b, "%s:%d:%d", writtenHost(a.Host), a.QuorumPort, a.ElectionPort)
	}
	if m.Observer {
		b.WriteString(":observer")
	} else {
		b.WriteString(":participant")
	}
	if m.Client != nil {
		b.WriteString(";" + m.Client.String())
	}
	if m.Secure != nil {
		if m.Client == nil {
			b.WriteByte(';')
		}
		b.WriteString(";" + m.Secure.String())
	}
	return b.String()
}

// hostText writes an IPv6 address as eight groups without leading zeroes, and
// one that stands for an IPv4 address as that.
func hostText(host string) string {
	a, err := netip.ParseAddr(host)
	if err != nil || !a.Is6() {
		return host
	}
	if a.Is4In6() {
		return a.Unmap().String()
	}
	b := a.As16()
	groups := make([]string, 8)
	for i := range groups {
		groups[i] = strconv.FormatUint(uint64(b[2*i])<<8|uint64(b[2*i+1]), 16)
	}
	out := strings.Join(groups, ":")
	if a.Zone() != "" {
		out += "%" + a.Zone()
	}
	return out
}

// writtenHost is hostText, in brackets where it has colons.
func writtenHost(host string) string {
	text := hostText(host)
	if strings.Contains(text, ":") {
		return "[" + text + "]"
	}
	return text
}

var errServerForm = errors.New("must have the form host:port:port[:role][|...][;[host:]port], where role is participant or observer")

// ParseServer reads the value of a server.N line (section 13.1). Several
// addresses are refused unless multiAddress. A role that stands behind one
// address counts for all.
func ParseServer(id int64, value string, multiAddress bool) (Member, error) {
	m := Member{ID: id}
	parts := strings.Split(value, ";")
	if len(parts) > 3 || len(parts) == 3 && parts[2] == "" {
		return m, errServerForm
	}
	addrs := strings.Split(parts[0], "|")
	if len(addrs) > 1 && !multiAddress {
		return m, errors.New("has several addresses, but multiAddress.enabled is not true")
	}
	role := ""
	for _, text := range addrs {
		a, r, err := parseAddr(text)
		switch {
		case err != nil:
			return m, err
		case role != "" && r != "" && r != role:
			return m, errors.New("all addresses of a server must have the same role")
		case r != "":
			role = r
		}
		m.Addrs = append(m.Addrs, a)
	}
	m.Observer = role == "observer"
	slices.SortStableFunc(m.Addrs, func(a, b Addr) int { return strings.Compare(hostText(a.Host), hostText(b.Host)) })
	var err error
	if len(parts) > 1 && !(parts[1] == "" && len(parts) == 3) {
		if m.Client, err = parseClientPart(parts[1]); err != nil {
			return m, err
		}
	}
	if len(parts) == 3 {
		m.Secure, err = parseClientPart(parts[2])
	}
	return m, err
}

// parseAddr reads host:port:port[:role]; role is "" where there is none.
func parseAddr(text string) (a Addr, role string, err error) {
	fields, err := splitHost(text)
	if err != nil {
		return a, "", err
	}
	if len(fields) < 3 || len(fields) > 4 {
		return a, "", errServerForm
	}
	if err := checkHost(fields[0]); err != nil {
		return a, "", err
	}
	a.Host = fields[0]
	if a.QuorumPort, err = parsePort(fields[1]); err != nil {
		return a, "", err
	}
	if a.ElectionPort, err = parsePort(fields[2]); err != nil {
		return a, "", err
	}
	if a.QuorumPort == a.ElectionPort {
		return a, "", fmt.Errorf("quorum port and election port must differ, both are %d", a.QuorumPort)
	}
	if len(fields) == 4 {
		role = strings.ToLower(strings.TrimSpace(fields[3]))
		if role != "participant" && role != "observer" {
			return a, "", fmt.Errorf("unknown role %q: must be participant or observer", brief(fields[3]))
		}
	}
	return a, role, nil
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
	if len(fields) != 2 {
		return nil, errServerForm
	}
	if err := checkHost(fields[0]); err != nil {
		return nil, err
	}
	port, err := parsePort(fields[1])
	if err != nil {
		return nil, err
	}
	return &HostPort{fields[0], port}, nil
}

// checkHost refuses what would not come back from the text of a membership.
func checkHost(host string) error {
	if host == "" {
		return errServerForm
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return fmt.Errorf("%q is not a host: it has a blank, a control character or a backslash", brief(host))
	}
	return nil
}

// splitHost cuts at colons; a host in brackets is one field, without them.
func splitHost(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "[") {
		return strings.Split(text, ":"), nil
	}
	host, rest, ok := strings.Cut(text[1:], "]:")
	if !ok {
		return nil, errors.New("starts with '[' but has no matching ']:'")
	}
	if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
		return nil, fmt.Errorf("%q is not an IPv6 address", brief(host))
	}
	return append([]string{host}, strings.Split(rest, ":")...), nil
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", brief(text))
	}
	return int(n), nil
}

// brief keeps what others wrote within reason in a message.
func brief(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
