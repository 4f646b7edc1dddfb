// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// rounds reads for the connections that are past their handshake: one goroutine
// takes all those that have bytes, a round, and serves one after the other. That
// takes fewer wake-ups than a goroutine each, and the writes of a round are
// prepared and proposed together.
//
// Nobody is to wait for another's slow request. Where a round takes longer than
// lateAfter, or whoever serves it comes to a request that may take long or is about
// to wait for something, one more goroutine takes what is left of it and then goes on
// to the next round. So there are as many workers as there are connections that would
// hold up the others, and one that waits for the next round, the leader; who is
// neither ends. Workers look at the time themselves, between requests: a timer for
// each round would wake a thread for each. What they do not see, since it is one
// request that nobody knew to be slow, a timer that looks now and then does.
//
// The sockets are in an epoll instance, edge-triggered, on which the leader waits by
// way of the runtime's poller as on any other file.
type rounds struct {
	srv   *Server
	epoll int
	file  *os.File // the same
	wait  syscall.RawConn

	mu      sync.Mutex
	conns   []*conn // by descriptor
	ready   []*conn // those of the round, claimed; from next on nobody serves them yet
	next    int
	leading bool // somebody waits for the next round

	begun   time.Time   // of the round
	guard   *time.Timer // looks after rounds that nobody leads on from
	guarded bool        // guard is running

	// The leader's.
	events  [roundMost]syscall.EpollEvent
	n       int
	looks   int // for this round: more than one, and it has waited
	rested  time.Time
	collect func(fd uintptr) bool
}

const (
	// roundMost is how many connections a round has at most.
	roundMost = 256
	// lateAfter is how long a round may take one goroutine alone.
	lateAfter = 250 * time.Microsecond
	// servedPerLook is how many connections are served between two looks at the time.
	servedPerLook = 8
	// guardEvery is how long it may take where nobody looks.
	guardEvery = 20 * time.Millisecond
)

// newRounds returns nil where the system has no room for one: then every
// connection is read by a goroutine of its own.
func newRounds(s *Server) *rounds {
	p, err := openRounds(s)
	if err != nil {
		s.opt.Logger.Warn("each connection is read by a goroutine of its own", "err", fmt.Errorf("epoll: %w", err))
		return nil
	}
	go p.work()
	return p
}

// openRounds is newRounds without a worker.
func openRounds(s *Server) (*rounds, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// The runtime polls only what is set so.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	p := &rounds{srv: s, epoll: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.wait, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	p.collect = p.look
	p.guard = time.AfterFunc(time.Hour, p.overdue)
	p.guard.Stop()
	return p, nil
}

// close ends the workers. The connections have left.
func (p *rounds) close() {
	if p != nil {
		p.guard.Stop()
		p.file.Close()
	}
}

// work serves rounds for as long as it is needed.
func (p *rounds) work() {
	w := &worker{p: p}
	w.burst.Proposed = w.release
	for needed := true; needed; needed = p.lead() {
		w.begun = time.Now()
		for c, n := p.take(), 1; c != nil; c, n = p.take(), n+1 {
			w.serve(c)
			if n%servedPerLook == 0 {
				w.look()
			}
		}
		w.settle()
		w.last = nil
	}
	if w.buffer != nil {
		putBuffer(w.buffer)
	}
}

// take returns a connection of the round that nobody serves yet, nil if there is
// none.
func (p *rounds) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == len(p.ready) {
		return nil
	}
	c := p.ready[p.next]
	p.ready[p.next] = nil
	p.next++
	return c
}

