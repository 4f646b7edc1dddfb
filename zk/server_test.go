// SPDX-License-Identifier: Apache-2.0

package zk_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paddock/proto"
	"paddock/zk"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// cutter is a Dialer whose connections can be cut off.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (k *cutter) dial(ctx context.Context, server string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", server)
	if err == nil {
		k.mu.Lock()
		k.conns = append(k.conns, conn)
		k.mu.Unlock()
	}
	return conn, err
}

func (k *cutter) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range k.conns {
		conn.Close()
	}
	k.conns = nil
}

func connect(t testing.TB, servers string, opts ...zk.Option) *zk.Client {
	t.Helper()
	opts = append([]zk.Option{zk.WithSessionTimeout(10 * time.Second)}, opts...)
	c, err := zk.Connect(testContext(t), servers, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// home makes an empty znode of the test's own and returns its path.
func home(t testing.TB, c *zk.Client) string {
	t.Helper()
	path, err := c.Create(testContext(t), "/"+strings.ReplaceAll(t.Name(), "/", "-")+"-", nil, zk.OpenACL, zk.Sequential)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want(t testing.TB, what string, err error, code error) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("%s: error %v, want %v", what, err, code)
	}
}

func nextEvent(t testing.TB, ch <-chan zk.Event) zk.Event {
	t.Helper()
	select {
	case ev, ok := <-ch:
		if !ok {
			t.Fatal("channel closed, an event is due")
		}
		return ev
	case <-time.After(10 * time.Second):
		t.Fatal("no event in 10 s")
	}
	panic("not reached")
}

func wantEvent(t testing.TB, ch <-chan zk.Event, typ zk.EventType, path string) zk.Event {
	t.Helper()
	ev := nextEvent(t, ch)
	if ev.Type != typ || ev.Path != path {
		t.Fatalf("event %v %q, want %v %q", ev.Type, ev.Path, typ, path)
	}
	return ev
}

func TestOperations(t *testing.T) {
	ctx := testContext(t)
	c := connect(t, serverAddr(t))
	h := home(t, c)
	a := h + "/a"

	path, err := c.Create(ctx, a, []byte("one"), zk.OpenACL, 0)
	if err != nil || path != a {
		t.Fatalf("create: %q, %v", path, err)
	}
	_, err = c.Create(ctx, a, nil, zk.OpenACL, 0)
	want(t, "second create", err, zk.ErrNodeExists)
	var e *zk.Error
	if !errors.As(err, &e) || e.Op != "create" || e.Path != a {
		t.Errorf("error %#v does not name operation and path", err)
	}

	data, stat, err := c.Get(ctx, a)
	if err != nil || string(data) != "one" || stat.Version != 0 || stat.DataLength != 3 || stat.Czxid <= 0 {
		t.Errorf("get: %q %+v, %v", data, stat, err)
	}
	set, err := c.Set(ctx, a, []byte("three"), 0)
	if err != nil || set.Version != 1 || set.DataLength != 5 || set.Czxid != stat.Czxid || set.Mzxid <= stat.Mzxid {
		t.Errorf("set: %+v, %v", set, err)
	}
	_, err = c.Set(ctx, a, nil, 0)
	want(t, "set of an old version", err, zk.ErrBadVersion)
	if stat, ok, err := c.Exists(ctx, a); err != nil || !ok || stat != set {
		t.Errorf("exists: %+v %v, %v", stat, ok, err)
	}
	if _, ok, err := c.Exists(ctx, h+"/none"); err != nil || ok {
		t.Errorf("exists of none: %v, %v", ok, err)
	}
	_, _, err = c.Get(ctx, h+"/none")
	want(t, "get of none", err, zk.ErrNoNode)

	for _, data := range [][]byte{nil, {}} {
		if _, err := c.Set(ctx, a, data, zk.AnyVersion); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.Get(ctx, a); err != nil || (got == nil) != (data == nil) || len(got) != 0 {
			t.Errorf("data %#v came back as %#v, %v", data, got, err)
		}
	}

	path, stat, err = c.CreateWithStat(ctx, h+"/s-", []byte("x"), zk.OpenACL, zk.Sequential)
	if err != nil || path != h+"/s-0000000001" || stat.DataLength != 1 || stat.EphemeralOwner != 0 {
		t.Errorf("createWithStat: %q %+v, %v", path, stat, err)
	}
	path, stat, err = c.CreateWithStat(ctx, h+"/e", nil, zk.OpenACL, zk.Ephemeral)
	if err != nil || stat.EphemeralOwner != int64(c.SessionID()) {
		t.Errorf("ephemeral: %q %+v, %v", path, stat, err)
	}
	_, err = c.Create(ctx, h+"/e/below", nil, zk.OpenACL, 0)
	want(t, "child of an ephemeral", err, zk.ErrNoChildrenForEphemeral)
	if path, _, err = c.CreateContainer(ctx, h+"/c", nil, zk.OpenACL); err != nil || path != h+"/c" {
		t.Errorf("container: %q, %v", path, err)
	}
	path, _, err = c.CreateTTL(ctx, h+"/t-", nil, zk.OpenACL, zk.Sequential, time.Hour)
	if err == nil {
		if path != h+"/t-0000000004" {
			t.Errorf("ttl: %q", path)
		}
		if err := c.Delete(ctx, path, zk.AnyVersion); err != nil {
			t.Error(err)
		}
	} else {
		want(t, "ttl", err, zk.ErrUnimplemented)
	}

	names := must(c.Children(ctx, h))(t)
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "a c e s-0000000001" {
		t.Errorf("children: %s", got)
	}
	names, stat, err = c.ChildrenWithStat(ctx, h)
	if err != nil || len(names) != 4 || stat.NumChildren != 4 {
		t.Errorf("childrenWithStat: %v %+v, %v", names, stat, err)
	}
	if n := must(c.AllChildrenNumber(ctx, h))(t); n != 4 {
		t.Errorf("allChildrenNumber: %d", n)
	}
	if got := must(c.GetEphemerals(ctx, h))(t); !slices.Equal(got, []string{h + "/e"}) {
		t.Errorf("ephemerals: %v", got)
	}
	if err := c.Sync(ctx, h); err != nil {
		t.Errorf("sync: %v", err)
	}
	want(t, "delete of a parent", c.Delete(ctx, h, zk.AnyVersion), zk.ErrNotEmpty)
	want(t, "delete of an old version", c.Delete(ctx, a, 0), zk.ErrBadVersion)
	if err := c.Delete(ctx, a, 3); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, stat, err := c.GetConfig(ctx); err != nil || stat.Aversion != -1 {
		t.Errorf("config: %+v, %v", stat, err)
	}
	_, _, err = c.Reconfig(ctx, zk.Reconfiguration{Leaving: []string{"9"}, Version: -1})
	if !errors.Is(err, zk.ErrReconfigDisabled) && !errors.Is(err, zk.ErrUnimplemented) {
		t.Errorf("reconfig of a standalone server: %v", err)
	}
}

func TestACLAndAuth(t *testing.T) {
	ctx := testContext(t)
	addr := serverAddr(t)
	k := &cutter{}
	c := connect(t, addr, zk.WithDialer(k.dial))
	h := home(t, c)
	if err := c.AddAuth(ctx, "digest", []byte("joe:secret")); err != nil {
		t.Fatal(err)
	}
	ids := must(c.WhoAmI(ctx))(t)
	if !slices.Contains(ids, zk.ClientInfo{Scheme: "digest", User: "joe"}) {
		t.Errorf("whoAmI: %v", ids)
	}
	if _, err := c.Create(ctx, h+"/mine", []byte("x"), zk.CreatorAllACL, 0); err != nil {
		t.Fatal(err)
	}
	acl, stat, err := c.GetACL(ctx, h+"/mine")
	if err != nil || len(acl) != 1 || acl[0].Scheme != "digest" || acl[0].ID != "joe:oesAybBun9icKJjQSTRN8OBueSc=" || stat.Aversion != 0 {
		t.Errorf("getACL: %v %+v, %v", acl, stat, err)
	}
	other := connect(t, addr)
	_, _, err = other.Get(ctx, h+"/mine")
	want(t, "get by another", err, zk.ErrNoAuth)

	k.cut() // the credential is shown again on the next connection
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, _, err = c.Get(ctx, h+"/mine"); err == nil {
			break
		}
		if !errors.Is(err, zk.ErrConnectionLoss) || time.Now().After(deadline) {
			t.Fatalf("get after a reconnect: %v", err)
		}
	}
	stat, err = c.SetACL(ctx, h+"/mine", zk.ReadACL, 0)
	if err != nil || stat.Aversion != 1 {
		t.Errorf("setACL: %+v, %v", stat, err)
	}
	if _, _, err := other.Get(ctx, h+"/mine"); err != nil {
		t.Errorf("get by another, allowed now: %v", err)
	}

	err = other.AddAuth(ctx, "nosuch", nil)
	want(t, "unknown scheme", err, zk.ErrAuthFailed)
	<-other.Done()
	_, _, err = other.Get(ctx, h)
	want(t, "get afterwards", err, zk.ErrAuthFailed)
	if other.State() != zk.AuthFailed {
		t.Errorf("state %v", other.State())
	}
}

