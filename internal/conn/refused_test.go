// SPDX-License-Identifier: Apache-2.0

package conn_test

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"paddock/internal/acl"
	"paddock/internal/conn"
	"paddock/internal/pipeline"
	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// TestRefusedHandshake: clients whose handshake was held and then refused, and
// that do not close, are cut.
func TestRefusedHandshake(t *testing.T) {
	authority, err := acl.New(acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tr := tree.New()
	t.Cleanup(tr.Close)
	p := pipeline.New(tr, pipeline.Options{Logger: slog.New(slog.DiscardHandler), ACL: authority, Tick: time.Second, ServerID: 1,
		MinSessionTimeout: time.Second, MaxSessionTimeout: time.Minute, MaxRecord: 1 << 20, OutLimit: 1 << 20, ContainerPeriod: time.Hour})
	p.StartEnsemble()
	t.Cleanup(p.Stop)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := conn.New(ln, conn.Options{Logger: slog.New(slog.DiscardHandler), Pipeline: p, MaxFrame: 1 << 20, HandshakeTimeout: time.Minute})
	go srv.Serve()
	t.Cleanup(func() { srv.Close(t.Context()) })

	hello := jute.Marshal(&proto.ConnectRequest{TimeOut: 10000})
	frame := append([]byte{0, 0, 0, byte(len(hello))}, hello...)
	const clients = 50 // which of two goroutines comes first is chance
	for range clients {
		c, err := net.Dial("tcp", srv.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
		defer func() {
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
				t.Errorf("a client that is refused reads %x, %v", b, err)
			}
		}()
	}
	for end := time.Now().Add(20 * time.Second); srv.Open() < clients; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d connections", srv.Open(), clients)
		}
	}
	for end := time.Now().Add(20 * time.Second); srv.Open() > 0; time.Sleep(5 * time.Millisecond) {
		p.LetGo(time.Hour)
		if time.Now().After(end) {
			t.Fatalf("%d of %d connections stay", srv.Open(), clients)
		}
	}
}
