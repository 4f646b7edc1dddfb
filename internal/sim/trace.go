// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"hash"
	"strings"

	"paddock/internal/check"
	"paddock/internal/zab"
	"paddock/proto"
)

// tracer keeps a hash of all that happens, and prints it for those who want to
// read it.
type tracer struct {
	hash hash.Hash64
	out  func(string)
	buf  []byte
}

func (r *run) trace(what string, args ...int64) {
	b := binary.BigEndian.AppendUint64(r.buf[:0], uint64(r.now))
	b = append(b, what...)
	for _, a := range args {
		b = binary.BigEndian.AppendUint64(b, uint64(a))
	}
	r.hash.Write(b)
	r.buf = b
	if r.out != nil {
		r.print("%s %x", what, args)
	}
}

func (r *run) print(format string, args ...any) {
	r.out(fmt.Sprintf("%6d %9.6f ", r.steps, r.now.Seconds()) + fmt.Sprintf(format, args...))
}

func (r *run) traceText(text string) {
	r.trace(text)
}

func (r *run) traceLine(s *server, l zab.Line) {
	if r.out != nil {
		r.print("%d %s %v", s.id, l.Text, l.Args)
	}
}

func (r *run) traceAnswer(q *request, res check.Result) {
	r.trace("answer", int64(q.session), int64(q.cxid), int64(res.Zxid), int64(res.Code))
}

// traceEvent notes what a server is fed.
func (r *run) traceEvent(s *server, ev zab.Event) {
	switch ev := ev.(type) {
	case zab.Tick:
		r.trace("tick", s.id)
	case zab.Notified:
		r.trace("notified", s.id, ev.From, int64(ev.Note.State), ev.Note.Leader, int64(ev.Note.Zxid), ev.Note.ElectionEpoch, ev.Note.PeerEpoch)
	case zab.Reachable:
		up := int64(0)
		if ev.Up {
			up = 1
		}
		r.trace("reachable", s.id, ev.Sid, up)
	case zab.LinkUp:
		r.trace("link up", s.id, int64(ev.Link))
	case zab.LinkDown:
		r.trace("link down", s.id, int64(ev.Link))
	case zab.Received:
		args := []int64{s.id, int64(ev.Link)}
		for i := range ev.Packets {
			args = append(args, int64(ev.Packets[i].Type), int64(ev.Packets[i].Zxid))
		}
		r.trace("received", args...)
		if r.out != nil {
			r.print("%d received on %d: %s", s.id, ev.Link, packets(ev.Packets))
		}
	case zab.Saved:
		r.trace("saved", s.id, int64(ev.Ops))
	case zab.Restored:
		r.trace("restored", s.id, int64(ev.Zxid))
	case zab.Probed:
		r.trace("probed", s.id, int64(ev.Link), int64(ev.Prev), int64(ev.Next))
	case zab.Propose:
		r.trace("propose", s.id, int64(ev.Entries[0].Zxid), int64(len(ev.Entries)))
	case zab.Barrier:
		r.trace("barrier", s.id, int64(ev.Link))
	case zab.HandOver:
		r.trace("hand over", s.id)
	default:
		panic(fmt.Sprintf("no trace of %T", ev))
	}
}

var packetNames = map[proto.PacketType]string{
	proto.PacketRequest: "REQUEST", proto.PacketProposal: "PROPOSAL", proto.PacketAck: "ACK", proto.PacketCommit: "COMMIT",
	proto.PacketPing: "PING", proto.PacketRevalidate: "REVALIDATE", proto.PacketSync: "SYNC", proto.PacketInform: "INFORM",
	proto.PacketCommitAndActivate: "COMMITANDACTIVATE", proto.PacketNewLeader: "NEWLEADER", proto.PacketFollowerInfo: "FOLLOWERINFO",
	proto.PacketUpToDate: "UPTODATE", proto.PacketDiff: "DIFF", proto.PacketTrunc: "TRUNC", proto.PacketSnap: "SNAP",
	proto.PacketObserverInfo: "OBSERVERINFO", proto.PacketLeaderInfo: "LEADERINFO", proto.PacketAckEpoch: "ACKEPOCH",
	proto.PacketInformAndActivate: "INFORMANDACTIVATE",
}

func packets(list []zab.Packet) string {
	var b strings.Builder
	for i := range list {
		fmt.Fprintf(&b, " %s %s", packetNames[list[i].Type], short(list[i].Zxid))
	}
	return b.String()
}