func TestMulti(t *testing.T) {
	ctx := testContext(t)
	c := connect(t, serverAddr(t))
	h := home(t, c)
	res, err := c.Multi(ctx,
		zk.CreateOp(h+"/a", []byte("1"), zk.OpenACL, 0),
		zk.CreateWithStatOp(h+"/s-", nil, zk.OpenACL, zk.Sequential),
		zk.CreateContainerOp(h+"/c", nil, zk.OpenACL),
		zk.SetOp(h+"/a", []byte("22"), 0),
		zk.CheckOp(h+"/a", 1),
		zk.DeleteOp(h+"/c", 0),
	)
	if err != nil {
		t.Fatal(err)
	}
	if res[0].Path != h+"/a" || res[1].Path != h+"/s-0000000001" || res[1].Stat.Czxid == 0 || res[2].Path != h+"/c" ||
		res[3].Stat.Version != 1 || res[3].Stat.DataLength != 2 {
		t.Errorf("results: %+v", res)
	}

	res, err = c.Multi(ctx, zk.SetOp(h+"/a", nil, 1), zk.DeleteOp(h+"/none", -1), zk.CreateOp(h+"/b", nil, zk.OpenACL, 0))
	var e *zk.Error
	if !errors.As(err, &e) || e.Code != zk.ErrNoNode || e.Path != h+"/none" || e.Op != "multi[1] delete" {
		t.Errorf("failing multi: %v", err)
	}
	if len(res) != 3 || res[0].Err != nil || res[1].Err != zk.ErrNoNode || res[2].Err != zk.ErrNotTried {
		t.Errorf("results of a failing multi: %+v", res)
	}

	res, err = c.MultiRead(ctx, zk.GetOp(h+"/a"), zk.GetOp(h+"/none"), zk.ChildrenOp(h))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(res[2].Names)
	if string(res[0].Data) != "22" || res[0].Stat.Version != 1 || res[1].Err != zk.ErrNoNode ||
		!slices.Equal(res[2].Names, []string{"a", "s-0000000001"}) {
		t.Errorf("multiRead: %+v", res)
	}

	if res, err := c.Multi(ctx); res != nil || err != nil {
		t.Errorf("empty multi: %v, %v", res, err)
	}
	_, err = c.Multi(ctx, zk.DeleteOp(h+"/a", -1), zk.GetOp(h))
	want(t, "mixed multi", err, zk.ErrBadArguments)
}

