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

// A leader opens its quorum port when its own election has ended, which may be
// up to 200 ms after this server's. The reference tries 5 times, 100 ms apart;
// these try as long, and at first often: nothing is served meanwhile.
const (
	dialFirstPause = 5 * time.Millisecond
	dialLastPause  = 20 * time.Millisecond
	dialTries      = 27 // half a second in all
)

// Dial connects to a leader: in a few tries, all its addresses at once, within
// timeout (section 8.2). It does not block: Up of the link that
// it returns follows, or Down. Close gives it up. It returns 0 after Shutdown.
func (l *Links) Dial(leader quorum.Member, timeout time.Duration) zab.LinkID {
	var addrs []string
	for _, a := range leader.Addrs {
		addrs = append(addrs, hostPort(a.Host, a.QuorumPort, false))
	}
	return l.dial(fmt.Sprintf("leader %d", leader.ID), addrs, dialTries, timeout)
}

// DialMaster is Dial for an observer that learns from a follower. It is tried
// once: there are others.
func (l *Links) DialMaster(master quorum.Member, port int, timeout time.Duration) zab.LinkID {
	var addrs []string
	for _, a := range master.Addrs {
		addrs = append(addrs, hostPort(a.Host, port, false))
	}
	return l.dial(fmt.Sprintf("observer master %d", master.ID), addrs, 1, timeout)
}

func (l *Links) dial(whom string, addrs []string, tries int, timeout time.Duration) zab.LinkID {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	k := l.newLink(true)
	k.stop = cancel
	if !l.register(k, func() { l.connect(ctx, k, whom, addrs, tries) }) {
		cancel()
		return 0
	}
	return k.id
}

// connect makes the connection and becomes its reader.
func (l *Links) connect(ctx context.Context, k *link, whom string, addrs []string, tries int) {
	c, err := l.dialTries(ctx, addrs, tries)
	if err == nil {
		if err = k.connected(c); err == nil {
			k.run(nil)
			return
		}
		c.Close()
	}
	k.end(err)
	l.forget(k)
	l.opt.Down(k.id, fmt.Errorf("%s: %w", whom, k.why()))
}

func (l *Links) dialTries(ctx context.Context, addrs []string, tries int) (net.Conn, error) {
	var last error
	wait := dialFirstPause
	for try := range tries {
		if try > 0 {
			pause := time.NewTimer(wait)
			wait = min(2*wait, dialLastPause)
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