// lead waits for the next round if nobody else does. It returns false to who is
// not needed any more.
func (p *rounds) lead() (needed bool) {
	p.mu.Lock()
	if p.next < len(p.ready) || p.leading {
		defer p.mu.Unlock()
		return p.next < len(p.ready)
	}
	p.leading = true
	p.ready, p.next = p.ready[:0], 0
	p.mu.Unlock()
	p.looks = 0
	if err := p.wait.Read(p.collect); err != nil {
		return false // closed
	}
	now := time.Now()
	if p.looks > 1 {
		p.rested = now
	} else if now.Sub(p.rested) > lateAfter {
		// Round upon round: others want this processor too.
		runtime.Gosched()
		p.rested = now
	}
	p.mu.Lock()
	if p.begun = now; !p.guarded {
		p.guarded = true
		p.guard.Reset(guardEvery)
	}
	for _, e := range p.events[:p.n] {
		// The descriptor may be another connection's by now, which then finds nothing.
		if int(e.Fd) < len(p.conns) {
			if c := p.conns[e.Fd]; c != nil && c.claim(e.Events&^syscall.EPOLLIN != 0) {
				p.ready = append(p.ready, c)
			}
		}
	}
	p.leading = false
	p.mu.Unlock()
	return true
}

// look asks which connections have something to be read. It does not wait: the
// runtime does, where it reports false.
func (p *rounds) look(fd uintptr) bool {
	p.looks++
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&p.events[0])), roundMost, 0, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			n = 0
		}
		p.n = int(n)
		return p.n > 0
	}
}

// overdue is one more worker, if the round has taken long and nobody leads on. It
// comes back for as long as there are rounds.
func (p *rounds) overdue() {
	p.mu.Lock()
	p.guarded = !p.leading
	left := guardEvery - time.Since(p.begun)
	if p.guarded {
		p.guard.Reset(max(left, guardEvery/4))
	}
	needed := p.guarded && left <= 0
	p.mu.Unlock()
	if needed {
		p.work()
	}
}

// relieve sees to it that no worker is needed for a while that is not free now.
func (p *rounds) relieve() {
	p.mu.Lock()
	needed := p.next < len(p.ready) || !p.leading
	p.mu.Unlock()
	if needed {
		go p.work()
	}
}

// again has a claimed connection served after those that wait for it already.
func (p *rounds) again(c *conn) {
	p.mu.Lock()
	p.ready = append(p.ready, c)
	asleep := p.leading
	p.mu.Unlock()
	if asleep {
		go p.work()
	}
}

// add has c read in rounds from now on. The caller is its reader, and no longer
// where it returns true.
func (p *rounds) add(c *conn) bool {
	if p == nil || c.state.Load()&recalled != 0 {
		return false
	}
	const events = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31 // EPOLLET
	var failed error
	err := c.rc.Control(func(fd uintptr) {
		c.fd = int(fd)
		p.mu.Lock()
		for len(p.conns) <= c.fd {
			p.conns = append(p.conns, nil)
		}
		p.conns[c.fd] = c
		p.mu.Unlock()
		failed = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{Events: events, Fd: int32(c.fd)})
	})
	if err != nil {
		failed = err
	}
	if failed != nil {
		p.forget(c)
		p.srv.quiet.say(p.srv.opt.Logger, slog.LevelWarn, "a connection is read by a goroutine of its own", "peer", c.client.Peer, "err", fmt.Errorf("epoll: %w", failed))
		return false
	}
	c.readErr = nil
	p.leave(c)
	return true
}

// leave gives up the claim on c.
func (p *rounds) leave(c *conn) {
	for {
		s := c.state.Load()
		switch {
		case s&recalled != 0:
			p.giveBack(c)
			return
		case s&pending != 0:
			if c.state.CompareAndSwap(s, claimed) {
				c.toEnd = true
				p.again(c)
				return
			}
		case c.state.CompareAndSwap(s, 0):
			return
		}
	}
}

// giveBack makes a claimed connection's own goroutine its reader for good.
func (p *rounds) giveBack(c *conn) {
	p.forget(c)
	c.rc.Control(func(fd uintptr) { syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, int(fd), nil) })
	close(c.back)
}

func (p *rounds) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.fd < len(p.conns) && p.conns[c.fd] == c {
		p.conns[c.fd] = nil
	}
}
