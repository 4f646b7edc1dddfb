// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// countingLink counts how often it is flushed.
type countingLink struct {
	idleLink
	flushed atomic.Int32
	hold    func()
}

func (l *countingLink) Flush() { l.flushed.Add(1); l.hold() }

// Each client is flushed once, however many there are.
func TestFlushAll(t *testing.T) {
	for _, n := range []int{0, 1, clientsPerFlusher, 2*clientsPerFlusher - 1, 2 * clientsPerFlusher, 2*clientsPerFlusher + 1, 1000, 5003} {
		links := make([]countingLink, n)
		list := make([]*Client, n)
		for i := range links {
			links[i].hold = func() {}
			list[i] = &Client{link: &links[i]}
		}
		flushAll(list)
		for i := range links {
			if k := links[i].flushed.Load(); k != 1 {
				t.Fatalf("client %d of %d was flushed %d times", i, n, k)
			}
		}
	}
}

// Very many are flushed by more than one goroutine: each waits until another is
// at it too.
func TestManyAreFlushedTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	var at atomic.Int32
	links := make([]countingLink, 2*clientsPerFlusher)
	list := make([]*Client, len(links))
	for i := range links {
		links[i].hold = func() {
			at.Add(1)
			for end := time.Now().Add(10 * time.Second); at.Load() < 2; runtime.Gosched() {
				if time.Now().After(end) {
					t.Error("nobody else flushes")
					at.Add(1)
				}
			}
		}
		list[i] = &Client{link: &links[i]}
	}
	flushAll(list)
}

// BenchmarkFlushAll is the flush alone, of many clients.
func BenchmarkFlushAll(b *testing.B) {
	links := make([]countingLink, 5000)
	list := make([]*Client, len(links))
	for i := range links {
		links[i].hold = func() {
			for range 2000 {
				runtime.KeepAlive(i)
			}
		}
		list[i] = &Client{link: &links[i]}
	}
	for b.Loop() {
		flushAll(list)
	}
}
