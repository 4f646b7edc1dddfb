// SPDX-License-Identifier: Apache-2.0

package conn_test

import (
	"context"
	"log/slog"
	"maps"
	"testing"
	"time"

	"paddock/internal/config"
	"paddock/internal/server"
	"paddock/zk"
)

// TestVerbose: an operator who asks for more is told of each client.
func TestVerbose(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		src := config.Embedded(t.TempDir())
		src.Flags = maps.Clone(settings)
		cfg, err := config.Load(src)
		if err != nil {
			t.Fatal(err)
		}
		log := new(logLines)
		srv, err := server.New(cfg, server.Options{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		c, err := zk.Connect(ctx, srv.ClientAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		srv.Close()
		cancel()
		want := 0
		if level == slog.LevelDebug {
			want = 1
		}
		for _, line := range []string{"session attached", "connection ends"} {
			if n := len(log.with(line, "session=0x", "timeout=")); n != want {
				t.Errorf("at %v %q was logged %d times, want %d", level, line, n, want)
			}
		}
	}
}
