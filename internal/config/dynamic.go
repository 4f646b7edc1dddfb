// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"paddock/internal/quorum"
	"paddock/internal/vfs"
)

// Dynamic keeps the files that hold the membership of an ensemble whose members
// may change (quorum-protocol.md section 13.3). For a main file zoo.cfg:
//
//	zoo.cfg                  rewritten to name the newest of the next
//	zoo.cfg.dynamic.<hex>    the members of that version; older ones stay
//	zoo.cfg.dynamic.next     the members that are proposed, with their version
//	zoo.cfg.bak              zoo.cfg as it was when it still had the members
//
// A crash leaves each of them old or new, and whatever was told last is told
// again or found. With reconfigEnabled=false, or without a main file, nothing is
// written. One goroutine uses it.
type Dynamic struct {
	fs        vfs.FS
	file      string // zoo.cfg as given; "" where nothing is written
	sid       int64
	backup    bool  // the main file has the members
	committed int64 // version on disk
	seen      int64 // likewise, of the proposed membership; committed where there is none
}

// NewDynamic keeps the files of a server that was started with c.
func NewDynamic(c *Config, files vfs.FS) *Dynamic {
	d := &Dynamic{fs: files, sid: c.Ensemble.ServerID, committed: c.Ensemble.Members.Version}
	d.seen = d.committed
	if c.Ensemble.Seen != nil {
		d.seen = c.Ensemble.Seen.Version
	}
	if c.Ensemble.ReconfigEnabled {
		d.file = c.ConfigFile
		d.backup = c.Ensemble.DynamicConfigFile == "" && c.Distributed()
	}
	return d
}

// nextFile is the name of the file of the proposed membership.
func nextFile(main string) string { return main + ".dynamic.next" }

// Begin copies a main file that has the members, before it is ever rewritten.
func (d *Dynamic) Begin() error {
	if d.file == "" || !d.backup {
		return nil
	}
	data, perm, err := d.main()
	if err != nil {
		return err
	}
	return vfs.ReplaceFile(d.fs, d.file+".bak", data, perm)
}

// Seen keeps a proposed membership. That of the committed version takes an
// earlier proposal back.
func (d *Dynamic) Seen(c *quorum.Config) error {
	if d.file == "" || c.Version == d.seen {
		return nil
	}
	if c.Version <= d.committed {
		return d.settle(d.committed)
	}
	lines := append(c.Lines(), "version="+strconv.FormatInt(c.Version, 16))
	if err := vfs.WriteFileAtomic(d.fs, nextFile(d.file), joinSorted(lines)); err != nil {
		return err
	}
	d.seen = c.Version
	return nil
}

// Committed keeps a committed membership. One that is not newer is on disk
// already.
func (d *Dynamic) Committed(c *quorum.Config) error {
	if d.file == "" || c.Version <= d.committed {
		return nil
	}
	file := fmt.Sprintf("%s.dynamic.%x", d.file, c.Version)
	if err := vfs.WriteFileAtomic(d.fs, file, joinSorted(c.Lines())); err != nil {
		return err
	}
	if err := d.point(file, c); err != nil {
		return err
	}
	if d.seen <= c.Version {
		if err := d.settle(c.Version); err != nil {
			return err
		}
	}
	d.committed = c.Version
	return nil
}

// settle removes the proposed membership, which is that of a version or has been
// taken back in its favour.
func (d *Dynamic) settle(version int64) error {
	err := d.fs.Remove(nextFile(d.file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.seen = version
	return d.fs.SyncDir(filepath.Dir(d.file))
}

// joinSorted is lines in the order of their text, without an end of the last.
func joinSorted(lines []string) []byte {
	slices.Sort(lines)
	for i := range lines {
		lines[i] = escapeValue(lines[i])
	}
	return []byte(strings.Join(lines, "\n"))
}

// main reads the main file. A copy of it must not be read by more people.
func (d *Dynamic) main() ([]byte, fs.FileMode, error) {
	info, err := d.fs.Stat(d.file)
	if err != nil {
		return nil, 0, err
	}
	h, err := vfs.Open(d.fs, d.file)
	if err != nil {
		return nil, 0, err
	}
	defer h.Close()
	data, err := readBounded(h, fileMax)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", d.file, err)
	}
	return data, info.Perm, nil
}

// point makes the main file name a dynamic file.
func (d *Dynamic) point(file string, c *quorum.Config) error {
	abs, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if !utf8.ValidString(abs) {
		return fmt.Errorf("%s: the name is not UTF-8, and %s could not hold it", abs, d.file)
	}
	data, perm, err := d.main()
	if err != nil {
		return err
	}
	self, _ := c.Member(d.sid)
	return vfs.ReplaceFile(d.fs, d.file, pointTo(abs, data, self), perm)
}

// pointTo drops the lines of a main file that the dynamic file stands for, and
// names that file in a last line. All other lines stay as they are, comments and
// order too: the original loses both.
func pointTo(dynamicFile string, data []byte, self quorum.Member) []byte {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	s := lineScanner{data: data}
	var out []byte
	done := 0
	for s.next() {
		raw, _ := splitProperty(s.text)
		key, err := unescape(raw)
		if err != nil || !moves(trimJava(key), self) {
			continue
		}
		out = append(out, data[done:s.from]...)
		done = s.pos
	}
	out = append(out, data[done:]...)
	if n := len(out); n > 0 && out[n-1] != '\n' && out[n-1] != '\r' {
		out = append(out, '\n')
	}
	body := bytes.TrimSuffix(bytes.TrimSuffix(out, []byte("\n")), []byte("\r"))
	if continues(body[bytes.LastIndexAny(body, "\r\n")+1:]) {
		// A backslash at the end of the last line would join the next: an empty one.
		if out[len(out)-1] == '\r' {
			out = append(out, '\n') // which is still the end of that line
		}
		out = append(out, '\n')
	}
	return append(out, "dynamicConfigFile="+escapeValue(filepath.ToSlash(dynamicFile))+"\n"...)
}

// moves says whether a key of the main file is no longer for it to say.
func moves(key string, self quorum.Member) bool {
	for _, prefix := range []string{"server.", "group", "weight", "dynamicConfigFile", "peerType"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	switch key {
	case "clientPort", "clientPortAddress":
		return self.Client != nil
	case "secureClientPort", "secureClientPortAddress":
		return self.Secure != nil
	}
	return false
}
