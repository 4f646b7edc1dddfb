// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"math/rand"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// Options are the settings of one peer. All times are positive.
type Options struct {
	Tick         time.Duration
	InitLimit    int           // ticks for discovery and synchronisation
	SyncLimit    int           // ticks without a word after which a server is gone
	ConnectLimit int           // ticks for dialling the leader; 0 is InitLimit
	MinNotify    time.Duration // first wait before votes are sent again: 200 ms
	MaxNotify    time.Duration // longest: 60 s
	Finalize     time.Duration // silence that ends an election: 200 ms

	Window      int   // committed transactions kept for learners that missed a few
	WindowBytes int64 // bytes of them, at most; 0 is 64 MiB
	ForceSnap   bool  // learners always get the whole tree
	DiskSync    bool  // learners that missed more get it from the log

	Reconfig   bool   // the membership may change
	CounterMax uint32 // the last counter of an epoch; 0 is 0xfffffffe

	Rand *rand.Rand // seeded by the owner

	// Observer is this server's part when the membership does not know it.
	Observer bool

	// MasterPort is where followers serve observers, and where an observer finds
	// them; 0: observers learn from the leader.
	MasterPort int
	// NoLog: while it observes, this server logs nothing, and begins after a restart
	// with what it had when it last did.
	NoLog bool
	// An observer waits for a random part of LookDelay before it looks for a leader
	// again, and of DialDelay before it dials the leader, or its masters once more.
	LookDelay, DialDelay time.Duration

	// Unsafe removes guards one by one, so that the simulator can show that it
	// would see them missing. Never set in a server.
	Unsafe Unsafe
}

// Unsafe names guards that are left out, each by the defect of the reference
// that it stands against where that has a number.
type Unsafe struct {
	AckBeforeFlush        bool // a proposal is acknowledged when it is received
	EpochBeforeLog        bool // ZOOKEEPER-4643: currentEpoch is durable before the history it stands for
	AckNewLeaderBeforeLog bool // ZOOKEEPER-3911: NEWLEADER is acknowledged before the history is logged
	AckBeforeSync         bool // ZOOKEEPER-4646: and before what was logged is flushed; with EpochBeforeLog -4785
	DropEarlyCommit       bool // ZOOKEEPER-4394: a COMMIT between NEWLEADER and UPTODATE is lost
	HolesInWindow         bool // ZOOKEEPER-4925: what came by DIFF is missing from the window
	StaleVote             bool // ZOOKEEPER-4712: an election begins before the log has settled
	KeepTruncated         bool // ZOOKEEPER-2845: the tree keeps what the log was cut of
	KeepHalfTree          bool // a leader's tree that broke off stays in the place of one's own
}

// State is what a peer begins with: what recovery found on disk.
type State struct {
	Sid           int64
	AcceptedEpoch int64
	CurrentEpoch  int64
	LastZxid      proto.Zxid // last logged; the tree is exactly there
	Tail          []Entry    // the last logged transactions, oldest first, up to LastZxid
	Untrusted     bool       // an empty data directory that may have been wiped: it does not vote
	Committed     *quorum.Config
	Seen          *quorum.Config // proposed and not known to be committed; nil if there is none
}

func (o *Options) defaults() {
	if o.MinNotify == 0 {
		o.MinNotify = 200 * time.Millisecond
	}
	if o.MaxNotify == 0 {
		o.MaxNotify = time.Minute
	}
	if o.Finalize == 0 {
		o.Finalize = 200 * time.Millisecond
	}
	if o.ConnectLimit == 0 {
		o.ConnectLimit = o.InitLimit
	}
	if o.WindowBytes == 0 {
		o.WindowBytes = 64 << 20
	}
	if o.CounterMax == 0 {
		o.CounterMax = 0xfffffffe
	}
	o.Window = max(o.Window, 1)
}

func (o *Options) init() time.Duration { return time.Duration(o.InitLimit) * o.Tick }
func (o *Options) sync() time.Duration { return time.Duration(o.SyncLimit) * o.Tick }
