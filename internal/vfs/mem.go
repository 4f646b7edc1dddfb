// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mem is a file system in memory that knows what a crash would leave: content
// is durable after Sync or Datasync of the file, a name after SyncDir of its
// directory. Directories themselves are durable at once. A Rename stays within
// its directory.
type Mem struct {
	mu    sync.Mutex
	dirs  map[string]*memDir
	clock int64 // seconds, one for each change, for Mtime
}

type memDir struct {
	files   map[string]*memFile
	durable map[string]*memFile
	pending []dirOp
}

// dirOp is a change of names that a crash may undo: unlink old if not "", link
// name to file if not nil.
type dirOp struct {
	old, name string
	file      *memFile
}

func (o dirOp) apply(m map[string]*memFile) {
	if o.old != "" {
		delete(m, o.old)
	}
	if o.file != nil {
		m[o.name] = o.file
	}
}

type memFile struct {
	data    []byte
	durable []byte
	pending []fileOp
	mtime   int64
}

// fileOp is a change of content: a write at off, or a new size if data is nil.
type fileOp struct {
	off  int64
	data []byte
}

func (o fileOp) apply(b []byte) []byte {
	if o.data == nil {
		return resize(b, o.off)
	}
	if end := o.off + int64(len(o.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[o.off:], o.data)
	return b
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	old := len(b)
	b = slices.Grow(b, int(n)-old)[:n]
	clear(b[old:])
	return b
}

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{dirs: map[string]*memDir{}} }

func pathErr(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

func (m *Mem) dir(name string) *memDir { return m.dirs[filepath.Clean(name)] }

// CrashClone returns the file system as a crash at this moment could leave it.
// With rng nil all that was not synced is lost. Otherwise each file and each
// directory keeps a random number of its unsynced changes, the last write cut
// at a random byte: a file system that writes in order. Crashing does not
// disturb m.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.clock = m.clock
	crashed := map[*memFile]*memFile{}
	for _, name := range slices.Sorted(maps.Keys(m.dirs)) { // sorted, for the rng's sake
		d := m.dirs[name]
		files := maps.Clone(d.durable)
		if rng != nil {
			for _, op := range d.pending[:rng.IntN(len(d.pending)+1)] {
				op.apply(files)
			}
		}
		for _, base := range slices.Sorted(maps.Keys(files)) {
			f := files[base]
			if crashed[f] == nil {
				crashed[f] = f.crash(rng)
			}
			files[base] = crashed[f]
		}
		c.dirs[name] = &memDir{files: files, durable: maps.Clone(files)}
	}
	return c
}

func (f *memFile) crash(rng *rand.Rand) *memFile {
	b := slices.Clone(f.durable)
	if rng != nil {
		keep := rng.IntN(len(f.pending) + 1)
		for _, op := range f.pending[:keep] {
			b = op.apply(b)
		}
		if keep < len(f.pending) && len(f.pending[keep].data) > 0 {
			op := f.pending[keep]
			op.data = op.data[:rng.IntN(len(op.data)+1)]
			if len(op.data) > 0 {
				b = op.apply(b)
			}
		}
	}
	return &memFile{data: b, durable: slices.Clone(b), mtime: f.mtime}
}

func (m *Mem) OpenFile(name string, flag int, _ fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dir(filepath.Dir(name))
	if d == nil {
		return nil, pathErr("open", name, fs.ErrNotExist)
	}
	base := filepath.Base(name)
	f := d.files[base]
	switch {
	case f == nil && flag&os.O_CREATE == 0:
		return nil, pathErr("open", name, fs.ErrNotExist)
	case f == nil:
		f = &memFile{}
		d.change(dirOp{name: base, file: f})
	case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, pathErr("open", name, fs.ErrExist)
	case flag&os.O_TRUNC != 0:
		m.change(f, fileOp{})
	}
	return &memHandle{fs: m, file: f, name: name}, nil
}

func (d *memDir) change(op dirOp) {
	op.apply(d.files)
	d.pending = append(d.pending, op)
}

func (m *Mem) change(f *memFile, op fileOp) {
	f.data = op.apply(f.data)
	f.pending = append(f.pending, op)
	m.clock++
	f.mtime = m.clock
}

func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dir(filepath.Dir(oldName))
	if d == nil || d.files[filepath.Base(oldName)] == nil {
		return pathErr("rename", oldName, fs.ErrNotExist)
	}
	if m.dir(filepath.Dir(newName)) != d {
		return pathErr("rename", newName, fs.ErrInvalid)
	}
	d.change(dirOp{old: filepath.Base(oldName), name: filepath.Base(newName), file: d.files[filepath.Base(oldName)]})
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dir(filepath.Dir(name))
	if d == nil || d.files[filepath.Base(name)] == nil {
		return pathErr("remove", name, fs.ErrNotExist)
	}
	d.change(dirOp{old: filepath.Base(name)})
	return nil
}

func (m *Mem) ReadDir(name string) ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dir(name)
	if d == nil {
		return nil, pathErr("open", name, fs.ErrNotExist)
	}
	var infos []Info
	for base, f := range d.files {
		infos = append(infos, f.info(base))
	}
	for sub := range m.dirs {
		if sub != filepath.Clean(name) && filepath.Dir(sub) == filepath.Clean(name) {
			infos = append(infos, Info{Name: filepath.Base(sub), Dir: true})
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

func (f *memFile) info(base string) Info {
	return Info{Name: base, Size: int64(len(f.data)), Mtime: time.Unix(f.mtime, 0), Perm: 0o644}
}

func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dir(name) != nil {
		return Info{Name: filepath.Base(name), Dir: true}, nil
	}
	if d := m.dir(filepath.Dir(name)); d != nil && d.files[filepath.Base(name)] != nil {
		return d.files[filepath.Base(name)].info(filepath.Base(name)), nil
	}
	return Info{}, pathErr("stat", name, fs.ErrNotExist)
}

func (m *Mem) MkdirAll(name string, _ fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for d := filepath.Clean(name); ; d = filepath.Dir(d) {
		if m.dirs[d] == nil {
			m.dirs[d] = &memDir{files: map[string]*memFile{}, durable: map[string]*memFile{}}
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dir(name)
	if d == nil {
		return pathErr("sync", name, fs.ErrNotExist)
	}
	for _, op := range d.pending {
		op.apply(d.durable)
	}
	d.pending = nil
	return nil
}

// Free is without limit; Faulty sets one.
func (m *Mem) Free(string) (int64, error) { return math.MaxInt64, nil }

// memHandle is one descriptor. Its position is used by one goroutine.
type memHandle struct {
	fs   *Mem
	file *memFile
	name string
	pos  int64
}

func (h *memHandle) Name() string { return h.name }
func (h *memHandle) Close() error { return nil }

func (h *memHandle) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return int64(len(h.file.data)), nil
}

func (h *memHandle) Read(p []byte) (int, error) {
	n, err := h.ReadAt(p, h.pos)
	h.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if off >= int64(len(h.file.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.file.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) Write(p []byte) (int, error) {
	n, err := h.WriteAt(p, h.pos)
	h.pos += int64(n)
	return n, err
}

func (h *memHandle) WriteAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.fs.change(h.file, fileOp{off, slices.Clone(p)})
	return len(p), nil
}

func (h *memHandle) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.fs.change(h.file, fileOp{off: size})
	return nil
}

func (h *memHandle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	for _, op := range h.file.pending {
		h.file.durable = op.apply(h.file.durable)
	}
	h.file.pending = nil
	return nil
}

func (h *memHandle) Datasync() error { return h.Sync() }
