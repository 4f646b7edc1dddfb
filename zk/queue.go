// SPDX-License-Identifier: Apache-2.0

package zk

import "sync"

// queueBuffer is how many values wait in the channel itself, where a reader
// finds them without waiting for anybody.
const queueBuffer = 64

// queue hands values to one channel in order and never makes the sender wait:
// what the channel can't hold goes to a backlog, which a goroutine that lives
// only as long as the backlog moves along.
type queue[T any] struct {
	ch   chan T
	gone chan struct{} // closed: nobody reads any more

	mu      sync.Mutex
	backlog []T
	pumping bool
	ended   bool // no more puts; ch is closed behind the last value
	dropped bool
}

func newQueue[T any]() *queue[T] {
	return &queue[T]{ch: make(chan T, queueBuffer), gone: make(chan struct{})}
}

func (q *queue[T]) put(v T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	if !q.pumping {
		select {
		case q.ch <- v:
			return
		default:
		}
		q.pumping = true
		go q.pump()
	}
	q.backlog = append(q.backlog, v)
}

// end closes the channel behind what was put.
func (q *queue[T]) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.ended = true
	if !q.pumping {
		close(q.ch)
	}
}

// drop is end for a queue whose backlog nobody will read.
func (q *queue[T]) drop() {
	q.end()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.dropped {
		q.dropped = true
		close(q.gone)
	}
}

func (q *queue[T]) pump() {
	for {
		q.mu.Lock()
		if len(q.backlog) == 0 {
			q.backlog = nil
			q.pumping = false
			if q.ended {
				close(q.ch)
			}
			q.mu.Unlock()
			return
		}
		v := q.backlog[0]
		var zero T
		q.backlog[0] = zero
		q.backlog = q.backlog[1:]
		q.mu.Unlock()
		select {
		case q.ch <- v:
		case <-q.gone:
			close(q.ch)
			return
		}
	}
}
