// SPDX-License-Identifier: Apache-2.0

//go:build unix

package server

import (
	"strings"
	"testing"

	"paddock/internal/config"
)

// Two servers on one directory would write over each other's log.
func TestOneServerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	start := func() (*Server, error) {
		src := config.Embedded(dir)
		src.Flags = map[string]string{"dataDir": dir, "clientPort": "0"}
		cfg, err := config.Load(src)
		if err != nil {
			t.Fatal(err)
		}
		return New(cfg, Options{})
	}
	first, err := start()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := start(); err == nil || !strings.Contains(err.Error(), "in use by another paddock server") {
		if err == nil {
			second.Close()
		}
		t.Errorf("a second server on the directory: %v, want it refused", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := start()
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	again.Close()
}
