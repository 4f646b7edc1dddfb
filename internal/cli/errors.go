// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	"paddock/proto"
	"paddock/zk"
)

// errorText is what zkCli prints for an error (operations.md section 5.4).
func errorText(err error) []string {
	var bad *zk.PathError
	if errors.As(err, &bad) {
		return []string{bad.Reason}
	}
	var e *zk.Error
	if !errors.As(err, &e) || e.Code == proto.OK {
		if errors.Is(err, context.Canceled) {
			return []string{"interrupted"}
		}
		return []string{err.Error()}
	}
	switch e.Code {
	case zk.ErrNoNode:
		return []string{"Node does not exist: " + e.Path}
	case zk.ErrNodeExists:
		return []string{"Node already exists: " + e.Path}
	case zk.ErrNotEmpty:
		return []string{"Node not empty: " + e.Path}
	case zk.ErrNoChildrenForEphemeral:
		return []string{"Ephemerals cannot have children: " + e.Path}
	case zk.ErrNotReadOnly:
		return []string{"Not a read-only call: " + e.Path}
	case zk.ErrInvalidACL:
		return []string{keeperCode(e), "Acl is not valid : " + e.Path}
	case zk.ErrNoAuth:
		return []string{"Insufficient permission : " + e.Path}
	case zk.ErrBadArguments:
		if e.Cause != nil {
			return []string{"Arguments are not valid : " + e.Path + " (" + e.Cause.Error() + ")"}
		}
		return []string{"Arguments are not valid : " + e.Path}
	case zk.ErrBadVersion:
		return []string{"version No is not valid : " + e.Path}
	case zk.ErrQuotaExceeded:
		return []string{"Quota has exceeded : " + e.Path}
	}
	return []string{keeperCode(e)}
}

// keeperNames are the codes as the Java client names them in its messages.
var keeperNames = map[proto.Code]string{
	proto.ErrSystem: "SystemError", proto.ErrRuntimeInconsistency: "RuntimeInconsistency",
	proto.ErrDataInconsistency: "DataInconsistency", proto.ErrConnectionLoss: "ConnectionLoss",
	proto.ErrMarshalling: "MarshallingError", proto.ErrUnimplemented: "Unimplemented",
	proto.ErrOperationTimeout: "OperationTimeout", proto.ErrBadArguments: "BadArguments",
	proto.ErrNewConfigNoQuorum: "NewConfigNoQuorum", proto.ErrReconfigInProgress: "ReconfigInProgress",
	proto.ErrNoNode: "NoNode", proto.ErrNoAuth: "NoAuth", proto.ErrBadVersion: "BadVersion",
	proto.ErrNoChildrenForEphemeral: "NoChildrenForEphemerals", proto.ErrNodeExists: "NodeExists",
	proto.ErrNotEmpty: "Directory not empty", proto.ErrSessionExpired: "Session expired",
	proto.ErrInvalidCallback: "Invalid callback", proto.ErrInvalidACL: "InvalidACL", proto.ErrAuthFailed: "AuthFailed",
	proto.ErrSessionMoved: "Session moved", proto.ErrNotReadOnly: "Not a read-only call",
	proto.ErrEphemeralOnLocal: "Ephemeral node on local session", proto.ErrNoWatcher: "No such watcher",
	proto.ErrReconfigDisabled:  "Reconfig is disabled",
	proto.ErrSessionClosedSASL: "Session closed because client failed to authenticate",
	proto.ErrQuotaExceeded:     "Quota has exceeded", proto.ErrThrottled: "Op throttled due to high load",
}

func keeperCode(e *zk.Error) string {
	name := keeperNames[e.Code]
	if name == "" {
		name = fmt.Sprintf("Unknown error %d", int32(e.Code))
	}
	s := "KeeperErrorCode = " + name
	if e.Path != "" {
		s += " for " + e.Path
	}
	return s
}
