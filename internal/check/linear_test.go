// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"paddock/jute"
	"paddock/proto"
)

// checkTime is how long the random tests go on: PADDOCK_CHECK_SECONDS for each
// of them, or else one round.
func checkTime() time.Duration {
	n, _ := strconv.Atoi(os.Getenv("PADDOCK_CHECK_SECONDS"))
	return time.Duration(n) * time.Second
}

// seedOf prints the seed of a random test, which PADDOCK_CHECK_SEED sets.
func seedOf(t *testing.T) uint64 {
	seed, err := strconv.ParseUint(os.Getenv("PADDOCK_CHECK_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("PADDOCK_CHECK_SEED=%d", seed)
	return seed
}

func TestHistoriesOverShutdowns(t *testing.T) {
	histories(t, func(t *testing.T) target { return startLocal(t) })
}

func TestHistoriesOverKills(t *testing.T) {
	histories(t, func(t *testing.T) target { return startChild(t) })
}

// histories runs round after round of concurrent clients against one server
// that is restarted in between, and judges each round by itself.
func histories(t *testing.T, start func(*testing.T) target) {
	seed := seedOf(t)
	srv := start(t)
	unknown, total := 0, 0
	for round, begun := uint64(0), time.Now(); round < 3 || time.Since(begun) < checkTime(); round++ {
		r := &rounds{t: t, srv: srv, rng: rand.New(rand.NewPCG(seed, round)), parent: fmt.Sprintf("/round%d", round), h: NewHistory()}
		h := r.run()
		if t.Failed() {
			return
		}
		total += len(h)
		for _, e := range h {
			if e.Result.Unknown {
				unknown++
			}
		}
		if err := srv.Stop(); err != nil {
			t.Fatal(err)
		}
		h, err := Resolve(h, readLogs(t, srv.Dir()))
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		if v := Linearizable(h, time.Minute); v.CheckResult != porcupine.Ok {
			file := filepath.Join(os.TempDir(), fmt.Sprintf("paddock-history-%d-%d.html", seed, round))
			t.Errorf("round %d, %d operations: %v: %v\npicture in %s (%v)", round, len(h), v.CheckResult, Explain(h), file, v.Picture(file))
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d operations, %d of them without an answer", total, unknown)
}

// rounds is one round: clients on znodes of their own below parent.
type rounds struct {
	t      *testing.T
	srv    target
	rng    *rand.Rand
	parent string
	h      *History
	value  atomic.Int32
	stop   atomic.Bool
}

const (
	clients  = 6
	opsRound = 1500
	restarts = 2
)

func (r *rounds) run() []Entry {
	r.once(func(c *Conn) error {
		_, err := c.Call(proto.OpCreate, &proto.Create{Path: r.parent, ACL: OpenACL})
		return err
	})
	var wg sync.WaitGroup
	for i := range clients {
		c := &client{r: r, id: i, rng: rand.New(rand.NewPCG(r.rng.Uint64(), uint64(i)))}
		wg.Go(c.run)
	}
	for i := range restarts {
		for r.h.Len() < opsRound*(i+1)/(restarts+1) && !r.t.Failed() {
			time.Sleep(time.Millisecond)
		}
		err := r.srv.Stop()
		if err == nil {
			err = r.srv.Start()
		}
		if err != nil {
			r.t.Error(err)
		}
	}
	for r.h.Len() < opsRound && !r.t.Failed() {
		time.Sleep(time.Millisecond)
	}
	r.stop.Store(true)
	wg.Wait()
	return r.h.Entries()
}

// once connects, does one thing and ends the session.
func (r *rounds) once(f func(*Conn) error) {
	c, err := Dial(r.srv.Addr(), proto.ConnectRequest{TimeOut: 30000})
	if err != nil {
		r.t.Error(err)
		return
	}
	defer c.Close()
	if err := f(c); err != nil {
		r.t.Error(err)
	}
	c.Call(proto.OpCloseSession, nil)
}

// client is one concurrent client. It keeps its session over lost connections,
// and now and then ends it or leaves it to expire.
type client struct {
	r     *rounds
	id    int
	rng   *rand.Rand
	c     *Conn // nil: not connected
	ses   proto.ConnectRequest
	xid   int32
	order Order
}

func (c *client) fail(format string, args ...any) {
	c.r.t.Errorf("client %d: "+format, append([]any{c.id}, args...)...)
	c.r.stop.Store(true)
}

func (c *client) run() {
	for !c.r.stop.Load() {
		if c.c == nil {
			if !c.connect() {
				continue
			}
		}
		switch c.rng.IntN(60) {
		case 0:
			c.abandon()
		case 1:
			c.batch([]Op{{Type: proto.OpCloseSession, Session: proto.SessionID(c.ses.SessionID)}})
			c.forget()
		default:
			ops := make([]Op, 1)
			if c.id%2 == 1 { // every other client has several on their way
				ops = make([]Op, 1+c.rng.IntN(8))
			}
			for i := range ops {
				ops[i] = c.random()
			}
			c.batch(ops)
		}
	}
	if c.c != nil {
		c.batch([]Op{{Type: proto.OpCloseSession, Session: proto.SessionID(c.ses.SessionID)}})
		c.forget()
	}
}

// connect takes up the session, or begins one.
func (c *client) connect() bool {
	if c.ses.SessionID == 0 {
		c.ses.TimeOut = 30000
	}
	c.ses.LastZxidSeen = int64(c.order.Last)
	conn, err := Dial(c.r.srv.Addr(), c.ses)
	if errors.Is(err, ErrExpired) {
		c.fail("session %v has expired: its timeout was 30 s", proto.SessionID(c.ses.SessionID))
		return false
	}
	if err != nil {
		time.Sleep(time.Millisecond) // it is being restarted
		return false
	}
	c.c, conn.Xid = conn, c.xid
	c.ses.SessionID, c.ses.Passwd = int64(conn.Session), conn.Passwd
	c.order.Drop()
	return true
}

// forget drops connection and session.
func (c *client) forget() {
	if c.c != nil {
		c.c.Close()
	}
	c.c, c.xid, c.ses, c.order = nil, 0, proto.ConnectRequest{}, Order{}
}

// abandon leaves the session to expire: its end is an operation that begins
// when its timeout is made short. The log tells whether the server came to it
// before the round was over.
func (c *client) abandon() {
	c.c.Close()
	c.r.h.Call(c.id, proto.SessionID(c.ses.SessionID), 0, Op{Type: proto.OpCloseSession, Session: proto.SessionID(c.ses.SessionID)})
	c.ses.TimeOut = 200
	if conn, err := Dial(c.r.srv.Addr(), c.ses); err == nil {
		conn.Close()
	}
	c.forget()
}

func (c *client) random() Op {
	n := c.rng.IntN(Nodes)
	version := int32(-1)
	if c.rng.IntN(2) == 0 {
		version = int32(c.rng.IntN(4))
	}
	switch c.rng.IntN(12) {
	case 0, 1:
		return c.creation(n)
	case 2:
		return Op{Type: proto.OpDelete, Node: n, Version: version}
	case 3, 4, 5:
		return Op{Type: proto.OpSetData, Node: n, Version: version, Value: c.r.value.Add(1)}
	case 6, 7:
		return Op{Type: proto.OpGetData, Node: n}
	case 8:
		return Op{Type: proto.OpExists, Node: n}
	case 9:
		return Op{Type: proto.OpGetChildren}
	case 10:
		op := Op{Type: proto.OpMultiRead}
		for range 1 + c.rng.IntN(Nodes) {
			op.Steps = append(op.Steps, Op{Type: proto.OpGetData, Node: c.rng.IntN(Nodes)})
		}
		return op
	}
	op := Op{Type: proto.OpMulti}
	for range 1 + c.rng.IntN(4) {
		n, version := c.rng.IntN(Nodes), int32(-1)
		if c.rng.IntN(3) == 0 {
			version = int32(c.rng.IntN(3))
		}
		switch c.rng.IntN(5) {
		case 0:
			op.Steps = append(op.Steps, c.creation(n))
		case 1:
			op.Steps = append(op.Steps, Op{Type: proto.OpDelete, Node: n, Version: version}, c.creation(n))
		case 2:
			op.Steps = append(op.Steps, Op{Type: proto.OpCheck, Node: n, Version: version})
		default:
			op.Steps = append(op.Steps, Op{Type: proto.OpSetData, Node: n, Version: version, Value: c.r.value.Add(1)})
		}
	}
	return op
}

func (c *client) creation(n int) Op {
	op := Op{Type: proto.OpCreate, Node: n, Value: c.r.value.Add(1)}
	if c.rng.IntN(2) == 0 {
		op.Session = proto.SessionID(c.ses.SessionID)
	}
	return op
}

// batch sends operations at once and records their replies. After a lost
// connection the outcome of those unanswered stays unknown.
func (c *client) batch(ops []Op) {
	at := make([]int, len(ops))
	for i := range ops {
		at[i] = c.r.h.Call(c.id, c.c.Session, c.c.Xid+1, ops[i])
		c.order.Sent(c.c.Send(ops[i].Type, c.record(ops[i])))
	}
	err := c.c.Flush()
	for i := 0; i < len(ops) && err == nil; i++ {
		var f Frame
		if f, err = c.c.Next(); err != nil {
			break
		}
		if err := c.order.Received(f); err != nil {
			c.fail("%v", err)
		}
		res, err := result(ops[i], f)
		if err != nil {
			c.fail("%v: %v", ops[i], err)
		}
		c.r.h.Return(at[i], res)
	}
	if err != nil {
		c.xid = c.c.Xid
		c.c.Close()
		c.c = nil
		c.order.Drop()
	}
}

func (c *client) path(n int) string { return c.r.parent + "/" + strconv.Itoa(n) }

func (c *client) record(op Op) jute.Record {
	switch op.Type {
	case proto.OpCreate:
		r := &proto.Create{Path: c.path(op.Node), Data: data(op.Value), ACL: OpenACL}
		if op.Session != 0 {
			r.Flags = proto.FlagEphemeral
		}
		return r
	case proto.OpSetData:
		return &proto.SetData{Path: c.path(op.Node), Data: data(op.Value), Version: op.Version}
	case proto.OpDelete, proto.OpCheck:
		return &proto.PathVersion{Path: c.path(op.Node), Version: op.Version}
	case proto.OpGetData, proto.OpExists:
		return &proto.PathWatch{Path: c.path(op.Node)}
	case proto.OpGetChildren:
		return &proto.PathWatch{Path: c.r.parent}
	case proto.OpMulti, proto.OpMultiRead:
		var m Multi
		for _, s := range op.Steps {
			m = append(m, MultiOp{s.Type, c.record(s)})
		}
		return m
	}
	return nil // closeSession
}

func data(v int32) []byte { return strconv.AppendInt(nil, int64(v), 10) }

func valueOf(b []byte) (int32, error) {
	v, err := strconv.ParseInt(string(b), 10, 32)
	return int32(v), err
}

// result reads a reply as the model tells it.
func result(op Op, f Frame) (Result, error) {
	res := Result{Zxid: f.Zxid, Code: f.Err}
	if f.Err != proto.OK {
		return res, nil
	}
	var err error
	switch op.Type {
	case proto.OpGetData:
		var r proto.DataStat
		if err = f.Decode(&r); err == nil {
			res.Value, err = valueOf(r.Data)
		}
		res.Version, res.Owner = r.Stat.Version, proto.SessionID(r.Stat.EphemeralOwner)
	case proto.OpExists, proto.OpSetData:
		var s proto.Stat
		err = f.Decode(&s)
		res.Version = s.Version
		if op.Type == proto.OpExists {
			res.Owner = proto.SessionID(s.EphemeralOwner)
		}
	case proto.OpGetChildren:
		var r proto.Names
		err = f.Decode(&r)
		for _, name := range r.Names {
			n, bad := strconv.Atoi(name)
			if bad != nil || res.Present[n] {
				return res, fmt.Errorf("children %q", r.Names)
			}
			res.Present[n] = true
		}
	case proto.OpMulti, proto.OpMultiRead:
		var parts []MultiResult
		parts, err = DecodeMulti(f.Body)
		for _, p := range parts {
			s := Result{Code: p.Err}
			switch p.Type {
			case proto.OpGetData:
				s.Value, err = valueOf(p.Data)
				s.Version, s.Owner = p.Stat.Version, proto.SessionID(p.Stat.EphemeralOwner)
			case proto.OpSetData:
				s.Version = p.Stat.Version
			}
			res.Steps = append(res.Steps, s)
		}
	}
	return res, err
}
