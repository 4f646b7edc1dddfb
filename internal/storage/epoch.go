// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"paddock/internal/vfs"
)

// Names of the epoch files, which only members of an ensemble write. A
// standalone server leaves those of an ensemble's directory as they are.
const (
	AcceptedEpoch = "acceptedEpoch"
	CurrentEpoch  = "currentEpoch"
)

// ReadEpoch returns the number in an epoch file; the error is fs.ErrNotExist if
// there is no such file.
func (s *Store) ReadEpoch(name string) (int64, error) {
	path := filepath.Join(s.snapDir, name)
	b, err := vfs.ReadFile(s.fs, path)
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	v, err := strconv.ParseInt(strings.TrimSuffix(line, "\r"), 10, 64)
	if err != nil {
		return 0, &CorruptError{File: path, What: "not a number", Hint: hintDamage, Err: err}
	}
	return v, nil
}

// WriteEpoch makes epoch the durable content of an epoch file.
func (s *Store) WriteEpoch(name string, epoch int64) error {
	err := vfs.WriteFileAtomic(s.fs, filepath.Join(s.snapDir, name), strconv.AppendInt(nil, epoch, 10))
	if err != nil {
		return fmt.Errorf("storage: %s: %w", name, err)
	}
	return nil
}
