// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
)

// tuneCollector lets the heap grow further between collections than Go's
// default: the znodes lie outside it, so it is small and mostly garbage.
// GOGC in the environment wins.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}
