// SPDX-License-Identifier: Apache-2.0

// Package conn is the client port: it accepts connections, cuts their bytes
// into frames for the pipeline, writes what the pipeline queues, and answers
// four-letter words. It owns every goroutine of a connection.
//
// An idle connection costs one goroutine and no buffer. A peer that does not
// read costs only itself: what waits for it is bounded, and past the bound it
// is let go. A peer that speaks something else is told apart in the log.
package conn

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"paddock/internal/acl"
	"paddock/internal/pipeline"
	"paddock/internal/procs"
	"paddock/internal/sock"
)

// Options of a Server.
type Options struct {
	Logger           *slog.Logger
	Pipeline         *pipeline.Pipeline
	MaxFrame         int           // bytes of a request
	MaxPerAddress    int           // connections of one peer address; 0 is unlimited
	MaxTotal         int           // 0 is unlimited
	HandshakeTimeout time.Duration // for the first frame
	KeepAlive        bool
	FourLetter       func(word string) []byte // answers a four-letter word; nil: they are not known
}

// Server is one client port. Use Listen.
type Server struct {
	opt      Options
	stopping chan struct{}

	mu       sync.Mutex
	ln       net.Listener
	ended    bool // the port is closed for good
	conns    map[*conn]struct{}
	perIP    map[string]int
	rejected int64
	accepted int
	wg       sync.WaitGroup

	spares spares
	rounds []*rounds // each for its share of the connections; nil in place of one that there is no room for

	quiet quietly
}

// New returns a server on ln. It accepts once Serve is called.
func New(ln net.Listener, opt Options) *Server {
	s := &Server{opt: opt, ln: ln, stopping: make(chan struct{}), conns: map[*conn]struct{}{}, perIP: map[string]int{}, spares: spares{next: make(chan *conn)}}
	for range max(1, procs.Most()/2) {
		s.rounds = append(s.rounds, newRounds(s))
	}
	return s
}

// Addr is where clients connect.
func (s *Server) Addr() net.Addr { return s.listener().Addr() }

func (s *Server) listener() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ln
}

// Move has clients connect to ln from now on. Connections that there are stay.
func (s *Server) Move(ln net.Listener) {
	s.mu.Lock()
	old := s.ln
	if s.ended {
		old = ln
	} else {
		s.ln = ln
	}
	s.mu.Unlock()
	old.Close()
}

// Open is the number of connections, those without a session included.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Each calls visit with the client of every connection.
func (s *Server) Each(visit func(*pipeline.Client)) {
	s.mu.Lock()
	list := make([]*pipeline.Client, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c.client)
	}
	s.mu.Unlock()
	for _, c := range list {
		visit(c)
	}
}

// Rejected is the number of connections turned away by a limit.
func (s *Server) Rejected() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rejected
}

// Serve accepts connections until Close.
func (s *Server) Serve() {
	ln := s.listener()
	for wait := time.Millisecond; ; {
		nc, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				next := s.listener()
				if next == ln {
					return
				}
				ln = next
				continue
			}
			// Out of descriptors, most likely: those who are here come first.
			s.quiet.say(s.opt.Logger, slog.LevelError, "a connection could not be accepted", "err", err)
			time.Sleep(wait)
			wait = min(2*wait, time.Second)
			continue
		}
		wait = time.Millisecond
		s.accept(nc.(*net.TCPConn))
	}
}

