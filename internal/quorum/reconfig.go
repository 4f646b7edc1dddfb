// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Why a reconfig is refused: what the client is answered is chosen by these,
// with errors.Is.
var (
	ErrReconfigPending = errors.New("another reconfig is not committed yet")           // RECONFIGINPROGRESS
	ErrOtherVersion    = errors.New("the membership has another version")              // BADVERSION
	ErrBadMembers      = errors.New("the new membership is not valid")                 // BADARGUMENTS
	ErrBadID           = errors.New("a server id is not a number")                     // MARSHALLINGERROR
	ErrNoQuorum        = errors.New("no quorum of the new membership is synchronised") // NEWCONFIGNOQUORUM
)

// Ask is what a client's reconfig asks for (client-protocol.md, opcode 16).
type Ask struct {
	From    int64  // version it starts from; -1: any
	Full    bool   // Members is the whole new membership; Joining and Leaving are not looked at
	Members string // server, group and weight lines, parted by commas or newlines
	Joining string // server lines, parted by commas
	Leaving string // server ids, parted by commas
}

// Next is the membership that a reconfig leads to, checked in the order of
// section 13.4; its Version is for the caller to set (WithVersion). seen is the
// last proposed membership. minVoters is 2, or 1 with standaloneEnabled=false.
// synced says which servers are connected and in step with the leader, the
// leader among them.
func Next(committed, seen *Config, ask Ask, minVoters int, synced func(id int64) bool) (*Config, error) {
	if seen == nil {
		seen = committed
	}
	if seen.Version != committed.Version {
		return nil, ErrReconfigPending
	}
	if ask.From != -1 && ask.From != seen.Version {
		return nil, fmt.Errorf("%w: %x, not %x", ErrOtherVersion, seen.Version, ask.From)
	}
	var next *Config
	var err error
	if ask.Full {
		next, err = ParseMembers(ask.Members)
	} else {
		next, err = seen.Incremental(splitList(ask.Joining), splitList(ask.Leaving))
	}
	if err != nil {
		return nil, err
	}
	if n := len(next.Voters()); n < minVoters {
		return nil, fmt.Errorf("%w: %d participants, at least %d", ErrBadMembers, n, minVoters)
	}
	if !next.Quorum(synced) {
		return nil, ErrNoQuorum
	}
	return next, nil
}

// ParseMembers reads the whole membership that a reconfig brings, lines parted
// by commas or newlines. Errors are ErrBadMembers.
func ParseMembers(list string) (*Config, error) {
	c, err := Parse(strings.ReplaceAll(list, ",", "\n"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadMembers, err)
	}
	c.Version = 0
	return c, nil
}

// Incremental is the membership without the servers that leave and with those
// that join; one that joins under an id that is there already replaces it. An
// unknown id that leaves is nothing. Errors are ErrBadMembers and ErrBadID.
func (c *Config) Incremental(joining, leaving []string) (*Config, error) {
	if c.Groups != nil {
		return nil, fmt.Errorf("%w: with groups a reconfig must list all members", ErrBadMembers)
	}
	members := map[int64]Member{}
	for _, m := range c.Members {
		members[m.ID] = m
	}
	for _, text := range leaving {
		id, err := parseID(text)
		if err != nil {
			return nil, err
		}
		delete(members, id)
	}
	for _, text := range joining {
		m, err := parseJoiner(text)
		if err != nil {
			return nil, err
		}
		delete(members, m.ID)
		for _, id := range slices.Sorted(maps.Keys(members)) {
			if shared := sharedAddress(m, members[id]); shared != "" {
				return nil, fmt.Errorf("%w: server %d and server %d share the address %s", ErrBadMembers, m.ID, id, shared)
			}
		}
		members[m.ID] = m
	}
	next := &Config{Members: slices.SortedFunc(maps.Values(members), func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })}
	if n := len(next.String()); n > TextMax {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBadMembers, n, TextMax)
	}
	return next, nil
}

// parseJoiner reads server.N=value, where the word before the dot is not looked
// at; the value needs a client port.
func parseJoiner(text string) (Member, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok || strings.Contains(value, "=") {
		return Member{}, fmt.Errorf("%w: %q is not server.N=address", ErrBadMembers, brief(text))
	}
	id, err := parseID(key[strings.LastIndexByte(key, '.')+1:])
	if err != nil {
		return Member{}, err
	}
	m, err := ParseServer(id, strings.TrimSpace(value), true)
	if err != nil {
		return m, fmt.Errorf("%w: server %d: %w", ErrBadMembers, id, err)
	}
	if m.Client == nil && m.Secure == nil {
		return m, fmt.Errorf("%w: server %d names no client port", ErrBadMembers, id)
	}
	return m, nil
}

func parseID(text string) (int64, error) {
	id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %q", ErrBadID, brief(text))
	case id < 0:
		return 0, fmt.Errorf("%w: the id %d is negative", ErrBadMembers, id)
	}
	return id, nil
}

// splitList cuts at commas; blanks around a part go, and so do empty parts.
func splitList(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// sharedAddress is a host and port that two servers both claim, "" if there is
// none. An address that stands for every interface, or for one's own machine, is
// no one's.
func sharedAddress(a, b Member) string {
	theirs := b.ports()
	for _, p := range a.ports() {
		if slices.Contains(theirs, p) {
			return p.String()
		}
	}
	return ""
}

// ports are all addresses the server listens on, hosts in one form.
func (m Member) ports() []HostPort {
	var out []HostPort
	add := func(host string, port int) {
		host = strings.ToLower(hostText(host))
		a, err := netip.ParseAddr(host)
		if err == nil && (a.IsUnspecified() || a.IsLoopback()) || host == "localhost" {
			return
		}
		out = append(out, HostPort{host, port})
	}
	for _, a := range m.Addrs {
		add(a.Host, a.QuorumPort)
		add(a.Host, a.ElectionPort)
	}
	for _, p := range []*HostPort{m.Client, m.Secure} {
		if p != nil {
			add(p.Host, p.Port)
		}
	}
	return out
}
