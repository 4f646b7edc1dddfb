// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"paddock/internal/config"
	"paddock/internal/conn"
	"paddock/internal/ensemble"
	"paddock/internal/quorum"
	"paddock/internal/vfs"
	"paddock/internal/zab"
)

// startEnsemble begins to take part in the ensemble. The server serves when
// there is a leader.
func (s *Server) startEnsemble(log *slog.Logger, opts Options) error {
	cfg := s.cfg
	nameWithoutEffect(cfg, log)
	st, err := s.peerState()
	if err != nil {
		return err
	}
	e := &cfg.Ensemble
	ms := func(key string, otherwise int) time.Duration {
		return time.Duration(number(cfg, key, otherwise)) * time.Millisecond
	}
	opt := ensemble.Options{
		Logger: log, Sid: e.ServerID, State: st,
		Store: s.store, Tree: s.tree, Pipeline: s.pipe, Keeper: s.keeper, Flush: flushOptions(cfg),
		Zab: zab.Options{
			Tick: cfg.TickTime, InitLimit: e.InitLimit, SyncLimit: e.SyncLimit, ConnectLimit: e.ConnectToLearnerMasterLimit,
			MinNotify: ms("fastleader.minNotificationInterval", 200), MaxNotify: ms("fastleader.maxNotificationInterval", 2000),
			Window: cfg.CommitLogCount, ForceSnap: given(cfg, "forceSnapshotSync", "false") == "true", DiskSync: sizeFactor(cfg) >= 0,
			Reconfig: e.ReconfigEnabled, Rand: rand.New(rand.NewSource(rand.Int63())), Observer: e.Observer,
			MasterPort: e.ObserverMasterPort, NoLog: !e.SyncEnabled, CounterMax: opts.counterMax,
			LookDelay: ms("observer.election.DelayMs", 200), DialDelay: ms("observer.reconnectDelayMs", 0),
		},
		Ballots: ensemble.BallotOptions{
			ListenOnAllIPs: e.ListenOnAllIPs, BindRetry: number(cfg, "electionPortBindRetry", 3),
			ConnectTimeout: ms("cnxTimeout", 5000), HandshakeTimeout: handshakeTimeout(cfg),
			KeepAlive: given(cfg, "tcpKeepAlive", "false") == "true", MultiAddress: e.MultiAddress,
		},
		Links: ensemble.LinkOptions{
			MaxBuffer:   int(cfg.JuteMaxBuffer + cfg.JuteMaxBufferExtra),
			FirstPacket: cfg.InitLimit(), ReadTimeout: cfg.InitLimit(), NoDelay: true,
			KeepAlive:        given(cfg, "tcpKeepAlive", "false") == "true",
			MasterQueueBytes: max(64<<10, number(cfg, "observerMaster.sizeLimit", 32<<20)),
		},
		SizeFactor: sizeFactor(cfg),
		OnFatal:    s.fail,
	}
	files := opts.FS
	if files == nil {
		files = vfs.OS
	}
	dynamic := config.NewDynamic(cfg, files)
	if err := dynamic.Begin(); err != nil {
		return err
	}
	opt.Membership, opt.Seen = dynamic.Committed, dynamic.Seen
	opt.ClientPort = s.moveClientPort
	if opt.MinVoters = 2; !e.StandaloneEnabled {
		opt.MinVoters = 1
	}
	if cfg.ReadOnlyMode {
		opt.ReadOnlyAfter = max(2*time.Second, cfg.TickTime)
	}
	opt.Links.Wrap, opt.Ballots.Wrap = opts.Wrap, opts.Wrap
	s.driver, err = ensemble.Start(context.Background(), opt)
	return err
}

// moveClientPort opens another port for clients, in place of the one there is.
func (s *Server) moveClientPort(to quorum.HostPort) {
	<-s.wired
	if s.port == nil {
		return
	}
	if now, ok := s.port.Addr().(*net.TCPAddr); ok && now.Port == to.Port {
		return // it is served already, or would be in its own way
	}
	host := to.Host
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = ""
	}
	addr := net.JoinHostPort(host, strconv.Itoa(to.Port))
	ln, err := conn.Listen(addr, s.cfg.ListenBacklog)
	if err != nil {
		s.log.Error("the membership gives this server another client port, which cannot be opened: the old one stays", "from", s.port.Addr(), "err", err)
		return
	}
	s.log.Info("the client port has moved", "from", s.port.Addr(), "to", ln.Addr())
	s.port.Move(ln)
}

