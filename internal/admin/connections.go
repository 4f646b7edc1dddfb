// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"paddock/internal/pipeline"
	"paddock/internal/quorum"
	"paddock/proto"
)

// latency is in milliseconds. The smallest is rounded down and the largest up,
// so that the average, which is not rounded, lies between them.
type latency struct {
	Min, Max int64
	Avg      float64
}

func latencyOf(s pipeline.ConnStats) latency {
	if s.Replies == 0 {
		return latency{}
	}
	return latency{Min: s.MinLatency.Milliseconds(), Max: (s.MaxLatency + time.Millisecond - 1).Milliseconds(),
		Avg: float64(s.TotalLatency) / float64(s.Replies) / float64(time.Millisecond)}
}

// connection is one line of cons, and the first half of it one of stat.
type connection struct {
	Peer      string // as Java writes an address, /127.0.0.1:4242
	Since     time.Time
	Queued    int
	Stats     pipeline.ConnStats
	Session   int64 // 0: none
	TimeoutMs int32
	Expires   time.Time     // the session, or the wait for one; the end of a tick
	Answered  time.Duration // the last reply, since the server's start
}

// connections lists the connections, eldest first.
func (a *Admin) connections() []connection {
	each := a.src.Connections
	if each == nil {
		each = a.src.Pipeline.EachClient
	}
	var clients []*pipeline.Client
	each(func(c *pipeline.Client) { clients = append(clients, c) })
	slices.SortFunc(clients, func(x, y *pipeline.Client) int {
		if o := x.Since.Compare(y.Since); o != 0 {
			return o
		}
		return strings.Compare(x.Peer, y.Peer)
	})
	list := make([]connection, len(clients))
	for i, c := range clients {
		list[i] = a.connection(c)
	}
	return list
}

func (a *Admin) connection(c *pipeline.Client) connection {
	line := connection{Peer: javaAddress(c.Peer), Since: c.Since, Queued: c.Waiting(), Stats: c.Stats()}
	if line.Stats.Replies > 0 {
		line.Answered = line.Stats.LastResponse.Sub(a.src.Started)
	}
	if s := c.Session(); s != nil {
		line.Session, line.TimeoutMs = s.ID(), c.TimeoutMs()
		line.Expires = a.moment(s.Deadline())
	} else {
		tick := max(a.src.Config.TickTime.Milliseconds(), 1)
		ends := c.Since.Add(a.src.Config.SessionlessTimeout).Sub(a.src.Pipeline.Started()).Milliseconds()
		line.Expires = a.moment((ends/tick + 1) * tick)
	}
	return line
}

// moment is the time of a session's deadline. Equal deadlines make equal values.
func (a *Admin) moment(ms int64) time.Time {
	return a.src.Pipeline.Started().Add(time.Duration(ms) * time.Millisecond)
}

// javaAddress writes an address as Java does: behind a slash, IPv6 in full.
func javaAddress(peer string) string {
	if a, err := netip.ParseAddrPort(peer); err == nil {
		peer = quorum.HostPort{Host: a.Addr().String(), Port: int(a.Port())}.String()
	}
	return "/" + peer
}

// interest is what the reference shows of its selector: 1, a connection is
// being read.
const interest = 1

// appendShort leaves the parenthesis open.
func (c connection) appendShort(b []byte) []byte {
	return fmt.Appendf(b, " %s[%d](queued=%d,recved=%d,sent=%d", c.Peer, interest, c.Queued, c.Stats.Received, c.Stats.Sent)
}

func (c connection) appendLong(b []byte) []byte {
	b = c.appendShort(b)
	if c.Session != 0 {
		b = c.appendSession(b)
	}
	return append(b, ")\n"...)
}

func (c connection) appendSession(b []byte) []byte {
	s := &c.Stats
	lop, zxid := "NA", proto.Zxid(-1)
	if s.Replies > 0 {
		lop = shortName(s.LastOp)
		if s.LastZxid > 0 {
			zxid = s.LastZxid
		}
	}
	b = fmt.Appendf(b, ",sid=%s,lop=%s,est=%d,to=%d", proto.SessionID(c.Session), lop, c.Since.UnixMilli(), c.TimeoutMs)
	if s.LastXid > 0 {
		b = fmt.Appendf(b, ",lcxid=0x%x", s.LastXid)
	}
	l := latencyOf(*s)
	return fmt.Appendf(b, ",lzxid=%s,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d",
		zxid, c.Answered.Milliseconds(), s.LastLatency.Milliseconds(), l.Min, int64(l.Avg), l.Max)
}

// connectionList is the answer to cons.
type connectionList []connection

func (a *Admin) connectionList() answer { return connectionList(a.connections()) }

func (l connectionList) appendText(b []byte) []byte {
	for _, c := range l {
		b = c.appendLong(b)
	}
	return append(b, '\n')
}

// shortNames are the operations as cons shows them (operations.md section 2.2).
var shortNames = map[proto.OpCode]string{
	proto.OpPing: "PING", proto.OpCreateSession: "SESS", proto.OpCloseSession: "CLOS", proto.OpMulti: "MULT", proto.OpMultiRead: "MLTR",
	proto.OpCreate: "CREA", proto.OpCreate2: "CREA", proto.OpCreateTTL: "CREA", proto.OpCreateContainer: "CREA",
	proto.OpDelete: "DELE", proto.OpDeleteContainer: "DELE", proto.OpSetData: "SETD", proto.OpReconfig: "RECO", proto.OpSetACL: "SETA",
	proto.OpSync: "SYNC", proto.OpCheck: "CHEC", proto.OpExists: "EXIS", proto.OpGetData: "GETD",
	proto.OpSetWatches: "SETW", proto.OpSetWatches2: "STW2", proto.OpAddWatch: "ADDW", proto.OpGetACL: "GETA",
	proto.OpGetChildren: "GETC", proto.OpGetChildren2: "GETC", proto.OpGetAllChildrenNumber: "GETACN",
	proto.OpCheckWatches: "CHKW", proto.OpRemoveWatches: "REMW", proto.OpWhoAmI: "HOMI", proto.OpGetEphemerals: "GETE",
}

func shortName(op proto.OpCode) string {
	if n, ok := shortNames[op]; ok {
		return n
	}
	return "NA"
}
