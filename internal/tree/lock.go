// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"sync"

	"paddock/internal/procs"
)

// shardedLock is a read-write lock whose readers share no cache line with
// readers on other slots, so that reads scale over cores. The writer takes
// every slot; it comes once a batch.
type shardedLock struct {
	slots []lockSlot
	mask  uint32
}

type lockSlot struct {
	sync.RWMutex
	_ [128 - 24]byte
}

func newShardedLock() shardedLock {
	n, most := 1, procs.Most()
	for n < most && n < 64 {
		n *= 2
	}
	return shardedLock{slots: make([]lockSlot, n), mask: uint32(n - 1)}
}

func (l *shardedLock) rlock(slot uint32)   { l.slots[slot&l.mask].RLock() }
func (l *shardedLock) runlock(slot uint32) { l.slots[slot&l.mask].RUnlock() }

func (l *shardedLock) lock() {
	for i := range l.slots {
		l.slots[i].Lock()
	}
}

func (l *shardedLock) unlock() {
	for i := range l.slots {
		l.slots[i].Unlock()
	}
}
