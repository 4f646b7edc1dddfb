// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// LinkOptions say how Links talks.
type LinkOptions struct {
	Logger *slog.Logger

	MaxBuffer  int // bytes of a packet's data, and of its identities together; 0: 2097150
	QueueBytes int // that may wait for a peer; past it the peer is disconnected; 0: 64 MiB

	// MasterQueueBytes is QueueBytes of the links on the observer master's port; 0:
	// 32 MiB.
	MasterQueueBytes int

	// FirstPacket is how long a learner may take to say who it is; ReadTimeout how
	// long a link may be silent until SetReadTimeout says otherwise. 0: for ever.
	FirstPacket, ReadTimeout time.Duration
	// Strangers is how many connections there may be that have not said who they
	// are; 0: 64. Beyond it the one that has been silent for longest is closed.
	Strangers int

	NoDelay, KeepAlive bool

	// The callbacks come from the link's own goroutine, in order: Up, Received and
	// Loaded, Down. While one blocks nothing more is read from that link. All are
	// needed.

	// Up is a new link: the one of a Dial, or one of a learner whose first packet,
	// FOLLOWERINFO or OBSERVERINFO, has come and is the next Received.
	Up func(link zab.LinkID, peer net.Addr, dialed bool)
	// Received is all packets that had arrived, at most 1000 or about 1 MiB; it
	// keeps them. After a SNAP on a dialled link no more is read before LoadBody.
	Received func(link zab.LinkID, packets []zab.Packet)
	// Loaded is the end of LoadBody; with an error the link goes down next.
	Loaded func(link zab.LinkID, err error)
	// Down is the end of a link, after all else, or of a Dial that failed. err is
	// never nil. It comes after Close, too.
	Down func(link zab.LinkID, err error)

	// Listen, if not nil, stands for net.Listen.
	Listen func(addr string) (net.Listener, error)
	// Wrap, if not nil, is given every new connection before its first byte.
	Wrap func(c net.Conn, dialed bool) (net.Conn, error)
}

// Item is something to send: a Frame or a Body.
type Item struct {
	Frame Frame
	// Body writes bytes of its own, in its turn, from the link's writer. An error
	// ends the link, and an end of the link makes w fail.
	Body func(w io.Writer) error
}

// Links is the quorum port: every connection between a leader and a learner.
// It has a goroutine for each listening address, and for each link a reader and
// a writer. Use NewLinks.
type Links struct {
	opt       LinkOptions
	strangers strangers
	wg        sync.WaitGroup
	quiet     quiet

	mu        sync.Mutex
	closed    bool
	last      zab.LinkID // given out
	links     map[zab.LinkID]*link
	listeners []net.Listener
}

// NewLinks returns Links without any.
func NewLinks(opt LinkOptions) *Links {
	if opt.MaxBuffer == 0 {
		opt.MaxBuffer = 2 * proto.DefaultMaxBuffer
	}
	if opt.QueueBytes == 0 {
		opt.QueueBytes = 64 << 20
	}
	if opt.MasterQueueBytes == 0 {
		opt.MasterQueueBytes = 32 << 20
	}
	if opt.Strangers == 0 {
		opt.Strangers = 64
	}
	return &Links{opt: opt, strangers: strangers{max: opt.Strangers}, links: map[zab.LinkID]*link{}}
}

var errLinksClosed = errors.New("the quorum port is closed")

// Listen opens the quorum port, for a leader, on the quorum ports of own; on
// all addresses of the host if allIPs.
func (l *Links) Listen(own []quorum.Addr, allIPs bool) error {
	return l.listen(own, func(a quorum.Addr) int { return a.QuorumPort }, allIPs, "quorum port", false)
}

// ListenMaster opens the port of an observer master, for a follower, on the
// addresses of own.
func (l *Links) ListenMaster(own []quorum.Addr, port int, allIPs bool) error {
	return l.listen(own, func(quorum.Addr) int { return port }, allIPs, "observer master's port", true)
}

func (l *Links) listen(own []quorum.Addr, port func(quorum.Addr) int, allIPs bool, what string, master bool) error {
	var addrs []string
	for _, a := range own {
		addrs = append(addrs, hostPort(a.Host, port(a), allIPs))
	}
	lns, err := listenAll(l.opt.Listen, what, addrs)
	if len(lns) == 0 {
		return err
	}
	if err != nil {
		l.opt.Logger.Warn("some addresses could not be opened", "port", what, "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		for _, ln := range lns {
			ln.Close()
		}
		return errLinksClosed
	}
	l.listeners = append(l.listeners, lns...)
	for _, ln := range lns {
		l.wg.Go(func() { acceptFrom(ln, l.opt.Logger, what, func(c net.Conn) { l.accept(c, master) }) })
	}
	return nil
}

// OnMasterPort tells whether a link has come on the port of the observer master.
func (l *Links) OnMasterPort(id zab.LinkID) bool {
	k := l.link(id)
	return k != nil && k.master
}

// StopListening closes the port, and connections that have not become links
// yet. Links stay.
func (l *Links) StopListening() {
	l.mu.Lock()
	for _, ln := range l.listeners {
		ln.Close()
	}
	l.listeners = nil
	l.mu.Unlock()
	l.strangers.closeAll()
}

