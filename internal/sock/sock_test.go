// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pair is the two ends of a TCP connection.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// A Reader is the connection's Read: it waits, heeds deadlines also while it
// waits, and ends with io.EOF.
func TestReader(t *testing.T) {
	a, b := pair(t)
	r := NewReader(b)
	go a.Write([]byte("abc"))
	got := make([]byte, 3)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "abc" {
		t.Fatalf("%q, %v", got, err)
	}

	if n, err := r.Read(nil); n != 0 || err != nil {
		t.Fatalf("an empty read: %d, %v", n, err)
	}

	b.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := r.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("past the deadline: %v", err)
	}
	b.SetReadDeadline(time.Time{})
	waiting := make(chan error)
	go func() {
		_, err := r.Read(make([]byte, 1))
		waiting <- err
	}()
	b.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a deadline that is set during a read: %v", err)
	}

	b.SetReadDeadline(time.Time{})
	a.Close()
	if n, err := r.Read(got); n != 0 || err != io.EOF {
		t.Fatalf("the end: %d, %v", n, err)
	}
	b.Close()
	if _, err := r.Read(got); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}

// A Writer takes what fits, in order, and never waits.
func TestWriter(t *testing.T) {
	a, b := pair(t)
	w := NewWriter(a)
	if w == nil {
		t.Skip("no such writer on this system")
	}
	if n, err := w.Try(nil); n != 0 || err != nil {
		t.Fatalf("nothing: %d, %v", n, err)
	}
	want := make([]byte, 64<<20) // more than any socket takes
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	n, err := w.Try(want)
	if err != nil || n == 0 || n == len(want) {
		t.Fatalf("%d of %d bytes, %v", n, len(want), err)
	}
	if more, err := w.Try(want[n:]); err != nil || more == len(want)-n {
		t.Fatalf("into a full socket: %d, %v", more, err)
	} else {
		n += more
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(NewReader(b), got); err != nil || !bytes.Equal(got, want[:n]) {
		t.Fatalf("other bytes came, or %v", err)
	}
	a.Close()
	if _, err := w.Try(want[:1]); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}

// Of a connection that is not the system's a Reader reads all the same.
func TestOtherConnections(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if NewWriter(a) != nil {
		t.Error("a pipe cannot be asked what it takes")
	}
	go a.Write([]byte("x"))
	got := make([]byte, 1)
	if n, err := NewReader(b).Read(got); n != 1 || err != nil || got[0] != 'x' {
		t.Fatalf("%d, %v", n, err)
	}
}
