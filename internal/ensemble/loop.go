// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	"paddock/internal/pipeline"
	"paddock/internal/quorum"
	"paddock/internal/zab"
	"paddock/proto"
)

// run steps the peer when time has passed, or when something has come from a
// goroutine that could not take its turn itself, until Close.
func (d *Driver) run() {
	defer d.loop.Done()
	timer := time.NewTimer(0) // the first step, which begins the election
	defer timer.Stop()
	for {
		select {
		case <-d.stop.Done():
			return
		case <-d.mail.wake:
			d.mail.await()
		case <-timer.C:
		}
		d.turn()
		timer.Reset(d.tick() - d.now())
		if d.mail.waiting() {
			d.mail.ring() // who brought it found the turn taken, by tick
		}
	}
}

// tick does what is due and returns when to come again.
func (d *Driver) tick() time.Duration {
	d.stepping.Lock()
	defer d.stepping.Unlock()
	if d.now() >= d.wake && d.stop.Err() == nil {
		d.wake = d.step(zab.Tick{})
		d.flush()
	}
	d.armed = d.chores(d.wake)
	return d.armed
}

// turn steps what is in the mailbox. Where another goroutine is at it, that one
// sees what was put there before. So what a reader or the disk has brought is
// served on its own goroutine: to wake another takes longer than most steps.
//
// The caller holds no lock that what comes out may need; the pipeline's does.
func (d *Driver) turn() {
	for d.mail.waiting() && d.stepping.TryLock() {
		d.mail.attended.Store(true)
		for _, ev := range d.mail.take() {
			if d.stop.Err() != nil {
				break
			}
			d.wake = d.step(ev)
		}
		d.flush()
		if d.chores(d.wake) < d.armed {
			d.mail.ring() // to come earlier
		}
		d.mail.attended.Store(false) // before the look at what is waiting
		d.stepping.Unlock()
	}
}

// flush sends what the steps so far have put on links.
func (d *Driver) flush() {
	for _, link := range d.unsent {
		d.links.Flush(link)
	}
	d.unsent = d.unsent[:0]
}

// step feeds one event and does what comes out. It returns when to come again.
func (d *Driver) step(ev zab.Event) time.Duration {
	o := d.peer.Step(d.now(), ev)
	switch ev := ev.(type) {
	case zab.Received:
		d.budget.add(-received(ev.Packets))
	case zab.Restored:
		d.restoring = false
	}
	if o.Stop != nil {
		d.fail(fmt.Errorf("this server cannot go on in its ensemble: %w", o.Stop))
		return math.MaxInt64
	}
	d.execute(o)
	d.batch.Reset()
	return o.Wake
}

// execute does what the peer asks for, in the order of Out's fields.
func (d *Driver) execute(o *zab.Out) {
	for _, c := range o.Close {
		d.view.left(c.Link)
		d.links.Close(c.Link, c.Why)
	}
	if o.Restore != nil {
		d.restore(*o.Restore)
	}
	if len(o.Commit) > 0 {
		d.commit(o.Commit)
	}
	if o.Membership != nil || o.Seen != nil {
		d.adopt(o.Membership, o.Seen)
	}
	if o.Became != nil {
		d.became(*o.Became)
	}
	for i := range o.Disk {
		d.disk.put(o.Disk[i])
	}
	for i := range o.Votes {
		d.ballots.Send(o.Votes[i].To, proto.AppendNotification(nil, o.Votes[i].Note))
	}
	if o.Dial != nil {
		d.dial(o.Dial)
	}
	for i := range o.Send {
		d.send(o.Send[i])
	}
	for _, p := range o.Probe {
		d.probe(p)
	}
	d.requests(o.Requests)
	for i := range o.Replies {
		d.reply(&o.Replies[i])
	}
	for _, token := range o.Passed {
		d.opt.Pipeline.Passed(token)
	}
	for _, token := range o.Failed {
		d.opt.Pipeline.BarrierFailed(token)
	}
	for _, l := range o.Log {
		level := slog.LevelInfo
		if l.Warn {
			level = slog.LevelWarn
		}
		d.log.Log(d.stop, level, l.Text, l.Args...)
	}
}

// commit applies decided transactions.
func (d *Driver) commit(list []zab.Entry) {
	for _, e := range list {
		d.decided = append(d.decided, pipeline.Entry{Zxid: e.Zxid, Data: e.Data})
	}
	err := d.opt.Pipeline.CommitEntries(d.decided)
	clear(d.decided)
	d.decided = d.decided[:0]
	if err != nil {
		d.fail(fmt.Errorf("a committed transaction cannot be applied: %w", err))
	}
}

// chores does what is due beside the peer's work and returns the earlier of wake
// and when to come again.
func (d *Driver) chores(wake time.Duration) time.Duration {
	now := d.now()
	if d.listenAt != 0 {
		if now >= d.listenAt {
			d.listen()
		}
		if d.listenAt != 0 {
			wake = min(wake, d.listenAt)
		}
	}
	if now >= d.letGoAt {
		d.letGoAt = d.letGo(now)
	}
	wake = min(wake, d.letGoAt)
	if d.readOnlyAt != 0 && !d.restoring {
		if now >= d.readOnlyAt {
			d.readOnlyAt, d.readOnly = 0, true
			d.view.setReadOnly(true)
			d.opt.Pipeline.ReadOnly()
			d.log.Warn("no leader is in sight: clients that accept it are served reads")
		} else {
			wake = min(wake, d.readOnlyAt)
		}
	}
	return wake
}

