// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"bytes"
	"context"
	"fmt"

	"paddock/proto"
)

// auth is one credential, shown on every connection.
type auth struct {
	scheme string
	data   []byte
	done   chan struct{} // closed when a server has answered
	err    error
}

func (a *auth) request() *request {
	r := newRequest(proto.OpAuth, &proto.Auth{Scheme: a.scheme, Auth: a.data})
	r.auth = a
	return r
}

// settle ends the wait of AddAuth. Client.mu is held.
func (a *auth) settle(err error) {
	select {
	case <-a.done:
	default:
		a.err = err
		close(a.done)
	}
}

// AddAuth shows a credential to the server, for "digest" the bytes of
// "user:password". It holds for the whole session, on every connection. A
// server that refuses one ends the session with ErrAuthFailed; a wrong digest
// password is not refused, it only opens nothing.
//
// A credential whose context ends first is shown all the same.
func (c *Client) AddAuth(ctx context.Context, scheme string, data []byte) error {
	if data == nil {
		data = []byte{}
	}
	a := &auth{scheme: scheme, data: append([]byte{}, data...), done: make(chan struct{})}
	c.mu.Lock()
	err := c.dead
	if err == nil && c.closing {
		err = ErrClosed
	}
	if err == nil {
		c.auths = append(c.auths, a)
		if c.state.connected() {
			c.control = append(c.control, a.request())
			c.wake()
		}
	}
	c.mu.Unlock()
	if err != nil {
		return fail(proto.OpAuth, "", err)
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return fail(proto.OpAuth, "", c.because(ctx.Err()))
	}
	if a.err != nil {
		return fail(proto.OpAuth, "", a.err)
	}
	return nil
}

// authAnswered takes the answer to the oldest credential on this connection:
// they come in order among themselves. c.mu is held.
func (c *Client) authAnswered(code proto.Code) error {
	if len(c.authSent) == 0 {
		return &errProtocol{"reply to a credential, and none was shown"}
	}
	a := c.authSent[0]
	c.authSent = c.authSent[1:]
	if code != proto.OK {
		return fmt.Errorf("%w: scheme %q (%v)", ErrAuthFailed, a.scheme, code)
	}
	a.settle(nil)
	for i, other := range c.auths { // shown twice is kept once
		if other == a {
			break
		}
		if other.scheme == a.scheme && bytes.Equal(other.data, a.data) {
			c.auths = append(c.auths[:i:i], c.auths[i+1:]...)
			break
		}
	}
	return nil
}
