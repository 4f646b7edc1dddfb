// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

func proposal(i int, size int) *proto.Packet {
	return &proto.Packet{Type: proto.PacketProposal, Zxid: proto.Zxid(i), Data: bytes.Repeat([]byte{byte(i)}, size)}
}

func TestPacketsArriveInOrder(t *testing.T) {
	noLeak(t)
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	to, from := pair(t, leader, learner, leader.listen())
	if p := leader.packets(to, 1); p[0].Type != proto.PacketFollowerInfo || p[0].Zxid != hello.Zxid {
		t.Fatalf("the first packet is %v", p[0])
	}
	if e := leader.event("up", to); e.dialed {
		t.Error("a learner's link counts as dialled")
	}
	if e := learner.event("up", from); !e.dialed {
		t.Error("a link to the leader does not count as dialled")
	}
	const n = 5_000
	for i := range n {
		size := i % 300
		if i%1000 == 0 {
			size = 50_000 // not gathered but sent from where it is
		}
		leader.Send(to, Item{Frame: Encode(proposal(i, size))})
		learner.Send(from, Item{Frame: Encode(&proto.Packet{Type: proto.PacketAck, Zxid: proto.Zxid(i)})})
	}
	for i, p := range learner.packets(from, n) {
		if p.Zxid != proto.Zxid(i) {
			t.Fatalf("packet %d has zxid %d", i, p.Zxid)
		}
		if want := bytes.Repeat([]byte{byte(i)}, len(p.Data)); !bytes.Equal(p.Data, want) {
			t.Fatalf("the data of packet %d is another's", i)
		}
	}
	for i, p := range leader.packets(to, n+1)[1:] {
		if p.Zxid != proto.Zxid(i) || p.Type != proto.PacketAck {
			t.Fatalf("ack %d is %v", i, p)
		}
	}
}

func TestFramesAreSharedByLinks(t *testing.T) {
	leader := newLinkRig(t, nil)
	at := leader.listen()
	a, b := newLinkRig(t, nil), newLinkRig(t, nil)
	toA, fromA := pair(t, leader, a, at)
	toB, fromB := pair(t, leader, b, at)
	const n = 500
	for i := range n {
		f := Encode(proposal(i, i*20))
		leader.Send(toA, Item{Frame: f})
		leader.Send(toB, Item{Frame: f}, Item{Frame: Encode(&proto.Packet{Type: proto.PacketCommit, Zxid: proto.Zxid(i)})})
	}
	for i, p := range a.packets(fromA, n) {
		if !bytes.Equal(Encode(&p), Encode(proposal(i, i*20))) {
			t.Fatalf("packet %d differs", i)
		}
	}
	if got := b.packets(fromB, 2*n); !bytes.Equal(Encode(&got[2*n-2]), Encode(proposal(n-1, (n-1)*20))) {
		t.Error("the last packet differs")
	}
}

// TestTreeInTheMiddle plays a recorded leader that sends SNAP and a tree.
func TestTreeInTheMiddle(t *testing.T) {
	for name, way := range reads {
		t.Run(name, func(t *testing.T) {
			ln, at := rawListen(t)
			learner := newLinkRig(t, nil)
			id := learner.Dial(at, patience)
			c := rawAccept(t, ln)
			var stream, tree []byte
			var packets []message
			for _, m := range recording(t, "join-snap.quorum.jsonl") {
				if m.Direction != "leader->learner" {
					continue
				}
				stream = append(stream, m.bytes...)
				if m.Kind == "packet" {
					packets = append(packets, m)
				} else {
					tree = append(tree, m.bytes...)
				}
			}
			go io.Copy(c, way(bytes.NewReader(stream)))
			got := learner.packets(id, 2)
			if len(got) != 2 || got[1].Type != proto.PacketSnap {
				t.Fatalf("%v come before the tree", got)
			}
			loaded := make([]byte, len(tree))
			if !learner.LoadBody(id, func(r *bufio.Reader) error {
				_, err := io.ReadFull(r, loaded)
				return err
			}) {
				t.Fatal("LoadBody is refused")
			}
			if e := learner.event("loaded", id); e.err != nil {
				t.Fatal(e.err)
			}
			if !bytes.Equal(loaded, tree) {
				t.Error("the tree differs")
			}
			got = learner.packets(id, len(packets))
			for i := range got {
				if b := Encode(&got[i]); !bytes.Equal(b, packets[i].bytes) {
					t.Errorf("packet %d: %x, want %x", i, b, packets[i].bytes)
				}
			}
		})
	}
}

