// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"context"
	"fmt"
	"net"
)

// Listen opens a client port. A backlog above 0 is how many connections may
// wait to be accepted; otherwise the system's limit holds.
func Listen(addr string, backlog int) (net.Listener, error) {
	// No keepalive by default: sessions time out by themselves, and setting it
	// up costs more system calls than a short session has frames.
	lc := net.ListenConfig{KeepAlive: -1}
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil || backlog <= 0 {
		return ln, err
	}
	if err := setBacklog(ln.(*net.TCPListener), backlog); err != nil {
		ln.Close()
		return nil, fmt.Errorf("clientPortListenBacklog=%d: %w", backlog, err)
	}
	return ln, nil
}
