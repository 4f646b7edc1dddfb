// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"context"
	"fmt"
	"net"
	"time"

	"paddock/internal/quorum"
	"paddock/internal/zab"
)

const (
	dialTries = 5
	dialPause = 100 * time.Millisecond // between tries
)

// Dial connects to a leader: in at most 5 tries 100 ms apart, all its addresses
// at once, within timeout (section 8.2). It does not block: Up of the link that
// it returns follows, or Down. Close gives it up. It returns 0 after Shutdown.
func (l *Links) Dial(leader quorum.Member, timeout time.Duration) zab.LinkID {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	k := l.newLink(true)
	k.stop = cancel
	if !l.register(k, func() { l.connect(ctx, k, leader) }) {
		cancel()
		return 0
	}
	return k.id
}

// connect makes the connection and becomes its reader.
func (l *Links) connect(ctx context.Context, k *link, leader quorum.Member) {
	var addrs []string
	for _, a := range leader.Addrs {
		addrs = append(addrs, hostPort(a.Host, a.QuorumPort, false))
	}
	c, err := l.dialTries(ctx, addrs)
	if err == nil {
		if err = k.connected(c); err == nil {
			k.run(nil)
			return
		}
		c.Close()
	}
	k.end(err)
	l.forget(k)
	l.opt.Down(k.id, fmt.Errorf("leader %d: %w", leader.ID, k.why()))
}

func (l *Links) dialTries(ctx context.Context, addrs []string) (net.Conn, error) {
	var last error
	for try := range dialTries {
		if try > 0 {
			pause := time.NewTimer(dialPause)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return nil, last
			}
		}
		raw, err := dialAny(ctx, addrs, l.opt.KeepAlive)
		if err == nil {
			c, err := l.wrap(raw, true)
			if err != nil {
				raw.Close()
				return nil, err
			}
			return c, nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, last
}