func TestBodiesAreSentInTheirTurn(t *testing.T) {
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	to, from := pair(t, leader, learner, leader.listen())
	tree := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	leader.Send(to,
		Item{Frame: Encode(&proto.Packet{Type: proto.PacketSnap, Zxid: 1})},
		Item{Body: func(w io.Writer) error {
			for chunk := range slices.Chunk(tree, 1000) {
				if _, err := w.Write(chunk); err != nil {
					return err
				}
			}
			return nil
		}},
		Item{Frame: Encode(proposal(2, 10_000))},
		Item{Body: func(w io.Writer) error { // a range of the log
			for i := 3; i < 100; i++ {
				if _, err := w.Write(Encode(proposal(i, 100))); err != nil {
					return err
				}
			}
			return nil
		}})
	leader.Send(to, Item{Frame: Encode(proposal(100, 10))})
	sum := 0
	learner.LoadBody(from, func(r *bufio.Reader) error { // before SNAP has come
		n, err := io.CopyN(io.Discard, r, int64(len(tree)))
		sum = int(n)
		return err
	})
	if e := learner.event("loaded", from); e.err != nil || sum != len(tree) {
		t.Fatal(sum, e.err)
	}
	for i, p := range learner.packets(from, 100) {
		if p.Zxid != proto.Zxid(i+1) {
			t.Fatalf("packet %d has zxid %d", i, p.Zxid)
		}
	}
}

func TestSnapOfALearnerIsAPacket(t *testing.T) {
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	to, from := pair(t, leader, learner, leader.listen())
	learner.Send(from, Item{Frame: Encode(&proto.Packet{Type: proto.PacketSnap})}, Item{Frame: Encode(&proto.Packet{Type: proto.PacketPing})})
	leader.packets(to, 3)
}

func TestABodyThatFailsEndsTheLink(t *testing.T) {
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	to, from := pair(t, leader, learner, leader.listen())
	leader.Send(to, Item{Body: func(io.Writer) error { return errors.New("the log has a hole") }})
	leader.down(to, "the log has a hole")
	learner.down(from, "the peer has closed it")
}

func TestATreeThatCannotBeLoadedEndsTheLink(t *testing.T) {
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	to, from := pair(t, leader, learner, leader.listen())
	leader.Send(to, Item{Frame: Encode(&proto.Packet{Type: proto.PacketSnap})}, Item{Frame: Frame("no tree")})
	learner.LoadBody(from, func(r *bufio.Reader) error { return errors.New("no tree at all") })
	if e := learner.event("loaded", from); e.err == nil {
		t.Error("Loaded has no error")
	}
	learner.down(from, "the tree that follows SNAP: no tree at all")
}

func TestLoadedComesForEveryLoadBody(t *testing.T) {
	ln, at := rawListen(t)
	learner := newLinkRig(t, nil)

	// Asked for, but no SNAP comes.
	id := learner.Dial(at, patience)
	rawAccept(t, ln)
	learner.event("up", id)
	if !learner.LoadBody(id, func(*bufio.Reader) error { return nil }) {
		t.Fatal("LoadBody is refused")
	}
	if learner.LoadBody(id, func(*bufio.Reader) error { return nil }) {
		t.Error("a second LoadBody is taken while one waits")
	}
	learner.Close(id, "enough")
	if e := learner.event("loaded", id); e.err == nil || e.err.Error() != "enough" {
		t.Errorf("Loaded says %v", e.err)
	}
	learner.down(id, "enough")
	if learner.LoadBody(id, func(*bufio.Reader) error { return nil }) {
		t.Error("LoadBody is taken after the end")
	}

	// SNAP has come, and nothing was asked for.
	id = learner.Dial(at, patience)
	c := rawAccept(t, ln)
	c.Write(Encode(&proto.Packet{Type: proto.PacketSnap}))
	learner.packets(id, 1)
	learner.Close(id, "enough of that")
	learner.down(id, "enough of that")

	// The tree ends early.
	id = learner.Dial(at, patience)
	c = rawAccept(t, ln)
	c.Write(append(Encode(&proto.Packet{Type: proto.PacketSnap}), "half a tre"...))
	c.Close()
	learner.LoadBody(id, func(r *bufio.Reader) error { _, err := io.ReadFull(r, make([]byte, 11)); return err })
	if e := learner.event("loaded", id); !errors.Is(e.err, io.ErrUnexpectedEOF) {
		t.Errorf("Loaded says %v", e.err)
	}
	learner.down(id, "unexpected EOF")
}