func TestOneShotWatches(t *testing.T) {
	ctx := testContext(t)
	addr := serverAddr(t)
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
	c := connect(t, serverAddr(t))
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
	addr := serverAddr(t)
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

func TestChroot(t *testing.T) {
	ctx := testContext(t)
	addr := serverAddr(t)
	plain := connect(t, addr)
	h := home(t, plain)
	c := connect(t, addr+h)

	must(c.Set(ctx, "/", []byte("root"), -1))(t)
	if data, _, err := plain.Get(ctx, h); err != nil || string(data) != "root" {
		t.Errorf("the root of the chroot: %q, %v", data, err)
	}
	w := must(c.AddWatch(ctx, "/", zk.Recursive))(t)
	if path, err := c.Create(ctx, "/a", nil, zk.OpenACL, 0); err != nil || path != "/a" {
		t.Errorf("create: %q, %v", path, err)
	}
	wantEvent(t, w.Events(), zk.EventCreated, "/a")
	if path, err := c.Create(ctx, "/a/", nil, zk.OpenACL, zk.Ephemeral|zk.Sequential); err != nil || path != "/a/0000000000" {
		t.Errorf("create of a bare number: %q, %v", path, err)
	}
	if got := must(c.GetEphemerals(ctx, ""))(t); !slices.Equal(got, []string{"/a/0000000000"}) {
		t.Errorf("ephemerals: %v", got)
	}
	res, err := c.Multi(ctx, zk.CreateOp("/b", nil, zk.OpenACL, 0), zk.CheckOp("/", -1), zk.CreateWithStatOp("/c", nil, zk.OpenACL, 0))
	if err != nil || res[0].Path != "/b" || res[2].Path != "/c" {
		t.Errorf("multi: %+v, %v", res, err)
	}
	names := must(plain.Children(ctx, h))(t)
	slices.Sort(names)
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("children: %v", names)
	}
	if err := c.Sync(ctx, "/"); err != nil {
		t.Error(err)
	}
	if _, _, err := c.GetConfig(ctx); err != nil {
		t.Errorf("config is outside the chroot: %v", err)
	}
}

