// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

// TestConnectionLimits holds what 18b, 18c and 18d noted: of five connections made one after another, the first few
// get a session and the others are closed without a byte.
func TestConnectionLimits(t *testing.T) {
	for file, answered := range map[string]int{"18b_max_client_cnxns.jsonl": 3, "18c_max_cnxns.jsonl": 2, "18d_connection_throttle.jsonl": 2} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := start(t, load(t, file).Meta)
			for i := range 5 {
				c, err := Dial(s.addr)
				if err != nil && i >= answered {
					continue // closed before connect returned
				}
				must(t, err)
				defer c.Close()
				c.Send(connectRequest(0, nil))
				if i < answered {
					f := c.Frame(time.Now().Add(replyWait))
					if c.learn(f); c.SessionID == 0 {
						t.Errorf("connection %d: %x (ended %q), want a session", i+1, f, c.Ended())
					}
					continue
				}
				if rest := c.AwaitEnd(time.Now().Add(closeWait)); len(rest) > 0 || c.Ended() == stillOpen {
					t.Errorf("connection %d: %x (ended %q), want it closed without a byte", i+1, rest, c.Ended())
				}
			}
		})
	}
}

// TestThrottledOps holds what 18 noted: under throttled_op_wait_time replies stay in the order of the requests; one
// that waited too long is refused with a bare header and not executed; a ping is never refused.
func TestThrottledOps(t *testing.T) {
	t.Parallel()
	s := start(t, load(t, "18_throttled_ops.jsonl").Meta)
	c := s.connect(t, 0, nil)
	const creates = 299
	var all bytes.Buffer
	for i := range int32(creates) {
		all.Write(frame(i32(i+1), i32(opCreate), create(fmt.Sprintf("/t%d", i+1), bytes.Repeat([]byte("x"), 100), 0)))
	}
	all.Write(frame(i32(creates+1), i32(opMulti), multiOne(opCreate, create("/tm", nil, 0))))
	all.Write(frame(i32(creates+2), i32(opExists), read("/", 0)))
	all.Write(frame(i32(-2), i32(opPing)))
	c.Send(all.Bytes())

	done, throttled, zxid := 0, 0, int64(1) // 1: the session
	for i := range int32(creates + 3) {
		f := c.Frame(time.Now().Add(replyWait))
		if len(f) < 20 {
			t.Fatalf("%d replies, then %x (ended %q)", i, f, c.Ended())
		}
		want := i + 1
		if i == creates+2 {
			want = -2
		}
		xid, at, err := int32(binary.BigEndian.Uint32(f[4:])), int64(binary.BigEndian.Uint64(f[8:])), int32(binary.BigEndian.Uint32(f[16:]))
		if xid != want {
			t.Fatalf("reply %d has xid %d, want %d", i, xid, want)
		}
		switch {
		case err == errThrottled && xid > 0:
			throttled++
			if len(f) != 20 || at != zxid {
				t.Errorf("xid %d: refused with %d bytes at zxid %d, want 20 bytes at %d", xid, len(f), at, zxid)
			}
		case err != 0:
			t.Errorf("xid %d: error %d, want 0 or %d", xid, err, errThrottled)
		default:
			done++
			if 0 < xid && xid <= creates+1 {
				zxid++ // executed: it takes the next zxid
			}
			if at != zxid {
				t.Errorf("xid %d at zxid %d, want %d", xid, at, zxid)
			}
		}
	}
	if throttled == 0 || done == 0 {
		t.Errorf("%d executed, %d refused, want some of both", done, throttled)
	}
}
