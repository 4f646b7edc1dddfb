// SPDX-License-Identifier: Apache-2.0

//go:build !goldenserver

package golden

import "testing"

func (s *target) runPaddock(t testing.TB) {
	t.Skipf("set %s", targetEnv)
}
