// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tree

import (
	"fmt"
	"syscall"
)

// reserve returns zeroed memory outside the garbage collector's heap. Pages
// cost nothing until they are touched.
func reserve(bytes int) []byte {
	b, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		// As fatal as a failed heap allocation, and for the same reason.
		panic(fmt.Sprintf("tree: cannot get %d bytes of memory for znodes: %v", bytes, err))
	}
	return b
}

func release(b []byte) { _ = syscall.Munmap(b) }
