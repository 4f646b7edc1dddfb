// SPDX-License-Identifier: Apache-2.0

package zab

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"paddock/internal/quorum"
	"paddock/proto"
)

var rewriteElection = flag.Bool("rewrite-election", false, "write what elections do now into testdata/election/*.txt")

// TestElectionScripts plays testdata/election/*.txt: what happens to one
// server, and below each line, indented, what it does. Each file is a rule of
// quorum-protocol.md; its name begins with the section.
//
//	members 1 2 3 4:observer     committed; "seen v=5 1 2" is the proposed one
//	group 1 2 3 / weight 1=2     of the line before
//	sid 1                        a new election of this server
//	begin zxid=1:2 epoch=1       also leader=none; none is -2^63
//	2 looking for=2 zxid=1:2 round=1 epoch=1
//	wait 200ms                   with ticks when they are asked for
//	lost 3; up 3                 the election connection
//	settle leading for=1 zxid=1:2 round=3 epoch=1
//	epoch 2                      synchronised
func TestElectionScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/election/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := playElection(t, string(want))
			if *rewriteElection {
				if err := os.WriteFile(f, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("it goes otherwise; go test -run ElectionScripts -rewrite-election, then look at the difference.\ngot:\n%s", got)
			}
		})
	}
}

type electionScript struct {
	t         *testing.T
	e         *election
	now       time.Duration
	committed *quorum.Config
	seen      *quorum.Config
	last      *quorum.Config // group and weight lines add to it
}

func playElection(t *testing.T, script string) string {
	s := &electionScript{t: t}
	var out strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		out.WriteString(line)
		cmd, _, _ := strings.Cut(line, "#")
		if f := strings.Fields(cmd); len(f) > 0 {
			for _, l := range s.do(f) {
				out.WriteString("\t" + l + "\n")
			}
		}
	}
	return out.String()
}

// do plays one line and returns what came of it.
func (s *electionScript) do(f []string) []string {
	args, list := map[string]string{}, []string{}
	for _, a := range f[1:] {
		if k, v, ok := strings.Cut(a, "="); ok {
			args[k] = v
		} else {
			list = append(list, a)
		}
	}
	switch f[0] {
	case "members":
		s.committed = scriptMembers(s.t, args, list)
		s.last, s.seen = s.committed, nil
	case "seen":
		s.seen = nil
		if len(list) > 0 {
			s.seen = scriptMembers(s.t, args, list)
		}
		s.last = s.seen
	case "group":
		if s.last.Groups == nil {
			s.last.Groups, s.last.Weights = map[int64][]int64{}, map[int64]int64{}
		}
		for _, id := range list {
			s.last.Groups[int64(len(s.last.Groups)+1)] = nil
			g := int64(len(s.last.Groups))
			for m := range strings.SplitSeq(id, ",") {
				s.last.Groups[g] = append(s.last.Groups[g], scriptInt(s.t, m))
			}
		}
	case "weight":
		for k, v := range args {
			s.last.Weights[scriptInt(s.t, k)] = scriptInt(s.t, v)
		}
	case "sid":
		s.e = newElection(electionOptions{sid: scriptInt(s.t, list[0]), minNotify: 200 * time.Millisecond,
			maxNotify: time.Minute, finalize: 200 * time.Millisecond})
	case "begin":
		own := vote{s.e.sid, scriptZxid(s.t, args["zxid"]), 0, scriptInt(s.t, args["epoch"])}
		if l, ok := args["leader"]; ok {
			own.leader = scriptInt(s.t, l)
		}
		s.e.begin(s.now, own)
	case "wait":
		return s.wait(list[0])
	case "lost", "up":
		s.e.reachable(scriptInt(s.t, list[0]), f[0] == "up")
	case "settle":
		n := scriptNote(s.t, list[0], args)
		s.e.settle(n.State, vote{n.Leader, n.Zxid, n.ElectionEpoch, n.PeerEpoch})
	case "epoch":
		s.e.setPeerEpoch(scriptInt(s.t, list[0]))
	default:
		s.e.notified(s.now, scriptInt(s.t, f[0]), scriptNote(s.t, list[0], args))
	}
	if s.e == nil {
		return nil
	}
	if s.committed != nil {
		s.e.membership(s.committed, s.seen)
	}
	return s.done()
}

