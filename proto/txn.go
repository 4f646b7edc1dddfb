// SPDX-License-Identifier: Apache-2.0

package proto

import (
	"errors"
	"fmt"

	"paddock/jute"
)

// Txn is one transaction: a change whose effect is settled, as it is logged,
// proposed and applied. Its bytes are a 32-byte header, the body, and a digest
// of 12 bytes where one was computed (storage-format.md sections 2.2 and 3).
type Txn struct {
	Session int64
	Cxid    int32 // the client's xid
	Zxid    Zxid
	Time    int64 // ms since 1970, the leader's clock
	Type    OpCode
	Body    jute.Record // nil for a closeSession without a path list
	Digest  TxnDigest
}

// TxnDigest is the digest of the whole tree after a transaction. Version 0
// means that there is none.
type TxnDigest struct {
	Version int32
	Tree    uint64
}

// DigestVersion is the only digest algorithm of 3.9.
const DigestVersion int32 = 2

// CreateTxn is the body of types 1 and 15. ParentCversion is the parent's
// stored cversion after the create; -1 (old logs) means one more than it has.
type CreateTxn struct {
	Path           string
	Data           []byte
	ACL            []ACL
	Ephemeral      bool
	ParentCversion int32
}

func (t *CreateTxn) Fields(c *jute.Coder) {
	c.String(&t.Path)
	c.Buffer(&t.Data)
	ACLs(c, &t.ACL)
	c.Bool(&t.Ephemeral)
	c.Int(&t.ParentCversion)
}

// createTxnV0 is CreateTxn as servers before 3.4 wrote it.
type createTxnV0 struct{ *CreateTxn }

func (t createTxnV0) Fields(c *jute.Coder) {
	c.String(&t.Path)
	c.Buffer(&t.Data)
	ACLs(c, &t.ACL)
	c.Bool(&t.Ephemeral)
	t.ParentCversion = -1
}

// CreateContainerTxn is the body of type 19.
type CreateContainerTxn struct {
	Path           string
	Data           []byte
	ACL            []ACL
	ParentCversion int32
}

func (t *CreateContainerTxn) Fields(c *jute.Coder) {
	c.String(&t.Path)
	c.Buffer(&t.Data)
	ACLs(c, &t.ACL)
	c.Int(&t.ParentCversion)
}

// CreateTTLTxn is the body of type 21.
type CreateTTLTxn struct {
	Path           string
	Data           []byte
	ACL            []ACL
	ParentCversion int32
	TTL            int64 // ms
}

func (t *CreateTTLTxn) Fields(c *jute.Coder) {
	c.String(&t.Path)
	c.Buffer(&t.Data)
	ACLs(c, &t.ACL)
	c.Int(&t.ParentCversion)
	c.Long(&t.TTL)
}

// DeleteTxn is the body of types 2 and 20.
type DeleteTxn struct{ Path string }

func (t *DeleteTxn) Fields(c *jute.Coder) { c.String(&t.Path) }

// SetDataTxn is the body of types 5 and 16; Version is the new one.
type SetDataTxn struct {
	Path    string
	Data    []byte
	Version int32
}

func (t *SetDataTxn) Fields(c *jute.Coder) {
	c.String(&t.Path)
	c.Buffer(&t.Data)
	c.Int(&t.Version)
}

// SetACLTxn is the body of type 7; Version is the new aversion.
type SetACLTxn struct {
	Path    string
	ACL     []ACL
	Version int32
}

func (t *SetACLTxn) Fields(c *jute.Coder) {
	c.String(&t.Path)
	ACLs(c, &t.ACL)
	c.Int(&t.Version)
}

// CheckTxn is the body of type 13, found only inside a multi. It changes
// nothing.
type CheckTxn struct {
	Path    string
	Version int32
}

func (t *CheckTxn) Fields(c *jute.Coder) {
	c.String(&t.Path)
	c.Int(&t.Version)
}

// ErrorTxn is the body of type -1: a request that failed.
type ErrorTxn struct{ Err Code }

func (t *ErrorTxn) Fields(c *jute.Coder) { c.Int((*int32)(&t.Err)) }

// CreateSessionTxn is the body of type -10.
type CreateSessionTxn struct{ TimeOut int32 }

func (t *CreateSessionTxn) Fields(c *jute.Coder) { c.Int(&t.TimeOut) }

// CloseSessionTxn is the body of type -11: the ephemerals that end with the
// session.
type CloseSessionTxn struct{ Paths []string }

func (t *CloseSessionTxn) Fields(c *jute.Coder) { c.Strings(&t.Paths) }

// SubTxn is one step of a multi.
type SubTxn struct {
	Type OpCode
	Body jute.Record
}

// MultiTxn is the body of type 14. All steps share the header of the whole. A
// multi that failed has an error step in it and changes nothing.
type MultiTxn struct{ Ops []SubTxn }

