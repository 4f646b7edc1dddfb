// SPDX-License-Identifier: Apache-2.0

//go:build unix

package admin

import (
	"math"
	"syscall"
)

// descriptors are the number of open files and the most there may be; -1 is
// unknown.
func descriptors() (open, limit int64) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return openDescriptors(), -1
	}
	return openDescriptors(), int64(min(uint64(r.Cur), math.MaxInt64))
}
