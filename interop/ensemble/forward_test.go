// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"paddock/proto"
	"paddock/zk"
)

// Each server takes every kind of request, as leader, follower and observer,
// and all others show what came of it.
func TestForward(t *testing.T) {
	for _, kinds := range []string{"PAP+A", "PAA+P", "PPP+P"} {
		if testing.Short() && kinds == "PPP+P" {
			continue
		}
		t.Run(kinds, func(t *testing.T) {
			c := newCluster(t, kinds, "")
			c.flags = "-Dznode.container.checkIntervalMs=500"
			c.startAll()
			for _, s := range c.servers {
				f := newForward(c, s)
				f.creates()
				f.changes()
				f.multis()
				f.access()
				f.reaped()
				f.watches()
				f.sessions()
			}
			if t.Failed() {
				return
			}
			for p, n := range c.sameTrees() {
				if n.stat.EphemeralOwner != 0 {
					t.Errorf("%s of session 0x%x outlived it", p, n.stat.EphemeralOwner)
				}
			}
			c.sameDigests()
			c.noMismatch()
		})
	}
}

// A forward is one session with one server, and sessions with all others.
type forward struct {
	c    *cluster
	s    *server
	cl   *zk.Client
	rest []*zk.Client
	root string
	ctx  context.Context
}

func newForward(c *cluster, s *server) *forward {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	c.t.Cleanup(cancel)
	f := &forward{c: c, s: s, cl: c.connectTo(s, sessionTimeout), root: fmt.Sprintf("/f%d", s.id), ctx: ctx}
	for _, o := range c.servers {
		if o != s {
			f.rest = append(f.rest, c.connectTo(o, sessionTimeout))
		}
	}
	if top := int(uint64(f.cl.SessionID()) >> 56); top != s.id {
		c.t.Errorf("session %v was made by %v: its first byte is not the server's id", f.cl.SessionID(), s)
	}
	f.make(f.root, 0)
	return f
}

// want fails unless err is what was expected; nil is success.
func (f *forward) want(what string, err, want error) {
	f.c.t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		f.c.t.Errorf("%v (%s): %s: %v, want %v", f.s, f.s.mode(), what, err, want)
	}
}

func (f *forward) make(path string, flags zk.CreateFlags) string {
	f.c.t.Helper()
	p, err := f.cl.Create(f.ctx, path, []byte(path), zk.OpenACL, flags)
	f.want("create "+path, err, nil)
	return p
}

// everywhere reads a znode by every server: all must show the same.
func (f *forward) everywhere(path string) (data string, st zk.Stat, exists bool) {
	f.c.t.Helper()
	must(f.c.t, f.cl.Sync(f.ctx, "/"))
	d, st, err := f.cl.Get(f.ctx, path)
	if exists = err == nil; !exists {
		f.want("get "+path, err, zk.ErrNoNode)
	}
	for _, o := range f.rest {
		must(f.c.t, o.Sync(f.ctx, "/"))
		d2, st2, err := o.Get(f.ctx, path)
		if (err == nil) != exists || string(d2) != string(d) || st2 != st {
			f.c.t.Errorf("%s written by %v is %q %+v %v there and %q %+v %v on %s", path, f.s, d, st, exists, d2, st2, err, o.Server())
		}
	}
	return string(d), st, exists
}

// shows fails unless every server has data in a znode.
func (f *forward) shows(path, data string) zk.Stat {
	f.c.t.Helper()
	got, st, exists := f.everywhere(path)
	if !exists || got != data {
		f.c.t.Errorf("%s written by %v holds %q (exists: %v), want %q", path, f.s, got, exists, data)
	}
	return st
}

func (f *forward) gone(path string) {
	f.c.t.Helper()
	if _, st, exists := f.everywhere(path); exists {
		f.c.t.Errorf("%s is there: %+v", path, st)
	}
}

