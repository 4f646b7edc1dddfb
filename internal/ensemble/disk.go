// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"fmt"
	"sync"

	"paddock/internal/replica"
	"paddock/internal/storage"
	"paddock/internal/zab"
	"paddock/proto"
)

// disk does the peer's disk operations, in order, in a goroutine of its own.
// While it waits for a flush the next operations gather: appends that follow
// each other share one write and one flush.
type disk struct {
	store  *storage.Store
	keeper *replica.Keeper
	flush  replica.Flush
	budget *budget
	// That many operations are durable; idle says that nothing more is waiting.
	saved func(ops uint64, idle bool)
	fail  func(error) // called at most once; nothing is done after it

	wake chan struct{} // capacity 1: there is something, or a full batch
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	queue   []diskTask
	spare   []diskTask
	entries int // to be appended, in queue

	ops   uint64 // done; work only
	batch storage.Batch
}

// diskTask is an operation of the peer, or a function that is to run after
// those before it and does not count.
type diskTask struct {
	op  zab.DiskOp
	run func()
}

// writeBytes bounds one write: a longer run of appends is written in pieces, and
// flushed once.
const writeBytes = 8 << 20

func (d *disk) start() {
	d.wake, d.stop = make(chan struct{}, 1), make(chan struct{})
	d.done.Add(1)
	go d.work()
}

// put queues an operation.
func (d *disk) put(op zab.DiskOp) {
	d.budget.add(size(op.Append))
	d.add(diskTask{op: op})
}

// then queues a function behind all operations so far.
func (d *disk) then(run func()) { d.add(diskTask{run: run}) }

func (d *disk) add(t diskTask) {
	d.mu.Lock()
	before := d.entries
	d.queue = append(d.queue, t)
	d.entries += len(t.op.Append)
	ring := len(d.queue) == 1 || before < d.flush.MaxBatch && d.entries >= d.flush.MaxBatch
	d.mu.Unlock()
	if ring {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

func (d *disk) take() []diskTask {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queue
	d.queue, d.spare, d.entries = d.spare[:0], q, 0
	clear(d.queue[:cap(d.queue)])
	return q
}

func (d *disk) gathered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entries
}

func (d *disk) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue) == 0
}

func (d *disk) work() {
	defer d.done.Done()
	var company replica.Company
	for last := false; !last; {
		select {
		case <-d.wake:
		case <-d.stop:
			last = true // what was asked for before the end is still done
		}
		if d.gathered() > 0 {
			d.flush.Gather(d.gathered, d.wake, d.stop)
		}
		company.Await()
		company.Had(d.gathered())
		tasks := d.take()
		for len(tasks) > 0 {
			n, err := d.do(tasks)
			if err != nil {
				d.fail(err)
				return
			}
			tasks = tasks[n:]
		}
	}
}

// do makes the first tasks durable and returns how many.
func (d *disk) do(tasks []diskTask) (n int, err error) {
	op := &tasks[0].op
	n = 1
	switch {
	case tasks[0].run != nil:
		tasks[0].run()
		return n, nil
	case op.Append != nil:
		n, err = d.append(tasks)
	case op.AcceptedEpoch != nil:
		err = d.store.WriteEpoch(storage.AcceptedEpoch, *op.AcceptedEpoch)
	case op.CurrentEpoch != nil:
		err = d.store.WriteEpoch(storage.CurrentEpoch, *op.CurrentEpoch)
	case op.Truncate != nil:
		_, err = d.truncate(*op.Truncate)
	case op.Snapshot:
		err = d.keeper.Snapshot()
	}
	if err == nil {
		d.ops += uint64(n)
		d.saved(d.ops, n == len(tasks) && d.idle())
	}
	return n, err
}

// append logs the appends that tasks begin with, in one flush.
func (d *disk) append(tasks []diskTask) (n int, err error) {
	log := d.store.Log()
	total, bytes := 0, 0
	for n < len(tasks) && tasks[n].op.Append != nil {
		for _, e := range tasks[n].op.Append {
			if len(d.batch.Buf) > writeBytes {
				if err := d.write(log); err != nil {
					return n, err
				}
			}
			d.batch.AddPayload(e.Zxid, e.Data)
		}
		total += len(tasks[n].op.Append)
		bytes += size(tasks[n].op.Append)
		n++
	}
	if err := d.write(log); err != nil {
		return n, err
	}
	if err := log.Sync(); err != nil {
		return n, err
	}
	d.budget.add(-bytes)
	d.keeper.Logged(total)
	return n, nil
}

func (d *disk) write(log *storage.Log) error {
	err := log.Append(&d.batch)
	d.batch.Reset()
	return err
}

// truncate cuts the log after z and returns the last zxid that is left. Work
// only.
func (d *disk) truncate(z proto.Zxid) (proto.Zxid, error) {
	release := d.keeper.Hold()
	defer release()
	last, err := d.store.Truncate(z)
	if err != nil {
		return 0, fmt.Errorf("cutting the log after %s: %w", z, err)
	}
	return last, nil
}

// close does what was asked for and ends. The log is closed by the owner.
func (d *disk) close() {
	close(d.stop)
	d.done.Wait()
}

// size is what entries take in memory, about.
func size(entries []zab.Entry) (bytes int) {
	for i := range entries {
		bytes += len(entries[i].Data) + 64
	}
	return bytes
}
