// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"time"

	"paddock/internal/replica"
	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/internal/zab"
	"paddock/proto"
)

// send queues packets for a link. Most are the same for several links.
func (d *Driver) send(s zab.Sending) {
	if slices.ContainsFunc(s.Packets, special) {
		d.links.SendLater(s.Link, d.items(s)...)
	} else {
		d.links.SendLater(s.Link, Item{Frame: d.batch.Encode(s.Packets)})
	}
	d.flushLater(s.Link)
}

// flushLater has a link flushed at the end of this turn.
func (d *Driver) flushLater(link zab.LinkID) {
	if !slices.Contains(d.unsent, link) {
		d.unsent = append(d.unsent, link)
	}
}

// special tells of packets that are more than their bytes.
func special(p zab.Packet) bool {
	switch p.Type {
	case proto.PacketProposal, proto.PacketAck, proto.PacketCommit, proto.PacketInform:
		return p.Body.Log
	}
	return true
}

func (d *Driver) items(s zab.Sending) []Item {
	items := make([]Item, 0, len(s.Packets))
	for i := range s.Packets {
		p := &s.Packets[i]
		switch {
		case p.Body.Log:
			items = append(items, d.logRange(s.Link, p.Body))
			continue
		case p.Type == proto.PacketSnap:
			items = append(items, d.snap(p.Packet))
			continue
		case p.Type == proto.PacketPing && s.Link == d.status.Link && d.status.Role != proto.Leading:
			pong := p.Packet
			pong.Data = appendTouches(d.opt.Pipeline.Touches())
			items = append(items, Item{Frame: Encode(&pong)})
			continue
		case p.Type == proto.PacketUpToDate:
			d.view.upToDate(s.Link)
		case p.Type == proto.PacketSync:
			d.view.pendingSyncs.Add(-1)
		}
		items = append(items, Item{Frame: Encode(&p.Packet)})
	}
	return items
}

// logRange writes transactions of the log, each with its COMMIT.
func (d *Driver) logRange(link zab.LinkID, b zab.Body) Item {
	observer := d.view.isObserver(link)
	return Item{Body: func(w io.Writer) error {
		var p proto.Packet
		return d.opt.Store.ReadRange(b.After, b.UpTo, func(z proto.Zxid, data []byte) error {
			p = proto.Packet{Type: proto.PacketProposal, Zxid: z, Data: data}
			if observer {
				p.Type = proto.PacketInform
			}
			if _, err := w.Write(Encode(&p)); err != nil || observer {
				return err
			}
			_, err := w.Write(Encode(&proto.Packet{Type: proto.PacketCommit, Zxid: z}))
			return err
		})
	}}
}

// snap writes SNAP and the tree as it is when its turn comes, which is not before
// what the peer knew to be applied.
func (d *Driver) snap(p proto.Packet) Item {
	return Item{Body: func(w io.Writer) error {
		release := d.opt.Keeper.Hold()
		defer release()
		snap := d.opt.Tree.Snapshot()
		defer snap.Close()
		p.Zxid = snap.Zxid
		began := time.Now()
		if _, err := w.Write(Encode(&p)); err != nil {
			return err
		}
		out := storage.NewStreamWriter(w)
		if err := replica.WriteTree(out, snap); err != nil {
			return err
		}
		if err := out.Finish(); err != nil {
			return err
		}
		d.log.Info("the tree was sent to a learner", "zxid", p.Zxid, "took", time.Since(began).Round(time.Millisecond))
		return nil
	}}
}

// restore brings log and tree to another state, behind the disk operations that
// were asked for before.
func (d *Driver) restore(r zab.Restore) {
	d.restoring = true
	if r.Link != 0 {
		load := func(in *bufio.Reader) error { return d.loadSnap(in, r.Zxid) }
		if !d.links.LoadBody(r.Link, load) {
			d.mail.post(zab.Restored{Zxid: r.Zxid, Err: errors.New("the connection to the leader has ended")})
		}
		return
	}
	d.disk.then(func() {
		last, err := r.Zxid, error(nil)
		if last >= 0 { // before that there is nothing on disk at all
			last, err = d.disk.truncate(r.Zxid)
		}
		if err == nil && r.Reload {
			err = d.reload()
		}
		d.mail.post(zab.Restored{Zxid: last, Err: err})
	})
}

// loaded is the end of a SNAP's body.
func (d *Driver) loaded(link zab.LinkID, err error) {
	d.mail.post(zab.Restored{Err: err})
}

// loadSnap replaces the tree by the one that comes over a link.
func (d *Driver) loadSnap(in *bufio.Reader, z proto.Zxid) error {
	release := d.opt.Keeper.Hold()
	defer release()
	return d.opt.Pipeline.Restore(func(l *tree.Loader) error {
		if _, err := storage.ReadStream(in, d.opt.Links.MaxBuffer, l); err != nil {
			return err
		}
		if err := l.LoadDone(z); err != nil {
			return err
		}
		l.Done(z)
		return nil
	})
}

// reload replaces the tree by what is on disk.
func (d *Driver) reload() error {
	release := d.opt.Keeper.Hold()
	defer release()
	return d.opt.Pipeline.Restore(func(l *tree.Loader) error {
		_, err := replica.Load(d.opt.Store, l, d.log)
		return err
	})
}

// probe looks into the log on disk for a learner that missed much. It may take a
// while, which the loop has not.
func (d *Driver) probe(p zab.Probe) {
	d.helpers.Go(func() {
		got, err := d.opt.Store.ProbeLog(p.Zxid, d.opt.SizeFactor)
		if err != nil {
			d.log.Warn("the log cannot be read for a learner: it is sent the tree", "zxid", p.Zxid, "err", err)
		}
		d.mail.post(zab.Probed{Link: p.Link, Usable: err == nil && got.Usable, Prev: got.Prev, Next: got.Next})
	})
}
