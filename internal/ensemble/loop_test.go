// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"paddock/internal/acl"
	"paddock/internal/pipeline"
	"paddock/internal/quorum"
	"paddock/internal/replica"
	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/internal/vfs"
	"paddock/internal/zab"
	"paddock/jute"
	"paddock/proto"
)

// scripted is a peer that does what a test says: the first answer whose when
// holds of an event is given, once. It wakes every 10 ms.
type scripted struct {
	mu      sync.Mutex
	answers []answer
	seen    []zab.Event
	ticking func() // runs in the next Tick, after which the peer sleeps
	asleep  bool
}

type answer struct {
	when func(zab.Event) bool
	out  zab.Out
}

func (s *scripted) Step(now time.Duration, ev zab.Event) *zab.Out {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, tick := ev.(zab.Tick); !tick {
		s.seen = append(s.seen, ev)
	} else if s.ticking != nil {
		s.ticking()
		s.ticking, s.asleep = nil, true
	}
	out := new(zab.Out)
	for i, a := range s.answers {
		if a.when(ev) {
			out = &a.out
			s.answers = slices.Delete(s.answers, i, i+1)
			break
		}
	}
	out.Wake = now + 10*time.Millisecond
	if s.asleep {
		out.Wake = now + time.Hour
	}
	return out
}

// Heard is as with a leader that never falls silent.
func (s *scripted) Heard() time.Duration { return time.Duration(math.MaxInt64 / 2) }

// then adds an answer to the next event of type E for which ok, if not nil, holds.
func then[E zab.Event](s *scripted, ok func(E) bool, out zab.Out) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, answer{func(ev zab.Event) bool { e, is := ev.(E); return is && (ok == nil || ok(e)) }, out})
}

// driverRig is a driver of a scripted peer: server 1 of two, of which the other
// does not run.
type driverRig struct {
	*Driver
	peer  *scripted
	fatal chan error
	other *net.TCPListener // the quorum port of server 2, where nobody accepts
}

func newDriverRig(t *testing.T) *driverRig {
	t.Helper()
	r := &driverRig{peer: &scripted{}, fatal: make(chan error, 10)}
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r.other = ln
	log := slog.New(slog.DiscardHandler)
	store, err := storage.Open(storageOn(vfs.NewMem()))
	if err != nil {
		t.Fatal(err)
	}
	tr := tree.New()
	if _, err := replica.Recover(store, tr, log); err != nil {
		t.Fatal(err)
	}
	authority, err := acl.New(acl.Options{DigestEnabled: true})
	if err != nil {
		t.Fatal(err)
	}
	pipe := pipeline.New(tr, pipeline.Options{Logger: log, ACL: authority, Tick: time.Second, ServerID: 1, MaxRecord: 1 << 20,
		MinSessionTimeout: time.Second, MaxSessionTimeout: time.Minute, ContainerPeriod: time.Minute})
	keeper := replica.NewKeeper(store, tr, replica.KeeperOptions{Logger: log, SnapRetain: 3})
	members := &quorum.Config{Members: []quorum.Member{
		{ID: 1, Addrs: []quorum.Addr{{Host: "127.0.0.1"}}},
		{ID: 2, Addrs: []quorum.Addr{{Host: "127.0.0.1", QuorumPort: ln.Addr().(*net.TCPAddr).Port}}}}}
	r.Driver, err = start(context.Background(), Options{Logger: log, Sid: 1, State: zab.State{Sid: 1, Committed: members},
		Zab: zab.Options{Tick: time.Second}, Store: store, Tree: tr, Pipeline: pipe, Keeper: keeper,
		Ballots: BallotOptions{BindRetry: 1}, Links: LinkOptions{FirstPacket: 10 * time.Second, NoDelay: true},
		OnFatal: func(err error) { r.fatal <- err }}, r.peer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pipe.Stop()
		r.Close()
		keeper.Close()
		store.Log().Close()
		ln.Close()
		tr.Close()
	})
	return r
}

