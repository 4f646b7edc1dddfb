// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paddock/jute"
	"paddock/proto"
)

// reconfig asks a server to change the membership, and returns its answer: the
// new one's text.
func (c *cluster) reconfig(sid int, q proto.Reconfig) (string, proto.Code) {
	c.t.Helper()
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.nodes[sid-1].client))
	c.must(err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	send := func(b []byte) {
		_, err := nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
		c.must(err)
	}
	receive := func() []byte {
		var n [4]byte
		_, err := io.ReadFull(nc, n[:])
		c.must(err)
		b := make([]byte, binary.BigEndian.Uint32(n[:]))
		_, err = io.ReadFull(nc, b)
		c.must(err)
		return b
	}
	send(jute.Marshal(&proto.ConnectRequest{TimeOut: 5000, Passwd: make([]byte, 16)}))
	receive()
	head := binary.BigEndian.AppendUint32(nil, 1) // xid
	send(append(binary.BigEndian.AppendUint32(head, uint32(proto.OpReconfig)), jute.Marshal(&q)...))
	reply := receive()
	if code := proto.Code(binary.BigEndian.Uint32(reply[12:])); code != proto.OK {
		return "", code
	}
	n := binary.BigEndian.Uint32(reply[16:])
	return string(reply[20 : 20+n]), proto.OK
}

// with is what each running server must show of its membership.
func (c *cluster) with(what string, ok func(text string) bool) {
	c.t.Helper()
	c.await("every server knowing "+what, func() bool {
		for _, n := range c.nodes {
			if n.Server != nil && !ok(n.driver.Health().Membership.String()) {
				return false
			}
		}
		return true
	})
}

// The membership changes while the ensemble serves: a server joins, and the
// leader goes.
func TestMembershipChanges(t *testing.T) {
	c := newCluster(t, "ppp", "reconfigEnabled=true\nskipACL=yes")
	c.start()
	lead := c.leader()
	cl := c.connect()
	paths := c.fill(cl, "of-three", 5)
	c.with("its first version", func(text string) bool { return strings.HasSuffix(text, "\nversion=100000000") })

	null := jute.Null()
	if _, code := c.reconfig(lead, proto.Reconfig{Joining: null, Leaving: "1,2", NewMembers: null, CurConfigID: -1}); code != proto.ErrBadArguments {
		t.Errorf("an ensemble of one: %v", code)
	}
	if _, code := c.reconfig(lead, proto.Reconfig{Joining: null, Leaving: "1", NewMembers: null, CurConfigID: 5}); code != proto.ErrBadVersion {
		t.Errorf("from another version: %v", code)
	}

	line := c.join('p')
	c.lines = append(c.lines, line)
	c.start(4)
	c.leader()
	text, code := c.reconfig(others(lead)[0], proto.Reconfig{Joining: fmt.Sprintf("%s;127.0.0.1:%d", line, c.nodes[3].client),
		Leaving: null, NewMembers: null, CurConfigID: 0x100000000})
	if code != proto.OK || !strings.Contains(text, "server.4=") {
		t.Fatalf("joining: %v, %q", code, text)
	}
	c.with("four members", func(text string) bool { return strings.Contains(text, "server.4=") })
	c.leader()
	paths = append(paths, c.fill(cl, "of-four", 5)...)
	c.agree()

	// Its clients' port moves; connections that there are stay.
	stays := c.connect(4)
	defer stays.Close()
	if _, _, err := stays.Exists(context.Background(), "/"); err != nil {
		t.Fatal(err)
	}
	old, moved := c.nodes[3].client, freePort(t)
	if _, code := c.reconfig(lead, proto.Reconfig{Joining: fmt.Sprintf("%s;127.0.0.1:%d", line, moved), Leaving: null, NewMembers: null, CurConfigID: -1}); code != proto.OK {
		t.Fatalf("another client port: %v", code)
	}
	c.await("the client port to move", func() bool {
		if nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", moved)); err == nil {
			nc.Close()
			nc, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", old))
			if err == nil {
				nc.Close()
			}
			return err != nil
		}
		return false
	})
	c.nodes[3].client = moved
	if _, _, err := stays.Exists(context.Background(), "/"); err != nil {
		t.Errorf("a connection to the port that was: %v", err)
	}

	lead = c.leader()
	text, code = c.reconfig(lead%4+1, proto.Reconfig{Joining: null, Leaving: fmt.Sprint(lead), NewMembers: null, CurConfigID: -1})
	if code != proto.OK || strings.Contains(text, fmt.Sprintf("server.%d=", lead)) {
		t.Fatalf("leaving: %v, %q", code, text)
	}
	c.kill(lead)
	c.with("three members", func(text string) bool { return !strings.Contains(text, fmt.Sprintf("server.%d=", lead)) })
	c.leader()
	paths = append(paths, c.fill(cl, "of-others", 5)...)
	c.agree()

	// What is on disk is what they start with.
	for _, n := range c.nodes {
		if n.Server == nil {
			continue
		}
		main, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("zoo%d.cfg", n.sid)))
		if err != nil || !strings.Contains(string(main), "dynamicConfigFile=") || strings.Contains(string(main), "server.") {
			t.Errorf("server %d: zoo.cfg is %q, %v", n.sid, main, err)
		}
	}
	for _, n := range c.nodes {
		if n.Server != nil {
			sid := n.sid
			c.stop(sid)
			c.start(sid)
			c.leader()
			c.has(sid, paths...)
		}
	}
	c.agree()
	shown := c.connect(lead%4 + 1)
	defer shown.Close()
	data, _, err := shown.Get(context.Background(), proto.ConfigPath)
	if err != nil || string(data) != text {
		t.Errorf("%s is %q, %v, want %q", proto.ConfigPath, data, err, text)
	}
}
