// SPDX-License-Identifier: Apache-2.0

package proto

import "paddock/jute"

// ConnectRequest is the first frame of a client; no header precedes it.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	TimeOut         int32 // ms
	SessionID       int64 // 0 asks for a new session
	Passwd          []byte
	ReadOnly        bool
	OldClient       bool // the readOnly byte was left out (clients before 3.4, go-zookeeper/zk)
}

func (r *ConnectRequest) Fields(c *jute.Coder) {
	c.Int(&r.ProtocolVersion)
	c.Long(&r.LastZxidSeen)
	c.Int(&r.TimeOut)
	c.Long(&r.SessionID)
	c.Buffer(&r.Passwd)
	readOnlyField(c, &r.ReadOnly, &r.OldClient)
}

// ConnectResponse is the first frame of a server. TimeOut 0 says that the
// session is gone.
type ConnectResponse struct {
	ProtocolVersion int32
	TimeOut         int32 // ms
	SessionID       int64
	Passwd          []byte
	ReadOnly        bool
	OldClient       bool // leave the readOnly byte out
}

func (r *ConnectResponse) Fields(c *jute.Coder) {
	c.Int(&r.ProtocolVersion)
	c.Int(&r.TimeOut)
	c.Long(&r.SessionID)
	c.Buffer(&r.Passwd)
	readOnlyField(c, &r.ReadOnly, &r.OldClient)
}

// readOnlyField is the trailing byte that old peers leave out.
func readOnlyField(c *jute.Coder, readOnly, missing *bool) {
	if c.Decoding() {
		*missing = c.Err() == nil && len(c.Rest()) == 0
	}
	if !*missing {
		c.Bool(readOnly)
	}
}

// RequestHeader precedes every request after the handshake.
type RequestHeader struct {
	Xid  int32
	Type OpCode
}

func (r *RequestHeader) Fields(c *jute.Coder) {
	c.Int(&r.Xid)
	c.Int((*int32)(&r.Type))
}

// ReplyHeader precedes every reply and every watch event: 16 bytes.
type ReplyHeader struct {
	Xid  int32
	Zxid Zxid
	Err  Code
}

func (r *ReplyHeader) Fields(c *jute.Coder) {
	c.Int(&r.Xid)
	c.Long((*int64)(&r.Zxid))
	c.Int((*int32)(&r.Err))
}

// WatcherEvent follows a ReplyHeader with xid -1.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  string
}

func (r *WatcherEvent) Fields(c *jute.Coder) {
	c.Int((*int32)(&r.Type))
	c.Int(&r.State)
	c.String(&r.Path)
}

// Auth is opcode 100. Type is ignored by servers.
type Auth struct {
	Type   int32
	Scheme string
	Auth   []byte
}

func (r *Auth) Fields(c *jute.Coder) {
	c.Int(&r.Type)
	c.String(&r.Scheme)
	c.Buffer(&r.Auth)
}

// SASLToken is opcode 102, request and response.
type SASLToken struct{ Token []byte }

func (r *SASLToken) Fields(c *jute.Coder) { c.Buffer(&r.Token) }
