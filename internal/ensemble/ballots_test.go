// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/quorum"
)

func TestTheHigherDials(t *testing.T) {
	noLeak(t)
	dir := newDirectory()
	var at1, at2 sides
	one := newBallotRig(t, dir, 1, func(o *BallotOptions) { o.Wrap = at1.wrap })
	two := newBallotRig(t, dir, 2, func(o *BallotOptions) { o.Wrap = at2.wrap })
	two.Send(1, []byte("from 2"))
	one.got(2, "from 2")
	one.Send(2, []byte("from 1"))
	two.got(1, "from 1")
	if at1.dialed != 0 || at1.accepted != 1 || at2.dialed != 1 || at2.accepted != 0 {
		t.Errorf("connections made: %d and %d, accepted: %d and %d", at1.dialed, at2.dialed, at1.accepted, at2.accepted)
	}
	if !one.Connected(2) || !two.Connected(1) || one.Connected(3) {
		t.Error("Connected says otherwise")
	}
	if one.about(2) != "[up]" || two.about(1) != "[up]" {
		t.Error(one.about(2), two.about(1))
	}
}

func TestTheLowerIsDialledBack(t *testing.T) {
	dir := newDirectory()
	var at1, at2 sides
	one := newBallotRig(t, dir, 1, func(o *BallotOptions) { o.Wrap = at1.wrap })
	two := newBallotRig(t, dir, 2, func(o *BallotOptions) { o.Wrap = at2.wrap })
	one.Send(2, []byte("from 1"))
	two.got(1, "from 1")
	if at1.dialed != 1 || at2.accepted != 1 || at2.dialed != 1 || at1.accepted != 1 {
		t.Errorf("connections made: %d and %d, accepted: %d and %d", at1.dialed, at2.dialed, at1.accepted, at2.accepted)
	}
}

func TestEverybodyHearsEverybody(t *testing.T) {
	noLeak(t)
	dir := newDirectory()
	all := map[int64]*ballotRig{}
	for sid := int64(1); sid <= 5; sid++ {
		all[sid] = newBallotRig(t, dir, sid, nil)
	}
	for from, r := range all {
		for to := range all {
			r.Send(to, fmt.Appendf(nil, "%d to %d", from, to))
		}
	}
	for to, r := range all {
		for from := range all {
			r.got(from, fmt.Sprintf("%d to %d", from, to))
		}
	}
}

// TestDialBackGoesToTheAddressOfTheMessage: not to the configured one.
func TestDialBackGoesToTheAddressOfTheMessage(t *testing.T) {
	dir := newDirectory()
	five := newBallotRig(t, dir, 5, nil)
	for _, configured := range [][]quorum.Member{nil, {{Addrs: []quorum.Addr{elsewhere}}}} {
		dir.set(3, configured...)
		ln, at := rawListen(t)
		c := introduce(t, own(five.Ballots), 3, at.Addrs[0])
		closed(t, c)
		three, sid, addrs := receive(t, ln)
		want := own(five.Ballots).Addrs[0]
		if sid != 5 || !slices.Equal(addrs, []string{hostPort(want.Host, want.ElectionPort, false)}) {
			t.Errorf("dialled back by %d, who is at %v", sid, addrs)
		}
		n := len(five.snapshot())
		three.send("here I am")
		five.wait(t, "the message", n, func(e ballotEvent) bool { return e.body == "here I am" })
		five.Send(3, []byte("welcome"))
		three.next("welcome")
	}
}

func TestALowerOneWithoutAddress(t *testing.T) {
	dir := newDirectory()
	five := newBallotRig(t, dir, 5, nil)
	ln, at := rawListen(t)
	dir.set(3, at)
	old := rawDial(t, own(five.Ballots))
	old.Write(unhex(t, "0000000000000003")) // a bare sid
	closed(t, old)
	receive(t, ln) // at the configured address
	unknown := rawDial(t, own(five.Ballots))
	unknown.Write(unhex(t, "0000000000000002"))
	closed(t, unknown)
	if five.Connected(2) {
		t.Error("connected to nobody")
	}
}

func TestAHigherOneWithABareSid(t *testing.T) {
	five := newBallotRig(t, newDirectory(), 5, nil)
	old := rawDial(t, own(five.Ballots))
	old.Write(append(unhex(t, "0000000000000007"), ballotFrame([]byte("vote"))...))
	five.got(7, "vote")
}

