// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"os"
	"syscall"
)

// Datasync is fdatasync. It is repeated when a signal interrupts it.
func (f osFile) Datasync() error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var e error
	if err := rc.Control(func(fd uintptr) {
		for {
			if e = syscall.Fdatasync(int(fd)); e != syscall.EINTR {
				return
			}
		}
	}); err != nil {
		return err
	}
	if e != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: e}
	}
	return nil
}

func (osFS) Free(name string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(name, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
