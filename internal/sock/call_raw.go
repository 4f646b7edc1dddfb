// SPDX-License-Identifier: Apache-2.0

//go:build linux && !race

package sock

import (
	"syscall"
	"unsafe"
)

func read(fd uintptr, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return raw(syscall.SYS_READ, fd, b)
}

func write(fd uintptr, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return raw(syscall.SYS_WRITE, fd, b)
}

// raw makes a call on a socket that does not block, so that neither does this.
func raw(call, fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(min(len(b), Most)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
