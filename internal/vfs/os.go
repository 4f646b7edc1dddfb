// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"io/fs"
	"os"
)

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(oldName, newName string) error         { return os.Rename(oldName, newName) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }

func (osFS) Stat(name string) (Info, error) {
	st, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return info(st), nil
}

func info(st fs.FileInfo) Info {
	return Info{Name: st.Name(), Size: st.Size(), Mtime: st.ModTime(), Perm: st.Mode().Perm(), Dir: st.IsDir()}
}

func (osFS) ReadDir(name string) ([]Info, error) {
	list, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(list))
	for _, e := range list {
		st, err := e.Info()
		if err != nil {
			if os.IsNotExist(err) {
				continue // removed since the listing
			}
			return nil, err
		}
		infos = append(infos, info(st))
	}
	return infos, nil
}

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
