// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

// Opcodes and errors that the hand-written tests use. Spelled out here: the tests are to notice a wrong constant.
const (
	opCreate          = 1
	opExists          = 3
	opGetData         = 4
	opSetData         = 5
	opPing            = 11
	opMulti           = 14
	opCreate2         = 15
	opCreateContainer = 19
	opDeleteContainer = 20
	opCreateTTL       = 21
	opCreateSession   = -10

	errMarshalling   = -5
	errUnimplemented = -6
	errBadArguments  = -8
	errNoNode        = -101
	errThrottled     = -127
)

// client is one session that speaks bytes of its own making.
type client struct {
	*Conn
	t      testing.TB
	xid    int32
	events [][]byte // watch events met on the way to a reply
}

// reply is a reply frame, taken apart.
type reply struct {
	zxid int64
	err  int32
	body []byte
}

// connect opens a session with a timeout of 30 s, or takes an existing one up when id is not 0.
func (s *target) connect(t testing.TB, id int64, passwd []byte) *client {
	t.Helper()
	c, err := Dial(s.addr)
	must(t, err)
	t.Cleanup(c.Close)
	c.Send(connectRequest(id, passwd))
	f := c.Frame(time.Now().Add(replyWait))
	if f == nil {
		t.Fatalf("no ConnectResponse (connection ended %q)", c.Ended())
	}
	c.learn(f)
	return &client{Conn: c, t: t}
}

func connectRequest(id int64, passwd []byte) []byte {
	if passwd == nil {
		passwd = make([]byte, 16)
	}
	return frame(i32(0), i64(0), i32(30000), i64(id), buf(passwd), []byte{0})
}

// call makes one request and returns its reply. A connection that ends instead fails the test.
func (c *client) call(op int32, body ...[]byte) reply {
	c.t.Helper()
	c.xid++
	return c.raw(frame(append([][]byte{i32(c.xid), i32(op)}, body...)...))
}

// raw sends one request frame and returns the reply with its xid.
func (c *client) raw(req []byte) reply {
	c.t.Helper()
	c.Send(req)
	xid := int32(binary.BigEndian.Uint32(req[4:]))
	for {
		f := c.Frame(time.Now().Add(replyWait))
		if len(f) < 20 {
			c.t.Fatalf("no reply to %x (connection ended %q)", req, c.Ended())
		}
		switch got := int32(binary.BigEndian.Uint32(f[4:])); got {
		case xid:
			return reply{int64(binary.BigEndian.Uint64(f[8:])), int32(binary.BigEndian.Uint32(f[16:])), f[20:]}
		case -1:
			c.events = append(c.events, f)
		default:
			c.t.Fatalf("reply to xid %d, want %d", got, xid)
		}
	}
}

// must is call for a request that has to succeed.
func (c *client) must(op int32, body ...[]byte) reply {
	c.t.Helper()
	r := c.call(op, body...)
	if r.err != 0 {
		c.t.Fatalf("opcode %d: error %d, want success", op, r.err)
	}
	return r
}

// event returns the next watch event as "type path".
func (c *client) event() string {
	c.t.Helper()
	if len(c.events) == 0 {
		f := c.Frame(time.Now().Add(replyWait))
		if f == nil {
			c.t.Fatalf("no event came (connection ended %q)", c.Ended())
		}
		c.events = append(c.events, f)
	}
	f := c.events[0]
	c.events = c.events[1:]
	if len(f) < 32 || int32(binary.BigEndian.Uint32(f[4:])) != -1 {
		c.t.Fatalf("%x, want an event", f)
	}
	return fmt.Sprintf("%d %s", binary.BigEndian.Uint32(f[20:]), f[32:])
}

func i32(v int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }
func i64(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

func buf(b []byte) []byte {
	if b == nil {
		return i32(-1)
	}
	return append(i32(int32(len(b))), b...)
}

func str(s string) []byte { return buf([]byte(s)) }

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func frame(parts ...[]byte) []byte { return buf(join(parts...)) }

// create is the body of create, create2 and createContainer, with the ACL world:anyone:all.
func create(path string, data []byte, flags int32) []byte {
	return join(str(path), buf(data), i32(1), i32(31), str("world"), str("anyone"), i32(flags))
}

func read(path string, watch byte) []byte { return join(str(path), []byte{watch}) }

func setData(path string, data []byte) []byte { return join(str(path), buf(data), i32(-1)) }

// multiOne is a multi of one operation.
func multiOne(op int32, body []byte) []byte {
	return join(i32(op), []byte{0}, i32(-1), body, i32(-1), []byte{1}, i32(-1))
}

// dataOf takes the data out of the body of a getData reply.
func dataOf(body []byte) string {
	n := int32(binary.BigEndian.Uint32(body))
	return string(body[4 : 4+max(n, 0)])
}
