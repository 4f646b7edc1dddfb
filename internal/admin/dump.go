// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"paddock/internal/session"
	"paddock/proto"
)

// sessionDump is the answer to dump.
type sessionDump struct {
	Sessions    expiry[int64]
	Local       expiry[int64]   // nil where there are no local sessions
	Global      []globalSession // in place of Sessions at a learner, which expires none
	Learner     bool
	Ephemerals  []owned
	Connections expiry[connection]
}

// expiry are things by when they end; the times are ends of ticks.
type expiry[T any] map[time.Time][]T

// owned are the ephemeral znodes of one session.
type owned struct {
	Session int64
	Paths   []string
}

func (a *Admin) dump() answer {
	d := sessionDump{Sessions: expiry[int64]{}, Connections: expiry[connection]{}, Learner: a.learns()}
	if a.src.Config.Distributed() && a.src.Config.LocalSessions {
		d.Local = expiry[int64]{}
	}
	var ids []int64
	a.src.Pipeline.Sessions().Each(func(s *session.Session) {
		at := a.moment(s.Deadline())
		if d.Local != nil && !s.Global() {
			d.Local[at] = append(d.Local[at], s.ID())
			return
		}
		ids = append(ids, s.ID())
		d.Global = append(d.Global, globalSession{s.ID(), s.Timeout()})
		d.Sessions[at] = append(d.Sessions[at], s.ID())
	})
	slices.SortFunc(ids, bySessionID)
	for _, id := range ids {
		// One view for each session, so that writes are not kept waiting.
		v := a.src.Pipeline.Tree().View(0)
		paths := v.Ephemerals(id)
		v.Close()
		if len(paths) > 0 {
			slices.Sort(paths)
			d.Ephemerals = append(d.Ephemerals, owned{id, paths})
		}
	}
	for _, c := range a.connections() {
		d.Connections[c.Expires] = append(d.Connections[c.Expires], c)
	}
	return d
}

func bySessionID(x, y int64) int { return cmp.Compare(uint64(x), uint64(y)) }

func (d sessionDump) appendText(b []byte) []byte {
	b = append(b, "SessionTracker dump:\n"...)
	if d.Local != nil {
		b = appendSets(append(b, "Local "...), d.Local)
	}
	switch {
	case d.Learner:
		b = appendGlobal(b, d.Global)
	case d.Local != nil:
		b = append(b, "Global "...)
		fallthrough
	default:
		b = appendSets(b, d.Sessions)
	}
	b = fmt.Appendf(b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(d.Ephemerals))
	for _, o := range d.Ephemerals {
		b = fmt.Appendf(b, "%s:\n", proto.SessionID(o.Session))
		for _, p := range o.Paths {
			b = fmt.Appendf(b, "\t%s\n", p)
		}
	}
	b = append(b, "Connections dump:\nConnections Sets "...)
	return d.Connections.appendText(b, func(b []byte, list []connection) []byte {
		for _, c := range list {
			b = fmt.Appendf(b, "\tip: %s sessionId: %s\n", c.Peer, proto.SessionID(c.Session))
		}
		return b
	})
}

// globalSession is one that the leader keeps.
type globalSession struct {
	ID        int64
	TimeoutMs int32
}

func appendGlobal(b []byte, list []globalSession) []byte {
	b = fmt.Appendf(b, "Global Sessions(%d):\n", len(list))
	slices.SortFunc(list, func(x, y globalSession) int { return bySessionID(x.ID, y.ID) })
	for _, s := range list {
		b = fmt.Appendf(b, "%s\t%dms\n", proto.SessionID(s.ID), s.TimeoutMs)
	}
	return b
}

func appendSets(b []byte, e expiry[int64]) []byte {
	b = append(b, "Session Sets "...)
	return e.appendText(b, func(b []byte, ids []int64) []byte {
		slices.SortFunc(ids, bySessionID)
		for _, id := range ids {
			b = fmt.Appendf(b, "\t%s\n", proto.SessionID(id))
		}
		return b
	})
}

// javaDate is how Java prints a Date.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

// appendText writes (sets)/(things) and then set by set.
func (e expiry[T]) appendText(b []byte, list func([]byte, []T) []byte) []byte {
	n := 0
	for _, things := range e {
		n += len(things)
	}
	b = fmt.Appendf(b, "(%d)/(%d):\n", len(e), n)
	for _, at := range slices.SortedFunc(maps.Keys(e), time.Time.Compare) {
		b = fmt.Appendf(b, "%d expire at %s:\n", len(e[at]), at.Format(javaDate))
		b = list(b, e[at])
	}
	return b
}

// watchNumbers is the answer to wchs.
type watchNumbers struct{ Watchers, Paths, Watches int }

func (a *Admin) watchSummary() answer {
	watchers, paths, watches := a.src.Pipeline.Watches().Summary()
	return watchNumbers{watchers, paths, watches}
}

func (w watchNumbers) appendText(b []byte) []byte {
	return fmt.Appendf(b, "%d connections watching %d paths\nTotal watches:%d\n", w.Watchers, w.Paths, w.Watches)
}