func TestAConnectionReplacesTheOlder(t *testing.T) {
	dir := newDirectory()
	five := newBallotRig(t, dir, 5, nil)
	dir.set(7, quorum.Member{ID: 7, Addrs: []quorum.Addr{elsewhere}})
	first := introduce(t, own(five.Ballots), 7, elsewhere)
	five.event("up", 7, 1)
	five.Send(7, []byte("one"))
	first.next("one")
	second := introduce(t, own(five.Ballots), 7, elsewhere)
	closed(t, first)
	second.next("one") // the last that was sent, again
	second.send("vote")
	five.got(7, "vote")
	if five.about(7) != "[up down up]" {
		t.Error(five.about(7))
	}
	second.Close()
	five.event("down", 7, 2)
	if five.Connected(7) {
		t.Error("still connected")
	}
}

// TestALowerOneEndsItsOldConnection: it would not have dialled if it had one.
func TestALowerOneEndsItsOldConnection(t *testing.T) {
	dir := newDirectory()
	five := newBallotRig(t, dir, 5, nil)
	ln, at := rawListen(t)
	dir.set(3, at)
	five.Send(3, []byte("one"))
	first, _, _ := receive(t, ln)
	first.next("one")
	introduce(t, own(five.Ballots), 3, at.Addrs[0])
	closed(t, first)
	second, _, _ := receive(t, ln)
	second.next("one")
}

func TestOnlyTheNewestMessageWaits(t *testing.T) {
	dir := newDirectory()
	five := newBallotRig(t, dir, 5, nil)
	dir.set(7, quorum.Member{ID: 7, Addrs: []quorum.Addr{elsewhere}}) // nobody is there
	for _, m := range []string{"one", "two", "three"} {
		five.Send(7, []byte(m))
	}
	seven := introduce(t, own(five.Ballots), 7, elsewhere)
	seven.next("three")
	five.Send(7, []byte("four"))
	seven.next("four")
	five.Send(7, []byte("five"))
	seven.next("five")
	seven.Close()
	five.event("down", 7, 1)

	again := introduce(t, own(five.Ballots), 7, elsewhere)
	again.next("five") // nothing was queued: the last once more
	again.Close()
	five.event("down", 7, 2)

	five.Send(7, []byte("six"))
	third := introduce(t, own(five.Ballots), 7, elsewhere)
	third.next("six") // and not what was last
}

func TestMessagesToOneself(t *testing.T) {
	five := newBallotRig(t, newDirectory(), 5, nil)
	five.Send(5, []byte("mine"))
	five.got(5, "mine")
}

