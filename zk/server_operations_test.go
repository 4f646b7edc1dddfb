// SPDX-License-Identifier: Apache-2.0

package zk_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"paddock/internal/servertest"
	"paddock/proto"
	"paddock/zk"
)

func TestOperations(t *testing.T) {
	ctx := testContext(t)
	c := connect(t, servertest.Addr(t))
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
	addr := servertest.Addr(t)
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
	c := connect(t, servertest.Addr(t))
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

func TestChroot(t *testing.T) {
	ctx := testContext(t)
	addr := servertest.Addr(t)
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

func TestLastZxid(t *testing.T) {
	ctx := testContext(t)
	c := connect(t, servertest.Addr(t))
	h := home(t, c)
	stat := must(c.Set(ctx, h, nil, -1))(t)
	if z := c.LastZxid(); z < stat.Mzxid || z == proto.Zxid(0) {
		t.Errorf("last zxid %v behind the write at %v", z, stat.Mzxid)
	}
}

func TestSizesAndText(t *testing.T) {
	ctx := testContext(t)
	c := connect(t, servertest.Addr(t))
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
