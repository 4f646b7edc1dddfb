// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"io/fs"
	"net"
	"syscall"

	"paddock/internal/ensemble"
	"paddock/internal/storage"
)

// ExitStatus is the status of a process whose server could not start because of
// err: that of Apache's (operations.md section 1.9).
func ExitStatus(err error) int {
	var network *net.OpError
	switch {
	case errors.Is(err, ensemble.ErrElectionPort):
		return 14
	case errors.As(err, &network):
		return 1 // a port that may not be opened is no directory that may not be written
	}
	for _, e := range []error{fs.ErrPermission, fs.ErrNotExist, syscall.ENOTDIR, storage.ErrNoDir, storage.ErrMixedDirs, storage.ErrUnwritable} {
		if errors.Is(err, e) {
			return 3
		}
	}
	return 1
}
