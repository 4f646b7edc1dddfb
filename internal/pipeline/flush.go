// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync"
	"sync/atomic"

	"paddock/internal/procs"
)

// clientsPerFlusher is how many clients must have something to be sent for each
// goroutine that sends it: to one it takes a few microseconds, about as long as
// to wake a goroutine.
const clientsPerFlusher = 128

// flushAll writes out what is queued for the clients. With thousands of them, an
// event that all watch for, writing takes much longer than applying did, and the
// next batch waits for it: so then it is shared.
func flushAll(list []*Client) {
	n := len(list) / clientsPerFlusher
	if n > 1 {
		n = min(n, procs.Most())
	}
	if n < 2 {
		for _, c := range list {
			c.link.Flush()
		}
		return
	}
	defer procs.Busy()()
	var (
		next atomic.Int64
		all  sync.WaitGroup
	)
	flush := func() {
		const some = clientsPerFlusher / 4
		for i := int(next.Add(some)) - some; i < len(list); i = int(next.Add(some)) - some {
			for _, c := range list[i:min(i+some, len(list))] {
				c.link.Flush()
			}
		}
	}
	for range n - 1 {
		all.Go(flush)
	}
	flush()
	all.Wait()
}
