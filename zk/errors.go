// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"errors"

	"paddock/proto"
)

// The error codes of the protocol that a caller may want to tell apart:
// errors.Is(err, zk.ErrNoNode). The full list is in package proto.
const (
	ErrConnectionLoss         = proto.ErrConnectionLoss
	ErrMarshalling            = proto.ErrMarshalling
	ErrUnimplemented          = proto.ErrUnimplemented
	ErrBadArguments           = proto.ErrBadArguments
	ErrNewConfigNoQuorum      = proto.ErrNewConfigNoQuorum
	ErrReconfigInProgress     = proto.ErrReconfigInProgress
	ErrNotTried               = proto.ErrRuntimeInconsistency // in a multi, behind the operation that failed
	ErrNoNode                 = proto.ErrNoNode
	ErrNoAuth                 = proto.ErrNoAuth
	ErrBadVersion             = proto.ErrBadVersion
	ErrNoChildrenForEphemeral = proto.ErrNoChildrenForEphemeral
	ErrNodeExists             = proto.ErrNodeExists
	ErrNotEmpty               = proto.ErrNotEmpty
	ErrSessionExpired         = proto.ErrSessionExpired
	ErrInvalidACL             = proto.ErrInvalidACL
	ErrAuthFailed             = proto.ErrAuthFailed
	ErrNotReadOnly            = proto.ErrNotReadOnly
	ErrEphemeralOnLocal       = proto.ErrEphemeralOnLocal
	ErrNoWatcher              = proto.ErrNoWatcher
	ErrReconfigDisabled       = proto.ErrReconfigDisabled
	ErrSessionClosedSASL      = proto.ErrSessionClosedSASL
	ErrQuotaExceeded          = proto.ErrQuotaExceeded
	ErrThrottled              = proto.ErrThrottled
)

// ErrClosed is the error of every call on a client after Close or Detach.
var ErrClosed = errors.New("client is closed")

// Error says which call failed, on what, and why. errors.Is finds Code and
// whatever Cause wraps (a context's error, ErrClosed, an error of the network).
//
// Two kinds leave the outcome of a write unknown, because the request may have
// been sent and carried out: ErrConnectionLoss, and a context that ended.
type Error struct {
	Op    string     // the operation's name in the protocol: "create", "getData"; "multi[2] delete"
	Path  string     // as the caller gave it; "" where there is none
	Code  proto.Code // OK if the call ended without an answer of that kind
	Cause error      // more about it, or nil
}

func (e *Error) Error() string {
	s := "zk: " + e.Op
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.Code != proto.OK {
		s += ": " + e.Code.Error()
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives errors.Is and errors.As the code and the cause.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Code != proto.OK {
		all = append(all, e.Code)
	}
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	return all
}

// fail makes the Error of a call from whatever ended it.
func fail(op proto.OpCode, path string, err error) error {
	e := &Error{Op: op.String(), Path: path}
	var code proto.Code
	var lost *lossError
	switch {
	case errors.As(err, &lost):
		e.Code, e.Cause = ErrConnectionLoss, lost.why
	case errors.As(err, &code):
		e.Code = code
	default:
		e.Cause = err
	}
	return e
}

// lossError is the end of a request whose connection broke before the reply.
type lossError struct{ why error }

func (e *lossError) Error() string { return ErrConnectionLoss.Error() + ": " + e.why.Error() }

// errProtocol is a server that does not speak the protocol: the connection is
// dropped, the session goes on elsewhere.
type errProtocol struct{ what string }

func (e *errProtocol) Error() string { return "protocol error: " + e.what }
