// SPDX-License-Identifier: Apache-2.0

package replica

import "time"

// Flush says how long a batch of transactions waits for company before it is
// written.
type Flush struct {
	Delay    time.Duration // 0 is not at all
	Poll     time.Duration // a batch that nothing joined for so long waits no more; 0 is Delay
	MaxBatch int           // transactions that end the wait; 0 is none
}

// Gather waits for a batch to fill: for Delay at most, and no longer than nobody
// joins it. gathered is how many transactions there are; full tells of a full
// batch, stop ends the wait.
func (f Flush) Gather(gathered func() int, full, stop <-chan struct{}) {
	if f.Delay <= 0 {
		return
	}
	poll := f.Delay
	if f.Poll > 0 {
		poll = min(poll, f.Poll)
	}
	end := time.Now().Add(f.Delay)
	for seen := 0; ; {
		n := gathered()
		left := time.Until(end)
		if n == seen || left <= 0 || f.MaxBatch > 0 && n >= f.MaxBatch {
			return
		}
		seen = n
		select {
		case <-time.After(min(poll, left)):
		case <-full:
		case <-stop:
			return
		}
	}
}
