// SPDX-License-Identifier: Apache-2.0

package proto

import "paddock/jute"

// ACL is one entry of a znode's access control list.
type ACL struct {
	Perms  int32
	Scheme string
	ID     string
}

func (a *ACL) Fields(c *jute.Coder) {
	c.Int(&a.Perms)
	c.String(&a.Scheme)
	c.String(&a.ID)
}

// ACLs is a vector of ACL entries; nil is null.
func ACLs(c *jute.Coder, v *[]ACL) {
	jute.Vector(c, v, 12, func(c *jute.Coder, a *ACL) { a.Fields(c) })
}

// Stat is what a client sees of a znode's numbers: 68 bytes.
type Stat struct {
	Czxid          Zxid
	Mzxid          Zxid
	Ctime          int64 // ms since 1970
	Mtime          int64
	Version        int32
	Cversion       int32 // creates and deletes of children so far
	Aversion       int32
	EphemeralOwner int64 // 0 also for containers and TTL znodes
	DataLength     int32
	NumChildren    int32
	Pzxid          Zxid
}

func (s *Stat) Fields(c *jute.Coder) {
	c.Long((*int64)(&s.Czxid))
	c.Long((*int64)(&s.Mzxid))
	c.Long(&s.Ctime)
	c.Long(&s.Mtime)
	c.Int(&s.Version)
	c.Int(&s.Cversion)
	c.Int(&s.Aversion)
	c.Long(&s.EphemeralOwner)
	c.Int(&s.DataLength)
	c.Int(&s.NumChildren)
	c.Long((*int64)(&s.Pzxid))
}

// StatPersisted is a znode's numbers as stored: 60 bytes. Cversion counts the
// creates of children only.
type StatPersisted struct {
	Czxid          Zxid
	Mzxid          Zxid
	Ctime          int64
	Mtime          int64
	Version        int32
	Cversion       int32
	Aversion       int32
	EphemeralOwner int64
	Pzxid          Zxid
}

func (s *StatPersisted) Fields(c *jute.Coder) {
	c.Long((*int64)(&s.Czxid))
	c.Long((*int64)(&s.Mzxid))
	c.Long(&s.Ctime)
	c.Long(&s.Mtime)
	c.Int(&s.Version)
	c.Int(&s.Cversion)
	c.Int(&s.Aversion)
	c.Long(&s.EphemeralOwner)
	c.Long((*int64)(&s.Pzxid))
}

// Create is the request of opcodes 1, 15 and 19.
type Create struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
}

func (r *Create) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Buffer(&r.Data)
	ACLs(c, &r.ACL)
	c.Int(&r.Flags)
}

// CreateTTL is the request of opcode 21.
type CreateTTL struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
	TTL   int64 // ms
}

func (r *CreateTTL) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Buffer(&r.Data)
	ACLs(c, &r.ACL)
	c.Int(&r.Flags)
	c.Long(&r.TTL)
}

// PathVersion is the request of delete (2) and check (13).
type PathVersion struct {
	Path    string
	Version int32 // -1 accepts any
}

func (r *PathVersion) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Int(&r.Version)
}

// PathWatch is the request of exists, getData, getChildren and getChildren2.
type PathWatch struct {
	Path  string
	Watch bool
}

func (r *PathWatch) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Bool(&r.Watch)
}

// Path is the request of getACL, sync, deleteContainer, getEphemerals (a
// prefix) and getAllChildrenNumber, and the response of create and sync.
type Path struct{ Path string }

func (r *Path) Fields(c *jute.Coder) { c.String(&r.Path) }

// SetData is the request of opcode 5.
type SetData struct {
	Path    string
	Data    []byte
	Version int32
}

func (r *SetData) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Buffer(&r.Data)
	c.Int(&r.Version)
}

// SetACL is the request of opcode 7.
type SetACL struct {
	Path    string
	ACL     []ACL
	Version int32 // of the ACL
}

