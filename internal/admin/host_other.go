// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package admin

// descriptors are the number of open files and the most there may be; -1 is
// unknown.
func descriptors() (open, limit int64) { return openDescriptors(), -1 }
