// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// queue is what is still to happen, by time and then in the order it was asked
// for, so that one seed has one order.
type queue struct {
	heap []happening
	seq  uint64
}

type happening struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (h happening) before(o happening) bool {
	return h.at < o.at || h.at == o.at && h.seq < o.seq
}

func (q *queue) add(at time.Duration, do func()) {
	q.seq++
	h := happening{at, q.seq, do}
	q.heap = append(q.heap, h)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h.before(q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = h
}

// next takes the earliest; ok is false when there is none.
func (q *queue) next() (h happening, ok bool) {
	if len(q.heap) == 0 {
		return h, false
	}
	h = q.heap[0]
	n := len(q.heap) - 1
	last := q.heap[n]
	q.heap[n].do = nil
	q.heap = q.heap[:n]
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && q.heap[down+1].before(q.heap[down]) {
			down++
		}
		if !q.heap[down].before(last) {
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	if n > 0 {
		q.heap[i] = last
	}
	return h, true
}