// Send queues items for a link. It does not block. A link that has ended takes
// no notice.
func (l *Links) Send(id zab.LinkID, items ...Item) {
	if k := l.link(id); k != nil {
		k.out.put(items)
	}
}

// SendLater is Send for a caller that will call Flush of the link.
func (l *Links) SendLater(id zab.LinkID, items ...Item) {
	if k := l.link(id); k != nil {
		k.out.putLater(items)
	}
}

// Flush writes what the peer takes at once of what was queued by SendLater, and
// leaves the rest to the link's writer. It does not block.
func (l *Links) Flush(id zab.LinkID) {
	if k := l.link(id); k != nil {
		k.out.flush()
	}
}

// SetReadTimeout says how long a link may be silent, from now on. 0: for ever.
func (l *Links) SetReadTimeout(id zab.LinkID, d time.Duration) {
	if k := l.link(id); k != nil {
		k.setReadTimeout(d)
	}
}

// LoadBody has load read what follows a SNAP packet, in the link's goroutine;
// Loaded tells its end. It returns false if the link has ended: then Loaded does
// not come.
func (l *Links) LoadBody(id zab.LinkID, load func(r *bufio.Reader) error) bool {
	k := l.link(id)
	return k != nil && k.askLoad(load)
}

// Close ends a link, or a Dial, at once, for a reason that Down will tell.
func (l *Links) Close(id zab.LinkID, why string) {
	if k := l.link(id); k != nil {
		k.end(errors.New(why))
	}
}

// Addrs are the addresses that are listened on.
func (l *Links) Addrs() []net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []net.Addr
	for _, ln := range l.listeners {
		out = append(out, ln.Addr())
	}
	return out
}

// Shutdown stops listening, ends every link and Dial, and returns when no
// callback will come any more. So it must not be called by one, nor while one
// waits for the caller. Nothing can be opened after it.
func (l *Links) Shutdown(why string) {
	l.mu.Lock()
	l.closed = true
	for _, k := range l.links {
		k.end(errors.New(why))
	}
	l.mu.Unlock()
	l.StopListening()
	l.wg.Wait()
}

func (l *Links) link(id zab.LinkID) *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links[id]
}

// accept gives a connection from outside a goroutine of its own.
func (l *Links) accept(c net.Conn, master bool) {
	l.strangers.add(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.listeners) == 0 {
		l.strangers.remove(c)
		c.Close()
		return
	}
	l.wg.Go(func() { l.greet(c, master) })
}

// greet waits for a learner's first packet. Only then it is a link.
func (l *Links) greet(c net.Conn, master bool) {
	k, first, err := l.firstPacket(c)
	known := l.strangers.remove(c)
	if err == nil && !known {
		err = errStranger
	}
	if err == nil && master {
		k.master = true
		k.out.limit = l.opt.MasterQueueBytes
	}
	if err == nil && !l.register(k, nil) {
		err = errLinksClosed
	}
	if err != nil {
		c.Close()
		l.quiet.warn(l.opt.Logger, "a connection to the quorum port is refused", "peer", c.RemoteAddr(), "why", err)
		return
	}
	k.run(first)
}

// firstPacket reads FOLLOWERINFO or OBSERVERINFO (section 5.2).
func (l *Links) firstPacket(raw net.Conn) (*link, []zab.Packet, error) {
	raw.SetDeadline(deadline(l.opt.FirstPacket))
	c, err := l.wrap(raw, false)
	if err != nil {
		return nil, nil, err
	}
	k := l.newLink(false)
	k.conn = c
	k.in.cut.max = strangerData
	for {
		if err := k.in.fill(c); err != nil {
			return nil, nil, fmt.Errorf("no first packet: %w", err)
		}
		first, _, err := k.in.batch(func(proto.PacketType) bool { return true })
		if err != nil {
			return nil, nil, err
		}
		if len(first) == 0 {
			continue
		}
		if t := first[0].Type; t != proto.PacketFollowerInfo && t != proto.PacketObserverInfo {
			return nil, nil, fmt.Errorf("the first packet is of type %d, not FOLLOWERINFO or OBSERVERINFO", t)
		}
		k.in.cut.max = l.opt.MaxBuffer
		return k, first, c.SetDeadline(time.Time{})
	}
}

// strangerData is the most that a first packet may carry: LearnerInfo is 20
// bytes.
const strangerData = 1024

func (l *Links) wrap(c net.Conn, dialed bool) (net.Conn, error) {
	setUp(c, l.opt.NoDelay, l.opt.KeepAlive)
	if l.opt.Wrap == nil {
		return c, nil
	}
	return l.opt.Wrap(c, dialed)
}

// register gives a link its number, and starts begin in a goroutine if there
// is one to start. It returns false after Shutdown.
func (l *Links) register(k *link, begin func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.last++
	k.id = l.last
	l.links[k.id] = k
	if begin != nil {
		l.wg.Go(begin)
	}
	return true
}

func (l *Links) forget(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.links, k.id)
}