func TestMalformedPacketsEndTheLink(t *testing.T) {
	leader := newLinkRig(t, func(o *LinkOptions) { o.MaxBuffer = 5000 })
	at := leader.listen()
	for _, c := range []struct {
		frame Frame
		why   string
	}{
		{Encode(proposal(1, 5001)), "a packet of type 2 with 5001 bytes of data; at most 5000 are accepted"},
		{unhex(t, "00000002 0000000000000001 ffffffff 7fffffff"), "2147483647 identities"},
		{unhex(t, "00000002 0000"), "in the middle of a packet"},
	} {
		n := len(leader.snapshot())
		raw := rawDial(t, at)
		raw.Write(append(Encode(&hello), c.frame...))
		raw.(*net.TCPConn).CloseWrite()
		e, _ := leader.wait(t, "the end", n, func(e linkEvent) bool { return e.what == "down" })
		if !strings.Contains(e.err.Error(), c.why) || !strings.Contains(e.err.Error(), raw.LocalAddr().String()) {
			t.Errorf("%q does not name %q and the peer %v", e.err, c.why, raw.LocalAddr())
		}
		closed(t, raw)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	leader := newLinkRig(t, func(o *LinkOptions) { o.FirstPacket = 50 * time.Millisecond })
	at := leader.listen()
	for name, b := range map[string][]byte{
		"an ack first":     Encode(&proto.Packet{Type: proto.PacketAck}),
		"a client":         unhex(t, "0000002d 00000000 0000000000000000 00007530 0000000000000000 00000010 00000000000000000000000000000000 00"),
		"much data":        Encode(&proto.Packet{Type: proto.PacketFollowerInfo, Data: make([]byte, strangerData+1)}),
		"a word":           []byte("ruok"), // and then silence
		"silence":          nil,
		"half a packet":    Encode(&hello)[:30],
		"many identities":  Encode(&proto.Packet{Type: proto.PacketFollowerInfo, Auth: make([]proto.ClientInfo, 1000)}),
		"http":             []byte("GET / HTTP/1.1\r\nHost: here\r\n\r\n"),
		"a leader's words": Encode(&proto.Packet{Type: proto.PacketLeaderInfo}),
	} {
		c := rawDial(t, at)
		c.Write(b)
		closed(t, c)
		if all := leader.snapshot(); len(all) > 0 {
			t.Errorf("%s: %v", name, all)
		}
	}
}

func TestAFloodOfStrangersDoesNotKeepLearnersOut(t *testing.T) {
	leader := newLinkRig(t, func(o *LinkOptions) { o.Strangers = 3 })
	at := leader.listen()
	var silent []net.Conn
	for range 4 {
		silent = append(silent, rawDial(t, at))
	}
	closed(t, silent[0])
	learner := newLinkRig(t, nil)
	pair(t, leader, learner, at)
	closed(t, silent[1])
	silent[3].Write(Encode(&hello))
	leader.wait(t, "the last stranger's link", 0, func(e linkEvent) bool { return e.what == "up" && e.link == 2 })
}

func TestASlowReaderIsDisconnected(t *testing.T) {
	noLeak(t)
	leader := newLinkRig(t, func(o *LinkOptions) { o.QueueBytes = 1 << 20 })
	raw := rawDial(t, leader.listen())
	raw.Write(Encode(&hello))
	to := leader.event("up", 0).link
	f := Encode(proposal(1, 100_000))
	for end := time.Now().Add(patience); leader.link(to) != nil && time.Now().Before(end); {
		leader.Send(to, Item{Frame: f})
	}
	leader.down(to, "the peer reads too slowly: ")
	leader.Send(to, Item{Frame: f}) // nothing happens
}

func TestABurstMayBeLargerThanTheQueue(t *testing.T) {
	leader, learner := newLinkRig(t, func(o *LinkOptions) { o.QueueBytes = 1000 }), newLinkRig(t, nil)
	to, from := pair(t, leader, learner, leader.listen())
	leader.Send(to, Item{Frame: Encode(proposal(1, 100_000))})
	learner.packets(from, 1)
}

func TestCloseWhileWriting(t *testing.T) {
	noLeak(t)
	leader := newLinkRig(t, nil)
	raw := rawDial(t, leader.listen())
	raw.Write(Encode(&hello))
	to := leader.event("up", 0).link
	begun, failed := make(chan bool), make(chan error, 1)
	leader.Send(to, Item{Body: func(w io.Writer) error {
		close(begun)
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				failed <- err
				return err
			}
		}
	}})
	<-begun
	leader.Close(to, "it is no learner of mine")
	leader.Close(to, "a second reason")
	leader.down(to, "it is no learner of mine")
	if err := <-failed; err == nil {
		t.Error("the body was not told")
	}
}

