// SPDX-License-Identifier: Apache-2.0

package zk_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paddock/internal/servertest"
	"paddock/zk"
)

func TestSessionEnds(t *testing.T) {
	ctx := testContext(t)
	addr := servertest.Addr(t)
	other := connect(t, addr)
	h := home(t, other)

	c := connect(t, addr)
	must(c.Create(ctx, h+"/e", nil, zk.OpenACL, zk.Ephemeral))(t)
	_, _, watch, err := c.GetWatch(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	states := c.SessionEvents()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if ev := nextEvent(t, watch); ev.Type != zk.EventSession || ev.State != zk.Closed || ev.Err != zk.ErrClosed {
		t.Errorf("last event of a watch: %+v", ev)
	}
	var seen []string
	for ev := range states {
		seen = append(seen, ev.State.String())
	}
	if got := strings.Join(seen, " "); got != "SyncConnected Disconnected Closed" {
		t.Errorf("states: %s", got)
	}
	_, err = c.Children(ctx, h)
	want(t, "call after close", err, zk.ErrClosed)
	if _, ok, err := other.Exists(ctx, h+"/e"); err != nil || ok {
		t.Errorf("the ephemeral is there after close: %v, %v", ok, err)
	}

	// A detached session is taken up by another client, and ended by it.
	c = connect(t, addr)
	must(c.Create(ctx, h+"/e", nil, zk.OpenACL, zk.Ephemeral))(t)
	c.Detach()
	heir := connect(t, addr, zk.WithSession(c.SessionID(), c.Passwd()))
	if heir.SessionID() != c.SessionID() {
		t.Errorf("session %v taken up as %v", c.SessionID(), heir.SessionID())
	}
	if got := must(heir.GetEphemerals(ctx, ""))(t); !slices.Equal(got, []string{h + "/e"}) {
		t.Errorf("ephemerals of the session taken up: %v", got)
	}
	if err := heir.Close(); err != nil {
		t.Error(err)
	}
	_, err = zk.Connect(ctx, addr, zk.WithSession(c.SessionID(), c.Passwd()))
	want(t, "session that was closed", err, zk.ErrSessionExpired)
	_, err = zk.Connect(ctx, addr, zk.WithSession(other.SessionID(), []byte("wrong password!!")))
	want(t, "session of another", err, zk.ErrSessionExpired)
}

// Many goroutines on one connection, which is cut again and again: a write that
// returned nil is there, one that failed as lost may be.
func TestManyCallers(t *testing.T) {
	ctx := testContext(t)
	k := &cutter{}
	c := connect(t, servertest.Addr(t), zk.WithDialer(k.dial))
	h := home(t, c)
	var sure, unsure atomic.Int32
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := c.Create(ctx, h+"/n-", nil, zk.OpenACL, zk.Sequential)
				switch {
				case err == nil:
					sure.Add(1)
				case errors.Is(err, zk.ErrConnectionLoss):
					unsure.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 5 {
		for base := sure.Load(); sure.Load() < base+200 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		if i < 4 {
			k.cut()
		}
	}
	close(stop)
	wg.Wait()
	n := int32(len(must(c.Children(ctx, h))(t)))
	if n < sure.Load() || n > sure.Load()+unsure.Load() {
		t.Errorf("%d znodes, %d creates returned, %d were lost", n, sure.Load(), unsure.Load())
	}
	t.Logf("%d sure, %d unsure, %d there", sure.Load(), unsure.Load(), n)
}
