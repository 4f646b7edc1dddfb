// SPDX-License-Identifier: Apache-2.0

package sim

import "testing"

// TestBrokenVariantsAreCaught: the simulator sees each guard missing, by what
// comes of it and not by a look at the step itself; and the very seeds that
// show the defect pass with the guard in its place.
func TestBrokenVariantsAreCaught(t *testing.T) {
	const most = 400
	enough := 2
	if testing.Short() {
		enough = 1
	}
	for _, v := range Variants {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			caught := 0
			for seed := uint64(1); seed <= most && caught < enough; seed++ {
				r := Run(seed, v.Options(true))
				if r.Failure == nil {
					continue
				}
				caught++
				t.Logf("%s: %v", v.Name, r.Failure)
				if good := Run(seed, v.Options(false)); good.Failure != nil {
					t.Errorf("with the guard in its place: %v", good.Failure)
				}
			}
			if caught == 0 {
				t.Errorf("not caught by %d seeds", most)
			}
		})
	}
}
