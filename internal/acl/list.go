// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"slices"
	"strings"

	"paddock/jute"
	"paddock/proto"
)

// Fix returns the list to store for one that a client with ids sent
// (client-protocol.md section 9.3): duplicates go, the order stays, and auth
// becomes an entry for each id of the client that its scheme vouches for. The
// code is ErrInvalidACL for a list that is empty or has a bad entry, and
// ErrMarshalling for the null texts on which the reference stumbles. The list
// given is not written to; what is returned may share its memory.
func (a *Authority) Fix(list []proto.ACL, ids []ID) ([]proto.ACL, proto.Code) {
	if len(list) == 0 {
		return nil, proto.ErrInvalidACL
	}
	if len(list) == 1 && list[0].Scheme == World && list[0].ID == anyone {
		return list, proto.OK
	}
	fixed := make([]proto.ACL, 0, len(list))
	seen := make(map[entryKey]bool, len(list))
	for _, e := range list {
		key := entryKey{e, jute.IsNull(e.Scheme), jute.IsNull(e.ID)}
		if seen[key] {
			continue
		}
		seen[key] = true
		if e.Scheme == Auth {
			n := len(fixed)
			for _, id := range ids {
				if a.vouches(id.Scheme) {
					fixed = append(fixed, proto.ACL{Perms: e.Perms, Scheme: id.Scheme, ID: id.ID})
				}
			}
			if len(fixed) == n {
				return nil, proto.ErrInvalidACL
			}
			continue
		}
		if code := a.checkEntry(e); code != proto.OK {
			return nil, code
		}
		fixed = append(fixed, e)
	}
	return fixed, proto.OK
}

// entryKey tells entries apart, null from every text too.
type entryKey struct {
	proto.ACL
	nullScheme, nullID bool
}

// vouches tells whether ids of the scheme are proofs rather than observations:
// an address is not.
func (a *Authority) vouches(scheme string) bool {
	switch a.provider(scheme) {
	case digestProvider, saslProvider, x509Provider:
		return true
	}
	return false
}

// checkEntry is the check of one entry other than auth.
func (a *Authority) checkEntry(e proto.ACL) proto.Code {
	if jute.IsNull(e.Scheme) {
		return proto.ErrInvalidACL
	}
	p, null := a.provider(e.Scheme), jute.IsNull(e.ID)
	ok := false
	switch {
	case null && (e.Scheme == World || p != noProvider && p != ensembleProvider):
		return proto.ErrMarshalling
	case e.Scheme == World:
		ok = e.ID == anyone
	case p == ipProvider:
		ok = validIP(e.ID)
	case p == digestProvider:
		ok = validDigestID(e.ID)
	case p == saslProvider:
		ok = validSASLName(e.ID)
	case p == x509Provider:
		ok = validX500Name(e.ID)
	}
	if !ok {
		return proto.ErrInvalidACL
	}
	return proto.OK
}

// validDigestID wants two parts around a colon; empty parts at the end do not
// count.
func validDigestID(s string) bool {
	return strings.Count(strings.TrimRight(s, ":"), ":") == 1
}

// validSASLName wants service[/host]@realm, or no @ at all.
func validSASLName(s string) bool {
	name, realm, ok := strings.Cut(s, "@")
	return !ok || !strings.ContainsAny(realm, "/@") && strings.Count(name, "/") <= 1
}

// Redact returns the list as getACL shows it to a client without ADMIN: of a
// digest id only the user is left. The list given is not written to.
func Redact(list []proto.ACL) []proto.ACL {
	hidden := func(e proto.ACL) bool { return e.Scheme == Digest && strings.IndexByte(e.ID, ':') >= 0 }
	if !slices.ContainsFunc(list, hidden) {
		return list
	}
	list = slices.Clone(list)
	for i, e := range list {
		if hidden(e) {
			list[i].ID = e.ID[:strings.IndexByte(e.ID, ':')] + ":x"
		}
	}
	return list
}
