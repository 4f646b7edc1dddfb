// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"os"
	"syscall"
)

// Datasync is fdatasync.
func (f osFile) Datasync() error { return f.control("fdatasync", flushers.datasync) }

// control calls do with the descriptor, which stays open meanwhile.
func (f osFile) control(op string, do func(fd uintptr) error) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if rc.Control(func(fd uintptr) { err = do(fd) }) != nil {
		err = os.ErrClosed
	}
	if err != nil {
		return &os.PathError{Op: op, Path: f.Name(), Err: err}
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
