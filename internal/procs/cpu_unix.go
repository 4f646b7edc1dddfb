// SPDX-License-Identifier: Apache-2.0

//go:build unix

package procs

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used so far, in the system too.
func cpuTime() (time.Duration, bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
