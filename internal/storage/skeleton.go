// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"

	"paddock/proto"
)

type Store struct{}

func Open(o Options) (*Store, error)                  { return nil, errors.ErrUnsupported }
func (s *Store) Recover(sink Sink) (Recovered, error) { return Recovered{}, errors.ErrUnsupported }
func (s *Store) Log() *Log                            { return nil }
func (s *Store) Close() error                         { return nil }
func (s *Store) Purge(retain int) (removed []string, err error) {
	return nil, errors.ErrUnsupported
}

type Log struct{}

func (l *Log) Append(b *Batch) error { return errors.ErrUnsupported }
func (l *Log) Sync() error           { return errors.ErrUnsupported }
func (l *Log) Roll()                 {}
func (l *Log) WantsSnapshot() bool   { return false }
func (l *Log) Close() error          { return nil }

type SnapshotWriter struct{}

func (s *Store) CreateSnapshot(zxid proto.Zxid) (*SnapshotWriter, error) {
	return nil, errors.ErrUnsupported
}
func (w *SnapshotWriter) Sessions(n int, each func(yield func(id int64, timeoutMs int32))) {}
func (w *SnapshotWriter) ACLs(n int, each func(yield func(key int64, acl []proto.ACL)))    {}
func (w *SnapshotWriter) Node(path, data []byte, aclKey int64, st *proto.StatPersisted) error {
	return errors.ErrUnsupported
}
func (w *SnapshotWriter) Finish(last proto.Zxid, digest *SnapDigest) (path string, size int64, err error) {
	return "", 0, errors.ErrUnsupported
}
func (w *SnapshotWriter) Abort() {}
