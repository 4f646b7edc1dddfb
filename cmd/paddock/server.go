// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"paddock/internal/config"
	"paddock/internal/procs"
	"paddock/internal/server"
)

// drainTime is how long SIGTERM waits for what is on its way.
const drainTime = 10 * time.Second

type serverFlags struct {
	dataDir, address, port string
	set                    []string
	verbose                bool
}

func serverCommand() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "server [zoo.cfg]",
		Short: "run a server",
		Long: `Run a server in the foreground, from an ordinary zoo.cfg.

Without a file it serves 127.0.0.1:2181 from a data directory in your home,
which is printed when it starts. Flags win over the file; -D properties in
SERVER_JVMFLAGS and JVMFLAGS are read as Apache's scripts pass them.`,
		Example: `  paddock server
  paddock server /etc/zookeeper/zoo.cfg
  paddock server zoo.cfg --set maxClientCnxns=0 --set snapCount=50000`,
		Args: cobra.MaximumNArgs(4),
		RunE: func(cmd *cobra.Command, args []string) error { return runServer(cmd, args, f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dataDir, "data-dir", "", "data directory (dataDir)")
	fl.StringVar(&f.address, "address", "", "address to listen on, 0.0.0.0 for all (clientPortAddress)")
	fl.StringVar(&f.port, "port", "", "port to listen on, 0 for a free one (clientPort)")
	fl.StringArrayVar(&f.set, "set", nil, "set a zoo.cfg key: --set tickTime=2000 (repeatable)")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log each client's coming and going")
	return cmd
}

// source says where the settings come from.
func (f serverFlags) source(args []string) (config.Source, error) {
	var src config.Source
	switch len(args) {
	case 0:
		dir := f.dataDir
		if dir == "" {
			dir = config.DefaultDataDir(os.Getenv)
		}
		src = config.Embedded(dir)
	case 1:
		src.File = args[0]
	default: // port datadir [ticktime] [maxcnxns], as Apache's server takes it
		var err error
		if src, err = config.FromPositional(args); err != nil {
			return src, err
		}
	}
	src.Env = os.Getenv
	if src.Flags == nil {
		src.Flags = map[string]string{}
	}
	for key, value := range map[string]string{"dataDir": f.dataDir, "clientPortAddress": f.address, "clientPort": f.port} {
		if value != "" {
			src.Flags[key] = value
		}
	}
	for _, kv := range f.set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return src, fmt.Errorf("--set %s: want key=value", kv)
		}
		src.Flags[key] = value
	}
	return src, nil
}

func runServer(cmd *cobra.Command, args []string, f serverFlags) error {
	began := time.Now()
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	src, err := f.source(args)
	if err != nil {
		return &exitError{2, err}
	}
	cfg, err := config.Load(src)
	if err != nil {
		return &exitError{2, err}
	}
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	ctx := cmd.Context() // ends with SIGTERM
	tuneCollector()
	s, err := server.New(cfg, server.Options{Logger: log})
	if err != nil {
		return &exitError{server.ExitStatus(err), err}
	}
	go procs.Follow(ctx)
	announce(log, cfg, s, time.Since(began))
	select {
	case err = <-s.Fatal():
		s.Close()
		return &exitError{1, fmt.Errorf("stopped: %w", err)}
	case <-ctx.Done():
	}
	signal.Reset() // a second signal kills
	log.Info("shutting down: no more connections, requests on their way are finished")
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := s.Shutdown(drain); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

func announce(log *slog.Logger, cfg *config.Config, s *server.Server, took time.Duration) {
	r := s.Recovered
	log.Info("data loaded", "dataDir", cfg.DataDir, "dataLogDir", cfg.DataLogDir, "zxid", r.LastZxid, "transactions", r.Txns, "took", r.Took.Round(time.Microsecond))
	addr := s.ClientAddr()
	if addr == nil {
		log.Warn("no clientPort is configured: the server runs and listens on nothing")
		return
	}
	if cfg.Distributed() {
		log.Info("listening; clients are served when there is a leader", "address", addr, "myid", cfg.Ensemble.ServerID,
			"members", len(cfg.Ensemble.Members.Members), "ready_in", took.Round(time.Millisecond))
		return
	}
	log.Info("serving", "address", addr, "connect", "paddock cli -server "+reachable(addr)+" ls /", "ready_in", took.Round(time.Millisecond))
}

// reachable is addr as a client on this machine would have it.
func reachable(addr net.Addr) string {
	if t, ok := addr.(*net.TCPAddr); ok && t.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(t.Port))
	}
	return addr.String()
}