func (s *Server) accept(nc *net.TCPConn) {
	peer := nc.RemoteAddr()
	ip := acl.PeerIP(peer)
	s.mu.Lock()
	limit := ""
	switch {
	case s.opt.MaxPerAddress > 0 && s.perIP[ip] >= s.opt.MaxPerAddress:
		limit = "maxClientCnxns=" + strconv.Itoa(s.opt.MaxPerAddress)
	case s.opt.MaxTotal > 0 && len(s.conns) >= s.opt.MaxTotal:
		limit = "maxCnxns=" + strconv.Itoa(s.opt.MaxTotal)
	}
	if limit != "" {
		s.rejected++
		s.mu.Unlock()
		nc.Close()
		s.quiet.say(s.opt.Logger, slog.LevelWarn, "connection refused: too many", "peer", ip, "limit", limit)
		return
	}
	select {
	case <-s.stopping:
		s.mu.Unlock()
		nc.Close()
		return
	default:
	}
	s.accepted++
	c := &conn{srv: s, nc: nc, now: sock.NewWriter(nc)}
	c.startTurns(s.rounds[s.accepted%len(s.rounds)])
	c.client = s.opt.Pipeline.NewClient(c, peer.String(), ip)
	s.conns[c] = struct{}{}
	s.perIP[ip]++
	s.wg.Add(1)
	s.mu.Unlock()
	if s.opt.KeepAlive {
		nc.SetKeepAlive(true)
	}
	if err := c.bind(); err != nil {
		nc.Close()
		s.closed(c)
		return
	}
	s.spares.serve(c)
}

func (s *Server) closed(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	ip := c.client.PeerIP
	if s.perIP[ip]--; s.perIP[ip] <= 0 {
		delete(s.perIP, ip)
	}
	s.mu.Unlock()
	s.wg.Done()
}

// complain logs why a connection was closed, each kind a few times a second at
// most.
func (s *Server) complain(c *conn, why string) {
	args := []any{"peer", c.client.Peer, "why", why}
	if ses := c.client.Session(); ses != nil {
		args = append(args, "session", "0x"+strconv.FormatUint(uint64(ses.ID()), 16))
	}
	s.quiet.say(s.opt.Logger, slog.LevelWarn, "connection closed", args...)
}

// tell logs what an operator who asked for more wants to know of a connection.
func (s *Server) tell(c *conn, what string) {
	log, ses := s.opt.Logger, c.client.Session()
	if ses == nil || !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	log.Debug(what, "peer", c.client.Peer, "session", "0x"+strconv.FormatUint(uint64(ses.ID()), 16),
		"timeout", time.Duration(c.client.TimeoutMs())*time.Millisecond, "requests", c.client.Stats().Received)
}

// StopAccepting closes the port; connections go on.
func (s *Server) StopAccepting() {
	s.mu.Lock()
	s.ended = true
	ln := s.ln
	s.mu.Unlock()
	ln.Close()
}

// Close closes the port and every connection, once what is queued for it is
// written or ctx ends.
func (s *Server) Close(ctx context.Context) {
	s.StopAccepting()
	s.mu.Lock()
	select {
	case <-s.stopping:
	default:
		close(s.stopping)
	}
	for c := range s.conns {
		c.Hangup("")
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		for _, p := range s.rounds {
			p.close()
		}
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.nc.SetLinger(0)
		c.nc.Close()
		c.recall()
	}
	s.mu.Unlock()
	<-done
}

// quietly keeps a flood of like events from flooding the log.
type quietly struct {
	mu      sync.Mutex
	window  time.Time
	count   int
	skipped int
}

const linesPerSecond = 20

func (q *quietly) say(l *slog.Logger, level slog.Level, msg string, args ...any) {
	q.mu.Lock()
	now := time.Now()
	if now.Sub(q.window) > time.Second {
		if q.skipped > 0 {
			args = append(args, "similar_lines_left_out", q.skipped)
		}
		q.window, q.count, q.skipped = now, 0, 0
	}
	q.count++
	if q.count > linesPerSecond {
		q.skipped++
		q.mu.Unlock()
		return
	}
	q.mu.Unlock()
	l.Log(context.Background(), level, msg, args...)
}

const bufferBytes = 16 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferBytes); return &b }}

func getBuffer() []byte { return *buffers.Get().(*[]byte) }

func putBuffer(b []byte) {
	if len(b) == bufferBytes {
		buffers.Put(&b)
	}
}
