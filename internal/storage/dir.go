// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"paddock/internal/vfs"
	"paddock/proto"
)

const (
	versionDir     = "version-2"
	logPrefix      = "log"
	snapPrefix     = "snapshot"
	tmpSnapPrefix  = "tmp-snapshot." // not "snapshot.": Apache takes a complete snapshot.X.tmp for a snapshot
	initializeFile = "initialize"
	writeProbe     = ".writable"
)

// DefaultMaxBuffer bounds entries, paths and data when Options say nothing:
// jute.maxbuffer and as much again, as Apache does.
const DefaultMaxBuffer = 2 * proto.DefaultMaxBuffer

// Store is one server's directory. Its methods may be called by several
// goroutines; the Log it gives out belongs to one.
type Store struct {
	opt     Options
	fs      vfs.FS
	log     *slog.Logger
	snapDir string
	logDir  string
	txns    *Log
	tail    []TailEntry // see Tail
}

// Open checks the directories and creates them where that is allowed. It reads
// no log and no snapshot.
func Open(o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LogDir == "" {
		o.LogDir = o.DataDir
	}
	if o.MaxBuffer <= 0 {
		o.MaxBuffer = DefaultMaxBuffer
	}
	switch o.Compression {
	case "", "gz", "snappy":
	default:
		return nil, fmt.Errorf("storage: unknown snapshot compression %q (want gz, snappy or nothing)", o.Compression)
	}
	s := &Store{
		opt:     o,
		fs:      o.FS,
		log:     o.Logger,
		snapDir: filepath.Join(o.DataDir, versionDir),
		logDir:  filepath.Join(o.LogDir, versionDir),
	}
	for _, dir := range []string{s.logDir, s.snapDir} {
		if err := s.prepareDir(dir); err != nil {
			return nil, err
		}
	}
	if err := s.checkMixed(); err != nil {
		return nil, err
	}
	s.txns = newLog(s)
	return s, nil
}

// SnapshotDir is where snapshots and epoch files are, version-2 included.
func (s *Store) SnapshotDir() string { return s.snapDir }

// LogDir is where logs are, version-2 included.
func (s *Store) LogDir() string { return s.logDir }

// prepareDir makes sure that dir exists and can be written to.
func (s *Store) prepareDir(dir string) error {
	st, err := s.fs.Stat(dir)
	switch {
	case err == nil && !st.Dir:
		return fmt.Errorf("storage: %s is not a directory", dir)
	case errors.Is(err, fs.ErrNotExist):
		if !s.opt.AutocreateDir {
			return fmt.Errorf("storage: %s: %w", dir, ErrNoDir)
		}
		if err := s.makeDir(dir); err != nil {
			return fmt.Errorf("storage: %w", err)
		}
	case err != nil:
		return fmt.Errorf("storage: %w", err)
	}
	probe := filepath.Join(dir, writeProbe)
	h, err := s.fs.OpenFile(probe, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			return fmt.Errorf("storage: %s: %w: %w", dir, ErrUnwritable, err)
		}
		return fmt.Errorf("storage: %w", err) // a full disk is told at the first write
	}
	h.Close()
	return s.fs.Remove(probe)
}

