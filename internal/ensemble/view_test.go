// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"testing"
	"time"

	"paddock/internal/zab"
	"paddock/proto"
)

// TestHealthHoldsUpNobody: a look at the state waits for the tree, which a batch of
// commits may have; meanwhile a proposal, which has a view of the tree, must not
// wait for that look.
func TestHealthHoldsUpNobody(t *testing.T) {
	r := newDriverRig(t)
	r.view.store(zab.Status{Role: proto.Leading, Stage: zab.Broadcast, Leader: 1, Epoch: 1}, r.now())
	w := r.opt.Tree.Write(nil)
	looked, proposed := make(chan Health, 1), make(chan struct{})
	go func() { looked <- r.Health() }()
	// There is no telling when the look has come to the tree: many proposals find it
	// there, were it to hold them up.
	go func() {
		defer close(proposed)
		for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
			r.view.proposal(10)
		}
	}()
	select {
	case <-proposed:
	case <-time.After(patience):
		t.Error("a proposal waits for a look at the state, which waits for the tree")
	}
	w.Close()
	select {
	case h := <-looked:
		if !h.Serving || h.ZxidsLeft == 0 {
			t.Errorf("%+v", h)
		}
	case <-time.After(patience):
		t.Fatal("the look never ends")
	}
}
