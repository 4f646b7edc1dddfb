// SPDX-License-Identifier: Apache-2.0

// Package servertest is the server that the tests of a client talk to.
package servertest

import (
	"os"
	"testing"

	"paddock/internal/config"
	"paddock/internal/server"
)

// Addr is where it listens: a fresh one in this process, which ends with the
// test, or the one that ZK_TEST_SERVER names (host:port), to compare with
// another implementation.
func Addr(t testing.TB) string {
	t.Helper()
	if addr := os.Getenv("ZK_TEST_SERVER"); addr != "" {
		return addr
	}
	src := config.Embedded(t.TempDir())
	src.Flags = map[string]string{"clientPort": "0", "maxClientCnxns": "0", "extendedTypesEnabled": "true"}
	cfg, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.ClientAddr().String()
}
