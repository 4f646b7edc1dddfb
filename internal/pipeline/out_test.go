// SPDX-License-Identifier: Apache-2.0

package pipeline

import "testing"

// Clients of which each has much waiting, and none too much, are too much
// together: the one that would get more is let go. What was written or dropped
// counts no longer.
func TestOutSum(t *testing.T) {
	all := &outSum{limit: 5 * crowded}
	outs := make([]Out, 4)
	for i := range outs {
		outs[i].limit, outs[i].all = 4*crowded, all
		outs[i].room.L = &outs[i].mu
	}
	grow := func(o *Out, n int) (overflow bool) { return o.end(append(o.begin(), make([]byte, n)...)) }

	if grow(&outs[0], crowded) || all.bytes.Load() != 0 {
		t.Fatalf("a little is not counted: %d", all.bytes.Load())
	}
	if grow(&outs[0], crowded) || grow(&outs[1], 2*crowded) || all.bytes.Load() != 4*crowded {
		t.Fatalf("%d are counted", all.bytes.Load())
	}
	b := outs[0].Take()
	if grow(&outs[3], crowded/2) {
		t.Error("a client with a little waiting was let go")
	}
	if !grow(&outs[2], 2*crowded) {
		t.Error("what a flusher is writing was not counted")
	}
	if all.bytes.Load() != 4*crowded {
		t.Errorf("%d are counted after an overflow", all.bytes.Load())
	}
	outs[0].Put(b)
	if grow(&outs[3], 2*crowded) {
		t.Error("there was room again")
	}
	outs[1].Discard()
	if grow(&outs[1], 3*crowded) || all.bytes.Load() != 5*crowded/2 {
		t.Errorf("%d are counted after a connection has ended", all.bytes.Load())
	}
	if !grow(&outs[3], 2*crowded) || all.bytes.Load() != 0 {
		t.Errorf("past its own limit; %d are counted", all.bytes.Load())
	}
}