func (r *SetACL) Fields(c *jute.Coder) {
	c.String(&r.Path)
	ACLs(c, &r.ACL)
	c.Int(&r.Version)
}

// Reconfig is the request of opcode 16. Texts are null where not given.
type Reconfig struct {
	Joining, Leaving, NewMembers string
	CurConfigID                  int64 // -1 accepts any
}

func (r *Reconfig) Fields(c *jute.Coder) {
	c.String(&r.Joining)
	c.String(&r.Leaving)
	c.String(&r.NewMembers)
	c.Long(&r.CurConfigID)
}

// PathType is the request of checkWatches, removeWatches (a watcher kind) and
// addWatch (a mode).
type PathType struct {
	Path string
	Type int32
}

func (r *PathType) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Int(&r.Type)
}

// SetWatches is the request of opcode 101 and, with WithPersistent, of 105.
type SetWatches struct {
	RelativeZxid   int64
	Data           []string
	Exist          []string
	Child          []string
	Persistent     []string
	Recursive      []string
	WithPersistent bool // opcode 105: the last two lists are there
}

func (r *SetWatches) Fields(c *jute.Coder) {
	c.Long(&r.RelativeZxid)
	c.Strings(&r.Data)
	c.Strings(&r.Exist)
	c.Strings(&r.Child)
	if r.WithPersistent {
		c.Strings(&r.Persistent)
		c.Strings(&r.Recursive)
	}
}

// PathStat is the response of create2, createContainer and createTTL.
type PathStat struct {
	Path string
	Stat Stat
}

func (r *PathStat) Fields(c *jute.Coder) {
	c.String(&r.Path)
	r.Stat.Fields(c)
}

// DataStat is the response of getData and reconfig.
type DataStat struct {
	Data []byte
	Stat Stat
}

func (r *DataStat) Fields(c *jute.Coder) {
	c.Buffer(&r.Data)
	r.Stat.Fields(c)
}

// ACLStat is the response of getACL.
type ACLStat struct {
	ACL  []ACL
	Stat Stat
}

func (r *ACLStat) Fields(c *jute.Coder) {
	ACLs(c, &r.ACL)
	r.Stat.Fields(c)
}

// Names is the response of getChildren and getEphemerals.
type Names struct{ Names []string }

func (r *Names) Fields(c *jute.Coder) { c.Strings(&r.Names) }

// NamesStat is the response of getChildren2.
type NamesStat struct {
	Names []string
	Stat  Stat
}

func (r *NamesStat) Fields(c *jute.Coder) {
	c.Strings(&r.Names)
	r.Stat.Fields(c)
}

// Number is the response of getAllChildrenNumber and addWatch, and the body of
// a failed sub-operation.
type Number struct{ N int32 }

func (r *Number) Fields(c *jute.Coder) { c.Int(&r.N) }

// ClientInfo is one id of a connection as whoAmI tells it.
type ClientInfo struct{ Scheme, User string }

func (r *ClientInfo) Fields(c *jute.Coder) {
	c.String(&r.Scheme)
	c.String(&r.User)
}

// WhoAmI is the response of opcode 107.
type WhoAmI struct{ IDs []ClientInfo }

func (r *WhoAmI) Fields(c *jute.Coder) {
	jute.Vector(c, &r.IDs, 8, func(c *jute.Coder, i *ClientInfo) { i.Fields(c) })
}

// MultiHeader precedes each sub-operation of a multi and each of its results.
type MultiHeader struct {
	Type OpCode
	Done bool
	Err  Code
}

func (r *MultiHeader) Fields(c *jute.Coder) {
	c.Int((*int32)(&r.Type))
	c.Bool(&r.Done)
	c.Int((*int32)(&r.Err))
}

// MultiEnd closes the list of sub-operations and of results.
var MultiEnd = MultiHeader{Type: -1, Done: true, Err: -1}
