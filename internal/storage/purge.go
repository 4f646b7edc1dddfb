// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"paddock/proto"
)

// MinRetain is the least number of snapshots that Purge keeps, as in Apache.
const MinRetain = 3

// PurgePlan is what a purge would delete. Nothing of it is needed to recover
// from any of the snapshots that are kept.
type PurgePlan struct {
	Oldest proto.Zxid // of the snapshots that count as kept
	// Remove is paths, oldest first, snapshots before logs: a snapshot whose log
	// is gone would be loaded if the newer ones were damaged, and what it lacks
	// need not show.
	Remove []string
	logs   int // at the end of Remove
}

// PlanPurge applies the rules of storage-format.md section 10 to a directory
// whose logs and snapshots are listed in ascending order.
func PlanPurge(logs, snapshots []File, retain int) PurgePlan {
	var plan PurgePlan
	retain = max(retain, MinRetain)
	kept := 0
	for i := len(snapshots) - 1; i >= 0 && kept < retain; i-- {
		if snapshots[i].Usable {
			plan.Oldest = snapshots[i].Zxid
			kept++
		}
	}
	if kept == 0 {
		return plan
	}
	// The newest log that begins at or below the oldest snapshot may hold what
	// follows that snapshot.
	first := proto.Zxid(-1)
	for _, l := range logs {
		if l.Zxid <= plan.Oldest {
			first = l.Zxid
		}
	}
	for _, f := range snapshots {
		if f.Zxid < plan.Oldest {
			plan.Remove = append(plan.Remove, f.Path)
		}
	}
	for _, l := range logs {
		if l.Zxid < first {
			plan.Remove = append(plan.Remove, l.Path)
			plan.logs++
		}
	}
	return plan
}

// Purge deletes old snapshots and the logs that only they need, and keeps the
// newest retain snapshots (at least MinRetain). Files with foreign names are
// left alone, which Apache would delete. It may run beside everything else.
func (s *Store) Purge(retain int) (removed []string, err error) {
	logs, _, err := s.list(s.logDir, logPrefix)
	if err != nil {
		return nil, err
	}
	snapshots, _, err := s.snapshots()
	if err != nil {
		return nil, err
	}
	plan := PlanPurge(logs, snapshots, retain)
	for i, path := range plan.Remove {
		if i == len(plan.Remove)-plan.logs {
			if err := s.fs.SyncDir(s.snapDir); err != nil {
				return removed, fmt.Errorf("storage: purge: %w", err)
			}
		}
		if e := s.fs.Remove(path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			return removed, fmt.Errorf("storage: purge: %w", e)
		}
		removed = append(removed, path)
	}
	return removed, nil
}
