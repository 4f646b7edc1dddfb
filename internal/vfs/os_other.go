// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package vfs

import "errors"

// Datasync is a full sync where the system has nothing cheaper.
func (f osFile) Datasync() error { return f.Sync() }

func (osFS) Free(string) (int64, error) { return 0, errors.ErrUnsupported }