func TestSilenceEndsALink(t *testing.T) {
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	to, from := pair(t, leader, learner, leader.listen())
	leader.SetReadTimeout(to, time.Hour)
	leader.SetReadTimeout(to, 30*time.Millisecond) // counts for the Read under way
	leader.down(to, "nothing was heard for 30ms")
	learner.down(from, "the peer has closed it")

	strict := newLinkRig(t, func(o *LinkOptions) { o.ReadTimeout = 30 * time.Millisecond })
	ln, at := rawListen(t)
	id := strict.Dial(at, patience)
	c := rawAccept(t, ln)
	strict.down(id, "nothing was heard for 30ms")
	closed(t, c)
}

func TestDialTriesAgainForAWhile(t *testing.T) {
	ln, at := rawListen(t)
	ln.Close()
	learner := newLinkRig(t, nil)
	began := time.Now()
	id := learner.Dial(at, patience)
	learner.down(id, "leader 9: ")
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("given up after %v", took)
	}
	if err := learner.event("down", id).err; !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v does not say what went wrong", err)
	}
}

func TestDialFindsALeaderThatIsLate(t *testing.T) {
	ln, at := rawListen(t)
	addr := ln.Addr().String()
	ln.Close()
	learner := newLinkRig(t, nil)
	id := learner.Dial(at, patience)
	late, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skip("another process has taken the port:", err)
	}
	defer late.Close()
	learner.event("up", id)
}

func TestDialIsGivenUp(t *testing.T) {
	noLeak(t)
	ln, at := rawListen(t)
	ln.Close()
	learner := newLinkRig(t, nil)
	id := learner.Dial(at, patience)
	learner.Close(id, "the leader is another")
	learner.down(id, "the leader is another")
	id = learner.Dial(quorum.Member{ID: 3}, patience)
	learner.down(id, "leader 3: no address is known")
	learner.Dial(at, patience) // is left to Shutdown
}

