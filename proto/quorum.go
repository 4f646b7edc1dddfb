// SPDX-License-Identifier: Apache-2.0

package proto

import "paddock/jute"

// PacketType says what a Packet is (quorum-protocol.md section 4.2).
type PacketType int32

// The packets of the quorum port.
const (
	PacketRequest           PacketType = 1  // learner to leader: a client's request
	PacketProposal          PacketType = 2  // leader to follower: a transaction to log
	PacketAck               PacketType = 3  // follower to leader: it is logged
	PacketCommit            PacketType = 4  // leader to follower: it is decided
	PacketPing              PacketType = 5  // both ways
	PacketRevalidate        PacketType = 6  // both ways: is this session alive
	PacketSync              PacketType = 7  // leader to learner: a sync is answered
	PacketInform            PacketType = 8  // leader to observer: a decided transaction
	PacketCommitAndActivate PacketType = 9  // leader to follower: a decided reconfig
	PacketNewLeader         PacketType = 10 // leader to learner: the end of the history
	PacketFollowerInfo      PacketType = 11 // learner to leader: a follower's first packet
	PacketUpToDate          PacketType = 12 // leader to learner: serve
	PacketDiff              PacketType = 13 // leader to learner: missing transactions follow
	PacketTrunc             PacketType = 14 // leader to learner: cut the log back
	PacketSnap              PacketType = 15 // leader to learner: a whole tree follows
	PacketObserverInfo      PacketType = 16 // learner to leader: an observer's first packet
	PacketLeaderInfo        PacketType = 17 // leader to learner: the new epoch
	PacketAckEpoch          PacketType = 18 // learner to leader: it is accepted
	PacketInformAndActivate PacketType = 19 // leader to observer: a decided reconfig
)

// QuorumProtocol is the version both sides of a quorum connection speak.
const QuorumProtocol int32 = 0x10000

// Packet is what travels on the quorum port, without any frame around it
// (section 4.1).
type Packet struct {
	Type PacketType
	Zxid Zxid
	Data []byte       // nil is length -1
	Auth []ClientInfo // identities of a request's client; nil is count -1
}

// Fields declares the record.
func (p *Packet) Fields(c *jute.Coder) {
	t := int32(p.Type)
	c.Int(&t)
	p.Type = PacketType(t)
	z := int64(p.Zxid)
	c.Long(&z)
	p.Zxid = Zxid(z)
	c.Buffer(&p.Data)
	jute.Vector(c, &p.Auth, 8, func(c *jute.Coder, i *ClientInfo) { i.Fields(c) })
}

// LearnerInfo is the data of a learner's first packet.
type LearnerInfo struct {
	ServerID      int64
	Protocol      int32
	ConfigVersion int64 // of the learner's committed membership
}

// Fields declares the record.
func (l *LearnerInfo) Fields(c *jute.Coder) {
	c.Long(&l.ServerID)
	c.Int(&l.Protocol)
	c.Long(&l.ConfigVersion)
}

// PeerState is a server's state in a notification (section 3.1).
type PeerState int32

// The states of a server.
const (
	Looking PeerState = iota
	Following
	Leading
	Observing
)

// Notification is the body of an election message (section 3.1): see
// DecodeNotification and AppendNotification.
type Notification struct {
	State         PeerState
	Leader        int64  // proposed
	Zxid          Zxid   // last logged of the proposed leader
	ElectionEpoch int64  // the sender's round
	PeerEpoch     int64  // currentEpoch of the proposed leader
	Version       int32  // 2; 0 and 1 are of servers before 3.5
	Config        string // membership text; "" where there is none
}
