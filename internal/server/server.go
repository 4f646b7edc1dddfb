// SPDX-License-Identifier: Apache-2.0

// Package server is one running paddock server, built from a Config: New wires
// the parts, top to bottom, and Shutdown is the same list backwards.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"paddock/internal/acl"
	"paddock/internal/admin"
	"paddock/internal/config"
	"paddock/internal/conn"
	"paddock/internal/ensemble"
	"paddock/internal/pipeline"
	"paddock/internal/replica"
	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/internal/vfs"
)

// Version is what the server calls itself.
const Version = "0.1.0"

// Options are what a Config does not say.
type Options struct {
	Logger *slog.Logger // nil: silent
	FS     vfs.FS       // nil: the operating system's

	// counterMax is the last counter of an epoch, which tests make small; 0: as the
	// protocol has it.
	counterMax uint32

	// Wrap, if not nil, is given every new connection to another server of the
	// ensemble before its first byte: for tests that cut them.
	Wrap func(c net.Conn, dialed bool) (net.Conn, error)
}

// Server is a server that serves. Use New.
type Server struct {
	Recovered storage.Recovered // what was found in the data directory

	cfg    *config.Config
	log    *slog.Logger
	store  *storage.Store
	tree   *tree.Tree
	pipe   *pipeline.Pipeline
	keeper *replica.Keeper
	single *replica.Single  // nil in an ensemble
	driver *ensemble.Driver // nil for a server alone
	port   *conn.Server     // nil when the configuration names no client port
	wired  chan struct{}    // closed when all of the above are set
	fatal  chan error
	unlock func()
	closed sync.Once
	err    error
}

// New starts a server: when it returns, clients are served, or, by a server of
// an ensemble, will be as soon as there is a leader.
func New(cfg *config.Config, opt Options) (*Server, error) {
	log := opt.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Distributed() {
		if err := refuseUnsupported(cfg); err != nil {
			return nil, err
		}
	}
	authority, err := newAuthority(cfg)
	if err != nil {
		return nil, err
	}
	var ln net.Listener
	if cfg.ClientAddr != "" {
		if ln, err = conn.Listen(cfg.ClientAddr, cfg.ListenBacklog); err != nil {
			return nil, fmt.Errorf("client port: %w", err)
		}
	}
	s := &Server{cfg: cfg, log: log, fatal: make(chan error, 1), wired: make(chan struct{})}
	if err := s.start(ln, authority, opt); err != nil {
		if ln != nil {
			ln.Close()
		}
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ln net.Listener, authority *acl.Authority, opt Options) (err error) {
	cfg, log := s.cfg, s.log
	defer close(s.wired)
	if s.store, err = storage.Open(storageOptions(cfg, log, opt.FS)); err != nil {
		return err
	}
	if err := s.lockDirs(opt.FS); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.unlock()
		}
	}()
	s.tree = tree.New()
	s.tree.OnQuota(quotaLog(log))
	if s.Recovered, err = replica.Recover(s.store, s.tree, log); err == nil && s.Recovered.Untrusted && !cfg.Distributed() {
		err = replica.UntrustedError(s.store)
	}
	if err != nil {
		s.tree.Close()
		return err
	}
	s.pipe = pipeline.New(s.tree, pipelineOptions(cfg, log, authority))
	s.keeper = replica.NewKeeper(s.store, s.tree, keeperOptions(cfg, log, s.Recovered))
	if cfg.Distributed() {
		err = s.startEnsemble(log, opt)
	} else {
		s.single = replica.NewSingle(s.store, s.pipe, replica.Options{Flush: flushOptions(cfg), Keeper: s.keeper, OnFatal: s.fail})
		s.pipe.Start(s.single)
	}
	if err != nil {
		s.keeper.Close()
		s.tree.Close()
		return err
	}
	if ln == nil {
		return nil
	}
	words := s.words()
	s.port = conn.New(ln, conn.Options{
		Logger: log, Pipeline: s.pipe, MaxFrame: int(cfg.JuteMaxBuffer), MaxPerAddress: cfg.MaxClientCnxns, MaxTotal: cfg.MaxCnxns,
		HandshakeTimeout: cfg.SessionlessTimeout, KeepAlive: cfg.TCPKeepAlive, FourLetter: words.FourLetter,
	})
	go s.port.Serve()
	return nil
}

