// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package crashtest

import "errors"

func mountTmpfs(dir, options string) error { return errors.ErrUnsupported }

func remount(dir, options string) error { return errors.ErrUnsupported }

func unmount(dir string) error { return errors.ErrUnsupported }
