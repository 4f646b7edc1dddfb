// SPDX-License-Identifier: Apache-2.0

package conn_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"paddock/internal/check"
	"paddock/jute"
	"paddock/proto"
)

// length is the four bytes in front of a frame.
func length(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func frame(b ...[]byte) []byte {
	all := bytes.Join(b, nil)
	return append(length(uint32(len(all))), all...)
}

func request(op proto.OpCode, r jute.Record) []byte {
	return frame(jute.Marshal(&proto.RequestHeader{Xid: 1, Type: op}), jute.Marshal(r))
}

func send(b []byte) func(net.Conn) { return func(nc net.Conn) { nc.Write(b) } }

// TestHostileConnections: each of these peers is let go, and one line in the
// log says what it was.
func TestHostileConnections(t *testing.T) {
	addr, log := start(t, nil)
	n := moveIn(t, addr)
	before := heap()
	garbage := make([]byte, 1000)
	rng := rand.NewChaCha8([32]byte{7})
	rng.Read(garbage)
	exists := request(proto.OpExists, &proto.PathWatch{Path: "/"})

	for _, tc := range []struct {
		name    string
		session int32 // timeout of a session it has first, 0 is none
		do      func(net.Conn)
		msg     string // of the line
		why     string
	}{
		{"half-open before the handshake", 0, func(net.Conn) {}, "connection closed", "no session after 500ms"},
		{"slow handshake", 0, func(nc net.Conn) {
			for _, b := range frame(jute.Marshal(&proto.ConnectRequest{TimeOut: 1000, Passwd: make([]byte, 16)})) {
				if _, err := nc.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(30 * time.Millisecond)
			}
		}, "connection closed", "no session after 500ms"},
		{"leaves in the handshake", 0, func(nc net.Conn) {
			nc.Write(append(length(45), 0, 0, 0))
			nc.(*net.TCPConn).CloseWrite()
		}, "connection closed", "ended in the middle of its first frame"},
		{"garbage", 0, send(garbage), "connection closed", "frame length"},
		{"zeros", 0, send(make([]byte, 100)), "connection closed", "empty first frame"},
		{"HTTP", 0, send([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")), "connection closed", "speaks HTTP"},
		{"TLS", 0, func(nc net.Conn) {
			nc.SetDeadline(time.Now().Add(10 * time.Second))
			if err := tls.Client(nc, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
				t.Error("a TLS handshake went through")
			}
		}, "connection closed", "speaks TLS"},
		{"SSH", 0, send([]byte("SSH-2.0-OpenSSH_9.6\r\n")), "connection closed", "speaks SSH"},
		{"first frame of 2 GiB", 0, send(append(length(0x7fffffff), garbage...)), "connection closed", "frame length 2147483647"},
		{"first frame of -1", 0, send(length(0xffffffff)), "connection closed", "frame length -1 "},
		{"first frame of -2^31", 0, send(append(length(0x80000000), garbage...)), "connection closed", "frame length -2147483648"},
		{"a password of 2 GiB", 0, send(frame(make([]byte, 24), length(0x7fffffff), make([]byte, 17))), "connection closed", "connect request cannot be read"},
		{"from the future", 0, send(frame(jute.Marshal(&proto.ConnectRequest{LastZxidSeen: 1 << 40, TimeOut: 1000, Passwd: make([]byte, 16)}))), "connection closed", "has seen zxid"},

		{"frame of 2 GiB", 60000, send(append(length(0x7fffffff), garbage...)), "connection closed", "frame length 2147483647"},
		{"frame of -1", 60000, send(length(0xffffffff)), "connection closed", "frame length -1 "},
		{"frame of one byte more than allowed", 60000, send(length(1048576)), "connection closed", "frame length 1048576"},
		{"flood behind a bad length", 60000, func(nc net.Conn) {
			nc.Write(length(0x80000000))
			for range 1000 {
				if _, err := nc.Write(garbage); err != nil {
					return
				}
			}
		}, "connection closed", "frame length -2147483648"},
		{"empty frame", 60000, send(length(0)), "connection closed", "too short for a request"},
		{"frame without a type", 60000, send(frame([]byte{0, 0, 0, 1})), "connection closed", "too short for a request"},
		{"an operation that does not exist", 60000, send(request(77, &proto.Path{Path: "/"})), "connection closed", "unknown operation"},
		{"an auth packet of garbage", 60000, send(frame(jute.Marshal(&proto.RequestHeader{Xid: proto.XidAuth, Type: proto.OpAuth}), length(0), length(0x7fffffff))), "connection closed", "auth packet cannot be read"},
		{"a scheme that does not exist", 60000, send(frame(jute.Marshal(&proto.RequestHeader{Xid: proto.XidAuth, Type: proto.OpAuth}), jute.Marshal(&proto.Auth{Scheme: "\x1b[31mx", Auth: []byte("x")}))),
			"connection closed", "authentication with scheme"},
		{"leaves in a frame", 60000, func(nc net.Conn) {
			nc.Write(exists[:len(exists)-1])
			nc.(*net.TCPConn).CloseWrite()
		}, "connection closed", "ended in the middle of a frame"},
		{"half-open after the handshake", 1000, func(net.Conn) {}, "session expired", ""},
		{"stops in a frame", 1000, send(exists[:len(exists)-1]), "session expired", ""},
		{"slow writer without an end", 1000, func(nc net.Conn) {
			nc.Write(length(1000))
			for range 1000 {
				if _, err := nc.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}, "session expired", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var (
				nc   net.Conn
				whom string // as the line names it
			)
			if tc.session > 0 {
				c := dial(t, addr, tc.session)
				nc, whom = c.Raw(), "session="+c.Session.String()
				nc.SetReadDeadline(time.Time{})
			} else {
				var err error
				if nc, err = net.Dial("tcp", addr); err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				whom = "peer=" + nc.LocalAddr().String()
			}
			tc.do(nc)
			ended(t, nc)
			eventually(t, "a line in the log", func() bool { return len(log.with(whom)) > 0 })
			lines := log.with(whom)
			if len(lines) != 1 || !strings.Contains(lines[0], tc.msg) || !strings.Contains(lines[0], tc.why) {
				t.Errorf("want one line about %q, %q; have %q", tc.msg, tc.why, lines)
			}
			if strings.ContainsAny(strings.Join(lines, ""), "\x1b\x00") {
				t.Errorf("control characters in the log: %q", lines)
			}
		})
	}
	n.leave()
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
}

// ended waits until the server has closed its end.
func ended(t *testing.T, nc net.Conn) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// TestSlowWriter: a peer that needs long for a frame is served all the same, as
// long as its session lives.
func TestSlowWriter(t *testing.T) {
	addr, log := start(t, nil)
	c := dial(t, addr, 60000)
	for _, b := range request(proto.OpExists, &proto.PathWatch{Path: "/"}) {
		if _, err := c.Raw().Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if f, err := c.Next(); err != nil || f.Err != proto.OK || f.Xid != 1 {
		t.Errorf("%+v, %v", f, err)
	}
	if lines := log.with("connection closed"); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
}

// TestLengthsCostNothing has many peers announce the largest frame there is
// and send little of it.
func TestLengthsCostNothing(t *testing.T) {
	const peers = 300
	addr, _ := start(t, nil)
	n := moveIn(t, addr)
	conns := make([]*check.Conn, peers)
	for i := range conns {
		conns[i] = dial(t, addr, 60000)
	}
	before := heap()
	for _, c := range conns {
		if _, err := c.Raw().Write(append(length(1048575), make([]byte, 100)...)); err != nil {
			t.Fatal(err)
		}
	}
	call(t, dial(t, addr, 60000), proto.OpSync, &proto.Path{Path: "/"})
	grown := heap() - before
	t.Logf("%d KiB for each frame that was announced", grown/peers>>10)
	if grown > peers*48<<10 {
		t.Errorf("%d peers that announced 1 MiB cost %d KiB", peers, grown>>10)
	}
	n.leave()
}

// TestSlowReader: a peer that asks for large replies or many events and reads
// none of them is let go before it costs much, and one that reads late still
// gets them.
func TestSlowReader(t *testing.T) {
	const outLimit = 64 << 20 // as the server sets it
	addr, log := start(t, map[string]string{"snapCount": "1000000"})
	n := moveIn(t, addr)
	before := heap()
	writer := dial(t, addr, 60000)
	long := "/" + strings.Repeat("x", 200<<10) // makes an event of 200 KiB
	call(t, writer, proto.OpCreate, &proto.Create{Path: long, ACL: check.OpenACL})

	t.Run("events", func(t *testing.T) {
		c := dial(t, addr, 60000)
		call(t, c, proto.OpAddWatch, &proto.PathType{Path: long, Type: proto.AddWatchPersistent})
		whom, most := "session="+c.Session.String(), int64(0)
		for i := range 2 * outLimit / len(long) {
			call(t, writer, proto.OpSetData, &proto.SetData{Path: long, Version: -1})
			if i%50 == 0 {
				most = max(most, heap()-before)
			}
		}
		eventually(t, "a line in the log", func() bool { return len(log.with(whom)) > 0 })
		t.Logf("the heap grew by %d MiB at most", most>>20)
		if most > 5*outLimit/2 {
			t.Errorf("the heap grew by %d MiB", most>>20)
		}
		if lines := log.with(whom); len(lines) != 1 || !strings.Contains(lines[0], "does not read what it asked for") {
			t.Errorf("%q", lines)
		}
		ended(t, c.Raw())
	})

	large := make([]byte, 1000<<10)
	call(t, writer, proto.OpCreate, &proto.Create{Path: "/large", Data: large, ACL: check.OpenACL})
	t.Run("replies", func(t *testing.T) {
		c := dial(t, addr, 1000)
		for range 400 {
			c.Send(proto.OpGetData, &proto.PathWatch{Path: "/large"})
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		whom, most := "session="+c.Session.String(), int64(0)
		eventually(t, "a line in the log", func() bool {
			most = max(most, heap()-before)
			return len(log.with(whom)) > 0
		})
		t.Logf("the heap grew by %d MiB at most; %q", most>>20, log.with(whom))
		if most > 5*outLimit/2 {
			t.Errorf("the heap grew by %d MiB", most>>20)
		}
	})

	for _, behindWrite := range []bool{false, true} {
		t.Run(fmt.Sprintf("late reader, behind a write: %v", behindWrite), func(t *testing.T) {
			c := dial(t, addr, 60000)
			const asked = 300
			if behindWrite {
				c.Send(proto.OpSetData, &proto.SetData{Path: "/large", Data: large, Version: -1})
			}
			for range asked {
				c.Send(proto.OpGetData, &proto.PathWatch{Path: "/large"})
			}
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			if behindWrite {
				if f, err := c.Next(); err != nil || f.Err != proto.OK {
					t.Fatal(err, f.Err)
				}
			}
			for i := range asked {
				f, err := c.Next()
				if err != nil || f.Err != proto.OK || len(f.Body) < len(large) {
					t.Fatalf("reply %d: %v %v, %d bytes; log: %q", i+1, err, f.Err, len(f.Body), log.with(c.Session.String()))
				}
			}
		})
	}
	n.leave()
	eventually(t, "the memory comes back", func() bool { return heap()-before < 24<<20 })
}

// TestAbandonedConnections opens and breaks connections in all ways at once.
func TestAbandonedConnections(t *testing.T) {
	addr, _ := start(t, nil)
	n := moveIn(t, addr)
	for i := range 500 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 1:
			fmt.Fprint(nc, "ruok")
		case 2:
			nc.Write(frame(jute.Marshal(&proto.ConnectRequest{TimeOut: 1000, Passwd: make([]byte, 16)})))
		case 3:
			nc.Write(frame(jute.Marshal(&proto.ConnectRequest{TimeOut: 1000, Passwd: make([]byte, 16)})))
			nc.Write(request(proto.OpSetData, &proto.SetData{Path: "/zookeeper", Version: -1}))
			nc.(*net.TCPConn).SetLinger(0)
		}
		nc.Close()
	}
	c := dial(t, addr, 60000)
	eventually(t, "all connections but two and all sessions but two are gone", func() bool {
		text := fourLetter(t, addr, "mntr")
		return strings.Contains(text, "zk_num_alive_connections\t3\n") && strings.Contains(text, "zk_global_sessions\t2\n")
	})
	call(t, c, proto.OpSync, &proto.Path{Path: "/"})
	n.leave()
}

func fourLetter(t *testing.T, addr, word string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, word)
	nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	b, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