// lockDirs takes the data directories for this process. A file system that is
// not the system's own needs no lock.
func (s *Server) lockDirs(fs vfs.FS) error {
	s.unlock = func() {}
	if fs != nil {
		return nil
	}
	for _, dir := range slices.Compact([]string{s.cfg.DataDir, s.cfg.DataLogDir}) {
		unlock, err := lockDir(dir)
		if err != nil {
			s.unlock()
			return err
		}
		before := s.unlock
		s.unlock = func() { unlock(); before() }
	}
	return nil
}

func (s *Server) words() *admin.Admin {
	src := admin.Source{
		Pipeline: s.pipe, Config: s.cfg, Started: time.Now(), Version: Version,
		OpenConnections: func() int { return s.port.Open() },
		Rejected:        func() int64 { return s.port.Rejected() },
		Connections:     func(visit func(*pipeline.Client)) { s.port.Each(visit) },
		ClientAddr:      func() net.Addr { return s.ClientAddr() },
		Fsyncs:          s.store.Log().Stats().Count.Load, Snapshots: s.keeper.Snapshots,
		FsyncTime: func() time.Duration { return time.Duration(s.store.Log().Stats().Total.Load()) },
	}
	if s.driver != nil {
		src.Ensemble = s.driver.Health
		src.HandOver = s.driver.HandOver
	}
	return admin.New(src)
}

// fail ends the service at once: what cannot be logged must not be answered.
func (s *Server) fail(err error) {
	s.log.Error("the transaction log has failed: nothing more is acknowledged", "err", err)
	s.pipe.Abandon()
	select {
	case s.fatal <- err:
	default:
	}
}

// Fatal receives the error that keeps the server from going on. The owner is
// to call Close and leave.
func (s *Server) Fatal() <-chan error { return s.fatal }

// ClientAddr is where clients connect; nil if the configuration names no port.
func (s *Server) ClientAddr() net.Addr {
	if s.port == nil {
		return nil
	}
	return s.port.Addr()
}

// Tree is the server's tree.
func (s *Server) Tree() *tree.Tree { return s.tree }

// Shutdown ends the server: no more connections, requests on their way are
// finished and answered, the log is closed. Sessions live on in the data
// directory. When ctx ends first, connections are cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closed.Do(func() {
		if s.port != nil {
			s.port.StopAccepting()
		}
		s.handOver(ctx)
		s.pipe.Stop()
		s.drain(ctx)
		s.err = s.endReplication()
		s.keeper.Close()
		if s.port != nil {
			s.port.Close(ctx)
		}
		s.tree.Close()
		s.unlock()
	})
	return s.err
}

// drain waits for the requests on their way, unless there is no leader that could
// answer them.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.driver != nil && !s.driver.Health().Serving {
		cancel()
	}
	s.pipe.Drain(ctx)
}

// handOver has a leader make room for the next one while it can still answer its
// clients.
func (s *Server) handOver(ctx context.Context) {
	if s.driver == nil {
		return
	}
	const enough = 3 * time.Second // an election takes a tenth of it
	ctx, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	switch h, err := s.driver.HandOver(ctx); {
	case err == nil:
		s.log.Info("handed over", "leader", h.Leader, "epoch", h.Epoch, "took", h.Took.Round(100*time.Microsecond))
	case errors.Is(err, ensemble.ErrNotLeader) || errors.Is(err, ensemble.ErrNoLeader):
	default:
		s.log.Warn("the lead is not handed over: another server has to find out that it is gone", "err", err)
	}
}

// endReplication writes what was proposed and closes the log.
func (s *Server) endReplication() error {
	if s.driver == nil {
		return s.single.Close()
	}
	err := s.driver.Close()
	if e := s.store.Log().Close(); e != nil && err == nil {
		err = fmt.Errorf("closing the log: %w", e)
	}
	return err
}

// Close is Shutdown without patience.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	return s.Shutdown(ctx)
}
