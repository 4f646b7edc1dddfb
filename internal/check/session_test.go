// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"paddock/jute"
	"paddock/proto"
)

// TestReadsBetweenWrites has sessions send set, get, set, get, … without
// waiting, in pieces that end anywhere, on a znode of their own and on one that
// all of them write. A read must see the write its session sent before it, and
// none that it sent after it.
func TestReadsBetweenWrites(t *testing.T) {
	seed := seedOf(t)
	srv := startLocal(t)
	admin := dial(t, srv)
	call(t, admin, proto.OpCreate, &proto.Create{Path: "/own", ACL: OpenACL})
	call(t, admin, proto.OpCreate, &proto.Create{Path: "/shared", Data: data(0), ACL: OpenACL})
	var wg sync.WaitGroup
	for id := range int32(6) {
		c := dial(t, srv)
		own := fmt.Sprintf("/own/%d", id)
		call(t, c, proto.OpCreate, &proto.Create{Path: own, Data: data(0), ACL: OpenACL})
		wg.Go(func() {
			if err := setAndGet(c, id, own, rand.New(rand.NewPCG(seed, uint64(id)))); err != nil {
				t.Errorf("session %d: %v", id, err)
			}
		})
	}
	wg.Wait()
}

// setAndGet writes id*1e6 + n to both znodes for n = 1, 2, …
func setAndGet(c *Conn, id int32, own string, rng *rand.Rand) error {
	var (
		order Order
		n     int32
		send  = func(op proto.OpCode, r jute.Record) { order.Sent(c.Send(op, r)) }
	)
	for range 20 {
		first := n
		const pairs = 60
		for range pairs {
			n++
			v := id*1e6 + n
			switch rng.IntN(3) {
			case 0:
				send(proto.OpSetData, &proto.SetData{Path: "/shared", Data: data(v), Version: -1})
				send(proto.OpSetData, &proto.SetData{Path: own, Data: data(v), Version: n - 1})
			default:
				send(proto.OpMulti, Multi{{proto.OpSetData, &proto.SetData{Path: "/shared", Data: data(v), Version: -1}},
					{proto.OpSetData, &proto.SetData{Path: own, Data: data(v), Version: n - 1}}})
				send(proto.OpPing, nil)
			}
			send(proto.OpGetData, &proto.PathWatch{Path: own})
			send(proto.OpMultiRead, Multi{{proto.OpGetData, &proto.PathWatch{Path: "/shared"}}})
		}
		sent := make(chan error, 1)
		go func() { sent <- c.flushInPieces(rng) }()
		for i := range pairs {
			v := id*1e6 + first + int32(i) + 1
			if err := four(c, &order, v, id, first+int32(i)+1); err != nil {
				return fmt.Errorf("value %d: %w", v, err)
			}
		}
		if err := <-sent; err != nil {
			return err
		}
	}
	return nil
}

// four reads the replies to one round of setAndGet.
func four(c *Conn, order *Order, v, id, version int32) error {
	var frames [4]Frame
	for i := range frames {
		f, err := c.Next()
		if err == nil {
			err = order.Received(f)
		}
		if err == nil && f.Err != proto.OK {
			err = f.Err
		}
		if err != nil {
			return err
		}
		frames[i] = f
	}
	var own proto.DataStat
	if err := frames[2].Decode(&own); err != nil {
		return err
	}
	wrote := max(frames[0].Zxid, frames[1].Zxid)
	if frames[1].Xid == proto.XidPing {
		wrote = frames[0].Zxid
	}
	if string(own.Data) != string(data(v)) || own.Stat.Version != version || own.Stat.Mzxid != wrote {
		return fmt.Errorf("own znode: %s version %d of %v, the write was %v", own.Data, own.Stat.Version, own.Stat.Mzxid, wrote)
	}
	shared, err := DecodeMulti(frames[3].Body)
	if err != nil || len(shared) != 1 {
		return fmt.Errorf("multiRead: %v, %v", shared, err)
	}
	got, err := valueOf(shared[0].Data)
	if err != nil {
		return err
	}
	if got/1e6 == id && got != v || shared[0].Stat.Mzxid < frames[0].Zxid {
		return fmt.Errorf("shared znode: %d of %v, our write was %v", got, shared[0].Stat.Mzxid, frames[0].Zxid)
	}
	return nil
}

// flushInPieces is Flush with writes that end in the middle of frames.
func (c *Conn) flushInPieces(rng *rand.Rand) error {
	for len(c.out) > 0 {
		n := min(len(c.out), 1+rng.IntN(400))
		if _, err := c.nc.Write(c.out[:n]); err != nil {
			return err
		}
		c.out = c.out[n:]
	}
	c.out = nil
	return nil
}

func dial(t *testing.T, srv target) *Conn {
	t.Helper()
	c, err := Dial(srv.Addr(), proto.ConnectRequest{TimeOut: 30000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// call must succeed.
func call(t *testing.T, c *Conn, op proto.OpCode, r jute.Record) Frame {
	t.Helper()
	f, err := c.Call(op, r)
	if err == nil && f.Err != proto.OK {
		err = f.Err
	}
	if err != nil {
		t.Fatalf("%v: %v", op, err)
	}
	return f
}
