// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paddock/internal/zab"
	"paddock/proto"
)

// Why a lead is not handed over.
var (
	ErrNoLeader  = errors.New("there is no leader now")
	ErrNotLeader = errors.New("this server does not lead")
	ErrNoHeir    = errors.New("no follower is up to date")
)

// Handed is the outcome of a hand-over.
type Handed struct {
	Leader int64 // who leads now
	Host   string
	Epoch  int64
	Took   time.Duration // no write was decided for so long
}

// HandOver asks a leader to make its most advanced follower the next one, and
// returns when this server follows that one, or ctx ends: then requests that it
// had not proposed are on their way to the next leader. With ErrNoLeader,
// ErrNotLeader or ErrNoHeir nothing was done.
func (d *Driver) HandOver(ctx context.Context) (Handed, error) {
	h := d.Health()
	switch {
	case !h.Serving:
		return Handed{}, ErrNoLeader
	case h.Mode != modes[proto.Leading]:
		return Handed{Leader: h.Leader, Host: d.host(h.Leader), Epoch: h.Epoch}, ErrNotLeader
	case h.SyncedFollowers == 0:
		return Handed{}, ErrNoHeir
	}
	began := time.Now()
	d.mail.post(zab.HandOver{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.stop, cancel)()
	err := d.view.await(ctx, func(s zab.Status) bool {
		return s.Stage == zab.Broadcast && (s.Role != proto.Leading || s.Epoch != h.Epoch)
	})
	took := time.Since(began)
	if err != nil {
		return Handed{}, fmt.Errorf("no other server has taken the lead after %v: %w", took.Round(time.Millisecond), err)
	}
	h = d.Health()
	return Handed{Leader: h.Leader, Host: d.host(h.Leader), Epoch: h.Epoch, Took: took}, nil
}

// host is where a member listens for the others, "" if it is unknown.
func (d *Driver) host(sid int64) string {
	for _, m := range d.view.lookup(sid) {
		for _, a := range m.Addrs {
			return a.Host
		}
	}
	return ""
}
