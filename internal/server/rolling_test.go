// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paddock/internal/ensemble"
	"paddock/internal/pipeline"
	"paddock/jute"
	"paddock/proto"
	"paddock/zk"
)

type pipelineClient = pipeline.Client

// rawClient speaks the protocol by hand: a session that costs next to nothing.
type rawClient struct {
	c      *cluster
	nc     net.Conn
	sid    int // where it is connected
	id     int64
	passwd []byte
}

const rawTimeout = 60000 // ms

// dial opens a session at a server.
func (c *cluster) dial(sid int) *rawClient {
	c.t.Helper()
	r := &rawClient{c: c, passwd: make([]byte, 16)}
	c.t.Cleanup(func() { r.nc.Close() })
	c.must(r.attach(sid))
	return r
}

// attach connects to a server, with the session that the client has if it has
// one.
func (r *rawClient) attach(sid int) error {
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.c.nodes[sid-1].client))
	if err != nil {
		return err
	}
	nc.SetDeadline(time.Now().Add(patience))
	r.nc, r.sid = nc, sid
	q := proto.ConnectRequest{TimeOut: rawTimeout, SessionID: r.id, Passwd: r.passwd}
	if err := r.send(jute.Marshal(&q)); err != nil {
		return err
	}
	b, err := r.receive()
	if err != nil {
		return err
	}
	var hello proto.ConnectResponse
	if err := jute.Unmarshal(b, &hello); err != nil {
		return err
	}
	if hello.SessionID == 0 || r.id != 0 && hello.SessionID != r.id {
		return fmt.Errorf("session %#x became %#x", r.id, hello.SessionID)
	}
	r.id, r.passwd = hello.SessionID, hello.Passwd
	return nil
}

func (r *rawClient) send(b []byte) error {
	_, err := r.nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func (r *rawClient) receive() ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r.nc, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(r.nc, b)
	return b, err
}

// request sends one without a body.
func (r *rawClient) request(xid int32, op proto.OpCode) {
	r.c.t.Helper()
	r.c.must(r.send(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(xid)), uint32(op))))
}

func (r *rawClient) reply() (int32, proto.Code) {
	r.c.t.Helper()
	b, err := r.receive()
	r.c.must(err)
	return int32(binary.BigEndian.Uint32(b)), proto.Code(binary.BigEndian.Uint32(b[12:]))
}

// counter sets a znode to 1, 2, 3, …, each once.
type counter struct {
	cl      *zk.Client
	path    string
	applied int32 // as acknowledged, or looked up after a lost connection
	acked   atomic.Int64
	lost    int // answers lost with a connection
	err     error
}