// Failed tells whether the multi is the record of a failure.
func (t *MultiTxn) Failed() bool {
	for i := range t.Ops {
		if t.Ops[i].Type == OpError {
			return true
		}
	}
	return false
}

func (t *MultiTxn) Fields(c *jute.Coder) {
	jute.Vector(c, &t.Ops, 8, func(c *jute.Coder, s *SubTxn) {
		c.Int((*int32)(&s.Type))
		if !c.Decoding() {
			c.Nested(s.Body)
			return
		}
		var b []byte
		c.Buffer(&b)
		if c.Err() != nil {
			return
		}
		if s.Body = newTxnBody(s.Type); s.Body == nil || s.Type == OpMulti || s.Type == OpCreateSession || s.Type == OpCloseSession {
			c.Fail(fmt.Errorf("multi holds a transaction of type %d", int32(s.Type)))
			return
		}
		d := jute.RawDecoder(b)
		s.Body.Fields(&d)
		if d.Err() != nil {
			c.Fail(fmt.Errorf("%s inside multi: %w", s.Type, d.Err()))
		}
	})
}

func newTxnBody(op OpCode) jute.Record {
	switch op {
	case OpCreateSession:
		return new(CreateSessionTxn)
	case OpCloseSession:
		return new(CloseSessionTxn)
	case OpError:
		return new(ErrorTxn)
	case OpCreate, OpCreate2:
		return new(CreateTxn)
	case OpCreateContainer:
		return new(CreateContainerTxn)
	case OpCreateTTL:
		return new(CreateTTLTxn)
	case OpDelete, OpDeleteContainer:
		return new(DeleteTxn)
	case OpSetData, OpReconfig:
		return new(SetDataTxn)
	case OpSetACL:
		return new(SetACLTxn)
	case OpCheck:
		return new(CheckTxn)
	case OpMulti:
		return new(MultiTxn)
	}
	return nil
}

// Append appends the bytes of t to b.
func (t *Txn) Append(b []byte) []byte {
	c := jute.Encoder(b)
	t.Encode(&c)
	return c.Bytes()
}

// Encode writes t to an encoder, which a caller may keep to save its
// allocation.
func (t *Txn) Encode(c *jute.Coder) {
	t.header(c)
	if t.Body != nil {
		t.Body.Fields(c)
	}
	if t.Digest.Version != 0 {
		c.Int(&t.Digest.Version)
		tree := int64(t.Digest.Tree)
		c.Long(&tree)
	}
}

func (t *Txn) header(c *jute.Coder) {
	c.Long(&t.Session)
	c.Int(&t.Cxid)
	c.Long((*int64)(&t.Zxid))
	c.Long(&t.Time)
	c.Int((*int32)(&t.Type))
}

// ErrTxnType says that a transaction is of a type that does not exist.
var ErrTxnType = errors.New("unknown transaction type")

const digestSize = 12

// DecodeTxn reads one transaction in any shape that servers from 3.4 to 3.9
// wrote. Data in the result shares b's memory.
func DecodeTxn(b []byte) (Txn, error) { return decodeTxn(b, jute.RawDecoder) }

// AliasTxn is DecodeTxn, but strings share b's memory too: for a transaction
// that does not outlive b.
func AliasTxn(b []byte) (Txn, error) { return decodeTxn(b, jute.RawAliasDecoder) }

func decodeTxn(b []byte, decoder func([]byte) jute.Coder) (Txn, error) {
	var t Txn
	c := decoder(b)
	t.header(&c)
	if c.Err() != nil {
		return t, fmt.Errorf("transaction header: %w", c.Err())
	}
	body := newTxnBody(t.Type)
	if body == nil || t.Type == OpCheck {
		return t, fmt.Errorf("%w %d", ErrTxnType, int32(t.Type))
	}
	rest := c.Rest()
	if t.Type == OpCloseSession && (len(rest) == 0 || len(rest) == digestSize) {
		// Written without a path list: by 3.5, or with closeSessionTxn.enabled=false.
		t.digest(rest)
		return t, nil
	}
	d := decoder(rest)
	body.Fields(&d)
	if d.Err() != nil && t.Type == OpCreate {
		d = decoder(rest)
		createTxnV0{body.(*CreateTxn)}.Fields(&d)
	}
	if d.Err() != nil {
		return t, fmt.Errorf("%s transaction: %w", t.Type, d.Err())
	}
	t.Body = body
	t.digest(d.Rest())
	return t, nil
}

// digest reads the digest, if b holds one.
func (t *Txn) digest(b []byte) {
	if len(b) < digestSize {
		return
	}
	c := jute.RawDecoder(b)
	c.Int(&t.Digest.Version)
	var tree int64
	c.Long(&tree)
	t.Digest.Tree = uint64(tree)
}
