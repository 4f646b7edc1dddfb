// SPDX-License-Identifier: Apache-2.0

// Package proto declares every record, operation code, error code and id type
// of the ZooKeeper client protocol and of its transaction log, each once.
//
// The facts are those of Apache ZooKeeper 3.9.5. The package does no I/O and
// decides nothing: what a server does with a record is the business of others.
package proto

import (
	"fmt"
	"strconv"
)

// Zxid numbers a transaction: the leader's epoch in the high 32 bits, a counter
// in the low 32. A standalone server stays in epoch 0.
type Zxid int64

// NewZxid puts an epoch and a counter together.
func NewZxid(epoch, counter uint32) Zxid { return Zxid(uint64(epoch)<<32 | uint64(counter)) }

// Epoch is the reign in which the transaction was proposed.
func (z Zxid) Epoch() uint32 { return uint32(uint64(z) >> 32) }

// Counter is the transaction's place in its epoch.
func (z Zxid) Counter() uint32 { return uint32(uint64(z)) }

// String prints the zxid as operators and file names have it: 0x and hex.
func (z Zxid) String() string { return "0x" + strconv.FormatUint(uint64(z), 16) }

// SessionID names a client's session.
type SessionID int64

// String prints the session as logs have it: 0x and hex.
func (s SessionID) String() string { return fmt.Sprintf("0x%x", uint64(s)) }

// DefaultMaxBuffer is the largest frame a server accepts unless told otherwise
// (jute.maxbuffer), in bytes.
const DefaultMaxBuffer = 0xfffff

// Xids with a meaning of their own.
const (
	XidEvent       int32 = -1 // a watch event, server to client
	XidPing        int32 = -2
	XidAuth        int32 = -4
	XidSetWatches  int32 = -8 // as the C client numbers it
	FirstClientXid int32 = 1
)

// Permission bits of an ACL entry.
const (
	PermRead   int32 = 1
	PermWrite  int32 = 2
	PermCreate int32 = 4
	PermDelete int32 = 8
	PermAdmin  int32 = 16
	PermAll    int32 = 31
)

// Create flags.
const (
	FlagPersistent           int32 = 0
	FlagEphemeral            int32 = 1
	FlagSequential           int32 = 2
	FlagEphemeralSequential  int32 = 3
	FlagContainer            int32 = 4
	FlagTTL                  int32 = 5
	FlagPersistentSeqWithTTL int32 = 6
)

// Kinds of ephemeralOwner as stored. A plain znode has 0, an ephemeral one its
// session (storage-format.md section 4).
const (
	ContainerOwner int64 = -1 << 63 // 0x8000000000000000
	ttlOwnerMask   int64 = -1 << 56 // top byte 0xff
	MaxTTL         int64 = 1<<40 - 1
)

// TTLOwner is the ephemeralOwner of a znode that lives ttl milliseconds.
func TTLOwner(ttl int64) int64 { return ttlOwnerMask | ttl }

// OwnerTTL returns the time to live in milliseconds that owner stands for.
func OwnerTTL(owner int64) (ttl int64, ok bool) {
	if owner&ttlOwnerMask != ttlOwnerMask || owner&^ttlOwnerMask > MaxTTL {
		return 0, false
	}
	return owner &^ ttlOwnerMask, true
}

// IsEphemeral tells whether owner is a session rather than a kind of znode.
func IsEphemeral(owner int64) bool {
	if owner == 0 || owner == ContainerOwner {
		return false
	}
	_, ttl := OwnerTTL(owner)
	return !ttl
}

// Watcher kinds, as removeWatches and checkWatches name them.
const (
	WatcherChildren            int32 = 1
	WatcherData                int32 = 2
	WatcherAny                 int32 = 3
	WatcherPersistent          int32 = 4
	WatcherPersistentRecursive int32 = 5
)

// Modes of addWatch.
const (
	AddWatchPersistent          int32 = 0
	AddWatchPersistentRecursive int32 = 1
)

// EventType is what happened to a watched znode.
type EventType int32

// Event types; those from EventDataWatchRemoved on, and EventNone, are made by
// clients.
const (
	EventNone                   EventType = -1
	EventCreated                EventType = 1
	EventDeleted                EventType = 2
	EventDataChanged            EventType = 3
	EventChildrenChanged        EventType = 4
	EventDataWatchRemoved       EventType = 5
	EventChildWatchRemoved      EventType = 6
	EventPersistentWatchRemoved EventType = 7
)

var eventNames = map[EventType]string{
	EventNone: "None", EventCreated: "NodeCreated", EventDeleted: "NodeDeleted",
	EventDataChanged: "NodeDataChanged", EventChildrenChanged: "NodeChildrenChanged",
	EventDataWatchRemoved: "DataWatchRemoved", EventChildWatchRemoved: "ChildWatchRemoved",
	EventPersistentWatchRemoved: "PersistentWatchRemoved",
}

func (e EventType) String() string {
	if s, ok := eventNames[e]; ok {
		return s
	}
	return "EventType(" + strconv.Itoa(int(e)) + ")"
}

// StateSyncConnected is the only state a server puts into an event.
const StateSyncConnected int32 = 3

// Paths with a meaning of their own.
const (
	ZookeeperPath = "/zookeeper"
	QuotaPath     = "/zookeeper/quota"
	ConfigPath    = "/zookeeper/config"
	LimitsNode    = "zookeeper_limits"
	StatsNode     = "zookeeper_stats"
)
