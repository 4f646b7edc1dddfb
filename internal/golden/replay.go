// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// How long a step waits before its silence counts. Only failing steps, and steps that expect nothing, wait this long:
// those shorter than they were recorded, so that a slow machine does not expire the sessions that are idle meanwhile. A
// frame that comes later still meets the next step of its connection, or the look at the end.
const (
	replyWait = 30 * time.Second
	closeWait = 30 * time.Second
	pingEvery = 500 * time.Millisecond
	silence   = 100 * time.Millisecond
	lastLook  = 20 * time.Millisecond // for frames nobody expected, at the end of a file
)

// Options of a Play.
type Options struct {
	// LooseZxid ignores the values of zxids. For a server whose data directory is not fresh.
	LooseZxid bool

	// LooseEnd ignores frames between the last recorded one and a close. For the recorded server itself, which now
	// and then answers -112 to a request behind a closeSession and mostly does not.
	LooseEnd bool
}

// Diff is one step whose outcome is not the recorded one.
type Diff struct {
	File string
	Step Step
	What string // several lines, for people
}

func (d Diff) String() string {
	return fmt.Sprintf("%s seq %d %q (%s %s, conn %s): %s", d.File, d.Step.Seq, d.Step.Name, d.Step.Action, d.Step.Op, d.Step.Conn, d.What)
}

// Play makes every step of rec against the server at addr, which was started with the settings of rec.Meta on an empty
// data directory (but for rec.Meta.DataFiles), and returns what differs. It closes its connections.
func Play(rec *Recording, addr string, opt Options) []Diff {
	p := &player{rec: rec, addr: addr, opt: opt, conns: map[string]*Conn{}}
	defer p.hangUp()
	for _, s := range rec.Steps {
		p.step = s
		if err := p.play(s); err != nil {
			p.differ("%v", err)
		}
	}
	p.look()
	return p.diffs
}

type player struct {
	rec   *Recording
	addr  string
	opt   Options
	conns map[string]*Conn
	step  Step
	diffs []Diff
}

func (p *player) differ(format string, args ...any) {
	p.diffs = append(p.diffs, Diff{p.rec.File, p.step, fmt.Sprintf(format, args...)})
}

func (p *player) play(s Step) error {
	switch s.Action {
	case "note":
		return nil
	case "sleep":
		time.Sleep(s.wait(0))
		return nil
	case "4lw":
		text, err := FourLetterWord(p.addr, s.Request)
		if text != s.Text {
			p.differ("answer %q, want %q", text, s.Text)
		}
		return err
	case "open":
		return p.open(s)
	}
	c := p.conns[s.Conn]
	if c == nil {
		return fmt.Errorf("connection %q was never opened", s.Conn)
	}
	switch s.Action {
	case "exchange":
		req, err := p.request(s)
		if err != nil {
			return err
		}
		c.Send(req)
		p.expect(s, c, p.take(s, c))
	case "recv":
		p.expect(s, c, p.take(s, c))
	case "recv_slow":
		p.expect(s, c, p.takePinging(s, c))
	case "expect_nothing":
		if f := c.Frame(time.Now().Add(silence)); f != nil {
			p.differ("a frame came, want none\n%s", describe(f))
		}
		p.ended(s, c)
	case "wait_close":
		got := c.AwaitEnd(time.Now().Add(max(s.wait(0), closeWait)))
		p.compare(s, got)
		p.ended(s, c)
	case "close":
		c.Close()
	default:
		return fmt.Errorf("unknown action %q", s.Action)
	}
	return nil
}

func (s Step) wait(otherwise time.Duration) time.Duration {
	if s.WaitMs == 0 {
		return otherwise
	}
	return time.Duration(s.WaitMs) * time.Millisecond
}

func (p *player) open(s Step) error {
	req, err := p.request(s)
	if err != nil {
		return err
	}
	c, err := Dial(p.addr)
	if err != nil {
		return err
	}
	if old := p.conns[s.Conn]; old != nil {
		old.Close()
	}
	p.conns[s.Conn] = c
	c.Send(req)
	got := p.take(s, c)
	c.learn(got)
	p.expect(s, c, got)
	return nil
}

// request fills the values of this run into the recorded bytes.
func (p *player) request(s Step) ([]byte, error) {
	b := append([]byte(nil), s.Request...)
	for _, v := range s.Vars {
		name, field, _ := strings.Cut(v.Var, ".")
		c := p.conns[name]
		if c == nil {
			return nil, fmt.Errorf("request needs %s of a connection that is not known", v.Var)
		}
		switch field {
		case "sessionId":
			binary.BigEndian.PutUint64(b[v.Offset:v.Offset+v.Length], uint64(c.SessionID))
		case "passwd":
			copy(b[v.Offset:v.Offset+v.Length], c.Passwd)
		default:
			return nil, fmt.Errorf("unknown variable %q", v.Var)
		}
	}
	return b, nil
}

// take reads as many frames as the recording holds bytes; where it ends in a close, everything up to the close.
func (p *player) take(s Step, c *Conn) []byte {
	deadline := time.Now().Add(replyWait)
	var got []byte
	for len(got) < len(s.Response) {
		f := c.Frame(deadline)
		if f == nil {
			break
		}
		got = append(got, f...)
	}
	if s.Closed {
		rest := c.AwaitEnd(time.Now().Add(closeWait))
		if !p.opt.LooseEnd {
			got = append(got, rest...)
		}
	}
	return got
}

// takePinging is take for frames that come late: it keeps the session alive meanwhile, and leaves no ping unanswered
// for the next step to stumble over.
func (p *player) takePinging(s Step, c *Conn) []byte {
	const pingXid = -2
	ping := []byte{0, 0, 0, 8, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11}
	var got []byte
	end := time.Now().Add(max(s.wait(0), replyWait))
	for pings := 0; len(got) < len(s.Response) || pings > 0; {
		next := time.Now().Add(pingEvery)
		f := c.Frame(next)
		switch {
		case f == nil && (c.Ended() != stillOpen || time.Now().After(end)):
			return got
		case f == nil:
			c.Send(ping)
			pings++
		case len(f) >= 8 && int32(binary.BigEndian.Uint32(f[4:])) == pingXid:
			pings--
		default:
			got = append(got, f...)
		}
	}
	return got
}

// expect compares bytes and the state of the connection with the recording.
func (p *player) expect(s Step, c *Conn, got []byte) {
	p.compare(s, got)
	p.ended(s, c)
}

func (p *player) ended(s Step, c *Conn) {
	want := stillOpen
	if s.Closed {
		want = s.Close
	}
	if got := c.Ended(); got != want {
		p.differ("connection ended %q, want %q (empty: still open)", got, want)
	}
}

// look finds frames that nobody expected and connections that the server closed unseen.
func (p *player) look() {
	for name, c := range p.conns {
		if c.Ended() != stillOpen {
			continue
		}
		for f := c.Frame(time.Now().Add(lastLook)); f != nil; f = c.Frame(time.Now().Add(lastLook)) {
			p.differ("conn %s: one more frame after the last step\n%s", name, describe(f))
		}
		if end := c.Ended(); end != stillOpen {
			p.differ("conn %s: ended %q, want it open after the last step", name, end)
		}
	}
}

func (p *player) hangUp() {
	for _, c := range p.conns {
		c.Close()
	}
}