func TestWhatIsRefused(t *testing.T) {
	noLeak(t)
	five := newBallotRig(t, newDirectory(), 5, func(o *BallotOptions) { o.HandshakeTimeout = 50 * time.Millisecond })
	at := own(five.Ballots)
	for name, b := range map[string][]byte{
		"its own sid":           appendHello(nil, 5, at.Addrs, false),
		"an anonymous observer": appendHello(nil, anonymous, at.Addrs, false),
		"a negative sid":        appendHello(nil, -3, at.Addrs, false),
		"an unknown version":    unhex(t, "ffffffffffff0002 0000000000000007 00000001 31"),
		"no port":               unhex(t, "ffffffffffff0000 0000000000000007 00000006 6e6f706f7274"),
		"no address":            unhex(t, "ffffffffffff0000 0000000000000007 00000000"),
		"a long address":        unhex(t, "ffffffffffff0000 0000000000000007 00000801"),
		"silence":               nil,
		"half a message":        unhex(t, "ffffffffffff0000 00000000"),
		"words":                 []byte("\xffET / HTTP/1.1\r\nHost: here\r\n\r\n"),
	} {
		c := rawDial(t, at)
		c.Write(b)
		closed(t, c)
		if got := five.snapshot(); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBadFramesEndTheConnection(t *testing.T) {
	five := newBallotRig(t, newDirectory(), 5, nil)
	for i, frame := range []string{"00000000", "ffffffff", "00080001", "80000000", "00000004 0102"} {
		seven := introduce(t, own(five.Ballots), 7, elsewhere)
		seven.send("good")
		seven.Write(unhex(t, frame))
		seven.Conn.(*net.TCPConn).CloseWrite()
		closed(t, seven)
		five.event("down", 7, i+1)
	}
	largest := strings.Repeat("x", maxBallot)
	seven := introduce(t, own(five.Ballots), 7, elsewhere)
	seven.send(largest)
	five.got(7, largest)
	five.Send(7, nil)
	five.Send(7, make([]byte, maxBallot+1)) // neither is sent
	five.Send(7, []byte(largest))
	seven.next(largest)
}

// TestASlowPeerHarmsOnlyItself: it is dropped, and Send never waits.
func TestASlowPeerHarmsOnlyItself(t *testing.T) {
	dir := newDirectory()
	five := newBallotRig(t, dir, 5, func(o *BallotOptions) { o.HandshakeTimeout = 200 * time.Millisecond })
	introduce(t, own(five.Ballots), 7, elsewhere) // never reads
	eight := introduce(t, own(five.Ballots), 8, elsewhere)
	five.event("up", 7, 1)
	large := bytes.Repeat([]byte("x"), maxBallot)
	for end := time.Now().Add(patience); five.Connected(7) && time.Now().Before(end); {
		five.Send(7, large)
	}
	five.event("down", 7, 1)
	five.Send(8, []byte("well?"))
	eight.next("well?")
}

func TestAFloodOfStrangersDoesNotKeepServersOut(t *testing.T) {
	noLeak(t)
	five := newBallotRig(t, newDirectory(), 5, nil)
	var silent []net.Conn
	for range electionStrangers + 1 {
		silent = append(silent, rawDial(t, own(five.Ballots)))
	}
	closed(t, silent[0])
	introduce(t, own(five.Ballots), 7, elsewhere).send("vote")
	five.got(7, "vote")
}

func TestServersNobodyKnowsAreFew(t *testing.T) {
	noLeak(t)
	dir := newDirectory()
	five := newBallotRig(t, dir, 5, nil)
	var liars []fake
	for i := range unknownPeers {
		liars = append(liars, introduce(t, own(five.Ballots), int64(100+i), elsewhere))
		five.event("up", int64(100+i), 1)
	}
	closed(t, introduce(t, own(five.Ballots), 99, elsewhere))
	dir.set(7, quorum.Member{ID: 7, Addrs: []quorum.Addr{elsewhere}})
	introduce(t, own(five.Ballots), 7, elsewhere).send("vote")
	five.got(7, "vote")
	liars[0].Close()
	five.event("down", 100, 1)
	introduce(t, own(five.Ballots), 98, elsewhere).send("vote")
	five.got(98, "vote")
	// An answer to one that is gone leaves nothing behind.
	for sid := range int64(1000) {
		five.Send(10_000+sid, []byte("who are you"))
	}
	until(t, "they are forgotten", func() bool {
		five.Ballots.mu.Lock()
		defer five.Ballots.mu.Unlock()
		return len(five.peers) == unknownPeers+1 && five.unknown == unknownPeers
	})
}

func TestMembershipsAreTriedInOrder(t *testing.T) {
	dir := newDirectory()
	five := newBallotRig(t, dir, 5, nil)
	dead, gone := rawListen(t)
	dead.Close()
	ln, at := rawListen(t)
	dir.set(3, gone, at)
	five.Send(3, []byte("vote"))
	three, _, _ := receive(t, ln)
	three.next("vote")
}

func TestAllElectionAddressesAreTriedAndTold(t *testing.T) {
	dir := newDirectory()
	dead, _ := rawListen(t)
	dead.Close()
	five := newBallotRig(t, dir, 5, func(o *BallotOptions) {
		o.Own = append(o.Own, quorum.Addr{Host: "zoo5.example", ElectionPort: 3888})
		o.MultiAddress = true
		listen := o.Listen
		o.Listen = func(addr string) (net.Listener, error) {
			if strings.HasPrefix(addr, "zoo5") {
				return nil, errors.New("the card is not plugged in")
			}
			return listen(addr)
		}
	})
	ln, _ := rawListen(t)
	dir.set(3, memberAt(dead.Addr(), ln.Addr()))
	five.Send(3, []byte("vote"))
	three, _, addrs := receive(t, ln)
	if len(addrs) != 2 || addrs[1] != "zoo5.example:3888" {
		t.Errorf("told %v", addrs)
	}
	three.next("vote")
}

func TestReset(t *testing.T) {
	noLeak(t)
	dir := newDirectory()
	one, two := newBallotRig(t, dir, 1, nil), newBallotRig(t, dir, 2, nil)
	two.Send(1, []byte("old"))
	one.got(2, "old")
	silent := rawDial(t, own(two.Ballots))
	until(t, "the connection is accepted", func() bool {
		two.strangers.mu.Lock()
		defer two.strangers.mu.Unlock()
		return len(two.strangers.conns) == 1
	})

	two.Reset(own(two.Ballots).Addrs) // same address: it goes on listening
	closed(t, silent)
	one.event("down", 2, 1)
	two.event("down", 1, 1)
	one.Send(2, []byte("new"))
	two.got(1, "new")

	// Nothing that was sent before is sent again.
	two.Send(1, []byte("newer"))
	one.got(2, "newer")
	for _, e := range one.snapshot()[2:] {
		if e.body == "old" {
			t.Error("a message of before the Reset was sent again")
		}
	}

	// Another address.
	addr, _ := rawListen(t)
	addr.Close()
	moved := memberAt(addr.Addr())
	two.Reset(moved.Addrs)
	dir.set(2, moved)
	one.event("down", 2, 2)
	until(t, "it listens anew", func() bool { return len(two.Addrs()) > 0 })
	n := len(two.snapshot())
	one.Send(2, []byte("newest"))
	two.wait(t, "a message at the new address", n, func(e ballotEvent) bool { return e.body == "newest" })
}

func TestResetThatCannotListen(t *testing.T) {
	five := newBallotRig(t, newDirectory(), 5, nil)
	taken, at := rawListen(t)
	five.Reset(at.Addrs)
	e := five.event("failed", 0, 1)
	if !strings.Contains(e.body, "3 attempts to listen failed: election port "+taken.Addr().String()) {
		t.Error(e.body)
	}
}

func TestBindIsRetried(t *testing.T) {
	tries := 0
	opt := BallotOptions{Sid: 5, Logger: quietLog(), Own: []quorum.Addr{elsewhere}, BindRetry: 3, BindDelay: time.Millisecond,
		Listen: func(a string) (net.Listener, error) { tries++; return refuse(a) }}
	_, err := OpenBallots(context.Background(), opt)
	if err == nil || err.Error() != "3 attempts to listen failed: election port 127.0.0.1:1: address already in use" || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}

	ctx, cancel := context.WithCancel(context.Background())
	opt.BindRetry = 0
	opt.Listen = func(a string) (net.Listener, error) {
		if tries++; tries == 20 {
			cancel()
		}
		return refuse(a)
	}
	if _, err := OpenBallots(ctx, opt); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "already in use") {
		t.Error(err)
	}

	tries = 0
	opt.ListenOnAllIPs = true
	opt.Listen = func(a string) (net.Listener, error) {
		if tries++; tries < 3 {
			return refuse(a)
		}
		if a != ":1" {
			t.Errorf("listens on %s", a)
		}
		return net.Listen("tcp", "127.0.0.1:0")
	}
	b, err := OpenBallots(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

func TestCloseEndsEverything(t *testing.T) {
	noLeak(t)
	dir := newDirectory()
	one, two := newBallotRig(t, dir, 1, nil), newBallotRig(t, dir, 2, nil)
	two.Send(1, []byte("vote"))
	one.got(2, "vote")
	rawDial(t, own(two.Ballots))
	two.Close()
	one.event("down", 2, 1)
	n := len(two.snapshot())
	two.Send(1, []byte("vote"))
	two.Reset(nil)
	two.Close()
	if len(two.snapshot()) != n || two.Connected(1) {
		t.Error("something happened after Close")
	}
}

// TestBallotsUnderStress sends, resets and breaks connections all at once: in the
// end everybody hears everybody.
func TestBallotsUnderStress(t *testing.T) {
	noLeak(t)
	dir := newDirectory()
	all := map[int64]*ballotRig{}
	for sid := int64(1); sid <= 4; sid++ {
		all[sid] = newBallotRig(t, dir, sid, nil)
	}
	done := make(chan bool)
	for from, r := range all {
		go func() {
			defer func() { done <- true }()
			for i := range 200 {
				for to := range all {
					r.Send(to, fmt.Appendf(nil, "%d", i))
				}
				if i%50 == int(from)*10 {
					r.Reset(own(r.Ballots).Addrs)
				}
				if i%7 == 0 {
					introduceQuietly(own(r.Ballots), 1+int64(i)%4)
				}
			}
		}()
	}
	for range all {
		<-done
	}
	until(t, "everybody hears everybody", func() bool {
		missing := 0
		for from, r := range all {
			for to, other := range all {
				if !slices.Contains(other.snapshot(), ballotEvent{"got", from, fmt.Sprintf("last of %d", from)}) {
					r.Send(to, fmt.Appendf(nil, "last of %d", from)) // as an election sends again
					missing++
				}
			}
		}
		return missing == 0
	})
}

// introduceQuietly pretends to be a server, and leaves.
func introduceQuietly(at quorum.Member, sid int64) {
	c, err := net.Dial("tcp", hostPort(at.Addrs[0].Host, at.Addrs[0].ElectionPort, false))
	if err != nil {
		return
	}
	c.Write(appendHello(nil, sid, at.Addrs, false))
	c.Close()
}