// The callbacks of links and ballots turn what has come into events.

func (d *Driver) linkUp(link zab.LinkID, peer net.Addr, dialed bool) {
	if dialed && !d.endDial(link) {
		d.links.Close(link, "another connection is wanted by now")
		return
	}
	d.view.joined(link, peer, dialed)
	d.mail.post(zab.LinkUp{Link: link, Dialed: dialed, Master: d.links.OnMasterPort(link)})
}

func (d *Driver) linkDown(link zab.LinkID, err error) {
	if d.endDial(link) {
		link = 0 // it never was one
	}
	d.view.left(link)
	d.mail.post(zab.LinkDown{Link: link, Err: err})
}

// dial connects to the leader, in place of an earlier attempt.
func (d *Driver) dial(o *zab.Dial) {
	d.dialMu.Lock()
	defer d.dialMu.Unlock()
	if d.dialed != 0 {
		d.links.Close(d.dialed, "another connection is wanted by now")
	}
	if o.Port != 0 {
		d.dialed = d.links.DialMaster(o.Member, o.Port, o.Timeout)
	} else {
		d.dialed = d.links.Dial(o.Member, o.Timeout)
	}
	if d.dialed == 0 {
		d.mail.post(zab.LinkDown{Err: errors.New("this server is ending")})
	}
}

// endDial tells whether link is that of the newest dial, which has an end now.
func (d *Driver) endDial(link zab.LinkID) bool {
	d.dialMu.Lock()
	defer d.dialMu.Unlock()
	if link != d.dialed {
		return false
	}
	d.dialed = 0
	return true
}

func (d *Driver) received(link zab.LinkID, packets []zab.Packet) {
	up := d.upstream.Load()
	for i := range packets {
		p := &packets[i]
		p.Config = membershipOf(&p.Packet)
		if up != nil && up.link == link {
			p.For = up.asker(p.Type)
		}
	}
	d.view.introduced(link, packets)
	d.budget.wait()
	d.budget.add(received(packets))
	d.mail.put(zab.Received{Link: link, Packets: packets})
	d.turn()
}

// lostAfter is how long an election connection must be gone before its server
// counts as gone: servers replace connections, and one that is only about to come
// back must be waited for in an election. The loss of the leader itself is told
// by the quorum port, at once.
const lostAfter = 100 * time.Millisecond

func (d *Driver) lost(sid int64) {
	time.AfterFunc(lostAfter, func() {
		select {
		case <-d.opened:
		case <-d.stop.Done():
			return
		}
		if d.ballots != nil && !d.ballots.Connected(sid) {
			d.mail.post(zab.Reachable{Sid: sid})
		}
	})
}

// saved is told of the disk's progress by its goroutine, which takes the turn
// that follows only while it has nothing else to do.
func (d *Driver) saved(ops uint64, idle bool) {
	if idle {
		d.mail.put(zab.Saved{Ops: ops})
		d.turn()
	} else {
		d.mail.post(zab.Saved{Ops: ops})
	}
}

// received is what packets take in memory, about.
func received(packets []zab.Packet) (bytes int) {
	for i := range packets {
		bytes += len(packets[i].Data) + 64
	}
	return bytes
}

func (d *Driver) notified(from int64, body []byte) {
	note, err := proto.DecodeNotification(body)
	if err != nil {
		d.log.Warn("an election message cannot be read", "sid", from, "err", err)
		return
	}
	var c *quorum.Config
	if note.Config != "" {
		if c, err = quorum.Parse(note.Config); err != nil {
			d.log.Warn("the membership in an election message cannot be read", "sid", from, "err", err)
		}
	}
	d.mail.post(zab.Notified{From: from, Note: note, Config: c})
}

// membershipOf is the membership that a packet brings; nil for most.
func membershipOf(p *proto.Packet) *quorum.Config {
	switch p.Type {
	case proto.PacketNewLeader:
		return parseMembership(string(p.Data))
	case proto.PacketProposal, proto.PacketInform:
		return membershipOfTxn(p.Data)
	case proto.PacketInformAndActivate:
		if len(p.Data) > 8 {
			return membershipOfTxn(p.Data[8:])
		}
	}
	return nil
}

// txnTypeAt is where a transaction has its type: behind session, cxid, zxid and
// time.
const txnTypeAt = 8 + 4 + 8 + 8

// membershipOfTxn reads that of a reconfig; nil for all others.
func membershipOfTxn(b []byte) *quorum.Config {
	if len(b) < txnTypeAt+4 || proto.OpCode(binary.BigEndian.Uint32(b[txnTypeAt:])) != proto.OpReconfig {
		return nil
	}
	t, err := proto.DecodeTxn(b)
	if err != nil {
		return nil
	}
	set, ok := t.Body.(*proto.SetDataTxn)
	if !ok {
		return nil
	}
	return parseMembership(string(set.Data))
}

// parseMembership is nil where there is none that could be read.
func parseMembership(text string) *quorum.Config {
	if text == "" {
		return nil
	}
	c, err := quorum.Parse(text)
	if err != nil {
		return nil
	}
	return c
}