func TestAllAddressesAreTried(t *testing.T) {
	dead, _ := rawListen(t)
	dead.Close()
	ln, _ := rawListen(t)
	learner := newLinkRig(t, nil)
	id := learner.Dial(memberAt(dead.Addr(), ln.Addr(), dead.Addr()), patience)
	rawAccept(t, ln)
	learner.event("up", id)
	// Of two that answer one is kept.
	other, _ := rawListen(t)
	id = learner.Dial(memberAt(other.Addr(), ln.Addr()), patience)
	learner.event("up", id)
	learner.Send(id, Item{Frame: Encode(&hello)})
	heard := make(chan int, 2)
	for _, l := range []net.Listener{other, ln} {
		go func() {
			l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
			c, err := l.Accept()
			if err != nil {
				return // it lost before it was asked
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			n, _ := io.ReadFull(c, make([]byte, len(Encode(&hello))))
			heard <- n
		}()
	}
	n := <-heard
	if n == 0 {
		n = <-heard // the first was the one that lost
	}
	if n != len(Encode(&hello)) {
		t.Errorf("%d bytes were heard", n)
	}
}

func TestListenSaysWhatIsTaken(t *testing.T) {
	ln, at := rawListen(t)
	leader := newLinkRig(t, nil)
	err := leader.Listen(at.Addrs, false)
	if err == nil || !strings.Contains(err.Error(), "quorum port "+ln.Addr().String()) {
		t.Errorf("%v", err)
	}
	// One address of two is enough.
	if err := leader.Listen(append(at.Addrs, quorum.Addr{Host: "127.0.0.1"}), false); err != nil {
		t.Error(err)
	}
	if len(leader.Addrs()) != 1 {
		t.Errorf("listening on %v", leader.Addrs())
	}
}

func TestStopListeningKeepsLinks(t *testing.T) {
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	at := leader.listen()
	stranger := rawDial(t, at)
	to, from := pair(t, leader, learner, at)
	leader.StopListening()
	closed(t, stranger)
	leader.Send(to, Item{Frame: Encode(proposal(1, 1))})
	learner.packets(from, 1)
	again := leader.listen()
	other := newLinkRig(t, nil)
	pair(t, leader, other, again)
}

func TestShutdownEndsEverything(t *testing.T) {
	noLeak(t)
	leader, learner := newLinkRig(t, nil), newLinkRig(t, nil)
	at := leader.listen()
	to, from := pair(t, leader, learner, at)
	rawDial(t, at)
	learner.Shutdown("going home")
	learner.down(from, "going home")
	leader.down(to, "the peer has closed it")
	leader.Shutdown("going home")
	n := len(leader.snapshot())
	leader.Send(to, Item{Frame: Encode(&hello)})
	leader.SetReadTimeout(to, 1)
	leader.Close(to, "again")
	leader.Shutdown("twice")
	if err := leader.Listen(at.Addrs, false); err == nil {
		t.Error("listens after the end")
	}
	if id := leader.Dial(at, patience); id != 0 {
		t.Error("dials after the end")
	}
	if len(leader.snapshot()) != n {
		t.Error("a callback came after Shutdown")
	}
}

func TestWrapSeesEveryConnection(t *testing.T) {
	var sides told[bool]
	sides.change.L = &sides.mu
	wrap := func(o *LinkOptions) {
		o.Wrap = func(c net.Conn, dialed bool) (net.Conn, error) { sides.add(dialed); return c, nil }
	}
	leader, learner := newLinkRig(t, wrap), newLinkRig(t, wrap)
	pair(t, leader, learner, leader.listen())
	if got := fmt.Sprint(sides.snapshot()); got != "[true false]" && got != "[false true]" {
		t.Error(got)
	}
	refusing := newLinkRig(t, func(o *LinkOptions) {
		o.Wrap = func(net.Conn, bool) (net.Conn, error) { return nil, errors.New("no certificate") }
	})
	at := refusing.listen()
	closed(t, rawDial(t, at))
	refusing.down(refusing.Dial(at, patience), "no certificate")
}

// BenchmarkBroadcast sends proposals to four learners on the loopback.
func BenchmarkBroadcast(b *testing.B) {
	leader := newLinkRig(b, nil)
	at := leader.listen()
	got := make(chan int, 1<<16)
	var to []zab.LinkID
	for range 4 {
		learner := newLinkRig(b, func(o *LinkOptions) {
			o.Received = func(_ zab.LinkID, p []zab.Packet) { got <- len(p) }
		})
		id, _ := pair(b, leader, learner, at)
		to = append(to, id)
	}
	data := make([]byte, 200)
	left := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f := Encode(&proto.Packet{Type: proto.PacketProposal, Zxid: proto.Zxid(i), Data: data})
		for _, id := range to {
			leader.Send(id, Item{Frame: f})
		}
		for left += len(to); left > 4000; {
			left -= <-got
		}
	}
	for left > 0 {
		left -= <-got
	}
}
