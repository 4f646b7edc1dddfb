// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"runtime"
	"sync"
)

// Try runs n seeds from one on, as many at once as there are processors, and
// reports each, in order.
func Try(from uint64, n int, report func(Result)) {
	results := make([]Result, n)
	ready := make([]chan struct{}, n)
	for i := range ready {
		ready[i] = make(chan struct{})
	}
	var wg sync.WaitGroup
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				results[i] = Run(from+uint64(i), Options{})
				close(ready[i])
			}
		})
	}
	for i := range n {
		<-ready[i]
		report(results[i])
	}
	wg.Wait()
}
