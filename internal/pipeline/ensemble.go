// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"paddock/internal/tree"
	"paddock/proto"
)

// A member of an ensemble serves in turns as leader, as learner and, while an
// election runs, not at all. Its driver says which: Pause, Lead, Learn,
// ReadOnly, Restore, CommitEntries, Remote, Revalidated, Synced, Passed,
// BarrierFailed, Dismiss and RevalidateRemote are all called by one goroutine,
// which holds no lock that a Leadership or an Uplink takes. Touches,
// TouchRemote and LastProposed may be called by any.

// Uplink is how a learner's pipeline reaches its leader. Calls never block and
// come from any goroutine, one at a time; their order is the order on the wire.
type Uplink interface {
	// Forward sends a REQUEST (quorum-protocol.md section 4.2). body is what
	// follows the client's RequestHeader, and of a createSession the timeout; it
	// and ids are not changed afterwards. A sync (OpSync) is answered by Synced,
	// all others by the transaction they become.
	Forward(session int64, cxid int32, op proto.OpCode, body []byte, ids []proto.ClientInfo)
	// Revalidate sends a REVALIDATE; it is answered by Revalidated.
	Revalidate(session int64, timeoutMs int32)
}

// Leadership takes a leader's proposals to a quorum. What is decided comes
// back by CommitEntries.
type Leadership interface {
	Replicator
	// Barrier asks to be told by Passed when all proposed so far is committed and
	// a quorum still follows, or by BarrierFailed when that will not be. It never
	// blocks.
	Barrier(token uint64)
}

// Reconfigurer is a Leadership that can change the membership.
type Reconfigurer interface {
	// Reconfigure checks a reconfig (client-protocol.md section 4.2, steps 4 to
	// 8) and returns the text of the membership that it makes, if it is
	// transaction z. It changes nothing: the transaction does, when it is logged
	// and when it is committed.
	Reconfigure(q *proto.Reconfig, z proto.Zxid) (config []byte, code proto.Code)
}

// Entry is a decided transaction: its bytes are those of the log.
type Entry struct {
	Zxid proto.Zxid
	Data []byte
}

// Touch says that a session was heard of.
type Touch struct {
	Session   int64
	TimeoutMs int32
}

// StartEnsemble begins the service of a member of an ensemble, in the state
// that Pause describes.
func (p *Pipeline) StartEnsemble() { panic("pipeline: not there yet") }

// Pause is for the time of an election: reads and writes are held in their
// clients' queues, pings are answered, handshakes wait, no session expires.
func (p *Pipeline) Pause() { panic("pipeline: not there yet") }

// Lead serves as leader: proposals are numbered epoch+1 and on. All committed
// transactions of earlier epochs were applied before.
func (p *Pipeline) Lead(l Leadership, epoch proto.Zxid) { panic("pipeline: not there yet") }

// Learn serves as learner of the leader of epoch (its zxid with counter 0). All
// of the leader's history from earlier epochs was applied before.
func (p *Pipeline) Learn(up Uplink, epoch proto.Zxid) { panic("pipeline: not there yet") }

// ReadOnly serves the reads of clients that accept a server without a quorum.
func (p *Pipeline) ReadOnly() { panic("pipeline: not there yet") }

// Dismiss hangs up on every client and drops what waits.
func (p *Pipeline) Dismiss(why string) { panic("pipeline: not there yet") }

// CommitEntries applies decided transactions in order. With an error the one it
// names cannot be read and was not applied, nor was any after it.
func (p *Pipeline) CommitEntries(batch []Entry) error { panic("pipeline: not there yet") }

// Restore replaces the tree by what load makes of it. load gets an empty
// Loader, and need not close it.
func (p *Pipeline) Restore(load func(*tree.Loader) error) error { panic("pipeline: not there yet") }

// Remote takes a learner's REQUEST at the leader; from is the learner's sid.
// Nobody is answered here: the commit answers at the origin. Syncs do not come
// here. body is copied.
func (p *Pipeline) Remote(from, session int64, cxid int32, op proto.OpCode, body []byte, ids []proto.ClientInfo) {
	panic("pipeline: not there yet")
}

// Touches are the sessions that a learner has heard of since the last call.
func (p *Pipeline) Touches() []Touch { panic("pipeline: not there yet") }

// TouchRemote takes a learner's touches at the leader.
func (p *Pipeline) TouchRemote(from int64, touches []Touch) { panic("pipeline: not there yet") }

// RevalidateRemote tells at the leader whether a session is alive; if so it
// belongs to that learner from now on.
func (p *Pipeline) RevalidateRemote(from, session int64, timeoutMs int32) (valid bool) {
	panic("pipeline: not there yet")
}

// Revalidated is the leader's answer to Revalidate.
func (p *Pipeline) Revalidated(session int64, valid bool) { panic("pipeline: not there yet") }

// Synced says that the oldest sync that was forwarded has come back.
func (p *Pipeline) Synced() { panic("pipeline: not there yet") }

// Passed answers Leadership.Barrier.
func (p *Pipeline) Passed(token uint64) { panic("pipeline: not there yet") }

// BarrierFailed answers Leadership.Barrier.
func (p *Pipeline) BarrierFailed(token uint64) { panic("pipeline: not there yet") }

// LastProposed is the zxid of the leader's last proposal.
func (p *Pipeline) LastProposed() proto.Zxid { panic("pipeline: not there yet") }
