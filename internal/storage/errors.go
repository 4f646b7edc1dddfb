// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
)

// CorruptError says that a file is damaged in a way that no crash of a server
// explains, so that what follows the damage can't be trusted to be nothing.
type CorruptError struct {
	File   string
	Offset int64 // of the damaged entry or field
	What   string
	Hint   string // what the operator can do
	Err    error  // the cause, if there is one
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("%s: damaged at offset %d: %s", e.File, e.Offset, e.What)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *CorruptError) Unwrap() error { return e.Err }

// GapError says that transactions are missing between two that are there.
type GapError struct {
	File   string // where the hole ends
	Offset int64
	What   string
	Hint   string
}

func (e *GapError) Error() string {
	s := e.What
	if e.File != "" {
		s = fmt.Sprintf("%s, offset %d: %s", e.File, e.Offset, s)
	}
	return s + " (" + e.Hint + ")"
}

// Refusals of a directory.
var (
	// ErrNoSnapshot: logs hold transactions, but there is no readable snapshot.
	ErrNoSnapshot = errors.New("no readable snapshot")
	// ErrMixedDirs: snapshots lie in the log directory or logs in the snapshot directory.
	ErrMixedDirs = errors.New("dataDir and dataLogDir are mixed up")
	// ErrNoDir: a directory is missing and may not be created.
	ErrNoDir = errors.New("directory is missing and zookeeper.datadir.autocreate is false")
	// ErrUnwritable: a directory can't be written to.
	ErrUnwritable = errors.New("directory is not writable")
)

const (
	hintDamage = "nothing was changed; restore this file from a backup, or empty the directory and let the server copy the data from its ensemble"
	hintGap    = "nothing was changed; put the missing log or snapshot files back, or restore the directory from a backup"
)
