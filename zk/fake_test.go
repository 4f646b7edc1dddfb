// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"paddock/jute"
	"paddock/proto"
)

// fake is a server whose every byte the test decides. Tests run it inside
// synctest, so that its clock is the test's.
type fake struct {
	t     *testing.T
	dials chan *fakeConn
}

type fakeConn struct {
	net.Conn
	t      *testing.T
	server string
	hello  proto.ConnectRequest
}

func newFake(t *testing.T) *fake { return &fake{t, make(chan *fakeConn)} }

func (f *fake) dial(ctx context.Context, server string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case f.dials <- &fakeConn{Conn: theirs, t: f.t, server: server}:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// accept takes the next connection and its ConnectRequest.
func (f *fake) accept() *fakeConn {
	f.t.Helper()
	fc := <-f.dials
	if err := jute.Unmarshal(fc.frame(), &fc.hello); err != nil {
		f.t.Fatal(err)
	}
	return fc
}

const fakeSession, fakeTimeout = 0x1000_0001, 9 * time.Second

var fakePasswd = []byte("0123456789abcdef")

// welcome answers the ConnectRequest.
func (fc *fakeConn) welcome() *fakeConn {
	fc.record(&proto.ConnectResponse{TimeOut: int32(fakeTimeout.Milliseconds()), SessionID: fakeSession, Passwd: fakePasswd})
	return fc
}

// open connects a client, whose options opts change, and detaches it when the
// test ends.
func (f *fake) open(servers string, opts ...Option) (*Client, *fakeConn) {
	f.t.Helper()
	type result struct {
		c   *Client
		err error
	}
	got := make(chan result)
	go func() {
		c, err := Connect(f.t.Context(), servers, append([]Option{WithDialer(f.dial), WithSessionTimeout(12 * time.Second)}, opts...)...)
		got <- result{c, err}
	}()
	fc := f.accept().welcome()
	r := <-got
	if r.err != nil {
		f.t.Fatal(r.err)
	}
	return r.c, fc
}

func (fc *fakeConn) frame() []byte {
	fc.t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(fc, head[:]); err != nil {
		fc.t.Fatalf("fake server: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(fc, body); err != nil {
		fc.t.Fatalf("fake server: %v", err)
	}
	return body
}

// request reads a request of the opcode into rec and returns its xid.
func (fc *fakeConn) request(op proto.OpCode, rec jute.Record) int32 {
	fc.t.Helper()
	b := fc.frame()
	var h proto.RequestHeader
	if err := jute.Unmarshal(b, &h); err != nil {
		fc.t.Fatal(err)
	}
	if h.Type != op {
		fc.t.Fatalf("request %v, want %v", h.Type, op)
	}
	if rec != nil {
		if err := jute.Unmarshal(b[8:], rec); err != nil {
			fc.t.Fatal(err)
		}
	}
	return h.Xid
}

func (fc *fakeConn) record(rec jute.Record) {
	b := jute.Append(make([]byte, 4), rec)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	fc.Write(b)
}

type frameOf struct {
	head jute.Record
	body jute.Record
}

func (r frameOf) Fields(c *jute.Coder) {
	r.head.Fields(c)
	if r.body != nil {
		r.body.Fields(c)
	}
}

func (fc *fakeConn) reply(xid int32, zxid proto.Zxid, code proto.Code, rec jute.Record) {
	fc.record(frameOf{&proto.ReplyHeader{Xid: xid, Zxid: zxid, Err: code}, rec})
}

func (fc *fakeConn) event(typ EventType, path string, zxid proto.Zxid) {
	fc.record(frameOf{&proto.ReplyHeader{Xid: proto.XidEvent, Zxid: zxid}, &proto.WatcherEvent{Type: typ, State: proto.StateSyncConnected, Path: path}})
}

// ended waits for the client to drop the connection.
func (fc *fakeConn) ended() {
	fc.t.Helper()
	if _, err := io.Copy(io.Discard, fc); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		fc.t.Fatal(err)
	}
}

// later runs a call and returns where its error will be.
func later(call func() error) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- call() }()
	return ch
}

func wantErr(t *testing.T, what string, err, code error) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("%s: error %v, want %v", what, err, code)
	}
}

func wantStrings(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
