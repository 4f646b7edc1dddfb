// SPDX-License-Identifier: Apache-2.0

package conn_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"paddock/internal/check"
	"paddock/jute"
	"paddock/proto"
)

// FuzzConnection sends the bytes of one connection to a server, behind a good
// handshake or as the handshake. The server must end the connection once its
// peer has, serve others as before, and be no larger for it.
func FuzzConnection(f *testing.F) {
	hello := frame(jute.Marshal(&proto.ConnectRequest{TimeOut: 1000, Passwd: make([]byte, 16)}))
	oldHello := frame(jute.Marshal(&proto.ConnectRequest{TimeOut: 1000, Passwd: make([]byte, 16), OldClient: true}))
	for _, b := range [][]byte{
		nil, hello, oldHello, hello[:20], append(bytes.Clone(hello), hello...),
		[]byte("GET / HTTP/1.1\r\n\r\n"), []byte("ruok"), []byte("mntrmntr"), []byte("conf\n"), []byte("wchs"), []byte("\xff\xf4\xff\xfd\x06ruok"),
		{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, []byte("SSH-2.0-x\r\n"),
		length(0), length(math.MaxInt32), length(math.MaxUint32), length(0x80000000), length(1 << 20), append(length(16), 1, 2, 3),
		frame(jute.Marshal(&proto.ConnectRequest{SessionID: 5, LastZxidSeen: 1, TimeOut: -1, Passwd: []byte{}})),
		frame(make([]byte, 24), length(math.MaxInt32)),
	} {
		f.Add(false, b)
	}
	var all []byte
	for _, q := range requests() {
		f.Add(true, q)
		f.Add(true, q[:len(q)-1])
		all = append(all, q...)
	}
	f.Add(true, all)
	f.Add(true, bytes.Repeat(request(proto.OpPing, &proto.Path{}), 50))

	addr, _ := start(f, map[string]string{"tickTime": "50", "maxSessionTimeout": "500", "jute.maxbuffer": "65536"})
	var good *check.Conn
	runs, before, routines := 0, heap(), runtime.NumGoroutine()
	f.Fuzz(func(t *testing.T, shakeHands bool, b []byte) {
		if good == nil {
			var err error
			if good, err = check.Dial(addr, proto.ConnectRequest{TimeOut: 500}); err != nil {
				t.Fatal(err)
			}
		}
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if shakeHands {
			nc.Write(hello)
		}
		nc.Write(b) // an error is the server's right
		nc.(*net.TCPConn).CloseWrite()
		nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the server does not end the connection")
		}
		if _, err := good.Call(proto.OpExists, &proto.PathWatch{Path: "/"}); err != nil {
			// Between two runs the fuzzer may take longer than a session lives.
			good.Close()
			if good, err = check.Dial(addr, proto.ConnectRequest{TimeOut: 500}); err != nil {
				t.Fatalf("the server does not serve others any more: %v", err)
			}
		}
		if runs++; runs%500 == 0 {
			if grown := heap() - before; grown > 64<<20 {
				t.Errorf("the heap has grown by %d MiB in %d connections", grown>>20, runs)
			}
			eventually(t, "the goroutines of connections end", func() bool { return runtime.NumGoroutine() < routines+50 })
		}
	})
}

// requests is one of each operation.
func requests() [][]byte {
	open := check.OpenACL
	list := []string{"/"}
	return [][]byte{
		request(proto.OpCreate, &proto.Create{Path: "/a", Data: []byte("x"), ACL: open}),
		request(proto.OpCreate2, &proto.Create{Path: "/s-", ACL: open, Flags: proto.FlagEphemeralSequential}),
		request(proto.OpCreateContainer, &proto.Create{Path: "/c", ACL: open, Flags: proto.FlagContainer}),
		request(proto.OpCreateTTL, &proto.CreateTTL{Path: "/t", ACL: open, Flags: proto.FlagTTL, TTL: 1}),
		request(proto.OpSetData, &proto.SetData{Path: "/a", Data: []byte("y"), Version: -1}),
		request(proto.OpSetACL, &proto.SetACL{Path: "/a", ACL: open, Version: -1}),
		request(proto.OpExists, &proto.PathWatch{Path: "/a", Watch: true}),
		request(proto.OpGetData, &proto.PathWatch{Path: "/a", Watch: true}),
		request(proto.OpGetACL, &proto.Path{Path: "/a"}),
		request(proto.OpGetChildren, &proto.PathWatch{Path: "/", Watch: true}),
		request(proto.OpGetChildren2, &proto.PathWatch{Path: "/"}),
		request(proto.OpGetEphemerals, &proto.Path{Path: "/"}),
		request(proto.OpGetAllChildrenNumber, &proto.Path{Path: "/"}),
		request(proto.OpSync, &proto.Path{Path: "/a"}),
		request(proto.OpMulti, check.Multi{{Type: proto.OpCheck, Body: &proto.PathVersion{Path: "/a", Version: 0}},
			{Type: proto.OpSetData, Body: &proto.SetData{Path: "/a", Version: -1}}, {Type: proto.OpDelete, Body: &proto.PathVersion{Path: "/a", Version: -1}}}),
		request(proto.OpMultiRead, check.Multi{{Type: proto.OpGetData, Body: &proto.PathWatch{Path: "/a"}}, {Type: proto.OpGetChildren, Body: &proto.PathWatch{Path: "/"}}}),
		request(proto.OpAddWatch, &proto.PathType{Path: "/a", Type: proto.AddWatchPersistentRecursive}),
		request(proto.OpCheckWatches, &proto.PathType{Path: "/a", Type: proto.WatcherAny}),
		request(proto.OpRemoveWatches, &proto.PathType{Path: "/a", Type: proto.WatcherAny}),
		request(proto.OpSetWatches, &proto.SetWatches{Data: list, Exist: list, Child: list}),
		request(proto.OpSetWatches2, &proto.SetWatches{Data: list, Exist: list, Child: list, Persistent: list, Recursive: list, WithPersistent: true}),
		request(proto.OpAuth, &proto.Auth{Scheme: "digest", Auth: []byte("a:b")}),
		request(proto.OpSASL, &proto.SASLToken{Token: []byte("x")}),
		request(proto.OpReconfig, &proto.Reconfig{Joining: "server.1=x:1:2", CurConfigID: -1}),
		request(proto.OpWhoAmI, &proto.Path{}),
		request(proto.OpDeleteContainer, &proto.Path{Path: "/a"}),
		request(proto.OpDelete, &proto.PathVersion{Path: "/a", Version: -1}),
		request(proto.OpCloseSession, &proto.Path{}),
	}
}