func (s *electionScript) wait(d string) (out []string) {
	dur, err := time.ParseDuration(d)
	if err != nil {
		s.t.Fatal(err)
	}
	end := s.now + dur
	for s.e.wake() <= end {
		s.now = max(s.now, s.e.wake())
		s.e.tick(s.now)
		for _, l := range s.done() {
			out = append(out, fmt.Sprintf("after %v %s", dur-(end-s.now), l))
		}
	}
	s.now = end
	return out
}

// done prints what is to be sent, the same to several in one line.
func (s *electionScript) done() (out []string) {
	to, last := "", ""
	flush := func() {
		if to != "" {
			out = append(out, "->"+to+": "+last)
		}
		to = ""
	}
	for _, v := range s.e.take() {
		if v.Note.Version != 2 || v.Note.Config != s.committed.String() {
			s.t.Errorf("notification with version %d, config %q", v.Note.Version, v.Note.Config)
		}
		text := fmt.Sprintf("%s for=%s zxid=%s round=%d epoch=%s", stateNames[v.Note.State], scriptNumber(v.Note.Leader),
			scriptZxidText(v.Note.Zxid), v.Note.ElectionEpoch, scriptNumber(v.Note.PeerEpoch))
		if text != last {
			flush()
		}
		to, last = to+" "+strconv.FormatInt(v.To, 10), text
	}
	flush()
	if v, ok := s.e.decided(); ok {
		out = append(out, fmt.Sprintf("%s for=%d zxid=%s round=%d epoch=%d", stateNames[s.e.state], v.leader, scriptZxidText(v.zxid), v.round, v.peerEpoch))
	}
	return out
}

var stateNames = []string{"looking", "following", "leading", "observing"}

func scriptMembers(t *testing.T, args map[string]string, list []string) *quorum.Config {
	c := &quorum.Config{}
	if v, ok := args["v"]; ok {
		c.Version = scriptInt(t, v)
	}
	for _, m := range list {
		id, role, _ := strings.Cut(m, ":")
		c.Members = append(c.Members, testMember(scriptInt(t, id), role == "observer"))
	}
	return c
}

func testMember(id int64, observer bool) quorum.Member {
	return quorum.Member{ID: id, Observer: observer, Addrs: []quorum.Addr{{Host: fmt.Sprint("h", id), QuorumPort: 2888, ElectionPort: 3888}}}
}

func scriptNote(t *testing.T, state string, args map[string]string) proto.Notification {
	n := proto.Notification{State: proto.PeerState(slices.Index(stateNames, state)), Version: 2}
	if n.State < 0 {
		n.State = proto.PeerState(scriptInt(t, state))
	}
	n.Leader, n.Zxid = scriptInt(t, args["for"]), scriptZxid(t, args["zxid"])
	n.ElectionEpoch, n.PeerEpoch = scriptInt(t, args["round"]), scriptInt(t, args["epoch"])
	if v, ok := args["version"]; ok {
		n.Version = int32(scriptInt(t, v))
	}
	return n
}

func scriptInt(t *testing.T, s string) int64 {
	if s == "none" {
		return math.MinInt64
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		t.Fatalf("election script: %v", err)
	}
	return n
}

func scriptNumber(n int64) string {
	if n == math.MinInt64 {
		return "none"
	}
	return strconv.FormatInt(n, 10)
}

// scriptZxid reads epoch:counter, or a number.
func scriptZxid(t *testing.T, s string) proto.Zxid {
	if epoch, counter, ok := strings.Cut(s, ":"); ok {
		return proto.NewZxid(uint32(scriptInt(t, epoch)), uint32(scriptInt(t, counter)))
	}
	return proto.Zxid(scriptInt(t, s))
}

func scriptZxidText(z proto.Zxid) string {
	if z < 0 {
		return scriptNumber(int64(z))
	}
	return fmt.Sprintf("%d:%d", z.Epoch(), z.Counter())
}
