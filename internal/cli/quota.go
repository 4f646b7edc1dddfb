// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"paddock/proto"
	"paddock/zk"
)

// quota is the text of a zookeeper_limits or zookeeper_stats znode
// (client-protocol.md section 7.8). -1 is no limit.
type quota struct{ count, bytes, countHard, bytesHard int64 }

func parseQuota(text string) quota {
	q := quota{-1, -1, -1, -1}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(strings.TrimSuffix(value, "="), 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "count":
			q.count = n
		case "bytes":
			q.bytes = n
		case "countHardLimit":
			q.countHard = n
		case "byteHardLimit":
			q.bytesHard = n
		}
	}
	return q
}

// limits is the text that zkCli writes. The odd "=;" keeps old parsers working.
func (q quota) limits() string {
	return fmt.Sprintf("count=%d,bytes=%d=;byteHardLimit=%d;countHardLimit=%d", q.count, q.bytes, q.bytesHard, q.countHard)
}

// field is the limit that an option names.
func (q *quota) field(option byte) *int64 {
	switch option {
	case 'n':
		return &q.count
	case 'b':
		return &q.bytes
	case 'N':
		return &q.countHard
	}
	return &q.bytesHard
}

const quotaOptions = "nbNB"

// quotaOption is the one option given, or 0.
func quotaOption(a *arguments) (byte, error) {
	switch {
	case len(a.values) > 1:
		return 0, badf("only one of -n (num soft quota), -b (bytes soft quota), -N (num hard quota), -B (bytes hard quota) at a time")
	case len(a.values) == 1:
		for i := range len(quotaOptions) {
			if a.has(quotaOptions[i]) {
				return quotaOptions[i], nil
			}
		}
	}
	return 0, nil
}

// quotaTarget is the path on the server that a quota command is about.
func (s *shell) quotaTarget(a *arguments) (string, error) {
	path := a.word(0)
	if err := zk.CheckPath(path); err != nil {
		return "", err
	}
	if path == "/" {
		path = ""
	}
	path = s.base + path
	if path == proto.QuotaPath || strings.HasPrefix(path, proto.QuotaPath+"/") {
		return "", badf("cannot set a quota under the path: %s", proto.QuotaPath)
	}
	return path, nil
}

func limitsOf(path string) string { return proto.QuotaPath + path + "/" + proto.LimitsNode }
func statsOf(path string) string  { return proto.QuotaPath + path + "/" + proto.StatsNode }

func runListQuota(ctx context.Context, s *shell, a *arguments) error {
	path, err := s.quotaTarget(a)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "absolute path is %s\n", limitsOf(path))
	limits, _, err := s.c.Get(ctx, limitsOf(path))
	if errors.Is(err, zk.ErrNoNode) {
		return badf("quota for %s does not exist.", a.word(0))
	} else if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Output quota for %s %s\n", a.word(0), parseQuota(string(limits)).limits())
	stats, _, err := s.c.Get(ctx, statsOf(path))
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Output stat for %s %s\n", a.word(0), stats)
	return nil
}

func runSetQuota(ctx context.Context, s *shell, a *arguments) error {
	option, err := quotaOption(a)
	if err != nil {
		return err
	}
	if option == 0 {
		return errUsage
	}
	what := map[byte]string{'n': "num", 'N': "num", 'b': "bytes", 'B': "bytes"}[option]
	value, err := strconv.ParseInt(a.values[option], 10, 64)
	if err != nil {
		return badf("-%c argument must be a number: %s", option, a.values[option])
	}
	if value <= 0 {
		return badf("the %s quota must be greater than zero", what)
	}
	path, err := s.quotaTarget(a)
	if err != nil {
		return err
	}
	if path == "" {
		return badf("a quota for the whole tree is not possible")
	}
	if _, ok, err := s.c.Exists(ctx, path); err != nil {
		return err
	} else if !ok {
		return badf("%s does not exist.", a.word(0))
	}
	if err := s.noQuotaAbove(ctx, path); err != nil {
		return err
	}
	if err := s.noQuotaBelow(ctx, path, proto.QuotaPath+path); err != nil {
		return err
	}
	if err := s.putQuota(ctx, path, option, value); err != nil {
		return err
	}
	return s.warnOfUsage(ctx, path, what, value)
}