// await waits until the peer has seen an event of type E for which ok holds.
func await[E zab.Event](t *testing.T, r *driverRig, ok func(E) bool) (found E) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		r.peer.mu.Lock()
		for _, ev := range r.peer.seen {
			if e, is := ev.(E); is && (ok == nil || ok(e)) {
				r.peer.mu.Unlock()
				return e
			}
		}
		seen := slices.Clone(r.peer.seen)
		r.peer.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("no %T came; the peer has seen %v", found, seen)
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// What comes while the loop does what is due is stepped then, not when the peer
// wakes the next time.
func TestAnEventDuringATick(t *testing.T) {
	r := newDriverRig(t)
	r.peer.mu.Lock()
	r.peer.ticking = func() {
		brought := make(chan struct{})
		go func() {
			defer close(brought)
			r.mail.put(zab.Barrier{Token: 7})
			r.turn()
		}()
		<-brought
	}
	r.peer.mu.Unlock()
	await(t, r, func(b zab.Barrier) bool { return b.Token == 7 })
}

// However events meet, each is stepped at once: nothing else would come to
// bring it up.
func TestEveryEventIsStepped(t *testing.T) {
	r := newDriverRig(t)
	r.peer.mu.Lock()
	r.peer.ticking = func() {}
	r.peer.mu.Unlock()
	rounds := 60000
	if testing.Short() {
		rounds = 6000
	}
	for range rounds {
		var wg sync.WaitGroup
		wg.Go(func() { r.mail.post(zab.Barrier{Token: 1}) })
		wg.Go(func() { r.mail.propose([]zab.Entry{{Zxid: 1}}) })
		wg.Go(func() { r.mail.put(zab.Saved{Ops: 1}); r.turn() })
		wg.Go(func() { r.mail.put(zab.Barrier{Token: 2}); r.turn() })
		wg.Wait()
		await(t, r, func(b zab.Barrier) bool { return b.Token == 1 })
		await(t, r, func(b zab.Barrier) bool { return b.Token == 2 })
		await[zab.Saved](t, r, nil)
		await[zab.Propose](t, r, nil)
		r.peer.mu.Lock()
		r.peer.seen = nil
		r.peer.mu.Unlock()
	}
}

// learner connects to the quorum port of a rig that leads.
func (r *driverRig) learner(t *testing.T) net.Conn {
	t.Helper()
	then[zab.Tick](r.peer, nil, zab.Out{Became: &zab.Status{Role: proto.Leading, Stage: zab.Broadcast, Leader: 1, Epoch: 1}})
	deadline := time.Now().Add(20 * time.Second)
	for len(r.links.Addrs()) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the quorum port is not open")
		}
		time.Sleep(time.Millisecond)
	}
	nc, err := net.Dial("tcp", r.links.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	info := jute.Marshal(&proto.LearnerInfo{ServerID: 2, Protocol: proto.QuorumProtocol})
	if _, err := nc.Write(Encode(&proto.Packet{Type: proto.PacketFollowerInfo, Data: info})); err != nil {
		t.Fatal(err)
	}
	return nc
}

func TestDriverSavesAndTells(t *testing.T) {
	r := newDriverRig(t)
	accepted := int64(4)
	then[zab.Tick](r.peer, nil, zab.Out{Disk: []zab.DiskOp{{AcceptedEpoch: &accepted}, {Append: []zab.Entry{entry(1), entry(2)}}}})
	await(t, r, func(s zab.Saved) bool { return s.Ops == 2 })
	if got, err := r.opt.Store.ReadEpoch(storage.AcceptedEpoch); got != accepted || err != nil {
		t.Errorf("acceptedEpoch is %d, %v", got, err)
	}
}

func TestDriverStopsForGood(t *testing.T) {
	r := newDriverRig(t)
	broken := errors.New("broken")
	then[zab.Tick](r.peer, nil, zab.Out{Stop: broken})
	if err := <-r.fatal; !errors.Is(err, broken) {
		t.Errorf("fatal: %v", err)
	}
	r.loop.Wait()
	r.mail.post(zab.Barrier{Token: 1})
	if err := r.Close(); !errors.Is(err, broken) {
		t.Errorf("Close returns %v", err)
	}
	if len(r.fatal) > 0 || len(r.peer.seen) > 0 {
		t.Errorf("it goes on: %d more failures, events %v", len(r.fatal), r.peer.seen)
	}
}

func TestDriverTellsOfAFailedDial(t *testing.T) {
	r := newDriverRig(t)
	member, _ := r.view.membership().Member(2)
	r.other.Close()
	then[zab.Tick](r.peer, nil, zab.Out{Dial: &zab.Dial{Leader: 2, Member: member, Timeout: 5 * time.Second}})
	if down := await[zab.LinkDown](t, r, nil); down.Link != 0 || down.Err == nil {
		t.Errorf("a failed dial is told as %+v", down)
	}
}

