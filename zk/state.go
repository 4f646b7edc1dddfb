// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"strconv"

	"paddock/proto"
)

// State is where a session stands.
type State int

// The states of a session. The last three are final.
const (
	Disconnected      State = iota // between two connections, or before the first
	Connected                      //
	ConnectedReadOnly              // to a server that refuses writes
	Expired                        // the servers, or the clock, gave the session up
	AuthFailed                     // a server refused a credential
	Closed                         // by Close or Detach
)

// stateNames are the words of other ZooKeeper clients.
var stateNames = []string{"Disconnected", "SyncConnected", "ConnectedReadOnly", "Expired", "AuthFailed", "Closed"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "State(" + strconv.Itoa(int(s)) + ")"
	}
	return stateNames[s]
}

// Final tells whether a session in this state is over.
func (s State) Final() bool { return s >= Expired }

func (s State) connected() bool { return s == Connected || s == ConnectedReadOnly }

// SessionEvent is a change of a session's state.
type SessionEvent struct {
	State     State
	SessionID proto.SessionID
	Server    string // "host:port" of the connection that came or went; "" if none did
	Err       error  // why a connection was lost or the session ended, or nil
}

// SessionEvents returns a new stream of the session's changes, from the state
// as it is now. It is closed behind a final state. A reader may be as slow as
// it likes; the client never waits for it.
func (c *Client) SessionEvents() <-chan SessionEvent {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := newQueue[SessionEvent]()
	q.put(SessionEvent{State: c.state, SessionID: c.session, Server: c.server, Err: c.lastErr})
	if c.state.Final() {
		q.end()
	} else {
		c.listeners = append(c.listeners, q)
	}
	return q.ch
}

// setState moves the session on and tells those who listen. c.mu is held.
func (c *Client) setState(s State, server string, why error) {
	c.state, c.server, c.lastErr = s, server, why
	ev := SessionEvent{State: s, SessionID: c.session, Server: server, Err: why}
	for _, q := range c.listeners {
		q.put(ev)
		if s.Final() {
			q.end()
		}
	}
	c.watches.stateChanged(s, c.dead)
	if s.Final() {
		c.listeners = nil
	}
}
