// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"paddock/jute"
	"paddock/proto"
)

func TestParseServers(t *testing.T) {
	cases := []struct{ in, servers, chroot, err string }{
		{"h", "h:2181", "", ""},
		{"h:", "h:2181", "", ""},
		{"a:1,b:2", "a:1 b:2", "", ""},
		{" a:1 , b ", "a:1 b:2181", "", ""},
		{"a:1/app/sub", "a:1", "/app/sub", ""},
		{"a:1/", "a:1", "", ""},
		{"[::1]:2182,[fe80::1]", "[::1]:2182 [fe80::1]:2181", "", ""},
		{"[::1]/x", "[::1]:2181", "/x", ""},
		{"", "", "", "no host"},
		{"a,,b", "", "", "no host"},
		{"/app", "", "", "no host"},
		{"::1", "", "", "brackets"},
		{"[::1", "", "", "closing bracket"},
		{"[::1]2181", "", "", "behind the bracket"},
		{"a:0", "", "", "1..65535"},
		{"a:65536", "", "", "1..65535"},
		{"a:http", "", "", "1..65535"},
		{"[ ::1]", "", "", "no spaces and no brackets"},
		{"[[::1]", "", "", "no spaces and no brackets"},
		{"a b:1", "", "", "no spaces and no brackets"},
		{"a/app/", "", "", "must not end"},
		{"a/app//x", "", "", "empty node name"},
	}
	for _, tc := range cases {
		servers, chroot, err := ParseServers(tc.in)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%q: error %v, want %q", tc.in, err, tc.err)
			}
			continue
		}
		if err != nil || strings.Join(servers, " ") != tc.servers || chroot != tc.chroot {
			t.Errorf("%q: %q %q, %v", tc.in, servers, chroot, err)
		}
	}
}

func FuzzParseServers(f *testing.F) {
	for _, s := range []string{"h", "a:1,b:2/app", "[::1]:2181", "a//", "[:", ",", "a:/\x00", "[\v1]", "[[x]", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		servers, chroot, err := ParseServers(s)
		if err != nil {
			return
		}
		again, chroot2, err := ParseServers(strings.Join(servers, ",") + chroot)
		if err != nil || strings.Join(again, ",") != strings.Join(servers, ",") || chroot2 != chroot {
			t.Errorf("%q -> %q %q -> %q %q, %v", s, servers, chroot, again, chroot2, err)
		}
	})
}

func TestCheckPath(t *testing.T) {
	const text = "Invalid path string "
	cases := []struct{ path, err string }{
		{"/", ""}, {"/a", ""}, {"/a/b.c", ""}, {"/...", ""}, {"/..a", ""}, {"/a.", ""}, {"/a b/:%\\", ""},
		{"/\u00a0", ""}, {"/\ud7ff", ""}, {"/\uf900", ""}, {"/\uffef", ""},
		{"", "Path length must be > 0"},
		{"a", "Path must start with / character"},
		{"/a/", "Path must not end with / character"},
		{"/a//b", text + `"/a//b" caused by empty node name specified @3`},
		{"/bad//path", text + `"/bad//path" caused by empty node name specified @5`},
		{"/a/./b", text + `"/a/./b" caused by relative paths not allowed @3`},
		{"/a/..", text + `"/a/.." caused by relative paths not allowed @4`},
		{"/.", text + `"/." caused by relative paths not allowed @1`},
		{"/a\x00", text + "\"/a\x00\" caused by null character not allowed @2"},
		{"/é\x1f", text + "\"/é\x1f\" caused by invalid character @2"},
		{"/\x7f", text + "\"/\x7f\" caused by invalid character @1"},
		{"/\u009f", text + "\"/\u009f\" caused by invalid character @1"},
		{"/\ue000", text + "\"/\ue000\" caused by invalid character @1"},
		{"/\uf8ff", text + "\"/\uf8ff\" caused by invalid character @1"},
		{"/\ufff0", text + "\"/\ufff0\" caused by invalid character @1"},
		{"/\U0001f600", text + "\"/\U0001f600\" caused by invalid character @1"},
		{"/\xff", text + "\"/\xff\" caused by invalid character @1"},
	}
	for _, tc := range cases {
		got := ""
		if err := CheckPath(tc.path); err != nil {
			got = err.Error()
		}
		if got != tc.err {
			t.Errorf("%q: %q, want %q", tc.path, got, tc.err)
		}
	}
}

