// SPDX-License-Identifier: Apache-2.0

//go:build unix

package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockName is a file of our own beside version-2; Apache's server takes no
// notice of it.
const lockName = "paddock.lock"

// lockDir keeps other paddock servers off a data directory until the returned
// function is called or the process ends, however it ends.
func lockDir(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("data directory cannot be locked: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			pid, _ := io.ReadAll(io.LimitReader(f, 32))
			return nil, fmt.Errorf("%s is in use by another paddock server (process %s)", dir, strings.TrimSpace(string(pid)))
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// The number only helps whoever reads it; a full disk must not matter here.
	if err := f.Truncate(0); err == nil {
		fmt.Fprintln(f, os.Getpid())
	}
	return func() { f.Close() }, nil
}
