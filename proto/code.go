// SPDX-License-Identifier: Apache-2.0

package proto

import "strconv"

// Code is an error code of the protocol: what a server answers when it
// declines a request. It is an error, so errors.Is works on it. OK is 0 and
// never used as an error value.
type Code int32

// Error codes (client-protocol.md section 6).
const (
	OK                        Code = 0
	ErrSystem                 Code = -1
	ErrRuntimeInconsistency   Code = -2
	ErrDataInconsistency      Code = -3
	ErrConnectionLoss         Code = -4
	ErrMarshalling            Code = -5
	ErrUnimplemented          Code = -6
	ErrOperationTimeout       Code = -7
	ErrBadArguments           Code = -8
	ErrUnknownSession         Code = -12
	ErrNewConfigNoQuorum      Code = -13
	ErrReconfigInProgress     Code = -14
	ErrAPI                    Code = -100
	ErrNoNode                 Code = -101
	ErrNoAuth                 Code = -102
	ErrBadVersion             Code = -103
	ErrNoChildrenForEphemeral Code = -108
	ErrNodeExists             Code = -110
	ErrNotEmpty               Code = -111
	ErrSessionExpired         Code = -112
	ErrInvalidCallback        Code = -113
	ErrInvalidACL             Code = -114
	ErrAuthFailed             Code = -115
	ErrSessionMoved           Code = -118
	ErrNotReadOnly            Code = -119
	ErrEphemeralOnLocal       Code = -120
	ErrNoWatcher              Code = -121
	ErrRequestTimeout         Code = -122
	ErrReconfigDisabled       Code = -123
	ErrSessionClosedSASL      Code = -124
	ErrQuotaExceeded          Code = -125
	ErrThrottled              Code = -127
)

var codeTexts = map[Code]string{
	OK: "ok", ErrSystem: "system error", ErrRuntimeInconsistency: "not tried, an earlier operation of the multi failed",
	ErrDataInconsistency: "data inconsistency", ErrConnectionLoss: "connection lost before the reply",
	ErrMarshalling: "request could not be read or handled", ErrUnimplemented: "operation not supported",
	ErrOperationTimeout: "operation timeout", ErrBadArguments: "bad arguments", ErrUnknownSession: "unknown session",
	ErrNewConfigNoQuorum: "no quorum of the new configuration", ErrReconfigInProgress: "another reconfiguration is in progress",
	ErrAPI: "api error", ErrNoNode: "no such znode", ErrNoAuth: "not authorised", ErrBadVersion: "version does not match",
	ErrNoChildrenForEphemeral: "ephemeral znodes may not have children", ErrNodeExists: "znode exists already",
	ErrNotEmpty: "znode has children", ErrSessionExpired: "session expired", ErrInvalidCallback: "invalid callback",
	ErrInvalidACL: "invalid ACL", ErrAuthFailed: "authentication failed", ErrSessionMoved: "session moved to another server",
	ErrNotReadOnly: "server is read-only", ErrEphemeralOnLocal: "ephemeral znode on a local session",
	ErrNoWatcher: "no such watch", ErrRequestTimeout: "request timeout", ErrReconfigDisabled: "reconfiguration is disabled",
	ErrSessionClosedSASL: "the server requires authentication of this session", ErrQuotaExceeded: "quota exceeded",
	ErrThrottled: "server is overloaded, request was not executed",
}

func (c Code) Error() string {
	if s, ok := codeTexts[c]; ok {
		return s
	}
	return "error code " + strconv.Itoa(int(c))
}
