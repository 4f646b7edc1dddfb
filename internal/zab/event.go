// SPDX-License-Identifier: Apache-2.0

// Package zab is one server's part in an ensemble: election, discovery,
// synchronisation and broadcast, as a pure state machine that speaks the
// protocol of Apache ZooKeeper 3.9 (quorum-protocol.md).
//
// Step takes one event and returns what is to be done. There is no goroutine,
// clock, file or socket inside; a driver (internal/ensemble) has them, and the
// simulator (internal/sim) pretends to.
package zab

import (
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

// Entry is one transaction of the history.
type Entry struct {
	Zxid   proto.Zxid
	Data   []byte         // header, record and digest: the bytes of the log and of a proposal
	Config *quorum.Config // of a reconfig: the membership it brings; nil for all others
}

// LinkID names one connection of the quorum port, from its making to its end.
// Numbers are the driver's and never used twice.
type LinkID int64

// Event is what happened to a peer. The driver steps one at a time.
type Event interface{ event() }

// Tick says only that time has passed.
type Tick struct{}

// Notified is an election message of another member.
type Notified struct {
	From int64 // sid
	Note proto.Notification
	// Config is Note.Config parsed, nil if there is none or it cannot be read.
	Config *quorum.Config
}

// Reachable says that the election connection to a member has come up or gone.
type Reachable struct {
	Sid int64
	Up  bool
}

// LinkUp is a new connection: of a learner that dialled this leader, of an
// observer that dialled this observer master, or the one that Out.Dial asked
// for.
type LinkUp struct {
	Link   LinkID
	Dialed bool
	Master bool // it came on the port of the observer master
}

// LinkDown says that a connection has ended, or (with Link 0) that Out.Dial has
// failed. After Out.Close of a link it need not come.
type LinkDown struct {
	Link LinkID
	Err  error
}

// Received is packets of one connection, in order. SNAP comes before its body:
// the driver reads no further on that link until it has loaded the body, which
// Out.Restore asks for. REQUEST and REVALIDATE may be in it: see Out.Requests.
type Received struct {
	Link    LinkID
	Packets []Packet
}

// Packet is a packet of the quorum port with what the driver knows of it.
type Packet struct {
	proto.Packet
	// Config is the membership that a PROPOSAL or INFORM of a reconfig, an
	// INFORMANDACTIVATE or a NEWLEADER carries.
	Config *quorum.Config
	// For, of a SYNC or REVALIDATE that was received, is the observer whose question
	// it answers; 0 if that was this server's own. The driver knows: the leader
	// answers in the order in which it was asked.
	For LinkID
	// Body, of a packet to be sent, is what the driver adds on its own:
	// a SNAP's tree, a range of the log.
	Body Body
}

// Body is what stands for bytes that only the driver has.
type Body struct {
	// Log asks for a PROPOSAL and COMMIT (INFORM to an observer) of each logged
	// transaction After < zxid <= UpTo in place of this packet.
	Log         bool
	After, UpTo proto.Zxid
}

// Saved says that the first Ops of all Out.Disk operations since the start are
// durable. It comes in order, now and then skipping some.
type Saved struct{ Ops uint64 }

// Restored answers Out.Restore: the tree and the log are now at Zxid (of a
// truncation: the last zxid that is left). With Err nothing may be served: the
// peer stops.
type Restored struct {
	Zxid proto.Zxid
	Err  error
}

// Probed answers Out.Probe: what the log on disk has around the zxid asked for.
type Probed struct {
	Link   LinkID
	Usable bool       // it begins at or before that zxid, and is not too long to be sent
	Prev   proto.Zxid // the last logged zxid <= that asked for; 0 if there is none
	Next   proto.Zxid // the first > that asked for
}

// Propose is transactions of a leader, numbered without a gap.
type Propose struct{ Entries []Entry }

// Barrier asks a leader to answer, by Out.Passed, when all it had proposed is
// committed and a quorum has confirmed that it still follows.
type Barrier struct {
	Token uint64
	Link  LinkID // of the learner that forwarded a sync: it is sent SYNC instead; 0 for a token
}

// HandOver asks a leader to make its most advanced follower the next leader.
type HandOver struct{}

func (Tick) event()      {}
func (Notified) event()  {}
func (Reachable) event() {}
func (LinkUp) event()    {}
func (LinkDown) event()  {}
func (Received) event()  {}
func (Saved) event()     {}
func (Restored) event()  {}
func (Probed) event()    {}
func (Propose) event()   {}
func (Barrier) event()   {}
func (HandOver) event()  {}

// Out is what the driver is to do. It executes the fields in the order they
// are declared in, and steps no other event in between. It is valid until the
// next Step.
type Out struct {
	// Stop is set when the peer cannot go on: a broken invariant of another
	// server, or a restore that failed. Nothing else counts then.
	Stop error

	// Close ends connections.
	Close []Closing

	// Restore asks to bring tree and log to another state, after all disk
	// operations so far; answered by Restored. Until then nothing is appended or
	// committed.
	Restore *Restore

	// Commit is decided transactions, in order, to be applied to the tree before
	// anything below is done. They are durable here.
	Commit []Entry

	// Membership is the committed configuration from here on, nil if it has not
	// changed. The driver writes its file and opens links to its members.
	Membership *quorum.Config
	// Seen is a configuration that is proposed and not yet committed; the committed
	// one, if what was proposed has come to nothing.
	Seen *quorum.Config

	// Became is set when the role or its stage changes.
	Became *Status

	// Disk operations, in order and after all earlier ones. The peer counts them:
	// see Saved.
	Disk []DiskOp

	// Votes are election messages; a link to the member is made where there is
	// none.
	Votes []Vote

	// Dial asks for a connection to the leader's quorum port; it replaces an
	// earlier Dial. Answered by LinkUp with Dialed, or LinkDown with Link 0.
	Dial *Dial

	// Send is packets, in order for each link.
	Send []Sending

	// Probe asks what the log on disk has.
	Probe []Probe

	// Requests are a learner's REQUEST, REVALIDATE and touch tables (PING), for
	// the pipeline of this leader, or to be passed on to it by this follower.
	Requests []Forwarded

	// Replies are the leader's REVALIDATE and SYNC, for this learner's pipeline.
	Replies []proto.Packet

	// Passed are tokens of Barrier that have been reached; Failed those that never
	// will be.
	Passed, Failed []uint64

	// Wake is the time by which a Tick must be stepped.
	Wake time.Duration

	// Log are lines for the operator.
	Log []Line
}

// Closing ends a connection.
type Closing struct {
	Link LinkID
	Why  string
}

// Restore is what to bring tree and log to.
type Restore struct {
	// Link, if not 0, is the link whose SNAP body is to be loaded. The log keeps
	// what it has; a snapshot is asked for (DiskSnapshot) before anything is
	// appended.
	Link LinkID
	// Zxid is the SNAP's, or, with Link 0, where the log is to be cut: all after it
	// goes, snapshots that hold more too.
	Zxid proto.Zxid
	// Reload, with Link 0: the tree holds what the log is not to have, and is
	// loaded again from disk after the cut. Without it the tree stays.
	Reload bool
}

// DiskOp is one operation on the log, the epoch files or the snapshots. One
// field is set.
type DiskOp struct {
	Append        []Entry // to the log
	AcceptedEpoch *int64
	CurrentEpoch  *int64
	Snapshot      bool        // of the tree, as of all commits so far, durable
	Truncate      *proto.Zxid // the log, as Restore does, without a look at the tree
}

// Vote is an election message to a member.
type Vote struct {
	To   int64
	Note proto.Notification
}

// Dial is where a learner finds its leader, or an observer its master.
type Dial struct {
	Leader  int64 // whom to dial
	Member  quorum.Member
	Port    int // of its observer master; 0: its quorum ports
	Timeout time.Duration
}

// Sending is packets for one link.
type Sending struct {
	Link    LinkID
	Packets []Packet
}

// Probe asks about the log on disk, for a learner whose last zxid is Zxid.
type Probe struct {
	Link LinkID
	Zxid proto.Zxid
}

// Forwarded is a packet of a learner that its leader's pipeline answers.
type Forwarded struct {
	Link   LinkID
	Sid    int64
	Packet proto.Packet
}

// Line is for the operator's log.
type Line struct {
	Warn bool
	Text string
	Args []any // as of slog
}

// Stage is how far a role has come.
type Stage uint8

// The stages of a role, those of the reference's peer state.
const (
	Election Stage = iota
	Discovery
	Synchronization
	Broadcast
)

// Status is what a peer is.
type Status struct {
	Role    proto.PeerState
	Stage   Stage
	Leader  int64      // its sid; meaningful outside Election
	Epoch   int64      // agreed on; from Synchronization on
	Zxid    proto.Zxid // last committed
	Link    LinkID     // a learner's, to its leader or observer master
	Master  int64      // who is at its other end
	Voting  bool       // it counts in the committed membership
	SyncVia string     // DIFF, TRUNC or SNAP: how a learner was brought up to date
}
