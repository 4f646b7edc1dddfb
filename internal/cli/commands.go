// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
)

// command is one row: how it is written, and what it does.
type command struct {
	name      string
	form      string            // what follows the name
	options   string            // see parseArgs
	long      map[string]string // options by their long names
	min, max  int               // words
	offline   bool              // needs no server
	wholeTree bool              // works outside the chroot: see shell.base
	// check looks at the arguments before a connection is made; may be nil.
	check func(a *arguments) error
	run   func(ctx context.Context, s *shell, a *arguments) error
}

func (c *command) synopsis() string { return strings.TrimSpace(c.name + " " + c.form) }

// commands are in the order of the usage text.
var commands []command

func init() {
	commands = []command{
		{name: "config", form: "[-c] [-w] [-s]", options: "cws", run: runConfig},
		{name: "create", form: "[-s] [-e] [-c] [-t ttl] path [data] [acl]", options: "sect:", min: 1, max: 3, check: checkCreate, run: runCreate},
		{name: "delete", form: "[-v version] path", options: "v:", min: 1, max: 2, run: runDelete},
		{name: "deleteall", form: "path [-b batch size]", options: "b:", min: 1, max: 1, run: runDeleteAll},
		{name: "delquota", form: "[-n|-b|-N|-B] path", options: "nbNB", min: 1, max: 1, wholeTree: true, run: runDelQuota},
		{name: "get", form: "[-s] [-w] [-b] [-x] path", options: "swbx", min: 1, max: 1, run: runGet},
		{name: "getAcl", form: "[-s] path", options: "s", min: 1, max: 1, run: runGetACL},
		{name: "getAllChildrenNumber", form: "path", min: 1, max: 1, run: runAllChildrenNumber},
		{name: "getEphemerals", form: "[path]", max: 1, run: runEphemerals},
		{name: "help", form: "[command]", max: 1, offline: true, run: runHelp},
		{name: "listquota", form: "path", min: 1, max: 1, wholeTree: true, run: runListQuota},
		{name: "ls", form: "[-s] [-w] [-R] path", options: "swR", min: 1, max: 1, run: runLs},
		{name: "reconfig", form: "[-s] [-v version] [-file file | -members list] | [-add list] [-remove ids]", options: "sv:f:m:a:r:",
			long: map[string]string{"-file": "-f", "-members": "-m", "-add": "-a", "-remove": "-r"}, check: checkReconfig, run: runReconfig},
		{name: "set", form: "path data [-s] [-v version] [-b]", options: "sv:b", min: 2, max: 2, run: runSet},
		{name: "setAcl", form: "[-s] [-v version] [-R] path acl", options: "sv:R", min: 2, max: 2, run: runSetACL},
		{name: "setquota", form: "-n|-b|-N|-B val path", options: "n:b:N:B:", min: 1, max: 1, wholeTree: true, run: runSetQuota},
		{name: "stat", form: "[-w] path", options: "w", min: 1, max: 1, run: runStat},
		{name: "sync", form: "path", min: 1, max: 1, run: runSync},
		{name: "version", offline: true, run: runVersion},
		{name: "whoami", run: runWhoAmI},
	}
}

func find(name string) *command {
	for i := range commands {
		if commands[i].name == name {
			return &commands[i]
		}
	}
	return nil
}

func runHelp(_ context.Context, s *shell, a *arguments) error {
	if len(a.words) == 0 {
		usage(s.out)
		return nil
	}
	cmd := find(a.word(0))
	if cmd == nil {
		return badf("Command not found: %s", a.word(0))
	}
	fmt.Fprintln(s.out, cmd.synopsis())
	return nil
}

func runVersion(_ context.Context, s *shell, _ *arguments) error {
	fmt.Fprintf(s.out, "paddock CLI version: %s\n", version())
	return nil
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = "devel-" + setting.Value
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v
}
