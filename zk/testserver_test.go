// SPDX-License-Identifier: Apache-2.0

package zk_test

import (
	"os"
	"testing"
)

// serverAddr is the server that the tests of this package talk to.
func serverAddr(t testing.TB) string {
	addr := os.Getenv("ZK_TEST_SERVER")
	if addr == "" {
		t.Skip("ZK_TEST_SERVER is not set")
	}
	return addr
}
