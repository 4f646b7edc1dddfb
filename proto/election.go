// SPDX-License-Identifier: Apache-2.0

package proto

import (
	"fmt"

	"paddock/jute"
)

// NotificationMax bounds the body of an election message, in bytes
// (quorum-protocol.md section 2.3).
const NotificationMax = 512 << 10

// notifyVersion is the first version whose messages end with a membership.
const notifyVersion int32 = 2

// Lengths of the body of an election message (section 3.1).
const (
	notify28  = 28 // without peerEpoch and all after it
	notify40  = 40 // with a version that is not looked at
	notifyMin = 44 // of servers since 3.5
)

// Fields declares the form that servers since 3.5 send.
func (n *Notification) Fields(c *jute.Coder) {
	c.Int((*int32)(&n.State))
	c.Long(&n.Leader)
	c.Long((*int64)(&n.Zxid))
	c.Long(&n.ElectionEpoch)
	c.Long(&n.PeerEpoch)
	c.Int(&n.Version)
	if n.Version < notifyVersion {
		return
	}
	config := []byte(n.Config)
	c.Buffer(&config)
	if !c.Decoding() {
		return
	}
	if config == nil && c.Err() == nil {
		c.Fail(fmt.Errorf("proto: the membership's length is negative"))
	}
	n.Config = string(config)
}

// AppendNotification appends the body of an election message, without the
// length that goes before it on the wire, in the form of its Version.
func AppendNotification(b []byte, n Notification) []byte { return jute.Append(b, &n) }

// DecodeNotification reads the body of an election message of any release. One
// that cannot be read is to be ignored; the connection goes on (section 3.1).
func DecodeNotification(b []byte) (Notification, error) {
	var n Notification
	size := len(b)
	if size != notify28 && size != notify40 && size < notifyMin || size > NotificationMax {
		return n, fmt.Errorf("proto: election message of %d bytes", size)
	}
	if size < notifyMin {
		// The missing fields are zero: of 40 bytes the last 4 are not the version.
		b = append(make([]byte, 0, notifyMin), b[:min(size, notify40-4)]...)[:notifyMin]
	}
	if err := jute.Unmarshal(b, &n); err != nil {
		return Notification{}, fmt.Errorf("proto: election message: %w", err)
	}
	if size == notify28 {
		n.PeerEpoch = int64(n.Zxid) >> 32
	}
	if n.State < Looking || n.State > Observing {
		return Notification{}, fmt.Errorf("proto: election message of a server in state %d", n.State)
	}
	return n, nil
}

var stateNames = [...]string{"LOOKING", "FOLLOWING", "LEADING", "OBSERVING"}

// String is the state as the reference names it.
func (s PeerState) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("PeerState(%d)", int32(s))
	}
	return stateNames[s]
}
