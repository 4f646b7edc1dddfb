// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"paddock/jute"
	"paddock/proto"
)

func TestHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, fc := f.open("one", WithReadOnly())
		defer c.Detach()
		h := fc.hello
		if h.SessionID != 0 || string(h.Passwd) != strings.Repeat("\x00", 16) || h.TimeOut != 12000 ||
			h.LastZxidSeen != 0 || !h.ReadOnly || h.OldClient || h.ProtocolVersion != 0 {
			t.Errorf("connect request %+v", h)
		}
		if fc.server != "one:2181" {
			t.Errorf("dialled %q", fc.server)
		}
		if c.SessionID() != fakeSession || string(c.Passwd()) != string(fakePasswd) || c.SessionTimeout() != fakeTimeout ||
			c.State() != Connected || c.Server() != "one:2181" {
			t.Errorf("session %v %q %v %v %q", c.SessionID(), c.Passwd(), c.SessionTimeout(), c.State(), c.Server())
		}
	})
}

func TestConnectGivesUp(t *testing.T) {
	refused := errors.New("refused")
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		dial := WithDialer(func(context.Context, string) (net.Conn, error) { tries++; return nil, refused })
		_, err := Connect(t.Context(), "a,b,c", dial, WithConnectRounds(2))
		if err == nil || !strings.Contains(err.Error(), "refused") || tries != 6 {
			t.Errorf("after %d tries: %v", tries, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = Connect(ctx, "a,b,c", dial)
		wantErr(t, "context ended", err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("error %q does not say what was wrong", err)
		}
		if _, err := Connect(t.Context(), "a/bad/"); err == nil {
			t.Error("a bad chroot was accepted")
		}
	})
}

// The connection breaks with one request answered, one sent and one not sent.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, fc := f.open("one,two")
		defer c.Detach()
		ctx := t.Context()

		auth := later(func() error { return c.AddAuth(ctx, "digest", []byte("joe:pw")) })
		if xid := fc.request(proto.OpAuth, nil); xid != proto.XidAuth {
			t.Errorf("auth has xid %d", xid)
		}
		fc.reply(proto.XidAuth, 0, 0, nil)
		if err := <-auth; err != nil {
			t.Fatal(err)
		}

		watch := func(op proto.OpCode, code proto.Code, zxid proto.Zxid, resp jute.Record, call func() error) {
			t.Helper()
			got := later(call)
			fc.reply(fc.request(op, nil), zxid, code, resp)
			if err := <-got; err != nil {
				t.Fatal(err)
			}
		}
		watch(proto.OpGetData, 0, 40, &proto.DataStat{}, func() error { _, _, _, err := c.GetWatch(ctx, "/d"); return err })
		watch(proto.OpExists, 0, 41, statRecord{&Stat{}}, func() error { _, _, _, err := c.ExistsWatch(ctx, "/d2"); return err })
		watch(proto.OpExists, proto.ErrNoNode, 42, nil, func() error { _, _, _, err := c.ExistsWatch(ctx, "/x"); return err })
		watch(proto.OpGetChildren2, 0, 43, &proto.NamesStat{}, func() error { _, _, _, err := c.ChildrenWatch(ctx, "/c"); return err })
		watch(proto.OpAddWatch, 0, 44, &proto.Number{}, func() error { _, err := c.AddWatch(ctx, "/p", Persistent); return err })
		watch(proto.OpAddWatch, 0, 45, &proto.Number{}, func() error { _, err := c.AddWatch(ctx, "/r", Recursive); return err })
		// Not registered: the read failed.
		failed := later(func() error { _, _, _, err := c.GetWatch(ctx, "/none"); return err })
		fc.reply(fc.request(proto.OpGetData, nil), 46, proto.ErrNoNode, nil)
		wantErr(t, "get of none", <-failed, ErrNoNode)
		// An event does not count as seen.
		fc.event(EventDataChanged, "/elsewhere", 99)

		sent := later(func() error { return c.Delete(ctx, "/sent", -1) })
		fc.request(proto.OpDelete, nil)
		states := c.SessionEvents()
		fc.Close()
		wantErr(t, "request in flight", <-sent, ErrConnectionLoss)
		synctest.Wait()
		unsent := later(func() error { return c.Delete(ctx, "/unsent", -1) })

		fc2 := f.accept()
		h := fc2.hello
		if h.SessionID != fakeSession || string(h.Passwd) != string(fakePasswd) || h.LastZxidSeen != 46 || h.TimeOut != 12000 {
			t.Errorf("connect request %+v", h)
		}
		if fc2.server == fc.server {
			t.Errorf("went back to %s first", fc.server)
		}
		fc2.welcome()
		var a proto.Auth
		if xid := fc2.request(proto.OpAuth, &a); xid != proto.XidAuth || a.Scheme != "digest" || string(a.Auth) != "joe:pw" {
			t.Errorf("auth again: xid %d %+v", xid, a)
		}
		set := proto.SetWatches{WithPersistent: true}
		setXid := fc2.request(proto.OpSetWatches2, &set)
		if set.RelativeZxid != 46 {
			t.Errorf("watches relative to %#x", set.RelativeZxid)
		}
		wantStrings(t, "data", set.Data, "/d", "/d2")
		wantStrings(t, "exist", set.Exist, "/x")
		wantStrings(t, "child", set.Child, "/c")
		wantStrings(t, "persistent", set.Persistent, "/p")
		wantStrings(t, "recursive", set.Recursive, "/r")
		var del proto.PathVersion
		xid := fc2.request(proto.OpDelete, &del)
		if del.Path != "/unsent" || xid != setXid+1 {
			t.Errorf("then xid %d (setWatches %d) of %q", xid, setXid, del.Path)
		}
		fc2.reply(setXid, 47, 0, nil)
		fc2.reply(proto.XidAuth, 0, 0, nil) // auth replies keep no place in the order
		fc2.reply(xid, 48, 0, nil)
		if err := <-unsent; err != nil {
			t.Errorf("request that waited: %v", err)
		}
		for _, want := range []State{Connected, Disconnected, Connected} {
			if ev := <-states; ev.State != want {
				t.Errorf("state %v, want %v", ev.State, want)
			}
		}
	})
}

