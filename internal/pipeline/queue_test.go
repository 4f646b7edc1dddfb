// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
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

// A few light reads behind a write are answered with it, the others soon after;
// all see that write and none after it.
func TestReadsBehindAWrite(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // nobody else runs before this goroutine looks
	get, children := proto.OpGetData, proto.OpGetChildren
	for _, tc := range []struct {
		name  string
		reads []proto.OpCode
		with  int // answered with the write, at least
	}{
		{"none", nil, 0},
		{"one", []proto.OpCode{get}, 1},
		{"light ones", []proto.OpCode{get, proto.OpExists, proto.OpGetACL, get}, 4},
		{"a heavy one", []proto.OpCode{children}, 0},
		{"a heavy one among light ones", []proto.OpCode{get, children, get}, 1},
		{"many", slices.Repeat([]proto.OpCode{get}, 3*readsWithWrite), readsWithWrite},
	} {
		p, log, c, paths := benchPipeline(t, 1)
		var got []byte
		c.link.(*idleLink).keep = &got
		var b Burst
		c.Begin(&b)
		for i, data := range []string{"first", "second"} {
			c.Serve(&b, frameOf(int32(100*i), proto.OpSetData, &proto.SetData{Path: paths[0], Data: []byte(data), Version: -1}))
			for k, op := range tc.reads {
				c.Serve(&b, frameOf(int32(100*i+1+k), op, &proto.PathWatch{Path: paths[0]}))
			}
		}
		c.End(&b)
		c.link.Flush()
		got = got[:0]
		log.commit(p)
		if n := c.Waiting(); n > len(tc.reads)-tc.with {
			t.Errorf("%s: %d reads are left behind the last write of %d, want no more than %d", tc.name, n, len(tc.reads), len(tc.reads)-tc.with)
		}
		await(t, "all replies", func() bool { return c.Waiting() == 0 && c.out.Idle() })
		want := int32(0)
		for rest := got; len(rest) > 0; {
			var frame []byte
			frame, rest, _ = cutFrame(rest)
			if xid := int32(binary.BigEndian.Uint32(frame)); xid != want {
				t.Fatalf("%s: the answer to %d comes where that to %d is due", tc.name, xid, want)
			}
			if k := int(want) % 100; k > 0 && tc.reads[k-1] == get {
				data := []string{"first", "second"}[want/100]
				if !bytes.Contains(frame, []byte(data)) {
					t.Errorf("%s: read %d does not show %q", tc.name, want, data)
				}
			}
			if want++; int(want)%100 > len(tc.reads) {
				want += 100 - want%100
			}
		}
		if want != 200 {
			t.Errorf("%s: the last answer is the one before %d", tc.name, want)
		}
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