// peerState is what the peer begins with.
func (s *Server) peerState() (zab.State, error) {
	e := &s.cfg.Ensemble
	st := zab.State{Sid: e.ServerID, LastZxid: s.Recovered.LastZxid, Untrusted: s.Recovered.Untrusted, Committed: e.Members, Seen: e.Seen}
	var err error
	if st.AcceptedEpoch, st.CurrentEpoch, err = s.store.LoadEpochs(max(st.LastZxid, 0)); err != nil {
		return st, err
	}
	for _, e := range s.store.Tail() {
		st.Tail = append(st.Tail, zab.Entry{Zxid: e.Zxid, Data: e.Payload})
	}
	return st, nil
}

// unsupported are settings of an ensemble that would be dangerous to leave out:
// each with the values that ask for nothing.
var unsupported = []struct{ key, off, what string }{
	{"sslQuorum", "false", "TLS between servers"},
	{"portUnification", "false", "TLS between servers"},
	{"quorum.auth.enableSasl", "false", "SASL between servers"},
	{"quorum.auth.learnerRequireSasl", "false", "SASL between servers"},
	{"quorum.auth.serverRequireSasl", "false", "SASL between servers"},
	{"oraclePath", "", "an oracle for two servers"},
}

// refuseUnsupported names all settings that keep this server from an ensemble.
func refuseUnsupported(cfg *config.Config) error {
	var errs []error
	for _, u := range unsupported {
		if g, ok := cfg.Given[u.key]; ok && !strings.EqualFold(g.Value, u.off) {
			errs = append(errs, fmt.Errorf("%s: %s=%s: %s is not there yet", origin(g.Origin), u.key, g.Value, u.what))
		}
	}
	return errors.Join(errs...)
}

// withoutEffect are settings of an ensemble that change nothing here yet, each
// with the value that asks for nothing.
var withoutEffect = []struct{ key, off string }{
	{"multiAddress.reachabilityCheckEnabled", "true"},
	{"multiAddress.reachabilityCheckTimeoutMs", ""},
	{"enableEagerACLCheck", "false"},
	{"leader.maxConcurrentSnapSyncs", ""},
	{"leader.maxConcurrentDiffSyncs", ""},
	{"leader.maxTimeToWaitForEpoch", "-1"},
	{"leaderConnectDelayDuringRetryMs", ""},
}

// nameWithoutEffect says which settings do nothing.
func nameWithoutEffect(cfg *config.Config, log *slog.Logger) {
	for _, w := range withoutEffect {
		if g, ok := cfg.Given[w.key]; ok && !strings.EqualFold(strings.TrimSpace(g.Value), w.off) {
			log.Warn("a setting has no effect yet", "where", origin(g.Origin), "key", w.key, "value", g.Value)
		}
	}
}

func origin(o config.Origin) string {
	if o.Line == 0 {
		return o.File
	}
	return o.File + ":" + strconv.Itoa(o.Line)
}

// given is the text of a setting, which config has checked.
func given(cfg *config.Config, key, otherwise string) string {
	if g, ok := cfg.Given[key]; ok {
		return strings.ToLower(strings.TrimSpace(g.Value))
	}
	return otherwise
}

func number(cfg *config.Config, key string, otherwise int) int {
	n, err := strconv.Atoi(given(cfg, key, ""))
	if err != nil {
		return otherwise
	}
	return n
}

// sizeFactor is snapshotSizeFactor; above 1 the reference takes its default.
func sizeFactor(cfg *config.Config) float64 {
	const usual = 0.33
	f, err := strconv.ParseFloat(given(cfg, "snapshotSizeFactor", ""), 64)
	if err != nil || f > 1 {
		return usual
	}
	return f
}

// handshakeTimeout bounds the beginning of an election connection.
func handshakeTimeout(cfg *config.Config) time.Duration {
	if n := number(cfg, "quorumCnxnTimeoutMs", -1); n > 0 {
		return time.Duration(n) * time.Millisecond
	}
	return cfg.SyncLimit()
}