// Without persistent watches the older setWatches does, in bounded pieces.
func TestSetWatchesBatches(t *testing.T) {
	w := newWatches()
	const n = 3000
	for i := range n {
		w.data[fmt.Sprintf("/%099d", i)] = nil
	}
	w.recursive["/r"] = nil
	got := map[string]bool{}
	all := w.batches(7)
	persistent := 0
	for _, b := range all {
		size := 0
		for _, p := range b.Data {
			got[p] = true
			size += len(p)
		}
		if size > setWatchesBatch || b.RelativeZxid != 7 || b.Exist == nil || b.Child == nil {
			t.Errorf("batch of %d bytes, zxid %d", size, b.RelativeZxid)
		}
		if b.WithPersistent {
			persistent++
		}
	}
	if len(got) != n || len(all) != 3 || persistent != 1 {
		t.Errorf("%d paths in %d batches, %d with persistent ones", len(got), len(all), persistent)
	}
	if all := (&watches{}).batches(7); len(all) != 0 {
		t.Errorf("%d batches of no watches", len(all))
	}
}

func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, fc := f.open("one")
		defer c.Detach()
		begin := time.Now()
		if xid := fc.request(proto.OpPing, nil); xid != proto.XidPing || time.Since(begin) != fakeTimeout/3 {
			t.Errorf("ping xid %d after %v", xid, time.Since(begin))
		}
		fc.reply(proto.XidPing, 1, 0, nil)
		heard := time.Now()
		fc.ended()
		if d := time.Since(heard); d != fakeTimeout*2/3 {
			t.Errorf("a silent server was left after %v", d)
		}
		// A server that accepts and says nothing gets the whole of T: it is the only one.
		begin = time.Now()
		fc = f.accept()
		fc.ended()
		if d := time.Since(begin); d < fakeTimeout || d > fakeTimeout+maxPause {
			t.Errorf("a server that does not answer was left after %v", d)
		}
		f.accept().welcome()
		synctest.Wait()
		if s := c.State(); s != Connected {
			t.Errorf("state %v", s)
		}
	})
}