// makeDir creates dir and what is missing above it, durably.
func (s *Store) makeDir(dir string) error {
	top := filepath.Dir(dir) // will be the lowest directory that exists
	for {
		if _, err := s.fs.Stat(top); err == nil || top == filepath.Dir(top) {
			break
		}
		top = filepath.Dir(top)
	}
	if err := s.fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for d := dir; d != top; {
		d = filepath.Dir(d)
		if err := s.fs.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// checkMixed refuses two directories with the files of one in the other: the
// server would start without them.
func (s *Store) checkMixed() error {
	if s.snapDir == s.logDir {
		return nil
	}
	for _, c := range []struct{ dir, prefix, what, want string }{
		{s.logDir, snapPrefix + ".", "snapshot", s.snapDir},
		{s.snapDir, logPrefix + ".", "log", s.logDir},
	} {
		list, err := s.fs.ReadDir(c.dir)
		if err != nil {
			return fmt.Errorf("storage: %w", err)
		}
		for _, f := range list {
			if strings.HasPrefix(f.Name, c.prefix) {
				return fmt.Errorf("storage: %w: %s is a %s; move such files to %s",
					ErrMixedDirs, filepath.Join(c.dir, f.Name), c.what, c.want)
			}
		}
	}
	return nil
}

// zxidOf takes the zxid from a name such as snapshot.1f.gz; rest is what
// follows it, with its dot.
func zxidOf(name, prefix string) (z proto.Zxid, rest string, ok bool) {
	tail, ok := strings.CutPrefix(name, prefix+".")
	if !ok {
		return 0, "", false
	}
	hex, ext, dot := strings.Cut(tail, ".")
	if dot {
		rest = "." + ext
	}
	// The sign is refused: no server writes one, and Apache would sort such a
	// file before all others.
	v, err := strconv.ParseUint(hex, 16, 64)
	if err != nil || v > 1<<63-1 {
		return 0, "", false
	}
	return proto.Zxid(v), rest, true
}

func hexName(prefix string, z proto.Zxid) string {
	return prefix + "." + strconv.FormatUint(uint64(z), 16)
}

// File is one log or snapshot as the directory lists it.
type File struct {
	Name   string
	Path   string
	Zxid   proto.Zxid // of the name
	Size   int64
	Ext    string // what follows the zxid in the name, with its dot
	Usable bool   // a snapshot passes the quick check; a log holds a transaction
}

// list returns the files of one kind in ascending order, and what has such a
// prefix without being such a file.
func (s *Store) list(dir, prefix string) (files []File, foreign []string, err error) {
	infos, err := s.fs.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("storage: %w", err)
	}
	for _, i := range infos {
		if i.Dir || !strings.HasPrefix(i.Name, prefix+".") {
			continue
		}
		z, ext, ok := zxidOf(i.Name, prefix)
		if !ok {
			foreign = append(foreign, filepath.Join(dir, i.Name))
			continue
		}
		files = append(files, File{Name: i.Name, Path: filepath.Join(dir, i.Name), Zxid: z, Size: i.Size, Ext: ext})
	}
	slices.SortFunc(files, func(a, b File) int {
		if a.Zxid != b.Zxid {
			if a.Zxid < b.Zxid {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return files, foreign, nil
}

// logs returns the log files in ascending order. Apache takes log.1.bak for a
// second log of zxid 1; here it is a foreign file if there is a log.1, and the
// log of that zxid only if there is none.
func (s *Store) logs() (files []File, foreign []string, err error) {
	all, foreign, err := s.list(s.logDir, logPrefix)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range all {
		if n := len(files); n > 0 && files[n-1].Zxid == f.Zxid {
			foreign = append(foreign, f.Path)
			continue
		}
		files = append(files, f)
	}
	return files, foreign, nil
}

// snapshots returns the snapshot files in ascending order, checked quickly.
func (s *Store) snapshots() (files []File, foreign []string, err error) {
	files, foreign, err = s.list(s.snapDir, snapPrefix)
	if err != nil {
		return nil, nil, err
	}
	for i := range files {
		files[i].Usable, err = plausible(s.fs, files[i])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("storage: %w", err)
		}
	}
	return files, foreign, nil
}

// removeTemporaries deletes what a crash left of unfinished snapshots.
func (s *Store) removeTemporaries() {
	infos, err := s.fs.ReadDir(s.snapDir)
	if err != nil {
		return
	}
	for _, i := range infos {
		if strings.HasPrefix(i.Name, tmpSnapPrefix) {
			s.fs.Remove(filepath.Join(s.snapDir, i.Name))
		}
	}
}

// Close ends the Log. What was synced stays; the rest may or may not.
func (s *Store) Close() error { return s.txns.Close() }
