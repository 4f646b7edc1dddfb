// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"sync"
	"time"

	"paddock/proto"
)

// History records the operations of concurrent clients.
type History struct {
	start time.Time

	mu      sync.Mutex
	entries []Entry
}

// NewHistory begins a history now.
func NewHistory() *History { return &History{start: time.Now()} }

// Call records that op is about to be sent as request xid of a session. Until
// Return is called with the index it gives, the outcome is unknown and may come
// about at any time.
func (h *History) Call(client int, session proto.SessionID, xid int32, op Op) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, Entry{Client: client, Session: session, Xid: xid, Op: op, Result: Result{Unknown: true}, Call: time.Since(h.start)})
	return len(h.entries) - 1
}

// Return records the answer to the operation of index i. An answer that is
// Unknown says that the operation has happened by now, if ever, but not how it
// went: the end of a session that has expired.
func (h *History) Return(i int, r Result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries[i].Result, h.entries[i].Return = r, time.Since(h.start)
}

// Entries returns what was recorded so far.
func (h *History) Entries() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Entry(nil), h.entries...)
}

// Len is the number of operations so far.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.entries)
}

// Logged finds out what became of a request: the zxid of its transaction in
// the server's log. A closeSession that no request asked for has xid 0.
type Logged func(session proto.SessionID, xid int32, typ proto.OpCode) (proto.Zxid, bool)

// Resolve puts what the log says into a history. Without it, each operation of
// unknown outcome doubles the orders there are to try. An operation that is not
// in the log did not happen and is left out. It is an error when a write that
// was acknowledged is not there, or under another zxid.
func Resolve(h []Entry, log Logged) ([]Entry, error) {
	out := make([]Entry, 0, len(h))
	for _, e := range h {
		if writes(e.Op.Type) {
			z, ok := log(e.Session, e.Xid, e.Op.Type)
			if !e.Result.Unknown && (!ok || z != e.Result.Zxid) {
				return nil, fmt.Errorf("acknowledged as %v, in the log as %v (found: %v): session %v xid %d: %v", e.Result.Zxid, z, ok, e.Session, e.Xid, e)
			}
			if e.Result.Unknown && !ok {
				continue
			}
			e.Result.Zxid = z
		}
		out = append(out, e)
	}
	return out, nil
}
