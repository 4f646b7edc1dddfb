// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"time"

	"paddock/internal/zab"
	"paddock/proto"
)

// port is one that learners connect to. A server has one of them open at most.
type port uint8

const (
	noPort     port = iota
	quorumPort      // of a leader
	masterPort      // of a follower that serves observers
)

// wanted is the port that a server in a state has open. A leader has none for
// observers: they are to spare it.
func (d *Driver) wanted(s zab.Status) port {
	switch {
	case s.Role == proto.Leading:
		return quorumPort
	case s.Role == proto.Following && s.Stage == zab.Broadcast && d.opt.Zab.MasterPort != 0:
		return masterPort
	}
	return noPort
}

// open opens a port, in place of the one that is open.
func (d *Driver) open(p port) {
	if p == d.port {
		return
	}
	if d.port != noPort {
		d.links.StopListening()
	}
	d.port, d.listenAt = p, 0
	if p != noPort {
		d.listen()
	}
}

// listen opens the port that is wanted, or sees to it that it is tried again.
func (d *Driver) listen() {
	d.listenAt = 0
	own, err := d.own()
	switch {
	case err != nil:
	case d.port == masterPort:
		err = d.links.ListenMaster(own.Addrs, d.opt.Zab.MasterPort, d.opt.Ballots.ListenOnAllIPs)
	default:
		err = d.links.Listen(own.Addrs, d.opt.Ballots.ListenOnAllIPs)
	}
	if err != nil {
		const again = time.Second
		what := map[port]string{quorumPort: "the quorum port cannot be opened: nobody can follow", masterPort: "the observer master's port cannot be opened: no observer is served"}
		d.log.Error(what[d.port], "err", err, "again_in", again)
		d.listenAt = d.now() + again
	}
}
