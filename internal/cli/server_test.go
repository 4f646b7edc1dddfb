// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"testing"
)

func startServer(t *testing.T) string {
	addr := os.Getenv("ZK_TEST_SERVER")
	if addr == "" {
		t.Skip("no server")
	}
	return addr
}