// A later dial takes the place of an earlier one, of which nothing is heard.
func TestDriverForgetsAnEarlierDial(t *testing.T) {
	r := newDriverRig(t)
	member, _ := r.view.membership().Member(2)
	dead := member
	dead.Addrs = []quorum.Addr{{Host: "127.0.0.1", QuorumPort: 1}}
	then[zab.Tick](r.peer, nil, zab.Out{Dial: &zab.Dial{Leader: 2, Member: dead, Timeout: 20 * time.Second}})
	then[zab.Tick](r.peer, nil, zab.Out{Dial: &zab.Dial{Leader: 2, Member: member, Timeout: 20 * time.Second}})
	up := await(t, r, func(u zab.LinkUp) bool { return u.Dialed })
	r.peer.mu.Lock()
	defer r.peer.mu.Unlock()
	for _, ev := range r.peer.seen {
		if down, ok := ev.(zab.LinkDown); ok && (down.Link == 0 || down.Link == up.Link) {
			t.Errorf("the earlier dial is heard of: %+v", down)
		}
	}
}

func TestDriverAnswersARestoreOfALinkThatIsGone(t *testing.T) {
	r := newDriverRig(t)
	then[zab.Tick](r.peer, nil, zab.Out{Restore: &zab.Restore{Link: 77, Zxid: 5}})
	if got := await[zab.Restored](t, r, nil); got.Err == nil {
		t.Error("a tree is said to be loaded from a link that is gone")
	}
}

func TestDriverCutsAndReloads(t *testing.T) {
	r := newDriverRig(t)
	then[zab.Tick](r.peer, nil, zab.Out{Disk: []zab.DiskOp{{Append: []zab.Entry{entry(1), entry(2), entry(3)}}}})
	then(r.peer, func(s zab.Saved) bool { return s.Ops == 1 },
		zab.Out{Commit: []zab.Entry{entry(1), entry(2), entry(3)}})
	await(t, r, func(s zab.Saved) bool { return s.Ops == 1 })
	then[zab.Tick](r.peer, nil, zab.Out{Restore: &zab.Restore{Zxid: 2, Reload: true}})
	if got := await[zab.Restored](t, r, nil); got.Err != nil || got.Zxid != 2 {
		t.Fatalf("restored: %+v", got)
	}
	v := r.opt.Tree.View(0)
	defer v.Close()
	if _, there := v.HasSession(3); there || v.Zxid() != 2 {
		t.Errorf("the tree is at %s and has what was cut: %t", v.Zxid(), there)
	}
	if _, there := v.HasSession(2); !there {
		t.Error("the tree lacks what was left")
	}
}

func TestLeaderClosesALinkThatMakesNoSense(t *testing.T) {
	for name, p := range map[string]proto.Packet{
		"short request":    {Type: proto.PacketRequest, Data: make([]byte, 15)},
		"short revalidate": {Type: proto.PacketRevalidate, Data: make([]byte, 11)},
		"uneven touches":   {Type: proto.PacketPing, Data: make([]byte, 13)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newDriverRig(t)
			r.learner(t)
			up := await[zab.LinkUp](t, r, nil)
			then[zab.Tick](r.peer, nil, zab.Out{Requests: []zab.Forwarded{{Link: up.Link, Sid: 2, Packet: p}}})
			await(t, r, func(d zab.LinkDown) bool { return d.Link == up.Link })
		})
	}
}