// Nothing that a caller got wrong reaches the server.
func TestClientSideChecks(t *testing.T) {
	c := &Client{dead: io.ErrUnexpectedEOF} // whatever is sent fails with this
	c.watches = newWatches()
	ctx := t.Context()
	calls := map[string]struct {
		err  error
		want error
	}{}
	add := func(name string, err error, want error) {
		calls[name] = struct{ err, want error }{err, want}
	}
	_, err := c.Create(ctx, "a", nil, OpenACL, 0)
	add("create a", err, ErrBadArguments)
	_, err = c.Create(ctx, "/a", nil, nil, 0)
	add("create without ACL", err, ErrInvalidACL)
	_, err = c.Create(ctx, "/a", nil, OpenACL, 4)
	add("create with flags 4", err, ErrBadArguments)
	_, err = c.Create(ctx, "/a/", nil, OpenACL, Sequential)
	add("create of a bare sequence", err, io.ErrUnexpectedEOF)
	_, err = c.Create(ctx, "/a/", nil, OpenACL, 0)
	add("create /a/", err, ErrBadArguments)
	_, _, err = c.CreateTTL(ctx, "/a", nil, OpenACL, 0, 0)
	add("ttl 0", err, ErrBadArguments)
	_, _, err = c.CreateTTL(ctx, "/a", nil, OpenACL, Ephemeral, 1e6)
	add("ephemeral ttl", err, ErrBadArguments)
	_, err = c.SetACL(ctx, "/a", nil, -1)
	add("setACL without ACL", err, ErrInvalidACL)
	_, err = c.Multi(ctx, Op{})
	add("zero Op", err, ErrBadArguments)
	_, err = c.Multi(ctx, CreateTTLOp("/a", nil, OpenACL, 0, -1))
	add("multi ttl -1", err, ErrBadArguments)
	_, err = c.MultiRead(ctx, DeleteOp("/a", -1))
	add("multiRead of a delete", err, ErrBadArguments)
	for name, tc := range calls {
		wantErr(t, name, tc.err, tc.want)
	}
}

// read takes whatever a server sends, and allocates no more than the limit.
func FuzzReplies(f *testing.F) {
	frame := func(rec jute.Record) []byte {
		b := jute.Append(make([]byte, 4), rec)
		b[2], b[3] = byte((len(b)-4)>>8), byte(len(b)-4)
		return b
	}
	f.Add(frame(frameOf{&proto.ReplyHeader{Xid: 1, Zxid: 1}, &proto.NamesStat{Names: []string{"a"}}}))
	f.Add(frame(frameOf{&proto.ReplyHeader{Xid: 1}, &multiRequest{ops: []subRequest{{proto.OpDelete, &proto.Path{}}}}}))
	f.Add(frame(frameOf{&proto.ReplyHeader{Xid: -1}, &proto.WatcherEvent{Type: 1, State: 3, Path: "/a"}}))
	f.Add(append(frame(&proto.ReplyHeader{Xid: -2}), frame(&proto.ReplyHeader{Xid: -4, Err: -115})...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Client{watches: newWatches(), chroot: "/app"}
		c.watches.rel = c.rel
		c.opts.maxReply = 1 << 16
		w := &Watcher{c: c, events: newQueue[Event]()}
		c.watches.recursive["/"] = []*Watcher{w}
		r := newRequest(proto.OpMulti, nil)
		c.setOnItsWay(r)
		c.authSent = []*auth{{done: make(chan struct{})}}
		if err := c.read(bytes.NewReader(b)); err == nil {
			t.Error("read returned without a reason")
		}
		w.events.drop()
		for _, rec := range []jute.Record{&multiResponse{max: 3}, &proto.DataStat{}, &proto.ACLStat{}, &proto.NamesStat{}, &proto.WhoAmI{}, &proto.PathStat{}} {
			d := jute.RawDecoder(r.body)
			rec.Fields(&d)
		}
	})
}