// noQuotaAbove: only one quota may hold for a znode.
func (s *shell) noQuotaAbove(ctx context.Context, path string) error {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if _, ok, err := s.c.Exists(ctx, limitsOf(path[:i])); err != nil {
			return err
		} else if ok {
			return badf("%s has a parent %s which has a quota", path, path[:i])
		}
	}
	return nil
}

func (s *shell) noQuotaBelow(ctx context.Context, path, at string) error {
	names, err := s.c.Children(ctx, at)
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	for _, name := range names {
		below := at + "/" + name
		if name == proto.LimitsNode && at != proto.QuotaPath+path {
			return badf("%s has a child %s which has a quota", path, strings.TrimPrefix(at, proto.QuotaPath))
		}
		if name == proto.LimitsNode || name == proto.StatsNode {
			continue
		}
		if err := s.noQuotaBelow(ctx, path, below); err != nil {
			return err
		}
	}
	return nil
}

// putQuota changes one limit of a quota, or makes the quota.
func (s *shell) putQuota(ctx context.Context, path string, option byte, value int64) error {
	limits := limitsOf(path)
	data, stat, err := s.c.Get(ctx, limits)
	if err == nil {
		q := parseQuota(string(data))
		*q.field(option) = value
		_, err = s.c.Set(ctx, limits, []byte(q.limits()), stat.Version)
		return err
	}
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	for i := len(proto.QuotaPath) + 1; i < len(limits); i++ {
		if limits[i] != '/' {
			continue
		}
		if _, err := s.c.Create(ctx, limits[:i], nil, zk.OpenACL, 0); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	q := quota{-1, -1, -1, -1}
	*q.field(option) = value
	if _, err := s.c.Create(ctx, limits, []byte(q.limits()), zk.OpenACL, 0); err != nil {
		return err
	}
	// The server fills in the real usage.
	_, err = s.c.Create(ctx, statsOf(path), []byte("count=0,bytes=0"), zk.OpenACL, 0)
	return err
}

func (s *shell) warnOfUsage(ctx context.Context, path, what string, value int64) error {
	data, _, err := s.c.Get(ctx, statsOf(path))
	if err != nil {
		return err
	}
	used := parseQuota(string(data))
	if what == "bytes" && used.bytes > value {
		fmt.Fprintf(s.out, "[Warning]: the bytes quota you create is less than the existing bytes:%d\n", used.bytes)
	}
	if what == "num" && used.count > value {
		fmt.Fprintf(s.out, "[Warning]: the count quota you create is less than the existing count:%d\n", used.count)
	}
	return nil
}

func runDelQuota(ctx context.Context, s *shell, a *arguments) error {
	option, err := quotaOption(a)
	if err != nil {
		return err
	}
	path, err := s.quotaTarget(a)
	if err != nil {
		return err
	}
	limits := limitsOf(path)
	data, stat, err := s.c.Get(ctx, limits)
	if errors.Is(err, zk.ErrNoNode) {
		return badf("Quota does not exist for %s", a.word(0))
	} else if err != nil {
		return err
	}
	if option != 0 {
		q := parseQuota(string(data))
		*q.field(option) = -1
		_, err := s.c.Set(ctx, limits, []byte(q.limits()), stat.Version)
		return err
	}
	for _, p := range []string{limits, statsOf(path)} {
		if err := s.c.Delete(ctx, p, zk.AnyVersion); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	// Parents that served this quota only.
	for p := proto.QuotaPath + path; p != proto.QuotaPath; p = p[:strings.LastIndexByte(p, '/')] {
		if err := s.c.Delete(ctx, p, zk.AnyVersion); err != nil {
			if errors.Is(err, zk.ErrNotEmpty) {
				break
			}
			return err
		}
	}
	return nil
}