func (f *forward) creates() {
	r := f.root + "/create"
	f.make(r, 0)
	f.shows(r, r)
	first, second := f.make(r+"/s-", zk.Sequential), f.make(r+"/s-", zk.Sequential)
	if first != r+"/s-0000000000" || second != r+"/s-0000000001" {
		f.c.t.Errorf("sequential znodes %s and %s", first, second)
	}
	f.shows(second, r+"/s-")
	e := f.make(r+"/e-", zk.Ephemeral|zk.Sequential)
	if st := f.shows(e, r+"/e-"); st.EphemeralOwner != int64(f.cl.SessionID()) {
		f.c.t.Errorf("%s is owned by 0x%x, not by session %v", e, st.EphemeralOwner, f.cl.SessionID())
	}
	_, _, err := f.cl.CreateContainer(f.ctx, r+"/c", []byte("c"), zk.OpenACL)
	f.want("create container", err, nil)
	f.shows(r+"/c", "c")
	path, st, err := f.cl.CreateTTL(f.ctx, r+"/t-", []byte("t"), zk.OpenACL, zk.Sequential, time.Hour)
	f.want("create TTL", err, nil)
	if st != f.shows(path, "t") {
		f.c.t.Errorf("create2 of %s answered %+v", path, st)
	}
	names, err := f.cl.GetEphemerals(f.ctx, r)
	if err != nil || len(names) != 1 || names[0] != e {
		f.c.t.Errorf("ephemerals %v, %v: want %s", names, err, e)
	}
	n, err := f.cl.AllChildrenNumber(f.ctx, r)
	if err != nil || n != 5 {
		f.c.t.Errorf("%d znodes below %s, %v: want 5", n, r, err)
	}
	_, err = f.cl.Create(f.ctx, r, nil, zk.OpenACL, 0)
	f.want("create again", err, zk.ErrNodeExists)
	_, err = f.cl.Create(f.ctx, r+"/no/parent", nil, zk.OpenACL, 0)
	f.want("create without parent", err, zk.ErrNoNode)
	_, err = f.cl.Create(f.ctx, e+"/child", nil, zk.OpenACL, 0)
	f.want("create below an ephemeral", err, zk.ErrNoChildrenForEphemeral)
	_, err = f.cl.Create(f.ctx, r+"/acl", nil, nil, 0)
	f.want("create without ACL", err, zk.ErrInvalidACL)
	f.want("delete of "+e, f.cl.Delete(f.ctx, e, 0), nil)
	f.gone(e)
}

func (f *forward) changes() {
	r := f.root + "/change"
	f.make(r, 0)
	st, err := f.cl.Set(f.ctx, r, []byte("one"), 0)
	f.want("set", err, nil)
	if st != f.shows(r, "one") {
		f.c.t.Errorf("set answered %+v", st)
	}
	_, err = f.cl.Set(f.ctx, r, nil, 0)
	f.want("set of an old version", err, zk.ErrBadVersion)
	_, err = f.cl.Set(f.ctx, r+"/missing", nil, -1)
	f.want("set of nothing", err, zk.ErrNoNode)
	f.make(r+"/child", 0)
	f.want("delete of a parent", f.cl.Delete(f.ctx, r, -1), zk.ErrNotEmpty)
	f.want("delete of another version", f.cl.Delete(f.ctx, r+"/child", 3), zk.ErrBadVersion)
	f.want("delete", f.cl.Delete(f.ctx, r+"/child", 0), nil)
	f.gone(r + "/child")
	f.want("delete again", f.cl.Delete(f.ctx, r+"/child", -1), zk.ErrNoNode)
	f.want("sync", f.cl.Sync(f.ctx, r), nil)
	// Writes and reads of one session in the order they were sent.
	for i := range 50 {
		_, err := f.cl.Set(f.ctx, r, fmt.Append(nil, i), -1)
		f.want("set in a row", err, nil)
		if d, _, err := f.cl.Get(f.ctx, r); err != nil || string(d) != fmt.Sprint(i) {
			f.c.t.Errorf("%v: read %q, %v after %d was written", f.s, d, err, i)
		}
	}
}

