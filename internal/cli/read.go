// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"paddock/zk"
)

// waitFor prints the event of a watch, which a command with -w stays for.
func (s *shell) waitFor(ctx context.Context, watch <-chan zk.Event) error {
	if watch == nil {
		return nil
	}
	select {
	case ev := <-watch:
		printEvent(s.out, ev)
		return ev.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func runLs(ctx context.Context, s *shell, a *arguments) error {
	path := a.word(0)
	if a.has('R') {
		return s.walk(ctx, path, func(p string) error {
			_, err := fmt.Fprintln(s.out, p)
			return err
		})
	}
	var watch <-chan zk.Event
	names, stat, err := []string(nil), zk.Stat{}, error(nil)
	if a.has('w') {
		names, stat, watch, err = s.c.ChildrenWatch(ctx, path)
	} else {
		names, stat, err = s.c.ChildrenWithStat(ctx, path)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, listOf(names))
	if a.has('s') {
		printStat(s.out, &stat)
	}
	return s.waitFor(ctx, watch)
}

// walk calls visit for path and all below it, parents first, siblings sorted.
// What is deleted meanwhile is passed over.
func (s *shell) walk(ctx context.Context, path string, visit func(string) error) error {
	names, err := s.c.Children(ctx, path)
	if err != nil {
		return err
	}
	if err := visit(path); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		err := s.walk(ctx, strings.TrimSuffix(path, "/")+"/"+name, visit)
		if err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	return nil
}

func runGet(ctx context.Context, s *shell, a *arguments) error {
	var watch <-chan zk.Event
	data, stat, err := []byte(nil), zk.Stat{}, error(nil)
	if a.has('w') {
		data, stat, watch, err = s.c.GetWatch(ctx, a.word(0))
	} else {
		data, stat, err = s.c.Get(ctx, a.word(0))
	}
	if err != nil {
		return err
	}
	if data == nil {
		data = []byte("null") // zkCli's word for no data at all
	}
	switch {
	case a.has('b'):
		fmt.Fprintln(s.out, base64.StdEncoding.EncodeToString(data))
	case a.has('x'):
		hexDump(s.out, data)
	default:
		fmt.Fprintf(s.out, "%s\n", data)
	}
	if a.has('s') {
		printStat(s.out, &stat)
	}
	return s.waitFor(ctx, watch)
}

func runStat(ctx context.Context, s *shell, a *arguments) error {
	path := a.word(0)
	stat, ok, watch, err := zk.Stat{}, false, (<-chan zk.Event)(nil), error(nil)
	if a.has('w') {
		stat, ok, watch, err = s.c.ExistsWatch(ctx, path)
	} else {
		stat, ok, err = s.c.Exists(ctx, path)
	}
	switch {
	case err != nil:
		return err
	case !ok && watch == nil:
		return &zk.Error{Op: "exists", Path: path, Code: zk.ErrNoNode}
	case !ok:
		fmt.Fprintf(s.err, "Node does not exist: %s\n", path)
	default:
		printStat(s.out, &stat)
	}
	return s.waitFor(ctx, watch)
}

func runGetACL(ctx context.Context, s *shell, a *arguments) error {
	acl, stat, err := s.c.GetACL(ctx, a.word(0))
	if err != nil {
		return err
	}
	printACL(s.out, acl)
	if a.has('s') {
		printStat(s.out, &stat)
	}
	return nil
}

func runAllChildrenNumber(ctx context.Context, s *shell, a *arguments) error {
	n, err := s.c.AllChildrenNumber(ctx, a.word(0))
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, n)
	return nil
}

func runEphemerals(ctx context.Context, s *shell, a *arguments) error {
	paths, err := s.c.GetEphemerals(ctx, a.word(0))
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, listOf(paths))
	return nil
}

func runSync(ctx context.Context, s *shell, a *arguments) error {
	if err := s.c.Sync(ctx, a.word(0)); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "Sync is OK")
	return nil
}

func runWhoAmI(ctx context.Context, s *shell, _ *arguments) error {
	ids, err := s.c.WhoAmI(ctx)
	if err != nil {
		return err
	}
	lines := make([]string, len(ids))
	for i, id := range ids {
		lines[i] = id.Scheme + ": " + id.User + "\n"
	}
	slices.Sort(lines)
	fmt.Fprint(s.out, "Auth scheme: User\n", strings.Join(lines, ""))
	return nil
}

func runConfig(ctx context.Context, s *shell, a *arguments) error {
	var watch <-chan zk.Event
	data, stat, err := []byte(nil), zk.Stat{}, error(nil)
	if a.has('w') {
		data, stat, watch, err = s.c.GetConfigWatch(ctx)
	} else {
		data, stat, err = s.c.GetConfig(ctx)
	}
	if err != nil {
		return err
	}
	text := string(data)
	if a.has('c') {
		text = clientConfig(text)
	}
	fmt.Fprintln(s.out, text)
	if a.has('s') {
		printStat(s.out, &stat)
	}
	return s.waitFor(ctx, watch)
}

// clientConfig is what a client needs of a configuration: its version and the
// addresses to connect to.
func clientConfig(text string) string {
	version, addresses := "", []string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch _, client, ok := strings.Cut(value, ";"); {
		case key == "version":
			version = value
		case strings.HasPrefix(key, "server.") && ok:
			addresses = append(addresses, client)
		}
	}
	return version + " " + strings.Join(addresses, ",")
}