// A learner's sync becomes a barrier behind what it asked for before.
func TestLeaderPutsASyncBehindRequests(t *testing.T) {
	r := newDriverRig(t)
	r.learner(t)
	up := await[zab.LinkUp](t, r, nil)
	request := func(cxid int32, op proto.OpCode, body []byte) zab.Forwarded {
		var u [requestHead]byte
		u[7], u[11], u[15] = 9, byte(cxid), byte(op)
		return zab.Forwarded{Link: up.Link, Sid: 2, Packet: proto.Packet{Type: proto.PacketRequest, Zxid: -1, Data: append(u[:], body...)}}
	}
	create := jute.Marshal(&proto.Create{Path: "/a", ACL: []proto.ACL{{Perms: proto.PermAll, Scheme: "world", ID: "anyone"}}})
	then[zab.Tick](r.peer, nil, zab.Out{Requests: []zab.Forwarded{request(1, proto.OpCreate, create), request(2, proto.OpSync, nil)}})
	barrier := await[zab.Barrier](t, r, nil)
	if barrier.Link != up.Link {
		t.Errorf("the barrier is for link %d, not %d", barrier.Link, up.Link)
	}
	r.peer.mu.Lock()
	defer r.peer.mu.Unlock()
	var order []string
	for _, ev := range r.peer.seen {
		switch ev := ev.(type) {
		case zab.Propose:
			order = append(order, "propose")
			if z := ev.Entries[0].Zxid; z != 1<<32|1 {
				t.Errorf("the first proposal of epoch 1 is %s", z)
			}
		case zab.Barrier:
			order = append(order, "barrier")
		}
	}
	if fmt.Sprint(order) != "[propose barrier]" {
		t.Errorf("order: %v", order)
	}
	if got := r.Health(); got.PendingSyncs != 1 || got.Learners != 1 || got.SyncedFollowers != 0 {
		t.Errorf("health: %+v", got)
	}
}

func TestTouchesRoundTrip(t *testing.T) {
	for _, list := range [][]pipeline.Touch{{}, {{Session: 1, TimeoutMs: 2}}, {{Session: -1, TimeoutMs: 40000}, {Session: 1 << 60, TimeoutMs: 0}}} {
		b := appendTouches(list)
		if b == nil {
			t.Error("an empty table is null")
		}
		got, err := parseTouches(b)
		if err != nil || !slices.Equal(got, list) {
			t.Errorf("%v became %v, %v", list, got, err)
		}
	}
}

func FuzzTouches(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 12))
	f.Add(make([]byte, 25))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseTouches(b)
		if (err == nil) != (len(b)%touchBytes == 0) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err == nil && !slices.Equal(appendTouches(list), b) {
			t.Fatal("written differently than read")
		}
	})
}

// Whatever a packet's data are, looking for a membership in them ends well.
func FuzzMembershipOf(f *testing.F) {
	text := "server.1=a:1:2:participant\nversion=100000000"
	txn := proto.Txn{Zxid: 1<<32 | 1, Type: proto.OpReconfig, Body: &proto.SetDataTxn{Path: proto.ConfigPath, Data: []byte(text), Version: -1}}
	enc := jute.Encoder(nil)
	txn.Encode(&enc)
	f.Add(int32(proto.PacketProposal), enc.Bytes())
	f.Add(int32(proto.PacketInformAndActivate), append(make([]byte, 8), enc.Bytes()...))
	f.Add(int32(proto.PacketNewLeader), []byte(text))
	f.Fuzz(func(t *testing.T, typ int32, b []byte) {
		p := proto.Packet{Type: proto.PacketType(typ), Data: b}
		if c := membershipOf(&p); c != nil && len(c.Members) > len(b) {
			t.Fatalf("%d members in %d bytes", len(c.Members), len(b))
		}
	})
}

func TestMembershipOf(t *testing.T) {
	text := "server.1=a:1:2:participant\nversion=100000001"
	reconfig := proto.Txn{Zxid: 1<<32 | 1, Type: proto.OpReconfig, Body: &proto.SetDataTxn{Path: proto.ConfigPath, Data: []byte(text), Version: -1}}
	enc := jute.Encoder(nil)
	reconfig.Encode(&enc)
	for _, tc := range []struct {
		name string
		p    proto.Packet
		want bool
	}{
		{"proposal of a reconfig", proto.Packet{Type: proto.PacketProposal, Data: enc.Bytes()}, true},
		{"inform of a reconfig", proto.Packet{Type: proto.PacketInform, Data: enc.Bytes()}, true},
		{"its activation", proto.Packet{Type: proto.PacketInformAndActivate, Data: append(make([]byte, 8), enc.Bytes()...)}, true},
		{"a new leader", proto.Packet{Type: proto.PacketNewLeader, Data: []byte(text)}, true},
		{"a new leader without", proto.Packet{Type: proto.PacketNewLeader}, false},
		{"another transaction", proto.Packet{Type: proto.PacketProposal, Data: entry(1).Data}, false},
		{"a packet without data", proto.Packet{Type: proto.PacketCommit}, false},
	} {
		if got := membershipOf(&tc.p); (got != nil) != tc.want || got != nil && got.Version != 1<<32|1 {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
