// SPDX-License-Identifier: Apache-2.0

package tree

import "syscall"

// huge asks for large pages under b.
func huge(b []byte) { _ = syscall.Madvise(b, syscall.MADV_HUGEPAGE) }
