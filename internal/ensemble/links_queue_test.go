// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"paddock/internal/sock"
)

// TestWriteSegments: whatever the socket takes at once, and a peer that reads
// late, all arrives in its order.
func TestWriteSegments(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	in.SetReadDeadline(time.Now().Add(30 * time.Second))

	fill := func(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }
	const large = 16 << 20 // more than any socket takes
	body := func(w io.Writer) error {
		_, err := w.Write(fill('d', 100))
		return err
	}
	batch := []segment{{bytes: fill('a', 10)}, {bytes: fill('b', large)}, {bytes: fill('c', 10)}, {body: body}, {bytes: fill('e', large)}, {bytes: fill('f', 1)}}
	want := bytes.Join([][]byte{fill('a', 10), fill('b', large), fill('c', 10), fill('d', 100), fill('e', large), fill('f', 1)}, nil)
	for _, now := range []*sock.Writer{sock.NewWriter(out), nil} {
		written := make(chan error, 1)
		go func() {
			var vec net.Buffers
			written <- writeSegments(out, now, batch, &vec)
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(in, got); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("arrived otherwise, with a writer that does not wait: %v", now != nil)
		}
	}
}