func (f *forward) multis() {
	r := f.root + "/multi"
	f.make(r, 0)
	res, err := f.cl.Multi(f.ctx,
		zk.CheckOp(r, 0),
		zk.CreateOp(r+"/a", []byte("a"), zk.OpenACL, 0),
		zk.SetOp(r+"/a", []byte("b"), 0),
		zk.CreateWithStatOp(r+"/s-", []byte("s"), zk.OpenACL, zk.Sequential|zk.Ephemeral),
		zk.CreateContainerOp(r+"/c", nil, zk.OpenACL),
		zk.CreateTTLOp(r+"/t", []byte("t"), zk.OpenACL, 0, time.Hour),
		zk.CreateOp(r+"/x", nil, zk.OpenACL, 0),
		zk.DeleteOp(r+"/x", 0))
	f.want("multi", err, nil)
	if err == nil {
		f.shows(r+"/a", "b")
		f.shows(res[3].Path, "s")
		f.shows(r+"/t", "t")
		f.gone(r + "/x")
	}
	_, err = f.cl.Multi(f.ctx, zk.SetOp(r, []byte("never"), -1), zk.CreateOp(r+"/y", nil, zk.OpenACL, 0), zk.CheckOp(r, 17))
	f.want("multi with a wrong version", err, zk.ErrBadVersion)
	f.gone(r + "/y")
	f.shows(r, r)
	parts, err := f.cl.MultiRead(f.ctx, zk.GetOp(r+"/a"), zk.ChildrenOp(r), zk.GetOp(r+"/missing"))
	if err != nil || len(parts) != 3 || string(parts[0].Data) != "b" || len(parts[1].Names) != 4 || !errors.Is(parts[2].Err, zk.ErrNoNode) {
		f.c.t.Errorf("%v: multiRead %+v, %v", f.s, parts, err)
	}
	if len(res) > 3 {
		f.want("delete of the ephemeral", f.cl.Delete(f.ctx, res[3].Path, -1), nil)
	}
}

// access is identities, which travel with a request to the leader.
func (f *forward) access() {
	r := f.root + "/access"
	f.want("addAuth", f.cl.AddAuth(f.ctx, "digest", []byte("joe:secret")), nil)
	_, err := f.cl.Create(f.ctx, r, []byte("joe's"), zk.CreatorAllACL, 0)
	f.want("create with the creator's ACL", err, nil)
	for _, o := range f.rest {
		must(f.c.t, o.Sync(f.ctx, "/"))
		_, _, err := o.Get(f.ctx, r)
		f.want("get by nobody", err, zk.ErrNoAuth)
		_, err = o.Set(f.ctx, r, nil, -1)
		f.want("set by nobody", err, zk.ErrNoAuth)
	}
	_, err = f.cl.SetACL(f.ctx, r, zk.ReadACL, 0)
	f.want("setACL", err, nil)
	// Apache's leader holds what follows a setACL against the list before it, until it has applied
	// the setACL itself. So all have it before the next request.
	f.shows(r, "joe's")
	_, err = f.cl.Set(f.ctx, r, nil, -1)
	f.want("set of what was made read-only", err, zk.ErrNoAuth)
	f.shows(r, "joe's")
	if st, _, err := f.cl.Exists(f.ctx, r); err != nil || st.Aversion != 1 {
		f.c.t.Errorf("%+v, %v: want ACL version 1", st, err)
	}
	// Where reconfiguration is off this is what everyone hears, from every server.
	_, _, err = f.cl.Reconfig(f.ctx, zk.Reconfiguration{Leaving: []string{"9"}, Version: -1})
	f.want("reconfig", err, zk.ErrReconfigDisabled)
}

// reaped is what the leader removes by itself.
func (f *forward) reaped() {
	r := f.root + "/reap"
	f.make(r, 0)
	_, _, err := f.cl.CreateContainer(f.ctx, r+"/c", nil, zk.OpenACL)
	f.want("create container", err, nil)
	f.make(r+"/c/child", 0)
	f.want("delete of the child", f.cl.Delete(f.ctx, r+"/c/child", -1), nil)
	_, _, err = f.cl.CreateTTL(f.ctx, r+"/t", nil, zk.OpenACL, 0, 500*time.Millisecond)
	f.want("create TTL", err, nil)
	f.c.until("container and TTL znode of "+r+" are gone", func() bool {
		names, err := f.cl.Children(f.ctx, r)
		return err == nil && len(names) == 0
	})
	f.gone(r + "/c")
	f.gone(r + "/t")
}

