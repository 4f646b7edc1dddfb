// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// hostPort puts an address together; any stands for all addresses of the host.
func hostPort(host string, port int, any bool) string {
	if any {
		host = ""
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// listenAll listens on each address, a port once. It is content with some of
// them, and says which it lacks: a network card that is down must not keep a
// server from its ensemble.
func listenAll(listen func(string) (net.Listener, error), what string, addrs []string) ([]net.Listener, error) {
	if listen == nil {
		lc := net.ListenConfig{KeepAlive: -1}
		listen = func(addr string) (net.Listener, error) { return lc.Listen(context.Background(), "tcp", addr) }
	}
	var lns []net.Listener
	var errs []error
	for i, addr := range addrs {
		if slices.Contains(addrs[:i], addr) {
			continue
		}
		ln, err := listen(addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", what, addr, err))
			continue
		}
		lns = append(lns, ln)
	}
	return lns, errors.Join(errs...)
}

// acceptFrom accepts until ln is closed.
func acceptFrom(ln net.Listener, log *slog.Logger, what string, accept func(net.Conn)) {
	for wait := time.Millisecond; ; {
		c, err := ln.Accept()
		if err == nil {
			wait = time.Millisecond
			accept(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Out of descriptors, most likely.
		log.Error("a connection could not be accepted", "port", what, "err", err, "again_in", wait)
		time.Sleep(wait)
		wait = min(2*wait, time.Second)
	}
}

// dialAny connects to one of addrs: to all at once, and the first to answer
// wins. Names are resolved each time.
func dialAny(ctx context.Context, addrs []string, keepAlive bool) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if keepAlive {
		d.KeepAlive = 0
	}
	switch len(addrs) {
	case 0:
		return nil, errors.New("no address is known")
	case 1:
		return d.DialContext(ctx, "tcp", addrs[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		c   net.Conn
		err error
	}
	results := make(chan result)
	for _, addr := range addrs {
		go func() {
			c, err := d.DialContext(ctx, "tcp", addr)
			results <- result{c, err}
		}()
	}
	var won net.Conn
	var errs []error
	for range addrs {
		switch r := <-results; {
		case r.err != nil:
			errs = append(errs, r.err)
		case won == nil:
			won = r.c
			cancel()
		default:
			r.c.Close()
		}
	}
	if won == nil {
		return nil, errors.Join(errs...)
	}
	return won, nil
}

// setUp applies the options of a socket.
func setUp(c net.Conn, noDelay, keepAlive bool) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetNoDelay(noDelay)
		t.SetKeepAlive(keepAlive)
	}
}

// deadline is d from now; 0 is none.
func deadline(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// withTimeout is context.WithTimeout; 0 is none.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// quiet keeps a flood of connections from flooding the log.
type quiet struct {
	mu      sync.Mutex
	window  time.Time
	count   int
	skipped int
}

const linesPerSecond = 20

func (q *quiet) warn(l *slog.Logger, msg string, args ...any) {
	q.mu.Lock()
	if now := time.Now(); now.Sub(q.window) > time.Second {
		if q.skipped > 0 {
			args = append(args, "similar_lines_left_out", q.skipped)
		}
		q.window, q.count, q.skipped = now, 0, 0
	}
	q.count++
	over := q.count > linesPerSecond
	if over {
		q.skipped++
	}
	q.mu.Unlock()
	if !over {
		l.Warn(msg, args...)
	}
}

var errStranger = errors.New("too many connections wait to say who they are, or the port has been closed")

// strangers are connections whose peer has not said yet who it is. There is a
// limited number: one more closes the one that has been silent for longest, so
// that a flood cannot keep out those who speak at once.
type strangers struct {
	mu    sync.Mutex
	max   int
	conns []net.Conn // oldest first
}

func (s *strangers) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.max {
		s.conns[0].Close()
		s.conns = slices.Delete(s.conns, 0, 1)
	}
	s.conns = append(s.conns, c)
}

// remove says whether c was still among them.
func (s *strangers) remove(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.conns, c)
	if i < 0 {
		return false
	}
	s.conns = slices.Delete(s.conns, i, i+1)
	return true
}

func (s *strangers) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}
