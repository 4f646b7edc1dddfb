// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"runtime"
	"testing"
	"time"
)

// TestSnapshotHurries: it gives way to the log, but not while somebody waits for
// the snapshot to end.
func TestSnapshotHurries(t *testing.T) {
	k := new(Keeper)
	wants := func(asked, want time.Duration) {
		t.Helper()
		if got := k.patience(asked); got != want {
			t.Errorf("gives way for %s of %s, want %s", got, asked, want)
		}
	}
	wants(time.Millisecond, time.Millisecond)
	wants(time.Minute, 20*time.Millisecond)

	k.busy.Lock() // a snapshot is being written
	held := make(chan func())
	go func() { held <- k.Hold() }()
	for k.hurry.Load() == 0 {
		runtime.Gosched()
	}
	wants(time.Minute, 0)
	k.busy.Unlock()
	release := <-held
	wants(time.Minute, 20*time.Millisecond)
	release()
}
