// SPDX-License-Identifier: Apache-2.0

package zk_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"paddock/internal/servertest"
	"paddock/zk"
)

func TestOneShotWatches(t *testing.T) {
	ctx := testContext(t)
	addr := servertest.Addr(t)
	c, other := connect(t, addr), connect(t, addr)
	h := home(t, c)
	a := h + "/a"

	_, ok, made, err := c.ExistsWatch(ctx, a)
	if err != nil || ok {
		t.Fatal(ok, err)
	}
	_, _, listed, err := c.ChildrenWatch(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckWatches(ctx, h, zk.WatchChildren); err != nil {
		t.Errorf("checkWatches: %v", err)
	}
	want(t, "checkWatches of none", c.CheckWatches(ctx, h, zk.WatchData), zk.ErrNoWatcher)
	_, stat, err := other.CreateWithStat(ctx, a, nil, zk.OpenACL, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ev := wantEvent(t, made, zk.EventCreated, a); ev.Zxid != stat.Czxid {
		t.Errorf("event at %v, created at %v", ev.Zxid, stat.Czxid)
	}
	wantEvent(t, listed, zk.EventChildrenChanged, h)
	if _, open := <-listed; open {
		t.Error("a second event on a one-shot channel")
	}

	_, _, changed, err := c.GetWatch(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(ctx, a, nil, -1); err != nil {
		t.Fatal(err)
	}
	select { // our own write returned, so the event is there
	case ev := <-changed:
		if ev.Type != zk.EventDataChanged {
			t.Errorf("event %v", ev.Type)
		}
	default:
		t.Error("the write has returned and its event is not there")
	}

	_, _, data, _ := c.GetWatch(ctx, a)
	_, _, child, _ := c.ChildrenWatch(ctx, a)
	if err := other.Delete(ctx, a, -1); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, data, zk.EventDeleted, a)
	wantEvent(t, child, zk.EventDeleted, a)

	_, _, config, err := c.GetConfigWatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveWatches(ctx, "/zookeeper/config", zk.WatchData); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, config, zk.EventDataWatchRemoved, "/zookeeper/config")
	want(t, "removeWatches again", c.RemoveWatches(ctx, "/zookeeper/config", zk.WatchAny), zk.ErrNoWatcher)
}

func TestPersistentWatches(t *testing.T) {
	ctx := testContext(t)
	c := connect(t, servertest.Addr(t))
	h := home(t, c)
	one := must(c.AddWatch(ctx, h, zk.Persistent))(t)
	twin := must(c.AddWatch(ctx, h, zk.Persistent))(t)
	all := must(c.AddWatch(ctx, h, zk.Recursive))(t)
	a := h + "/a"
	for range 2 {
		if _, err := c.Create(ctx, a, nil, zk.OpenACL, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Create(ctx, a+"/deep", nil, zk.OpenACL, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Set(ctx, h, nil, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Multi(ctx, zk.DeleteOp(a+"/deep", -1), zk.DeleteOp(a, -1)); err != nil {
			t.Fatal(err)
		}
		for _, w := range []*zk.Watcher{one, twin} {
			wantEvent(t, w.Events(), zk.EventChildrenChanged, h)
			wantEvent(t, w.Events(), zk.EventDataChanged, h)
			wantEvent(t, w.Events(), zk.EventChildrenChanged, h)
		}
		wantEvent(t, all.Events(), zk.EventCreated, a)
		wantEvent(t, all.Events(), zk.EventCreated, a+"/deep")
		wantEvent(t, all.Events(), zk.EventDataChanged, h)
		wantEvent(t, all.Events(), zk.EventDeleted, a+"/deep")
		wantEvent(t, all.Events(), zk.EventDeleted, a)
	}
	twin.Close() // another Watcher still needs the server's watch
	if err := c.CheckWatches(ctx, h, zk.WatchPersistent); err != nil {
		t.Errorf("after the close of one of two: %v", err)
	}
	one.Close()
	want(t, "after the close of both", c.CheckWatches(ctx, h, zk.WatchPersistent), zk.ErrNoWatcher)
	if err := c.RemoveWatches(ctx, h, zk.WatchPersistentRecursive); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, all.Events(), zk.EventPersistentWatchRemoved, h)
	if _, open := <-all.Events(); open {
		t.Error("open after its removal")
	}
}

// What happens while a client is cut off reaches its watches afterwards.
func TestWatchesAcrossReconnect(t *testing.T) {
	ctx := testContext(t)
	addr := servertest.Addr(t)
	gate := make(chan struct{}, 1) // a connection needs a pass
	gate <- struct{}{}
	k := &cutter{}
	c := connect(t, addr, zk.WithDialer(func(ctx context.Context, server string) (net.Conn, error) {
		select {
		case <-gate:
			return k.dial(ctx, server)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}))
	other := connect(t, addr)
	h := home(t, c)
	for _, name := range []string{"/data", "/parent", "/gone", "/quiet"} {
		must(c.Create(ctx, h+name, nil, zk.OpenACL, 0))(t)
	}
	must(c.Create(ctx, h+"/eph", nil, zk.OpenACL, zk.Ephemeral))(t)
	_, _, data, err1 := c.GetWatch(ctx, h+"/data")
	_, _, child, err2 := c.ChildrenWatch(ctx, h+"/parent")
	_, _, gone, err3 := c.GetWatch(ctx, h+"/gone")
	_, _, made, err4 := c.ExistsWatch(ctx, h+"/made")
	_, _, quiet, err5 := c.GetWatch(ctx, h+"/quiet")
	tree, err6 := c.AddWatch(ctx, h, zk.Recursive)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	session := c.SessionID()

	k.cut()
	wantEvent(t, tree.Events(), zk.EventSession, "")
	must(other.Set(ctx, h+"/data", []byte("x"), -1))(t)
	must(other.Create(ctx, h+"/parent/kid", nil, zk.OpenACL, 0))(t)
	must(other.Create(ctx, h+"/made", nil, zk.OpenACL, 0))(t)
	if err := other.Delete(ctx, h+"/gone", -1); err != nil {
		t.Fatal(err)
	}
	gate <- struct{}{}

	wantEvent(t, data, zk.EventDataChanged, h+"/data")
	wantEvent(t, child, zk.EventChildrenChanged, h+"/parent")
	wantEvent(t, gone, zk.EventDeleted, h+"/gone")
	wantEvent(t, made, zk.EventCreated, h+"/made")
	if ev := wantEvent(t, tree.Events(), zk.EventSession, ""); ev.State != zk.Connected {
		t.Errorf("state %v", ev.State)
	}
	if c.SessionID() != session {
		t.Errorf("session %v became %v", session, c.SessionID())
	}
	if _, ok, err := other.Exists(ctx, h+"/eph"); err != nil || !ok {
		t.Errorf("the ephemeral did not outlive the connection: %v, %v", ok, err)
	}
	must(other.Set(ctx, h+"/quiet", nil, -1))(t)
	wantEvent(t, quiet, zk.EventDataChanged, h+"/quiet")
	// The replayed events may reach a recursive watch too; live ones must.
	for {
		if ev := nextEvent(t, tree.Events()); ev.Path == h+"/quiet" {
			break
		}
	}
}
