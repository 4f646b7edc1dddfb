// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/proto"
)

// Recover loads the data directory into t and, if it held nothing, makes it a
// database that Apache's server opens too.
func Recover(store *storage.Store, t *tree.Tree, log *slog.Logger) (storage.Recovered, error) {
	load := t.Load()
	rec, err := Load(store, load, log)
	load.Close()
	if err == nil && rec.NeedsSnapshot && !rec.Untrusted {
		_, _, err = Snapshot(store, t, nil)
	}
	return rec, err
}

// Load fills a tree from the data directory.
func Load(store *storage.Store, load *tree.Loader, log *slog.Logger) (storage.Recovered, error) {
	rec, err := store.Recover(&sink{Loader: load, log: log})
	if err != nil {
		return rec, err
	}
	load.Done(max(rec.LastZxid, rec.ContentZxid))
	if load.Dangled > 0 {
		log.Warn("znodes had no access control list in the snapshot", "znodes", load.Dangled, "snapshot", rec.Snapshot)
	}
	return rec, nil
}

// UntrustedError says that a directory is empty where it must not be.
func UntrustedError(store *storage.Store) error {
	return fmt.Errorf("%s is empty and db.autocreate=false: create an empty file %s if this is meant to be a new database",
		store.LogDir(), filepath.Join(filepath.Dir(store.LogDir()), "initialize"))
}

// sink lets a storage recovery fill a tree, and compares digests on the way: a
// snapshot's once the log has come to where it was taken, and from then on
// every transaction's. Until then the tree may be ahead of the log.
type sink struct {
	*tree.Loader
	log       *slog.Logger
	from      proto.Zxid // digests are compared from here on
	differing int
}

func (s *sink) Reset() {
	s.Loader.Reset()
	s.from, s.differing = 0, 0
}

func (s *sink) LoadDone(zxid proto.Zxid, digest *storage.SnapDigest) error {
	s.from = zxid
	if digest != nil {
		s.from = max(zxid, digest.Zxid)
		if digest.Version == proto.DigestVersion && digest.Zxid == zxid {
			s.compare(zxid, digest.Tree)
		}
	}
	return s.Loader.LoadDone(zxid)
}

func (s *sink) Replay(t *proto.Txn) error {
	s.Apply(t)
	if t.Digest.Version == proto.DigestVersion && t.Zxid >= s.from {
		s.compare(t.Zxid, t.Digest.Tree)
	}
	return nil
}

// compare reports the first digest that differs; those after it follow suit.
func (s *sink) compare(zxid proto.Zxid, want uint64) {
	if got := s.View().Digest(); got != want {
		if s.differing++; s.differing == 1 {
			s.log.Error("the tree differs from what its digest says: it was changed by other software, or is damaged",
				"zxid", zxid, "digest", fmt.Sprintf("%#x", got), "want", fmt.Sprintf("%#x", want))
		}
	}
}
