// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"paddock/internal/sock"
	"paddock/internal/zab"
	"paddock/proto"
)

// link is one connection of the quorum port. Its reader makes all callbacks.
type link struct {
	links  *Links
	id     zab.LinkID
	dialed bool
	master bool               // it has come on the port of the observer master
	stop   context.CancelFunc // of a dial; nil where there was none
	in     inbox              // the reader's
	src    *sock.Reader       // the reader's
	out    outbox
	load   chan func(*bufio.Reader) error
	dead   chan struct{} // closed by end

	mu      sync.Mutex
	conn    net.Conn      // nil until a dial has succeeded; then it stays
	timeout time.Duration // of a read
	cause   error         // why it has ended
	loading bool          // a LoadBody waits or runs: Loaded is owed
	gone    bool          // no LoadBody is taken any more
}

func (l *Links) newLink(dialed bool) *link {
	k := &link{links: l, dialed: dialed, timeout: l.opt.ReadTimeout,
		load: make(chan func(*bufio.Reader) error, 1), dead: make(chan struct{})}
	k.in.cut.max = l.opt.MaxBuffer
	k.out.init(l.opt.QueueBytes, k.end)
	return k
}

// connected gives a dialled link its connection, unless it has ended.
func (k *link) connected(c net.Conn) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cause != nil {
		return k.cause
	}
	k.conn = c
	return nil
}

// end closes the connection. The first cause is the one that counts.
func (k *link) end(cause error) {
	k.mu.Lock()
	first := k.cause == nil
	if first {
		k.cause = cause
	}
	c := k.conn
	k.mu.Unlock()
	if !first {
		return
	}
	close(k.dead)
	if k.stop != nil {
		k.stop()
	}
	if c != nil {
		c.Close()
	}
	k.out.close()
}

// why is the first cause of the end.
func (k *link) why() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cause
}

// run is the reader of a link that has its connection. It returns when the link
// has ended and all is told.
func (k *link) run(first []zab.Packet) {
	l := k.links
	peer := k.conn.RemoteAddr()
	k.out.direct(k.conn)
	k.src = sock.NewReader(k.conn)
	l.opt.Up(k.id, peer, k.dialed)
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := k.out.writeTo(k.conn); err != nil {
			k.end(fmt.Errorf("writing: %w", err))
		}
	}()
	if len(first) > 0 {
		l.opt.Received(k.id, first)
	}
	k.end(k.read())
	<-written
	l.forget(k)
	k.mu.Lock()
	k.gone = true
	owed, cause := k.loading, k.cause
	k.mu.Unlock()
	if owed {
		l.opt.Loaded(k.id, cause)
	}
	l.opt.Down(k.id, fmt.Errorf("quorum connection %d with %s: %w", k.id, peer, cause))
}

// read delivers packets until the connection ends.
func (k *link) read() error {
	for {
		packets, more, err := k.in.batch(k.hasBody)
		if len(packets) > 0 {
			k.links.opt.Received(k.id, packets)
			if k.hasBody(packets[len(packets)-1].Type) {
				if err := k.readBody(); err != nil {
					return err
				}
			}
		}
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if err := k.in.fill(k); err != nil {
			return k.readError(err)
		}
	}
}

// hasBody tells after which packets the stream has no packets for a while. Only
// a leader sends SNAP.
func (k *link) hasBody(t proto.PacketType) bool { return k.dialed && t == proto.PacketSnap }

// Read reads from the connection, with the timeout as it is now.
func (k *link) Read(p []byte) (int, error) {
	k.mu.Lock()
	if k.timeout > 0 {
		k.conn.SetReadDeadline(time.Now().Add(k.timeout))
	}
	k.mu.Unlock()
	return k.src.Read(p)
}

// setReadTimeout holds for a Read under way, too.
func (k *link) setReadTimeout(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timeout = d
	if k.conn == nil {
		return
	}
	if d > 0 {
		k.conn.SetReadDeadline(time.Now().Add(d))
	} else {
		k.conn.SetReadDeadline(time.Time{})
	}
}

func (k *link) readError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		k.mu.Lock()
		defer k.mu.Unlock()
		return fmt.Errorf("nothing was heard for %v", k.timeout)
	case err == io.EOF:
		return errors.New("the peer has closed it")
	case err == io.ErrUnexpectedEOF:
		return errors.New("the peer has closed it in the middle of a packet")
	}
	return fmt.Errorf("reading: %w", err)
}

// askLoad says whether load will be run, or else Loaded be called.
func (k *link) askLoad(load func(*bufio.Reader) error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone || k.loading {
		return false
	}
	k.loading = true
	k.load <- load // has room: there is one at a time
	return true
}

// readBody waits for LoadBody and runs it.
func (k *link) readBody() error {
	var load func(*bufio.Reader) error
	select {
	case load = <-k.load:
	case <-k.dead:
		return errors.New("closed") // end has the cause
	}
	src := &tailReader{tail: k.in.rest(), src: k}
	r := bufio.NewReaderSize(src, chunkBytes)
	err := load(r)
	k.mu.Lock()
	k.loading = false
	k.mu.Unlock()
	k.links.opt.Loaded(k.id, err)
	if err != nil {
		return fmt.Errorf("the tree that follows SNAP: %w", err)
	}
	ahead, _ := r.Peek(r.Buffered())
	k.in.unread(ahead, src.tail)
	return nil
}

// tailReader reads what was read before, then from src.
type tailReader struct {
	tail []byte
	src  io.Reader
}

func (t *tailReader) Read(p []byte) (int, error) {
	if len(t.tail) == 0 {
		return t.src.Read(p)
	}
	n := copy(p, t.tail)
	t.tail = t.tail[n:]
	return n, nil
}
