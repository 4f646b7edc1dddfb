// SPDX-License-Identifier: Apache-2.0

// Command paddock is a ZooKeeper server, and the tools around it, in one
// binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"paddock/internal/cli"
	"paddock/internal/server"
)

// exitError carries an exit status up to main, which alone exits.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	cmd, begun := root(), false
	cmd.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return
	}
	code := 1
	if !begun {
		code = 2 // the command line is wrong
	}
	if e := (*exitError)(nil); errors.As(err, &e) {
		code = e.code
	}
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, "paddock:", err)
	}
	os.Exit(code)
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "paddock",
		Short:         "ZooKeeper as one static binary",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(serverCommand(), cliCommand(), handOverCommand(), versionCommand())
	return cmd
}

func cliCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "cli [-server HOST:PORT[,HOST:PORT...][/chroot]] COMMAND [ARG...]",
		Short:              "run one shell command against a server",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if code := cli.Run(cmd.Context(), args, os.Stdin, os.Stdout, os.Stderr); code != 0 {
				return &exitError{code, errors.New("")}
			}
			return nil
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			revision := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value[:min(12, len(s.Value))]
					}
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "paddock %s (revision %s), speaks ZooKeeper 3.9\n", server.Version, revision)
		},
	}
}
