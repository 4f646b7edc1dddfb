// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"io"
	"log/slog"
	"net"
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

	// FirstPacket is how long a learner may take to say who it is; ReadTimeout how
	// long a link may be silent until SetReadTimeout says otherwise. 0: for ever.
	FirstPacket, ReadTimeout time.Duration

	NoDelay, KeepAlive bool

	// The callbacks come from the link's own goroutine, in order: Up, Received and
	// Loaded, Down. While one blocks nothing more is read from that link. All are
	// needed.

	// Up is a new link: one that was dialled, or one of a learner whose first
	// packet, FOLLOWERINFO or OBSERVERINFO, has come and is the next Received.
	Up func(link zab.LinkID, peer net.Addr, dialed bool)
	// Received is all packets that had arrived, at most 1000 or about 1 MiB; it
	// keeps them. After a SNAP on a dialled link no more is read before LoadBody.
	Received func(link zab.LinkID, packets []proto.Packet)
	// Loaded is the end of LoadBody; with an error the link goes down next.
	Loaded func(link zab.LinkID, err error)
	// Down is the end of a link, after all else. err is never nil. Link 0: Dial has
	// failed.
	Down func(link zab.LinkID, err error)

	// Listen, if not nil, stands for net.Listen.
	Listen func(addr string) (net.Listener, error)
	// Wrap, if not nil, is given every new connection before its first byte.
	Wrap func(c net.Conn, dialed bool) (net.Conn, error)
}

// Links is the quorum port: every connection between a leader and a learner.
type Links struct{}

// NewLinks returns Links without any.
func NewLinks(opt LinkOptions) *Links { panic("later") }

// Listen opens the quorum port, for a leader, on the quorum ports of own.
func (l *Links) Listen(own []quorum.Addr, allIPs bool) error { panic("later") }

// StopListening closes the port. Links stay.
func (l *Links) StopListening() { panic("later") }

// Dial connects to a leader: in at most 5 tries 100 ms apart, all its addresses
// at once, within timeout (section 8.2). It does not block: Up follows, or Down
// of link 0. An earlier Dial that has not come to its end is given up: nothing
// follows for it.
func (l *Links) Dial(leader quorum.Member, timeout time.Duration) { panic("later") }

// Send queues items for a link. It does not block. A link that has ended takes
// no notice.
func (l *Links) Send(link zab.LinkID, items ...Item) { panic("later") }

// SetReadTimeout says how long a link may be silent, from now on.
func (l *Links) SetReadTimeout(link zab.LinkID, d time.Duration) { panic("later") }

// LoadBody has load read what follows a SNAP packet, in the link's goroutine;
// Loaded tells its end. It returns false if the link has ended: then Loaded does
// not come.
func (l *Links) LoadBody(link zab.LinkID, load func(r *bufio.Reader) error) bool { panic("later") }

// Close ends a link at once, for a reason that Down will tell.
func (l *Links) Close(link zab.LinkID, why string) { panic("later") }

// CloseAll stops listening, gives up Dial, ends every link and returns when no
// callback will come any more. Links can be used again after it.
func (l *Links) CloseAll(why string) { panic("later") }

// Item is something to send: a Frame or a Body.
type Item struct {
	Frame Frame
	// Body writes bytes of its own, in its turn, from the link's writer. An error
	// ends the link.
	Body func(w io.Writer) error
}

// Frame is an encoded packet. It may be sent on many links.
type Frame []byte

// Encode returns the bytes of p.
func Encode(p *proto.Packet) Frame { panic("later") }

// Frames encodes each packet once, however many links it goes to. Reset it when
// Out has been done.
type Frames struct{}

// Encode is Encode, remembering what it made of the same packet.
func (f *Frames) Encode(p *proto.Packet) Frame { panic("later") }

// Reset forgets.
func (f *Frames) Reset() { panic("later") }
