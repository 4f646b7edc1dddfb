// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"encoding/binary"
	"fmt"
	"sync"

	"paddock/internal/zab"
	"paddock/proto"
)

// upstream is the connection to the leader, or to an observer master, while this
// server serves as a learner.
//
// A SYNC or REVALIDATE that comes back does not say whom it is for: they come in
// the order of the questions. A follower that serves observers asks for them too,
// so it notes whose question each was. Note and question are one step: questions
// come from any goroutine.
type upstream struct {
	link zab.LinkID

	mu     sync.Mutex
	syncs  []zab.LinkID // whose they are, oldest first; 0: this server's own
	revals []zab.LinkID
}

// ask sends a question or request of asker to the leader, once the link is flushed.
func (u *upstream) ask(links *Links, asker zab.LinkID, p *proto.Packet) {
	frame := Encode(p)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case p.Type == proto.PacketRevalidate:
		u.revals = append(u.revals, asker)
	case opOf(p) == proto.OpSync:
		u.syncs = append(u.syncs, asker)
	}
	links.SendLater(u.link, Item{Frame: frame})
}

// asker takes out whose question an answer is for.
func (u *upstream) asker(t proto.PacketType) zab.LinkID {
	var list *[]zab.LinkID
	switch t {
	case proto.PacketSync:
		list = &u.syncs
	case proto.PacketRevalidate:
		list = &u.revals
	default:
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(*list) == 0 {
		return 0 // the leader answers what was not asked
	}
	link := (*list)[0]
	if *list = (*list)[1:]; len(*list) == 0 {
		*list = nil
	}
	return link
}

// opOf is the operation of a REQUEST, 0 of all else.
func opOf(p *proto.Packet) proto.OpCode {
	if p.Type != proto.PacketRequest || len(p.Data) < requestHead {
		return 0
	}
	return proto.OpCode(binary.BigEndian.Uint32(p.Data[12:]))
}

// relay passes on what an observer asks, if this follower may: see
// pipeline.Relay.
func (d *Driver) relay(f zab.Forwarded) {
	up := d.upstream.Load()
	if up == nil {
		return
	}
	data := f.Packet.Data
	pass := func() {
		up.ask(d.links, f.Link, &f.Packet)
		d.flushLater(up.link)
	}
	switch f.Packet.Type {
	case proto.PacketRequest:
		if len(data) < requestHead {
			d.links.Close(f.Link, fmt.Sprintf("it sent a request of %d bytes", len(data)))
			return
		}
		d.opt.Pipeline.Relay(f.Sid, int64(binary.BigEndian.Uint64(data)), opOf(&f.Packet), pass)
	case proto.PacketRevalidate:
		if len(data) != 12 {
			d.links.Close(f.Link, fmt.Sprintf("it sent a REVALIDATE of %d bytes", len(data)))
			return
		}
		d.opt.Pipeline.RelayRevalidate(f.Sid, int64(binary.BigEndian.Uint64(data)), pass)
	case proto.PacketPing:
		touches, err := parseTouches(data)
		if err != nil {
			d.links.Close(f.Link, err.Error())
			return
		}
		d.opt.Pipeline.RelayTouches(touches)
	}
}