func TestSessionEnds(t *testing.T) {
	ctx := testContext(t)
	addr := serverAddr(t)
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
	c := connect(t, serverAddr(t), zk.WithDialer(k.dial))
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

func TestLastZxid(t *testing.T) {
	ctx := testContext(t)
	c := connect(t, serverAddr(t))
	h := home(t, c)
	stat := must(c.Set(ctx, h, nil, -1))(t)
	if z := c.LastZxid(); z < stat.Mzxid || z == proto.Zxid(0) {
		t.Errorf("last zxid %v behind the write at %v", z, stat.Mzxid)
	}
}

func TestSizesAndText(t *testing.T) {
	ctx := testContext(t)
	c := connect(t, serverAddr(t))
	h := home(t, c)
	big := make([]byte, 1_000_000)
	for i := range big {
		big[i] = byte(i * 7)
	}
	must(c.Set(ctx, h, big, -1))(t)
	if data, _, err := c.Get(ctx, h); err != nil || string(data) != string(big) {
		t.Errorf("%d bytes came back as %d, %v", len(big), len(data), err)
	}
	session := c.SessionID()
	_, err := c.Set(ctx, h, make([]byte, proto.DefaultMaxBuffer+1), -1)
	want(t, "request beyond jute.maxbuffer", err, zk.ErrConnectionLoss)
	if _, ok, err := c.Exists(ctx, h); err != nil || !ok || c.SessionID() != session {
		t.Errorf("the session did not survive it: %v %v, %v is now %v", ok, err, session, c.SessionID())
	}
	for _, name := range []string{"grün", "日本", "a b", "\u00a0"} {
		if path, err := c.Create(ctx, h+"/"+name, []byte(name), zk.OpenACL, 0); err != nil || path != h+"/"+name {
			t.Errorf("create %q: %q, %v", name, path, err)
		}
	}
	names := must(c.Children(ctx, h))(t)
	slices.Sort(names)
	if !slices.Equal(names, []string{"a b", "grün", "\u00a0", "日本"}) {
		t.Errorf("children: %q", names)
	}
}
