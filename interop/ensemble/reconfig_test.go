// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"paddock/zk"
)

// Members leave and join under load, asked for through a leader, a follower and
// an observer of both kinds; the leader itself leaves as well.
func TestReconfig(t *testing.T) {
	for _, kinds := range []string{"PAAP+A", "APPA+P", "PPPP+P"} {
		if testing.Short() && kinds != "PAAP+A" {
			continue
		}
		t.Run(kinds, func(t *testing.T) { reconfig(t, kinds) })
	}
}

func reconfig(t *testing.T, kinds string) {
	c := newCluster(t, kinds, "reconfigEnabled=true\n")
	c.startAll()
	cr := newCrew(c, len(c.servers))
	cr.start()

	// Through each server, the leader last, one of the others leaves and comes back.
	through := append(c.learners(), c.awaitLeader())
	for i, s := range through {
		out := c.at(1)
		if out == s {
			out = c.at(2)
		}
		c.note("through %v, %v leaves", s, out)
		c.reconfigure(s, zk.Reconfiguration{Leaving: []string{fmt.Sprint(out.id)}, Version: -1})
		c.agree(out)
		cr.more(30)
		role := ""
		if i%2 == 1 { // it comes back as an observer first
			role = "observer"
			c.reconfigure(s, zk.Reconfiguration{Joining: []string{out.as(role)}, Version: -1})
			c.agree(nil)
			c.until(fmt.Sprintf("%v observes", out), func() bool { return out.mode() == "observer" })
			cr.more(30)
		}
		c.reconfigure(s, zk.Reconfiguration{Joining: []string{out.as("participant")}, Version: -1})
		c.agree(nil)
		c.until(fmt.Sprintf("%v follows", out), func() bool { return out.mode() == "follower" })
		cr.more(30)
	}

	// The leader goes: another takes over at once, and it may come back.
	l := c.awaitLeader()
	by := c.followers()[0]
	c.note("through %v, the leader %v leaves", by, l)
	c.reconfigure(by, zk.Reconfiguration{Leaving: []string{fmt.Sprint(l.id)}, Version: -1})
	c.agree(l)
	if c.awaitLeader() == l {
		t.Errorf("%v leads and is no member", l)
	}
	cr.more(30)
	c.reconfigure(by, zk.Reconfiguration{Joining: []string{l.as("participant")}, Version: -1})
	c.agree(nil)

	// All start again from the files that they wrote.
	c.await()
	cr.more(30)
	cr.verify()
	for _, s := range c.servers {
		s.kill()
	}
	for _, s := range c.servers {
		s.start(s.kind)
	}
	c.await()
	c.agree(nil)
	cr.start()
	cr.more(30)
	cr.verify()
	cr.close()
}

// as is the server's line for a reconfiguration.
func (s *server) as(role string) string {
	line := strings.Replace(s.line(), ":participant", ":"+role, 1)
	return fmt.Sprintf("server.%d=%s", s.id, strings.Replace(line, ":observer", ":"+role, 1))
}

// reconfigure asks a server for a change of members, again after a lost
// connection: asking for what is so already does no harm.
func (c *cluster) reconfigure(s *server, r zk.Reconfiguration) {
	c.t.Helper()
	cl := c.connectTo(s, sessionTimeout)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(c.t, cl.AddAuth(ctx, "digest", []byte(superAuth)))
	var err error
	c.until(fmt.Sprintf("%v takes %+v", s, r), func() bool {
		_, _, err = cl.Reconfig(ctx, r)
		if err != nil {
			c.note("reconfig %+v by %v: %v", r, s, err)
		}
		return err == nil
	})
}

// agree waits until all members show the same configuration, and checks that it
// has all servers but one.
func (c *cluster) agree(but *server) {
	c.t.Helper()
	var texts map[string][]*server
	c.until("all members show one configuration", func() bool {
		texts = map[string][]*server{}
		for _, s := range c.servers {
			if s != but {
				text := s.config()
				texts[text] = append(texts[text], s)
			}
		}
		return len(texts) == 1 && texts[""] == nil
	})
	for text := range texts {
		for _, s := range c.servers {
			if has := strings.Contains(text, fmt.Sprintf("server.%d=", s.id)); has == (s == but) {
				c.t.Errorf("the configuration has %v: %v\n%s", s, has, text)
			}
		}
	}
}

// config is the configuration that a server shows its clients.
func (s *server) config() string {
	if s.mode() == "" {
		return ""
	}
	ctx, cancel := within()
	defer cancel()
	cl, err := zk.Connect(ctx, s.addr(), zk.WithSessionTimeout(sessionTimeout), zk.WithConnectRounds(3))
	if err != nil {
		return ""
	}
	defer cl.Close()
	if err := cl.Sync(ctx, "/"); err != nil {
		return ""
	}
	text, _, err := cl.GetConfig(ctx)
	if err != nil {
		return ""
	}
	return string(text)
}
