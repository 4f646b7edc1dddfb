// SPDX-License-Identifier: Apache-2.0

// Package cli is the shell's one-shot form: one command, its answer, an exit
// status. Commands and what they print are those of ZooKeeper's zkCli, so that
// scripts can read either. Where zkCli would crash or guess, this says what is
// wrong and fails.
//
// Data and lists go to stdout; "Created", errors and warnings to stderr. The
// status is 0, 1 when the command failed, 2 when it was not understood, 127
// when there is no such command.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"paddock/zk"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitUnknown = 127
)

// connectRounds is how often each server is tried before giving up.
const connectRounds = 3

// DefaultServer is who is asked unless -server says otherwise.
const DefaultServer = "localhost:2181"

// Run does what args say, "[options] CMD [arguments]", and returns the exit
// status. It ends early when ctx does.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &shell{out: stdout, err: stderr, timeout: zk.DefaultSessionTimeout}
	words, err := s.options(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "%v\n", err)
		return exitUsage
	case len(words) == 0:
		usage(stderr)
		return exitUsage
	}
	cmd := find(words[0])
	if cmd == nil {
		usage(stderr)
		fmt.Fprintf(stderr, "Command not found: %s\n", words[0])
		return exitUnknown
	}
	return s.status(cmd, s.run(ctx, cmd, words[1:]))
}

// shell is one run: where to connect and where to print.
type shell struct {
	servers  string
	timeout  time.Duration
	auth     []credential
	readOnly bool
	out, err io.Writer

	c    *zk.Client
	base string // what a command for the whole tree puts before its paths
}

type credential struct{ scheme, data string }

// options reads what stands before the command.
func (s *shell) options(args []string) ([]string, error) {
	fs := flag.NewFlagSet("cli", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&s.servers, "server", DefaultServer, "")
	fs.BoolVar(&s.readOnly, "r", false, "")
	fs.Func("timeout", "", func(v string) (err error) {
		s.timeout, err = parseTimeout(v)
		return err
	})
	fs.Func("auth", "", func(v string) error {
		scheme, data, ok := strings.Cut(v, ":")
		if !ok || scheme == "" {
			return errors.New("must be scheme:data")
		}
		s.auth = append(s.auth, credential{scheme, data})
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	_, _, err := zk.ParseServers(s.servers)
	return fs.Args(), err
}

// parseTimeout takes a duration, or milliseconds as zkCli does.
func parseTimeout(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if ms, err2 := strconv.ParseInt(v, 10, 32); err2 == nil {
		d, err = time.Duration(ms)*time.Millisecond, nil
	}
	if err != nil || d < time.Millisecond {
		return 0, errors.New("must be a time such as 10s, or milliseconds")
	}
	return d, nil
}

// run does one command.
func (s *shell) run(ctx context.Context, cmd *command, words []string) error {
	for i, w := range words {
		if short, ok := cmd.long[w]; ok {
			words[i] = short
		}
	}
	a, err := parseArgs(cmd.options, words)
	if err != nil {
		return err
	}
	if len(a.words) < cmd.min || len(a.words) > cmd.max {
		return errUsage
	}
	if cmd.check != nil {
		if err := cmd.check(a); err != nil {
			return err
		}
	}
	if !cmd.offline {
		if err := s.connect(ctx, cmd.wholeTree); err != nil {
			return err
		}
		defer s.c.Close()
	}
	return cmd.run(ctx, s, a)
}

func (s *shell) connect(ctx context.Context, wholeTree bool) error {
	servers := s.servers
	if wholeTree {
		// What is outside a chroot has to be reached, and told with it.
		servers, s.base, _ = strings.Cut(servers, "/")
		if s.base != "" {
			s.base = "/" + s.base
		}
	}
	opts := []zk.Option{zk.WithSessionTimeout(s.timeout), zk.WithConnectRounds(connectRounds)}
	if s.readOnly {
		opts = append(opts, zk.WithReadOnly())
	}
	wait, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	c, err := zk.Connect(wait, servers, opts...)
	if err != nil {
		return err
	}
	for _, a := range s.auth {
		if err := c.AddAuth(ctx, a.scheme, []byte(a.data)); err != nil {
			c.Close()
			return fmt.Errorf("-auth %s: %w", a.scheme, err)
		}
	}
	s.c = c
	return nil
}

// status tells of err, if there is one.
func (s *shell) status(cmd *command, err error) int {
	var bad *badArgument
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintln(s.err, cmd.synopsis())
		return exitFailed
	case errors.As(err, &bad):
		fmt.Fprintln(s.err, bad.text)
		return exitFailed
	}
	for _, line := range errorText(err) {
		fmt.Fprintln(s.err, line)
	}
	return exitFailed
}

func usage(w io.Writer) {
	fmt.Fprint(w, `usage: paddock cli [options] CMD [arguments]

options:
	-server H:P[,H:P...][/chroot]  servers to try (default `+DefaultServer+`)
	-timeout TIME                  of the session: 10s, or milliseconds (default 30s)
	-auth scheme:data              a credential, e.g. digest:user:password; may be repeated
	-r                             accept a read-only server

commands:
`)
	for _, c := range commands {
		fmt.Fprintf(w, "\t%s\n", c.synopsis())
	}
}
