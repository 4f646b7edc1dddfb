// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"paddock/internal/vfs"
	"paddock/proto"
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

// LoadEpochs returns what the epoch files of a member of an ensemble say, whose
// log and snapshots end with lastZxid, and writes what is missing
// (storage-format.md section 9.1). A missing file is made from the epoch of
// lastZxid.
//
// A history may end in a later epoch than currentEpoch says if the server died
// after it had saved that history and before it had saved the epoch. An
// unfinished currentEpoch.tmp says which epoch that was; the reference refuses to
// start without one, although it may have died just before. A transaction of
// epoch e is only logged behind all that the leader of e began with, which is
// what currentEpoch e claims, so here currentEpoch becomes e, provided that
// acceptedEpoch, which was saved before, is no less. What no such death explains
// is refused.
func (s *Store) LoadEpochs(lastZxid proto.Zxid) (accepted, current int64, err error) {
	logged := int64(max(lastZxid, 0).Epoch())
	accepted, err = s.ReadEpoch(AcceptedEpoch)
	noAccepted := errors.Is(err, fs.ErrNotExist)
	if err != nil && !noAccepted {
		return 0, 0, fmt.Errorf("storage: %w", err)
	}
	current, err = s.ReadEpoch(CurrentEpoch)
	noCurrent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !noCurrent {
		return 0, 0, fmt.Errorf("storage: %w", err)
	}
	if noAccepted {
		accepted = logged
	}
	before := current
	switch {
	case noCurrent:
		current = logged
	case current < logged:
		current = max(logged, s.unfinishedEpoch(accepted))
	}
	path := func(name string) string { return filepath.Join(s.snapDir, name) }
	switch {
	case accepted < logged:
		return 0, 0, fmt.Errorf("storage: %w", &CorruptError{File: path(AcceptedEpoch),
			What: fmt.Sprintf("the accepted epoch is %d, and transactions of epoch %d are logged", accepted, logged), Hint: hintDamage})
	case accepted < current:
		return 0, 0, fmt.Errorf("storage: %w", &CorruptError{File: path(AcceptedEpoch),
			What: fmt.Sprintf("the accepted epoch is %d, less than the current one, %d", accepted, current), Hint: hintDamage})
	}
	if noAccepted {
		if err := s.WriteEpoch(AcceptedEpoch, accepted); err != nil {
			return 0, 0, err
		}
	}
	if noCurrent || current != before {
		if !noCurrent {
			s.log.Warn("the history is of a later epoch than currentEpoch: the server died before it had saved the epoch",
				"file", path(CurrentEpoch), "was", before, "is", current)
		}
		if err := s.WriteEpoch(CurrentEpoch, current); err != nil {
			return 0, 0, err
		}
	}
	return accepted, current, nil
}

// unfinishedEpoch is the number in currentEpoch.tmp if it was accepted. Its
// writing began when the history of that epoch was saved; if it was cut short
// the number is less, and as true.
func (s *Store) unfinishedEpoch(accepted int64) int64 {
	epoch, err := s.ReadEpoch(CurrentEpoch + ".tmp")
	if err != nil || epoch > accepted {
		return 0
	}
	return epoch
}
