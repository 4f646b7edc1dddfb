// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"
	"time"

	"paddock/proto"
)

// A client that sends reads without end behind a write is read no further,
// until the write is applied; then all are answered.
func TestQueuedReadsAreBounded(t *testing.T) {
	p, log, c, paths := benchPipeline(t, 1)
	before := c.Stats().Sent
	const reads = 5 * readsQueued
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b Burst
		c.Begin(&b)
		c.Serve(&b, frameOf(1, proto.OpSetData, &proto.SetData{Path: paths[0], Data: []byte("x"), Version: -1}))
		for range reads {
			c.Serve(&b, frameOf(2, proto.OpGetData, &proto.PathWatch{Path: paths[0]}))
		}
		c.End(&b)
	}()
	await(t, "the queue to fill", func() bool { return c.Waiting() == 1+readsQueued+1 })
	select {
	case <-done:
		t.Fatalf("%d reads were taken behind a write that is not applied", reads)
	case <-time.After(20 * time.Millisecond):
	}
	log.commit(p)
	await(t, "the reader to go on", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	await(t, "all replies", func() bool { return c.Stats().Sent-before == 1+reads })
	if n := c.Waiting(); n != 0 {
		t.Errorf("%d requests are left", n)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
