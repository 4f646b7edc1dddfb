// SPDX-License-Identifier: Apache-2.0

// Package acl decides who may do what: the ids of a connection, the lists of
// znodes, and the schemes that relate them.
package acl

import (
	"net"

	"paddock/proto"
)

// ID is one identity of a connection.
type ID struct{ Scheme, ID string }

// Outcome of an auth packet.
type Outcome int

const (
	Granted       Outcome = iota // reply 0
	Refused                      // reply -115, then close
	CloseSilently                // close without a reply
)

// Providers are the schemes that exist only where the configuration asks for
// them; world, auth, ip and digest are built in.
type Providers struct{ SASL, X509, Ensemble bool }

// Options is what the configuration says of authentication.
type Options struct {
	SkipACL           bool
	DigestEnabled     bool
	DigestAlg         string // Java MessageDigest name; "" is SHA1
	SuperDigest       string // "super:<base64>"; "" is none
	X509SuperUser     string // DN; "" is none
	EnsembleNames     []string
	Providers         Providers
	LetAnySaslUserDoX string
	SuperUsers        []string // SASL ids that are super
	EnforceSchemes    []string // nil: not enforced
}

type Authority struct{}

func New(Options) (*Authority, error)                                         { return &Authority{}, nil }
func (a *Authority) Allowed(list []proto.ACL, perm int32, ids []ID) bool      { return true }
func (a *Authority) Fix(list []proto.ACL, ids []ID) ([]proto.ACL, proto.Code) { return list, proto.OK }
func (a *Authority) Authenticate(scheme string, data []byte, peerIP string, has []ID) (ids []ID, o Outcome) {
	return has, Granted
}
func (a *Authority) WhoAmI(ids []ID) []proto.ClientInfo { return nil }
func (a *Authority) Enforced(ids []ID) bool             { return true }
func Redact(list []proto.ACL) []proto.ACL               { return list }
func PeerIP(addr net.Addr) string                       { return "" }
