// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func handOverCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "handover [HOST:PORT...]",
		Short: "have a leader make another server of its ensemble the leader",
		Long: `Have the leader of an ensemble make its most advanced follower the leader, as
it does by itself when it is stopped by SIGTERM. No request is lost and no client
is disconnected; writes wait for some tens of milliseconds.

The servers named, by their client addresses (127.0.0.1:2181 if there is none), are asked one after the other until one of them leads. A server
does this only if its zoo.cfg allows the word by name: 4lw.commands.whitelist=hand`,
		Example: `  paddock handover zk1:2181 zk2:2181 zk3:2181`,
		RunE: func(cmd *cobra.Command, servers []string) error {
			if len(servers) == 0 {
				servers = []string{"127.0.0.1:2181"}
			}
			said, err := handOver(cmd.Context(), strings.Split(strings.Join(servers, ","), ","))
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), said)
			return nil
		},
	}
}

// handOver asks servers in turn until one has handed over; it returns what that
// one said, or why none did.
func handOver(ctx context.Context, servers []string) (said string, err error) {
	var errs []error
	for _, addr := range servers {
		said, err := askWord(ctx, addr, "hand")
		said = strings.TrimSpace(said)
		switch first, _, _ := strings.Cut(said, " "); {
		case err != nil:
		case first == "handed":
			return said, nil
		case said == "":
			err = fmt.Errorf("%s: no answer: this is no paddock, or one that does not know the word", addr)
		default:
			err = fmt.Errorf("%s: %s", addr, said)
		}
		errs = append(errs, err)
		if strings.HasPrefix(said, "failed:") {
			break // and asking another might hand over twice
		}
	}
	return "", errors.Join(errs...)
}

// answerTime bounds the wait for a server's answer to a four-letter word.
const answerTime = 15 * time.Second

// askWord asks a server a four-letter word and returns all it says.
func askWord(ctx context.Context, addr, word string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := io.WriteString(c, word); err != nil {
		return "", fmt.Errorf("%s: %w", addr, err)
	}
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		return "", fmt.Errorf("%s: %w", addr, err)
	}
	return string(b), nil
}
