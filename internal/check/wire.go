// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"paddock/jute"
	"paddock/proto"
)

// Conn is one connection with a session, frame by frame. One goroutine may
// send while another receives.
type Conn struct {
	Session   proto.SessionID
	Passwd    []byte
	TimeoutMs int32 // as negotiated
	Xid       int32 // of the last request; carry it over for a session that goes on

	nc  net.Conn
	r   *bufio.Reader
	out []byte
}

// ErrExpired says that the server does not know the session any more.
var ErrExpired = errors.New("session expired")

// ioTimeout bounds each wait for a server that should answer.
const ioTimeout = 20 * time.Second

// Dial connects and shakes hands: q.SessionID 0 asks for a new session.
func Dial(addr string, q proto.ConnectRequest) (*Conn, error) {
	nc, err := net.DialTimeout("tcp", addr, ioTimeout)
	if err != nil {
		return nil, err
	}
	if q.Passwd == nil {
		q.Passwd = make([]byte, 16)
	}
	c := &Conn{nc: nc, r: bufio.NewReader(nc)}
	c.frame(&q)
	if err = c.Flush(); err == nil {
		err = c.welcome()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) welcome() error {
	b, err := c.read()
	if err != nil {
		return err
	}
	var r proto.ConnectResponse
	if err := jute.Unmarshal(b, &r); err != nil {
		return err
	}
	if r.TimeOut <= 0 {
		return ErrExpired
	}
	c.Session, c.Passwd, c.TimeoutMs = proto.SessionID(r.SessionID), r.Passwd, r.TimeOut
	return nil
}

func (c *Conn) frame(records ...jute.Record) {
	start := len(c.out)
	c.out = append(c.out, 0, 0, 0, 0)
	for _, r := range records {
		c.out = jute.Append(c.out, r)
	}
	binary.BigEndian.PutUint32(c.out[start:], uint32(len(c.out)-start-4))
}

// Send queues a request until Flush; body is nil for one without a record. It
// returns the request's xid.
func (c *Conn) Send(op proto.OpCode, body jute.Record) int32 {
	c.Xid++
	h := proto.RequestHeader{Xid: c.Xid, Type: op}
	if op == proto.OpPing {
		c.Xid--
		h.Xid = proto.XidPing
	}
	if body == nil {
		c.frame(&h)
	} else {
		c.frame(&h, body)
	}
	return h.Xid
}

// Flush writes what is queued.
func (c *Conn) Flush() error {
	c.nc.SetWriteDeadline(time.Now().Add(ioTimeout))
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// Frame is one frame from the server: a reply, or an event (Xid XidEvent).
type Frame struct {
	Xid  int32
	Zxid proto.Zxid
	Err  proto.Code
	Body []byte
}

// Decode fills r from the frame's body.
func (f Frame) Decode(r jute.Record) error { return jute.Unmarshal(f.Body, r) }

// Next returns the next frame.
func (c *Conn) Next() (Frame, error) {
	b, err := c.read()
	if err != nil {
		return Frame{}, err
	}
	if len(b) < 16 {
		return Frame{}, fmt.Errorf("a frame of %d bytes", len(b))
	}
	return Frame{
		Xid:  int32(binary.BigEndian.Uint32(b)),
		Zxid: proto.Zxid(binary.BigEndian.Uint64(b[4:])),
		Err:  proto.Code(binary.BigEndian.Uint32(b[12:])),
		Body: b[16:],
	}, nil
}

func (c *Conn) read() ([]byte, error) {
	c.nc.SetReadDeadline(time.Now().Add(ioTimeout))
	var n [4]byte
	if _, err := io.ReadFull(c.r, n[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(n[:])
	if size > 64<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(c.r, b)
	return b, err
}

// Call sends one request and returns its reply; events before it are dropped.
func (c *Conn) Call(op proto.OpCode, body jute.Record) (Frame, error) {
	xid := c.Send(op, body)
	if err := c.Flush(); err != nil {
		return Frame{}, err
	}
	for {
		f, err := c.Next()
		if err != nil || f.Xid == xid {
			return f, err
		}
		if f.Xid != proto.XidEvent {
			return f, fmt.Errorf("reply to xid %d, not %d", f.Xid, xid)
		}
	}
}

// Raw is the connection itself.
func (c *Conn) Raw() net.Conn { return c.nc }

// Close drops the connection. The session goes on.
func (c *Conn) Close() error { return c.nc.Close() }

// OpenACL lets everyone do everything.
var OpenACL = []proto.ACL{{Perms: proto.PermAll, Scheme: "world", ID: "anyone"}}

// Multi is the request of a multi or a multiRead.
type Multi []MultiOp

// MultiOp is one operation of a Multi.
type MultiOp struct {
	Type proto.OpCode
	Body jute.Record
}

// Fields writes the request; it does not read it.
func (m Multi) Fields(c *jute.Coder) {
	for _, op := range m {
		h := proto.MultiHeader{Type: op.Type, Err: -1}
		h.Fields(c)
		op.Body.Fields(c)
	}
	end := proto.MultiEnd
	end.Fields(c)
}

// MultiResult is one result of a multi or a multiRead: Err where Type is
// OpError, else what the type brings.
type MultiResult struct {
	Type proto.OpCode
	Err  proto.Code
	Path string
	Data []byte
	Stat proto.Stat
}

// DecodeMulti reads the results of create, setData, delete, check and getData.
func DecodeMulti(body []byte) ([]MultiResult, error) {
	c := jute.Decoder(body)
	var out []MultiResult
	for {
		var h proto.MultiHeader
		h.Fields(&c)
		if c.Err() != nil || h.Done {
			return out, c.Err()
		}
		r := MultiResult{Type: h.Type}
		switch h.Type {
		case proto.OpError:
			var code int32
			c.Int(&code)
			r.Err = proto.Code(code)
		case proto.OpCreate:
			c.String(&r.Path)
		case proto.OpSetData:
			r.Stat.Fields(&c)
		case proto.OpGetData:
			c.Buffer(&r.Data)
			r.Stat.Fields(&c)
		case proto.OpDelete, proto.OpCheck:
		default:
			return nil, fmt.Errorf("a multi's result of type %v", h.Type)
		}
		out = append(out, r)
	}
}
