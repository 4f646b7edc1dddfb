// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"fmt"
	"testing"
	"testing/synctest"

	"paddock/proto"
)

// Which watches an event of the server reaches, and which are used up by it.
func TestEventReach(t *testing.T) {
	cases := []struct {
		typ  EventType
		path string
		got  string
		left string
	}{
		{EventCreated, "/a", "data exist persistent recursive root", "child"},
		{EventDataChanged, "/a", "data exist persistent recursive root", "child"},
		{EventDeleted, "/a", "data exist child persistent recursive root", ""},
		{EventChildrenChanged, "/a", "child persistent", "data exist"},
		{EventCreated, "/a/b", "recursive root", "data exist child"},
		{EventChildrenChanged, "/a/b", "", "data exist child"},
		{EventDeleted, "/ab", "root", "data exist child"},
	}
	for _, tc := range cases {
		t.Run(fmt.Sprint(tc.typ, " ", tc.path), func(t *testing.T) {
			w := newWatches()
			w.rel = func(p string) string { return p }
			chans := map[string]<-chan Event{}
			one := func(name string, table map[string][]chan Event) {
				ch := make(chan Event, 1)
				table["/a"], chans[name] = append(table["/a"], ch), ch
			}
			one("data", w.data)
			one("exist", w.exist)
			one("child", w.child)
			stay := func(name, path string, table map[string][]*Watcher) {
				q := newQueue[Event]()
				table[path], chans[name] = []*Watcher{{events: q}}, q.ch
			}
			stay("persistent", "/a", w.persistent)
			stay("recursive", "/a", w.recursive)
			stay("root", "/", w.recursive)
			w.fire(&proto.WatcherEvent{Type: tc.typ, State: 3, Path: tc.path}, 7)

			names := func(list ...string) (s string) {
				for _, n := range list {
					if s != "" && n != "" {
						s += " "
					}
					s += n
				}
				return s
			}
			var got, left string
			for _, name := range []string{"data", "exist", "child", "persistent", "recursive", "root"} {
				select {
				case ev := <-chans[name]:
					if ev != (Event{Type: tc.typ, State: Connected, Path: tc.path, Zxid: 7}) {
						t.Errorf("%s: %+v", name, ev)
					}
					got = names(got, name)
				default:
				}
			}
			for i, table := range []map[string][]chan Event{w.data, w.exist, w.child} {
				if len(table) > 0 {
					left = names(left, []string{"data", "exist", "child"}[i])
				}
			}
			if got != tc.got || left != tc.left || len(w.persistent) != 1 || len(w.recursive) != 2 {
				t.Errorf("reached %q, left %q; want %q, %q", got, left, tc.got, tc.left)
			}
		})
	}
}

// A watcher that nobody reads holds up neither replies nor other watchers, and
// loses nothing.
func TestSlowWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, fc := f.open("one")
		defer c.Detach()
		var slow *Watcher
		got := later(func() (err error) { slow, err = c.AddWatch(t.Context(), "/a", Persistent); return })
		fc.reply(fc.request(proto.OpAddWatch, nil), 1, 0, &proto.Number{})
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		const n = 10 * queueBuffer
		for i := range n {
			fc.event(EventDataChanged, "/a", proto.Zxid(i+2))
		}
		got = later(func() error { return c.Sync(t.Context(), "/") })
		fc.reply(fc.request(proto.OpSync, nil), n+2, 0, &proto.Path{Path: "/"})
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if ev := <-slow.Events(); ev.Zxid != proto.Zxid(i+2) {
				t.Fatalf("event %d is of %v", i, ev.Zxid)
			}
		}
		for range n { // closed with a backlog: nothing is left behind
			fc.event(EventDataChanged, "/a", 9999)
		}
		synctest.Wait()
		slow.Close()
		var rem proto.PathType
		fc.request(proto.OpRemoveWatches, &rem)
		if rem.Path != "/a" || rem.Type != proto.WatcherPersistent {
			t.Errorf("removed %+v", rem)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.watches.persistent) != 0 {
			t.Error("still registered")
		}
	})
}

// A Watcher that is closed while the same watch is being added for another
// leaves the server's watch alone.
func TestWatcherCloseDuringAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, fc := f.open("one")
		defer c.Detach()
		var first, second *Watcher
		add := func(w **Watcher) <-chan error {
			return later(func() (err error) { *w, err = c.AddWatch(t.Context(), "/a", Recursive); return })
		}
		got := add(&first)
		fc.reply(fc.request(proto.OpAddWatch, nil), 1, 0, &proto.Number{})
		<-got
		got = add(&second)
		xid := fc.request(proto.OpAddWatch, nil)
		first.Close()
		fc.reply(xid, 1, 0, &proto.Number{})
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		fc.event(EventCreated, "/a/b", 2)
		if ev := <-second.Events(); ev.Path != "/a/b" {
			t.Errorf("event %+v", ev)
		}
		second.Close()
		fc.request(proto.OpRemoveWatches, nil) // the first request since
	})
}

func TestChrootEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, fc := f.open("one/app")
		defer c.Detach()
		watch := func(path, sent string) <-chan Event {
			t.Helper()
			var ch <-chan Event
			got := later(func() (err error) {
				if path == "" {
					_, _, ch, err = c.GetConfigWatch(t.Context())
				} else {
					_, _, ch, err = c.GetWatch(t.Context(), path)
				}
				return
			})
			var req proto.PathWatch
			fc.reply(fc.request(proto.OpGetData, &req), 1, 0, &proto.DataStat{})
			if err := <-got; err != nil || req.Path != sent || !req.Watch {
				t.Fatalf("sent %+v, want path %s: %v", req, sent, err)
			}
			return ch
		}
		for _, tc := range []struct{ path, sent, seen string }{
			{"/", "/app", "/"},
			{"/x", "/app/x", "/x"},
			{"", "/zookeeper/config", "/zookeeper/config"},
		} {
			ch := watch(tc.path, tc.sent)
			fc.event(EventDataChanged, tc.sent, 2)
			if ev := <-ch; ev.Path != tc.seen {
				t.Errorf("event on %s seen as %s", tc.sent, ev.Path)
			}
		}
		if got := c.rel("/apple"); got != "/apple" {
			t.Errorf("/apple is not below /app, but %s", got)
		}
	})
}
