// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"paddock/proto"
	"paddock/zk"
)

func checkCreate(a *arguments) error {
	switch {
	case a.has('c') && (a.has('s') || a.has('e')):
		return badf("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
	case a.has('t') && a.has('e'):
		return badf("TTLs cannot be used with Ephemeral znodes")
	case a.has('t') && a.has('c'):
		return badf("TTLs cannot be used with Container znodes")
	case a.has('t'):
		_, err := ttlOf(a)
		return err
	}
	return nil
}

func ttlOf(a *arguments) (time.Duration, error) {
	ms, err := strconv.ParseInt(a.values['t'], 10, 64)
	if err != nil {
		return 0, badf("-t argument must be a long value")
	}
	if ms <= 0 || ms > proto.MaxTTL {
		return 0, badf("ttl must be positive and cannot be larger than: %d", proto.MaxTTL)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func runCreate(ctx context.Context, s *shell, a *arguments) error {
	path, acl := a.word(0), zk.OpenACL
	var data []byte // none is not the same as empty
	if len(a.words) > 1 {
		data = []byte(a.words[1])
	}
	if len(a.words) > 2 {
		var err error
		if acl, err = parseACL(a.words[2], s.err); err != nil {
			return err
		}
	}
	var flags zk.CreateFlags
	if a.has('s') {
		flags |= zk.Sequential
	}
	if a.has('e') {
		flags |= zk.Ephemeral
	}
	var err error
	switch {
	case a.has('c'):
		path, _, err = s.c.CreateContainer(ctx, path, data, acl)
	case a.has('t'):
		ttl, _ := ttlOf(a)
		path, _, err = s.c.CreateTTL(ctx, path, data, acl, flags, ttl)
	default:
		path, err = s.c.Create(ctx, path, data, acl, flags)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "Created %s\n", path)
	if a.has('e') {
		fmt.Fprintf(s.err, "warning: %s is ephemeral and ends with this command's session, now\n", path)
	}
	return nil
}

func runSet(ctx context.Context, s *shell, a *arguments) error {
	version, err := a.number('v', zk.AnyVersion)
	if err != nil {
		return err
	}
	data := []byte(a.word(1))
	if a.has('b') {
		if data, err = base64.StdEncoding.DecodeString(a.word(1)); err != nil {
			return badf("data is not base64: %v", err)
		}
	}
	stat, err := s.c.Set(ctx, a.word(0), data, version)
	if err != nil {
		return err
	}
	if a.has('s') {
		printStat(s.out, &stat)
	}
	return nil
}

func runDelete(ctx context.Context, s *shell, a *arguments) error {
	version, err := a.number('v', zk.AnyVersion)
	if err != nil {
		return err
	}
	if len(a.words) > 1 {
		// zkCli takes the same form, warns and then deletes any version.
		fmt.Fprintln(s.err, "'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.")
		n, err := strconv.ParseInt(a.words[1], 10, 32)
		if err != nil || a.has('v') {
			return errUsage
		}
		version = int32(n)
	}
	return s.c.Delete(ctx, a.word(0), version)
}

// deleteBatch is how many znodes deleteall removes in one transaction.
const deleteBatch = 1000

func runDeleteAll(ctx context.Context, s *shell, a *arguments) error {
	batch, err := a.number('b', deleteBatch)
	if err != nil {
		return err
	}
	if batch < 1 {
		return badf("-b argument must be greater than zero")
	}
	var paths []string
	err = s.walk(ctx, a.word(0), func(p string) error {
		paths = append(paths, p)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Reverse(paths) // children before parents
	failed := false
	for part := range slices.Chunk(paths, int(batch)) {
		ops := make([]zk.Op, len(part))
		for i, p := range part {
			ops[i] = zk.DeleteOp(p, zk.AnyVersion)
		}
		if _, err := s.c.Multi(ctx, ops...); err != nil {
			failed = true
			for _, line := range errorText(err) {
				fmt.Fprintln(s.err, line)
			}
			var e *zk.Error
			if !errors.As(err, &e) || !strings.Contains(e.Op, "[") {
				break // not one znode to blame, so the next batch won't do better
			}
		}
	}
	if failed {
		return badf("Failed to delete some node(s) in the subtree!")
	}
	return nil
}

func runSetACL(ctx context.Context, s *shell, a *arguments) error {
	version, err := a.number('v', zk.AnyVersion)
	if err != nil {
		return err
	}
	acl, err := parseACL(a.word(1), s.err)
	if err != nil {
		return err
	}
	if a.has('R') {
		return s.setACLs(ctx, a.word(0), acl, version)
	}
	stat, err := s.c.SetACL(ctx, a.word(0), acl, version)
	if err != nil {
		return err
	}
	if a.has('s') {
		printStat(s.out, &stat)
	}
	return nil
}

// setACLs goes through a subtree and does what it can. The tree is listed
// first, since the new list may forbid to.
func (s *shell) setACLs(ctx context.Context, path string, acl []zk.ACL, version int32) error {
	var paths []string
	err := s.walk(ctx, path, func(p string) error {
		paths = append(paths, p)
		return nil
	})
	if err != nil {
		return err
	}
	failed := 0
	for _, p := range paths {
		if _, err := s.c.SetACL(ctx, p, acl, version); err != nil {
			failed++
			for _, line := range errorText(err) {
				fmt.Fprintln(s.err, line)
			}
		}
	}
	if failed > 0 {
		return badf("%d of %d ACLs were not set", failed, len(paths))
	}
	return nil
}