func TestExpiry(t *testing.T) {
	cases := []struct {
		name string
		end  func(*fake)
		min  time.Duration
		max  time.Duration
	}{
		{"the server says so", func(f *fake) { f.accept().record(&proto.ConnectResponse{Passwd: make([]byte, 16)}) }, 0, time.Second},
		{"no server is heard", func(f *fake) {}, fakeTimeout * 4 / 3, fakeTimeout * 4 / 3},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c, fc := f.open("one")
				defer c.Detach()
				got := later(func() error { _, _, _, err := c.GetWatch(t.Context(), "/a"); return err })
				fc.reply(fc.request(proto.OpGetData, nil), 1, 0, &proto.DataStat{})
				if err := <-got; err != nil {
					t.Fatal(err)
				}
				w := newQueue[Event]()
				c.mu.Lock()
				c.watches.persistent["/p"] = []*Watcher{{c: c, path: "/p", events: w}}
				c.mu.Unlock()
				begin := time.Now()
				states := c.SessionEvents()
				fc.Close()
				synctest.Wait() // the client has seen it
				waiting := later(func() error { return c.Sync(t.Context(), "/") })
				tc.end(f)
				wantErr(t, "call that waited", <-waiting, ErrSessionExpired)
				if d := time.Since(begin); d < tc.min || d > tc.max {
					t.Errorf("expired after %v", d)
				}
				<-c.Done()
				wantErr(t, "call afterwards", c.Sync(t.Context(), "/"), ErrSessionExpired)
				wantErr(t, "credential afterwards", c.AddAuth(t.Context(), "digest", nil), ErrSessionExpired)
				var last SessionEvent
				for last = range states {
				}
				if last.State != Expired || !errors.Is(last.Err, ErrSessionExpired) {
					t.Errorf("last session event %+v", last)
				}
				var ev Event
				for ev = range w.ch {
				}
				if ev.Type != EventSession || ev.State != Expired || !errors.Is(ev.Err, ErrSessionExpired) {
					t.Errorf("last event of a watcher %+v", ev)
				}
			})
		})
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, fc := f.open("one")
		defer c.Detach()
		ctx, cancel := context.WithCancel(t.Context())
		var ch <-chan Event
		got := later(func() error { var err error; _, _, ch, err = c.GetWatch(ctx, "/slow"); return err })
		slow := fc.request(proto.OpGetData, nil)
		cancel()
		wantErr(t, "cancelled call", <-got, context.Canceled)
		if ch != nil || errors.Is(c.Sync(ctx, "/"), ErrConnectionLoss) {
			t.Error("a cancelled call gave a watch, or was sent")
		}
		next := later(func() error { return c.Sync(t.Context(), "/") })
		xid := fc.request(proto.OpSync, nil)
		fc.reply(slow, 1, 0, &proto.DataStat{})
		fc.reply(xid, 1, 0, &proto.Path{Path: "/"})
		if err := <-next; err != nil {
			t.Errorf("next call: %v", err)
		}
		c.mu.Lock()
		if len(c.watches.data) != 0 {
			t.Error("a watch nobody has was registered")
		}
		c.mu.Unlock()

		// Calls given up during an outage are not sent afterwards and do not pile up.
		fc.Close()
		synctest.Wait()
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			wantErr(t, "call without a connection", c.Sync(ctx, "/"), context.DeadlineExceeded)
			cancel()
		}
		c.mu.Lock()
		n := len(c.pending)
		c.mu.Unlock()
		if n > 20 {
			t.Errorf("%d requests queued that nobody waits for", n)
		}
		kept := later(func() error { return c.Delete(t.Context(), "/kept", -1) })
		fc = f.accept().welcome()
		fc.reply(fc.request(proto.OpDelete, nil), 2, 0, nil)
		if err := <-kept; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.pending) != 0 || c.dropped != 0 {
			t.Errorf("%d pending, %d dropped", len(c.pending), c.dropped)
		}
	})
}

func TestBrokenServers(t *testing.T) {
	cases := []struct {
		name   string
		answer func(fc *fakeConn, xid int32)
		text   string
	}{
		{"wrong xid", func(fc *fakeConn, xid int32) { fc.reply(xid+1, 1, 0, nil) }, "is due"},
		{"frame too large", func(fc *fakeConn, xid int32) { fc.Write([]byte{0, 0, 4, 1}) }, "out of range (limit 1024)"},
		{"negative length", func(fc *fakeConn, xid int32) { fc.Write([]byte{0xff, 0xff, 0xff, 0xff}) }, "out of range"},
		{"frame too short", func(fc *fakeConn, xid int32) { fc.Write([]byte{0, 0, 0, 15}) }, "out of range"},
		{"event cut short", func(fc *fakeConn, xid int32) {
			fc.reply(proto.XidEvent, 1, 0, &proto.Number{N: 1})
		}, "watch event"},
		{"answer to no credential", func(fc *fakeConn, xid int32) { fc.reply(proto.XidAuth, 0, 0, nil) }, "none was shown"},
		{"end of the stream", func(fc *fakeConn, xid int32) { fc.Close() }, "EOF"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c, fc := f.open("one", WithMaxReply(1024))
				defer c.Detach()
				got := later(func() error { return c.Sync(t.Context(), "/") })
				tc.answer(fc, fc.request(proto.OpSync, nil))
				err := <-got
				wantErr(t, "call", err, ErrConnectionLoss)
				if !strings.Contains(err.Error(), tc.text) {
					t.Errorf("error %q does not speak of %q", err, tc.text)
				}
				f.accept().welcome() // the session goes on
				synctest.Wait()
				if c.State() != Connected {
					t.Errorf("state %v", c.State())
				}
			})
		})
	}

	t.Run("reply cut short", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			c, fc := f.open("one")
			defer c.Detach()
			got := later(func() error { _, _, err := c.Get(t.Context(), "/a"); return err })
			fc.reply(fc.request(proto.OpGetData, nil), 1, 0, &proto.Number{N: 3})
			wantErr(t, "call", <-got, ErrMarshalling)
			if c.State() != Connected {
				t.Error("one unreadable body cost the connection")
			}
		})
	})
}

func TestAuthRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, fc := f.open("one")
		defer c.Detach()
		bad := later(func() error { return c.AddAuth(t.Context(), "nosuch", nil) })
		fc.request(proto.OpAuth, nil)
		waiting := later(func() error { return c.Sync(t.Context(), "/") })
		fc.request(proto.OpSync, nil)
		fc.reply(proto.XidAuth, 0, proto.ErrAuthFailed, nil)
		wantErr(t, "refused", <-bad, ErrAuthFailed)
		wantErr(t, "in flight", <-waiting, ErrConnectionLoss)
		<-c.Done()
		wantErr(t, "afterwards", c.Sync(t.Context(), "/"), ErrAuthFailed)
		if c.State() != AuthFailed {
			t.Errorf("state %v", c.State())
		}
	})
}

func TestClose(t *testing.T) {
	t.Run("connected", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			c, fc := f.open("one")
			before := later(func() error { return c.Sync(t.Context(), "/") })
			x1 := fc.request(proto.OpSync, nil)
			closed := later(c.Close)
			x2 := fc.request(proto.OpCloseSession, nil)
			wantErr(t, "call during close", c.Sync(t.Context(), "/"), ErrClosed)
			fc.reply(x1, 1, 0, &proto.Path{Path: "/"})
			fc.reply(x2, 2, 0, nil)
			fc.Close()
			if err := <-before; err != nil {
				t.Errorf("call before close: %v", err)
			}
			if err := <-closed; err != nil {
				t.Errorf("close: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Errorf("second close: %v", err)
			}
		})
	})
	t.Run("no answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			c, fc := f.open("one")
			begin := time.Now()
			closed := later(c.Close)
			fc.request(proto.OpCloseSession, nil)
			fc.ended()
			if err := <-closed; err == nil || time.Since(begin) != closeWait {
				t.Errorf("close: %v after %v", err, time.Since(begin))
			}
		})
	})
	t.Run("connection lost meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			c, fc := f.open("one")
			closed := later(c.Close)
			fc.request(proto.OpCloseSession, nil)
			fc.Close()
			wantErr(t, "close", <-closed, ErrConnectionLoss)
		})
	})
	t.Run("not connected", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			c, fc := f.open("one")
			fc.Close()
			synctest.Wait()
			waiting := later(func() error { return c.Sync(t.Context(), "/") })
			synctest.Wait()
			wantErr(t, "close", c.Close(), ErrConnectionLoss)
			wantErr(t, "call that waited", <-waiting, ErrClosed)
		})
	})
}

// A read-only client moves to a server that takes writes, and begins its
// session there: the read-only one was never known to the ensemble.
func TestReadOnlySeeksReadWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		got := make(chan *Client)
		go func() {
			c, err := Connect(t.Context(), "one,two", WithDialer(f.dial), WithReadOnly())
			if err != nil {
				t.Error(err)
			}
			got <- c
		}()
		fc := f.accept()
		fc.record(&proto.ConnectResponse{TimeOut: 9000, SessionID: 5, Passwd: fakePasswd, ReadOnly: true})
		c := <-got
		defer c.Detach()
		if c.State() != ConnectedReadOnly {
			t.Errorf("state %v", c.State())
		}
		var found string
		for _, answer := range []string{"ro", "rw"} {
			asked := <-f.dials
			word := make([]byte, 4)
			asked.Read(word)
			if string(word) != "isro" {
				t.Errorf("asked %q", word)
			}
			asked.Write([]byte(answer))
			found = asked.server
			asked.Close()
		}
		fc = f.accept()
		if fc.server != found || fc.hello.SessionID != 0 {
			t.Errorf("moved to %s with session %#x, %s takes writes", fc.server, fc.hello.SessionID, found)
		}
		fc.welcome()
		synctest.Wait()
		if c.State() != Connected || c.SessionID() != fakeSession {
			t.Errorf("state %v, session %v", c.State(), c.SessionID())
		}
	})
}
