// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"paddock/internal/check"
	"paddock/proto"
	"paddock/zk"
)

// Registers are a few znodes that some sessions fight for, with versions, as
// ephemerals and in multis, while something happens to the servers. There must
// be one order of all that explains every answer.
type registers struct {
	c       *cluster
	clients []*zk.Client
	parent  string
	value   atomic.Int32
	rounds  int
	ops     int
}

const contenders = 5

func newRegisters(c *cluster) *registers {
	c.t.Helper()
	r := &registers{c: c}
	for i := range contenders {
		r.clients = append(r.clients, c.connect(c.servers[i%len(c.servers)].addr(), sessionTimeout))
	}
	return r
}

// during records what the contenders do while f runs, and judges it. Reads
// behind a sync take part where a sync promises more than the reference's does:
// there a leader that was replaced unawares answers one by itself.
func (r *registers) during(reads bool, f func()) {
	r.c.t.Helper()
	r.rounds++
	r.parent = fmt.Sprintf("/registers%d", r.rounds)
	h := check.NewHistory()
	ctx, cancel := within()
	defer cancel()
	if _, err := r.clients[0].Create(ctx, r.parent, nil, zk.OpenACL, 0); err != nil {
		r.c.t.Fatalf("create %s: %v", r.parent, err)
	}
	for _, cl := range r.clients { // all have it before the first operation
		must(r.c.t, cl.Sync(ctx, "/"))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, cl := range r.clients {
		rng := rand.New(rand.NewPCG(uint64(r.rounds), uint64(i)))
		wg.Go(func() {
			// A pace that keeps the search for an order short.
			for pace := time.NewTicker(25 * time.Millisecond); ; {
				select {
				case <-stop:
					pace.Stop()
					return
				case <-pace.C:
				}
				if err := r.one(h, i, cl, r.random(rng, cl, reads)); err != nil {
					r.c.t.Errorf("%s, client %d: %v", r.parent, i, err)
					return
				}
			}
		})
	}
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer end() // also when f gives up
	f()
	end()
	all := h.Entries()
	r.ops += len(all)
	v := check.Linearizable(all, 20*time.Second)
	switch v.CheckResult {
	case porcupine.Illegal:
		file := filepath.Join(r.c.dir, fmt.Sprintf("history%d.html", r.rounds))
		r.c.t.Errorf("%d operations on %s: no order explains them; picture in %s (%v)", len(all), r.parent, file, v.Picture(file))
	case porcupine.Unknown:
		r.c.t.Logf("%d operations on %s: not judged in 20 s", len(all), r.parent)
	}
}

func (r *registers) random(rng *rand.Rand, cl *zk.Client, reads bool) check.Op {
	n, version := rng.IntN(check.Nodes), int32(-1)
	if rng.IntN(2) == 0 {
		version = int32(rng.IntN(4))
	}
	create := check.Op{Type: proto.OpCreate, Node: n, Value: r.value.Add(1)}
	if rng.IntN(2) == 0 {
		create.Session = cl.SessionID()
	}
	set := check.Op{Type: proto.OpSetData, Node: n, Version: version, Value: r.value.Add(1)}
	switch k := rng.IntN(10); {
	case k < 2:
		return create
	case k == 2:
		return check.Op{Type: proto.OpDelete, Node: n, Version: version}
	case k < 5:
		return set
	case k < 8 && reads:
		return check.Op{Type: proto.OpGetData, Node: n}
	}
	steps := []check.Op{{Type: proto.OpCheck, Node: rng.IntN(check.Nodes), Version: -1}, set}
	if rng.IntN(3) == 0 {
		steps = []check.Op{{Type: proto.OpDelete, Node: n, Version: version}, create}
	}
	return check.Op{Type: proto.OpMulti, Steps: steps}
}

// one does an operation and records it. One without an answer stays open in the
// history: the model takes what has ended for done.
func (r *registers) one(h *check.History, client int, cl *zk.Client, op check.Op) error {
	ctx, cancel := within()
	defer cancel()
	i := h.Call(client, cl.SessionID(), 0, op)
	res, err := r.send(ctx, cl, op)
	if err == nil {
		h.Return(i, res)
		return nil
	}
	if !unknown(err) {
		return fmt.Errorf("%+v: %w", op, err)
	}
	for unknown(err) {
		err = cl.Sync(ctx, "/")
	}
	return err
}

func (r *registers) path(op check.Op) string { return fmt.Sprintf("%s/%d", r.parent, op.Node) }

func (r *registers) send(ctx context.Context, cl *zk.Client, op check.Op) (res check.Result, err error) {
	data, path := fmt.Append(nil, op.Value), r.path(op)
	var st zk.Stat
	switch op.Type {
	case proto.OpCreate:
		_, err = cl.Create(ctx, path, data, zk.OpenACL, flags(op))
	case proto.OpDelete:
		err = cl.Delete(ctx, path, op.Version)
	case proto.OpSetData:
		st, err = cl.Set(ctx, path, data, op.Version)
		res.Version = st.Version
	case proto.OpGetData:
		if err = cl.Sync(ctx, path); err != nil {
			return res, err
		}
		if data, st, err = cl.Get(ctx, path); err == nil {
			_, err = fmt.Sscan(string(data), &res.Value)
		}
		res.Version, res.Owner = st.Version, proto.SessionID(st.EphemeralOwner)
	case proto.OpMulti:
		var ops []zk.Op
		for _, s := range op.Steps {
			data, path := fmt.Append(nil, s.Value), r.path(s)
			switch s.Type {
			case proto.OpCheck:
				ops = append(ops, zk.CheckOp(path, s.Version))
			case proto.OpSetData:
				ops = append(ops, zk.SetOp(path, data, s.Version))
			case proto.OpDelete:
				ops = append(ops, zk.DeleteOp(path, s.Version))
			case proto.OpCreate:
				ops = append(ops, zk.CreateOp(path, data, zk.OpenACL, flags(s)))
			}
		}
		parts, err := cl.Multi(ctx, ops...)
		if err != nil && len(parts) == 0 {
			return res, err
		}
		for _, p := range parts {
			s := check.Result{Version: p.Stat.Version}
			errors.As(p.Err, &s.Code)
			res.Steps = append(res.Steps, s)
		}
		return res, nil
	}
	if code := proto.OK; err != nil && !unknown(err) && errors.As(err, &code) && code != proto.OK {
		return check.Result{Code: code}, nil // an answer as good as any
	}
	return res, err
}

func flags(op check.Op) zk.CreateFlags {
	if op.Session != 0 {
		return zk.Ephemeral
	}
	return 0
}

func (r *registers) close() {
	for _, cl := range r.clients {
		if err := cl.Close(); err != nil {
			r.c.t.Errorf("session %v: close: %v", cl.SessionID(), err)
		}
	}
	r.c.t.Logf("%d operations of contending sessions in %d histories", r.ops, r.rounds)
}
