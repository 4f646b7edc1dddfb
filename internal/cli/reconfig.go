// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"paddock/zk"
)

func checkReconfig(a *arguments) error {
	whole := a.has('f') || a.has('m')
	switch {
	case a.has('f') && a.has('m'):
		return badf("-f and -m both name all members: only one of them")
	case whole == (a.has('a') || a.has('r')):
		return badf("Either all members (-f or -m), or some to add (-a) or to remove (-r)")
	}
	_, err := configVersion(a)
	return err
}

// configVersion is that of the configuration to be changed, which is hexadecimal
// in its text; -1 is any.
func configVersion(a *arguments) (int64, error) {
	v, ok := a.values['v']
	if !ok {
		return -1, nil
	}
	n, err := strconv.ParseInt(v, 16, 64)
	if err != nil {
		return 0, badf("-v argument must be a hexadecimal number")
	}
	return n, nil
}

// runReconfig changes the members of the ensemble.
func runReconfig(ctx context.Context, s *shell, a *arguments) error {
	r := zk.Reconfiguration{}
	r.Version, _ = configVersion(a)
	list := func(option byte) []string {
		var out []string
		for part := range strings.FieldsFuncSeq(a.values[option], func(c rune) bool { return c == ',' || c == '\n' || c == '\r' }) {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
		return out
	}
	// zkCli lets the prefix go here, too.
	named := func(members []string) []string {
		for i, m := range members {
			if c := m[0]; c >= '0' && c <= '9' {
				members[i] = "server." + m
			}
		}
		return members
	}
	if file, ok := a.values['f']; ok {
		text, err := os.ReadFile(file)
		if err != nil {
			return badf("%v", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "version=") {
				r.Members = append(r.Members, line)
			}
		}
	}
	if a.has('m') {
		r.Members = named(list('m'))
	}
	r.Joining = named(list('a'))
	for _, id := range list('r') {
		r.Leaving = append(r.Leaving, strings.TrimPrefix(id, "server."))
	}
	text, stat, err := s.c.Reconfig(ctx, r)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Committed new configuration:\n%s\n", text)
	if a.has('s') {
		printStat(s.out, &stat)
	}
	return nil
}
