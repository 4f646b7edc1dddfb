// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"paddock/internal/ensemble"
)

// A port that needs more rights is told from a directory that does.
func TestExitStatusOfMissingRights(t *testing.T) {
	port := fmt.Errorf("client port: %w", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)})
	for _, tc := range []struct {
		err    error
		status int
	}{
		{port, 1},
		{fmt.Errorf("%w: %w", ensemble.ErrElectionPort, port), 14},
		{&os.PathError{Op: "mkdir", Path: "/none", Err: syscall.EACCES}, 3},
	} {
		if got := ExitStatus(tc.err); got != tc.status {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.status)
		}
	}
}
