// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"slices"
	"strings"

	"paddock/jute"
	"paddock/proto"
)

// Outcome is what an auth packet leads to.
type Outcome int

const (
	Granted       Outcome = iota // reply 0, go on
	Refused                      // reply -115, then close
	CloseSilently                // close without a reply
)

// Authenticate handles one auth packet (opcode 100; client-protocol.md
// sections 9.3 to 9.6). data is nil for a null buffer. It returns the
// connection's ids from now on; has is not written to.
func (a *Authority) Authenticate(scheme string, data []byte, peerIP string, has []ID) ([]ID, Outcome) {
	switch a.provider(scheme) {
	case ipProvider:
		return with(has, ID{IP, peerIP}), Granted
	case digestProvider:
		if data == nil {
			return has, Refused
		}
		id := a.digestID(data)
		if a.opt.SuperDigest != "" && id == a.opt.SuperDigest {
			has = with(has, ID{Super, ""})
		}
		return with(has, ID{Digest, id}), Granted
	case x509Provider:
		// The subject came with the TLS handshake; there is nothing to add.
		if slices.ContainsFunc(has, func(id ID) bool { return id.Scheme == X509 }) {
			return has, Granted
		}
	case ensembleProvider:
		if len(data) == 0 || len(a.opt.EnsembleNames) == 0 || slices.Contains(a.opt.EnsembleNames, string(data)) {
			return has, Granted
		}
		return has, CloseSilently
	}
	return has, Refused
}

// WithSASL returns has and the id that a finished SASL exchange adds.
func (a *Authority) WithSASL(name string, has []ID) []ID {
	has = with(has, ID{SASL, name})
	if slices.Contains(a.opt.SuperUsers, name) {
		has = with(has, ID{Super, ""})
	}
	return has
}

// WithX509 returns has and the id that a client certificate adds; subject is
// in RFC 2253 form, most specific part first.
func (a *Authority) WithX509(subject string, has []ID) []ID {
	if a.opt.X509SuperUser != "" && subject == a.opt.X509SuperUser {
		has = with(has, ID{Super, subject})
	}
	return with(has, ID{X509, subject})
}

// with returns has and id, in memory of its own unless id is there already.
func with(has []ID, id ID) []ID {
	if slices.Contains(has, id) {
		return has
	}
	return append(has[:len(has):len(has)], id)
}

// WhoAmI tells each id of a connection by the name of its user. The user of a
// digest id is what is before the colon, that of a super id is empty.
func (a *Authority) WhoAmI(ids []ID) []proto.ClientInfo {
	infos := make([]proto.ClientInfo, len(ids))
	for i, id := range ids {
		user := ""
		switch a.provider(id.Scheme) {
		case noProvider:
		case digestProvider:
			user, _, _ = strings.Cut(id.ID, ":")
		default:
			user = id.ID
		}
		infos[i] = proto.ClientInfo{Scheme: id.Scheme, User: user}
	}
	return infos
}

// digestID turns "user:password" into "user:base64(hash of it all)".
func (a *Authority) digestID(data []byte) string {
	text := string(data)
	if !isASCII(text) {
		text = jute.Normalize(data)
	}
	user, _, _ := strings.Cut(text, ":")
	return user + ":" + a.hash([]byte(plainUTF8(text)))
}
