// SPDX-License-Identifier: Apache-2.0

// Package acl decides who may do what: it knows the ids that a connection has
// gathered, the schemes that relate them to the entries of a znode's list, and
// the checks that a new list must pass.
//
// An Authority is made once from the configuration and never changes, so that
// any goroutine may ask it. A connection's ids are a slice that is never
// written again after it was handed out: each function that adds to it returns
// a new one, and a request keeps the one it was read with.
//
// The package does no I/O and keeps no lists: storing them is the tree's
// business, the SASL and TLS exchanges are the connection's.
package acl

import (
	"fmt"
	"slices"

	"paddock/proto"
)

// ID is one identity of a connection: a scheme and what it calls the client.
type ID struct{ Scheme, ID string }

// The schemes that have a meaning here. World and auth appear in lists only,
// super on connections only.
const (
	World    = "world"
	Auth     = "auth"
	Super    = "super"
	IP       = "ip"
	Digest   = "digest"
	SASL     = "sasl"
	X509     = "x509"
	Ensemble = "ensemble"
	anyone   = "anyone"
)

// Providers are the schemes that exist only where the configuration asks for
// them; ip exists always, digest unless Options switches it off.
type Providers struct{ SASL, X509, Ensemble bool }

// Options is what the configuration says of authentication.
type Options struct {
	SkipACL           bool     // everything is allowed; new lists are checked all the same
	DigestEnabled     bool     // the digest scheme exists
	DigestAlg         string   // Java's name of the hash; "" is SHA1
	SuperDigest       string   // "user:base64": the digest id that is super besides; "" is none
	X509SuperUser     string   // the subject that is super besides; "" is none
	EnsembleNames     []string // what the ensemble scheme accepts; none accepts all
	Providers         Providers
	LetAnySaslUserDoX string   // the list entry that every sasl id matches; "" is none
	SuperUsers        []string // the sasl ids that are super besides
	EnforceSchemes    []string // a connection needs an id of one of these to be served; none: no need
}

// Authority answers for one configuration.
type Authority struct {
	opt  Options
	hash digestFunc
}

// New checks the options: the hash must be known, and every scheme that is
// enforced must exist.
func New(opt Options) (*Authority, error) {
	a := &Authority{opt: opt}
	alg := opt.DigestAlg
	if alg == "" {
		alg = "SHA1"
	}
	if a.hash = digestByName(alg); a.hash == nil {
		return nil, fmt.Errorf("acl: digest algorithm %q is not known", alg)
	}
	for _, s := range opt.EnforceSchemes {
		if a.provider(s) == noProvider {
			return nil, fmt.Errorf("acl: scheme %q is enforced but does not exist on this server", s)
		}
	}
	return a, nil
}

// provider is what stands behind a scheme name.
type provider uint8

const (
	noProvider provider = iota
	ipProvider
	digestProvider
	saslProvider
	x509Provider
	ensembleProvider
)

func (a *Authority) provider(scheme string) provider {
	p, on := noProvider, false
	switch scheme {
	case IP:
		p, on = ipProvider, true
	case Digest:
		p, on = digestProvider, a.opt.DigestEnabled
	case SASL:
		p, on = saslProvider, a.opt.Providers.SASL
	case X509:
		p, on = x509Provider, a.opt.Providers.X509
	case Ensemble:
		p, on = ensembleProvider, a.opt.Providers.Ensemble
	}
	if !on {
		return noProvider
	}
	return p
}

// Allowed tells whether a connection with ids may do what needs any one bit of
// perm on a znode with this list (client-protocol.md section 9.2). It does not
// allocate.
func (a *Authority) Allowed(list []proto.ACL, perm int32, ids []ID) bool {
	if a.opt.SkipACL || len(list) == 0 {
		return true
	}
	// Most lists are one entry for the world: look before the ids are.
	for i := range list {
		if e := &list[i]; e.Perms&perm != 0 && e.Scheme == World && e.ID == anyone {
			return true
		}
	}
	for i := range ids {
		if ids[i].Scheme == Super {
			return true
		}
	}
	for i := range list {
		e := &list[i]
		if e.Perms&perm == 0 {
			continue
		}
		p := a.provider(e.Scheme)
		if p == noProvider {
			continue
		}
		for j := range ids {
			if ids[j].Scheme == e.Scheme && a.matches(p, ids[j].ID, e.ID) {
				return true
			}
		}
	}
	return false
}

// matches tells whether a connection's id is meant by the id text of an entry
// of the same scheme.
func (a *Authority) matches(p provider, id, entry string) bool {
	switch p {
	case ipProvider:
		return matchIP(id, entry)
	case digestProvider, x509Provider:
		return id == entry
	case saslProvider:
		any := a.opt.LetAnySaslUserDoX
		return id == entry || id == "super" || any != "" && entry == any
	}
	return false
}

// Enforced tells whether a connection with ids may be served at all: false
// means error -124 and a close (client-protocol.md section 9.5).
func (a *Authority) Enforced(ids []ID) bool {
	if len(a.opt.EnforceSchemes) == 0 {
		return true
	}
	return slices.ContainsFunc(ids, func(id ID) bool {
		return slices.Contains(a.opt.EnforceSchemes, id.Scheme)
	})
}