func (w *counter) run(ctx context.Context) {
	for ctx.Err() == nil {
		next := w.applied + 1
		_, err := w.cl.Set(ctx, w.path, strconv.AppendInt(nil, int64(next), 10), w.applied)
		switch {
		case err == nil:
			w.applied = next
			w.acked.Add(1)
		case ctx.Err() != nil:
			return
		case errors.Is(err, zk.ErrConnectionLoss):
			w.lost++
			stat, there, err := w.cl.Exists(ctx, w.path)
			for errors.Is(err, zk.ErrConnectionLoss) {
				stat, there, err = w.cl.Exists(ctx, w.path)
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil || !there || stat.Version != w.applied && stat.Version != next {
				w.err = fmt.Errorf("%s: version %d after %d: %w", w.path, stat.Version, w.applied, err)
				return
			}
			w.applied = stat.Version
		default:
			w.err = fmt.Errorf("%s: %w", w.path, err)
			return
		}
	}
}

// Three servers restart one after the other, the leader last, under a thousand
// sessions and writes through every server. No session ends; those of the server
// that restarts, and no others, connect again elsewhere; every write happens
// once.
func TestRollingRestart(t *testing.T) {
	sessions := 1000
	if testing.Short() {
		sessions = 150
	}
	c := newCluster(t, "ppp", "maxSessionTimeout=60000\nglobalOutstandingLimit=10000")
	c.start()
	c.leader()
	raw := make([]*rawClient, sessions)
	for i := range raw {
		raw[i] = c.dial(i%3 + 1)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	var writers []*counter
	for i := range 9 {
		w := &counter{cl: c.at(i%3+1, 60*time.Second), path: fmt.Sprintf("/w%d", i)}
		c.create(w.cl, w.path)
		writers = append(writers, w)
		wg.Go(func() { w.run(ctx) })
	}
	more := func(what string) {
		t.Helper()
		goals := make([]int64, len(writers))
		for i, w := range writers {
			goals[i] = w.acked.Load() + 20
		}
		c.await("writes "+what, func() bool {
			for i, w := range writers {
				if w.acked.Load() < goals[i] {
					return false
				}
			}
			return true
		})
	}
	handshakes := func(sids ...int) (n int64) {
		for _, sid := range sids {
			n += c.nodes[sid-1].pipe.Counts().Connections.Load()
		}
		return n
	}

	lead := c.leader()
	for _, down := range []int{others(lead)[0], others(lead)[1], lead} {
		stay := others(down)
		more("before")
		before := handshakes(stay...)
		moved := int64(c.clients(down))
		c.stop(down)
		// Whoever was connected there finds out, and moves.
		for i, r := range raw {
			if r.sid != down {
				continue
			}
			if _, err := r.receive(); err == nil {
				t.Fatal("the server that stopped says something")
			}
			r.nc.Close()
			c.must(r.attach(stay[i%2]))
		}
		more(fmt.Sprintf("without server %d", down))
		c.await("its clients elsewhere", func() bool { return handshakes(stay...)-before >= moved })
		if n := handshakes(stay...) - before; n != moved {
			t.Errorf("server %d stopped with %d clients, and %d connected to the others", down, moved, n)
		}
		c.start(down)
		c.leader()
	}
	more("at the end")
	stop()
	wg.Wait()

	// Each raw session answers where it is, on the connection it has.
	for _, r := range raw {
		r.request(1, proto.OpPing)
		if _, code := r.reply(); code != proto.OK {
			t.Fatalf("session %#x: %v", r.id, code)
		}
	}
	total, lost := int32(0), 0
	for _, w := range writers {
		if w.err != nil {
			t.Error(w.err)
		}
		total += w.applied
		lost += w.lost
	}
	c.agree()
	own := c.connect()
	for _, w := range writers {
		data, stat, err := own.Get(context.Background(), w.path)
		// One more may have happened when the writers were stopped.
		if n, _ := strconv.Atoi(string(data)); err != nil || int32(n) != stat.Version || stat.Version < w.applied || stat.Version > w.applied+1 {
			t.Errorf("%s is %q, version %d, %v; %d were acknowledged", w.path, data, stat.Version, err, w.applied)
		}
	}
	for sid := 1; sid <= 3; sid++ {
		if n := c.nodes[sid-1].pipe.Counts().Expired.Load(); n != 0 {
			t.Errorf("server %d expired %d sessions", sid, n)
		}
	}
	t.Logf("%d sessions, %d writes, %d answers lost with a connection", sessions, total, lost)
}

// A lead that nobody could take over is not handed over, and nothing happens.
func TestNothingToHandOverTo(t *testing.T) {
	c := newCluster(t, "ppo", "")
	c.start()
	lead := c.leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h, err := c.nodes[2].driver.HandOver(ctx)
	if !errors.Is(err, ensemble.ErrNotLeader) || h.Leader != int64(lead) || h.Host != "127.0.0.1" {
		t.Errorf("an observer: %+v, %v", h, err)
	}
	h, err = c.nodes[lead-1].driver.HandOver(ctx)
	if err != nil || h.Leader != int64(3-lead) {
		t.Fatalf("with a follower: %+v, %v", h, err)
	}
	lead = c.leader()
	c.kill(3 - lead)
	c.await("the leader without followers", func() bool {
		h := c.nodes[lead-1].driver.Health()
		return !h.Serving || h.SyncedFollowers == 0
	})
	if _, err := c.nodes[lead-1].driver.HandOver(ctx); !errors.Is(err, ensemble.ErrNoHeir) && !errors.Is(err, ensemble.ErrNoLeader) {
		t.Errorf("without a follower: %v", err)
	}
	c.start(3 - lead)
	c.leader()
	if h, err := c.nodes[2].driver.HandOver(ctx); !errors.Is(err, ensemble.ErrNotLeader) {
		t.Errorf("an observer: %+v, %v", h, err)
	}
}

// Whoever asks how a leader is does not stand in the way of its writes: each of
// them takes the tree's lock and the driver's.
func TestHealthUnderLoad(t *testing.T) {
	c := newCluster(t, "ppp", "")
	c.start()
	lead := c.leader()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				c.nodes[lead-1].driver.Health()
			}
		})
	}
	var writers []*counter
	for i := range 6 {
		w := &counter{cl: c.at(i%3+1, 5*time.Second), path: fmt.Sprintf("/w%d", i)}
		c.create(w.cl, w.path)
		writers = append(writers, w)
		wg.Go(func() { w.run(ctx) })
	}
	c.await("writes of all", func() bool {
		for _, w := range writers {
			if w.acked.Load() < 200 {
				return false
			}
		}
		return true
	})
	stop()
	wg.Wait()
}