// watches are armed on every other server and fire for writes by this one.
func (f *forward) watches() {
	r := f.root + "/watch"
	f.make(r, 0)
	var data, kids []<-chan zk.Event
	for _, o := range f.rest {
		must(f.c.t, o.Sync(f.ctx, "/"))
		_, _, d, err := o.GetWatch(f.ctx, r)
		f.want("watch of data", err, nil)
		_, _, k, err := o.ChildrenWatch(f.ctx, r)
		f.want("watch of children", err, nil)
		data, kids = append(data, d), append(kids, k)
	}
	st, err := f.cl.Set(f.ctx, r, []byte("new"), -1)
	f.want("set", err, nil)
	_, made, err := f.cl.CreateWithStat(f.ctx, r+"/child", nil, zk.OpenACL, 0)
	f.want("create", err, nil)
	for i := range f.rest {
		f.fires(data[i], zk.EventDataChanged, st.Mzxid)
		f.fires(kids[i], zk.EventChildrenChanged, made.Czxid)
	}
}

func (f *forward) fires(ch <-chan zk.Event, typ zk.EventType, zxid proto.Zxid) {
	f.c.t.Helper()
	select {
	case e := <-ch:
		if e.Type != typ || e.Zxid != zxid {
			f.c.t.Errorf("event %+v, want %v at %v", e, typ, zxid)
		}
	case <-time.After(patience):
		f.c.t.Errorf("no event %v for a write at %v through %v", typ, zxid, f.s)
	}
}

// sessions end by a close or by a silent client, and move to other servers.
func (f *forward) sessions() {
	t := f.c.t
	r := f.root + "/session"
	f.make(r, 0)

	closed := f.c.connectTo(f.s, sessionTimeout)
	_, err := closed.Create(f.ctx, r+"/closed", nil, zk.OpenACL, zk.Ephemeral)
	f.want("create", err, nil)
	f.everywhere(r + "/closed")
	must(t, closed.Close())
	f.gone(r + "/closed")

	silent := f.c.connectTo(f.s, 2*tick)
	_, err = silent.Create(f.ctx, r+"/silent", nil, zk.OpenACL, zk.Ephemeral)
	f.want("create", err, nil)
	silent.Detach()
	f.c.until("the session of a client that is gone expires", func() bool {
		_, ok, err := f.cl.Exists(f.ctx, r+"/silent")
		return err == nil && !ok
	})
	f.gone(r + "/silent")
	_, err = zk.Connect(f.ctx, f.s.addr(), zk.WithSession(silent.SessionID(), silent.Passwd()), zk.WithConnectRounds(20))
	f.want("taking up an expired session", err, zk.ErrSessionExpired)

	// A session that goes on, on every server in turn, the leader too.
	moving := f.c.connectTo(f.s, sessionTimeout)
	id, passwd := moving.SessionID(), moving.Passwd()
	_, err = moving.Create(f.ctx, r+"/moving", nil, zk.OpenACL, zk.Ephemeral)
	f.want("create", err, nil)
	for _, o := range slices.Concat(f.c.servers, []*server{f.s}) {
		moving.Detach()
		moving, err = zk.Connect(f.ctx, o.addr(), zk.WithSession(id, passwd), zk.WithSessionTimeout(sessionTimeout))
		if err != nil {
			t.Errorf("session %v of %v cannot be taken up at %v: %v", id, f.s, o, err)
			return
		}
		_, err := moving.Set(f.ctx, r+"/moving", []byte(o.String()), -1)
		f.want("set after a move", err, nil)
		f.shows(r+"/moving", o.String())
	}
	must(t, moving.Close())
	f.gone(r + "/moving")
}
