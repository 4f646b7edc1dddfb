// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"

	"paddock/proto"
)

const (
	created  = proto.EventCreated
	deleted  = proto.EventDeleted
	changed  = proto.EventDataChanged
	children = proto.EventChildrenChanged
)

func event(z proto.Zxid, typ proto.EventType, path string) Seen {
	return Seen{Zxid: z, Event: typ, Path: path}
}
func reply(z proto.Zxid, s ...Shown) Seen { return Seen{Zxid: z, Shown: s} }

// holds is a znode as a getData shows it.
func holds(path string, value int32, czxid, mzxid proto.Zxid, version int32) Shown {
	return Shown{Path: path, Exists: true, Value: value, HasValue: true, Stat: proto.Stat{Czxid: czxid, Mzxid: mzxid, Version: version}}
}

func arming(s Seen, arm ...Arm) Seen {
	s.Arm = arm
	return s
}

func dataWatch(path string) Arm  { return Arm{Kind: proto.WatcherData, Path: path} }
func childWatch(path string) Arm { return Arm{Kind: proto.WatcherChildren, Path: path} }

// TestWatches shows that the judge accepts the orders a server may use and
// finds each kind of mistake.
func TestWatches(t *testing.T) {
	changes := []Change{
		{10, created, "/a", 1}, {10, created, "/b", 1}, // one multi
		{20, changed, "/a", 2}, {20, changed, "/b", 2},
		{30, created, "/a/x", 7},
		{40, changed, "/a", 3}, {40, changed, "/b", 3},
		{50, deleted, "/a/x", 0},
	}
	a10, b10 := holds("/a", 1, 10, 10, 0), holds("/b", 1, 10, 10, 0)
	a20, b20 := holds("/a", 2, 10, 20, 1), holds("/b", 2, 10, 20, 1)
	a40 := holds("/a", 3, 10, 40, 2)
	kids := func(n int32, z proto.Zxid) Shown {
		return Shown{Path: "/a", Exists: true, Children: true, Stat: proto.Stat{Czxid: 10, Mzxid: 20, Version: 1, NumChildren: n, Pzxid: z}}
	}
	for _, tc := range []struct {
		name string
		seen []Seen
		want string // in the error; "" for none
	}{
		{"reads", []Seen{reply(10, a10, b10), reply(30, a20, b20), reply(60, a40)}, ""},
		{"one-shot watch", []Seen{arming(reply(10, a10), dataWatch("/a")), event(20, changed, "/a"), reply(20, a20), reply(60, a40)}, ""},
		{"armed again", []Seen{arming(reply(10, a10), dataWatch("/a")), event(20, changed, "/a"), arming(reply(30, a20), dataWatch("/a")),
			event(40, changed, "/a"), reply(60, a40)}, ""},
		{"event after the data", []Seen{arming(reply(10, a10), dataWatch("/a")), reply(20, a20), event(20, changed, "/a"), reply(60)}, "overtook"},
		{"event after another's newer data", []Seen{arming(reply(10, a10), dataWatch("/a")), reply(20, b20), event(20, changed, "/a"), reply(60)}, "overtook"},
		{"event lost", []Seen{arming(reply(10, a10), dataWatch("/a")), reply(60)}, "overtook"},
		{"event of the next change instead", []Seen{arming(reply(10, a10), dataWatch("/a")), event(40, changed, "/a"), reply(60)}, "overtook"},
		{"event twice", []Seen{arming(reply(10, a10), dataWatch("/a")), event(20, changed, "/a"), event(20, changed, "/a"), reply(60)}, "no watch waits"},
		{"one-shot fires again", []Seen{arming(reply(10, a10), dataWatch("/a")), event(20, changed, "/a"), event(40, changed, "/a"), reply(60)}, "no watch waits"},
		{"event without a watch", []Seen{reply(10, a10), event(20, changed, "/a"), reply(60)}, "no watch waits"},
		{"event for a change before the watch", []Seen{arming(reply(20, a20), dataWatch("/a")), event(20, changed, "/a"), reply(60)}, "no watch waits"},
		{"event of the wrong type", []Seen{arming(reply(10, a10), dataWatch("/a")), event(20, deleted, "/a"), reply(60)}, "no watch waits"},
		{"half of a multi", []Seen{reply(20, a20, b10)}, "/b: shown"},
		{"old data under a new zxid", []Seen{reply(20, a10)}, "/a: shown"},
		{"right zxids, wrong bytes", []Seen{reply(20, holds("/a", 1, 10, 20, 1))}, "value"},
		{"a znode before its time", []Seen{reply(9, a10)}, "exist"},
		{"child watch", []Seen{arming(reply(20, kids(0, 10)), childWatch("/a")), event(30, children, "/a"), reply(30, kids(1, 30)), reply(60)}, ""},
		{"child watch lost", []Seen{arming(reply(20, kids(0, 10)), childWatch("/a")), reply(30, kids(1, 30)), reply(60)}, "overtook"},
		{"children and their number apart", []Seen{reply(30, kids(0, 10))}, "children"},
		{"exists watch", []Seen{arming(reply(20, Shown{Path: "/a/x"}), dataWatch("/a/x")), event(30, created, "/a/x"), reply(60)}, ""},
		{"data and child watch told once of the end", []Seen{arming(reply(30), dataWatch("/a/x"), childWatch("/a/x")), event(50, deleted, "/a/x"), reply(60)}, ""},
		{"and told twice", []Seen{arming(reply(30), dataWatch("/a/x"), childWatch("/a/x")), event(50, deleted, "/a/x"), event(50, deleted, "/a/x"), reply(60)}, "no watch waits"},
		{"persistent", []Seen{arming(reply(10), Arm{Kind: proto.WatcherPersistent, Path: "/a"}), event(20, changed, "/a"), event(30, children, "/a"),
			event(40, changed, "/a"), event(50, children, "/a"), reply(60)}, ""},
		{"persistent that stops", []Seen{arming(reply(10), Arm{Kind: proto.WatcherPersistent, Path: "/a"}), event(20, changed, "/a"), reply(60)}, "overtook"},
		{"recursive", []Seen{arming(reply(10), Arm{Kind: proto.WatcherPersistentRecursive, Path: "/a"}), event(20, changed, "/a"), event(30, created, "/a/x"),
			event(40, changed, "/a"), event(50, deleted, "/a/x"), reply(60)}, ""},
		{"recursive misses a child", []Seen{arming(reply(10), Arm{Kind: proto.WatcherPersistentRecursive, Path: "/a"}), event(20, changed, "/a"), event(40, changed, "/a"), reply(60)}, "overtook"},
		{"events out of order", []Seen{arming(reply(10), dataWatch("/b"), childWatch("/a")), event(30, children, "/a"), event(20, changed, "/b"), reply(60)}, "overtook"},
		{"reconnect: missed one, armed the other", []Seen{arming(reply(10), dataWatch("/a"), dataWatch("/a/x")), {Zxid: 20, Fresh: true},
			event(-1, changed, "/a"), {Zxid: 20, Rearm: []Arm{dataWatch("/a"), {Kind: proto.WatcherData, Path: "/a/x", Missing: true}}, Since: 10},
			event(30, created, "/a/x"), reply(60)}, ""},
		{"reconnect: missed and not told", []Seen{{Zxid: 20, Fresh: true}, {Zxid: 20, Rearm: []Arm{dataWatch("/a")}, Since: 10}, reply(60)}, "setWatches"},
		{"reconnect: told after the reply", []Seen{{Zxid: 20, Fresh: true}, {Zxid: 20, Rearm: []Arm{dataWatch("/a")}, Since: 20}, event(-1, changed, "/a"), reply(60)}, "overtook"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Watches(changes, tc.seen)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want one about %q", err, tc.want)
			}
		})
	}
}
