// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"
	"sync"
	"time"

	"paddock/internal/acl"
	"paddock/internal/config"
	"paddock/internal/pipeline"
	"paddock/internal/replica"
	"paddock/internal/storage"
	"paddock/internal/vfs"
	"paddock/proto"
)

// What each part is told of the configuration.

func newAuthority(cfg *config.Config) (*acl.Authority, error) {
	opt := acl.Options{
		SkipACL: cfg.SkipACL, DigestEnabled: cfg.Digest.Enabled, DigestAlg: cfg.Digest.Alg, SuperDigest: cfg.Digest.SuperDigest,
		EnsembleNames: cfg.EnsembleAuthNames,
		Providers:     acl.Providers{SASL: cfg.AuthProviders["sasl"], X509: cfg.AuthProviders["x509"], Ensemble: cfg.AuthProviders["ensemble"]},
	}
	if cfg.SessionRequireClientSASLAuth {
		opt.EnforceSchemes = []string{acl.SASL}
	} else if cfg.EnforceAuth.Enabled {
		opt.EnforceSchemes = cfg.EnforceAuth.Schemes
	}
	return acl.New(opt)
}

func storageOptions(cfg *config.Config, log *slog.Logger, fs vfs.FS) storage.Options {
	tail := 0
	if cfg.Distributed() {
		tail = cfg.CommitLogCount + 1
	}
	return storage.Options{
		KeepTail: tail,
		DataDir:  cfg.DataDir, LogDir: cfg.DataLogDir, FS: fs, Logger: log,
		PreAlloc: cfg.PreAllocSize, SnapCount: cfg.SnapCount, SnapSizeLimit: cfg.SnapSizeLimit, TxnLogSizeLimit: cfg.TxnLogSizeLimit,
		ForceSync: cfg.ForceSync, FsyncWarning: cfg.FsyncWarning, Compression: cfg.SnapshotCompression,
		MaxBuffer: int(cfg.JuteMaxBuffer + cfg.JuteMaxBufferExtra), TrustEmpty: cfg.SnapshotTrustEmpty,
		AutocreateDir: cfg.DatadirAutocreate, AutocreateDB: cfg.DBAutocreate,
		WriteDigest: cfg.DigestEnabled, WriteLastZxid: cfg.SerializeLastZxid,
	}
}

func flushOptions(cfg *config.Config) replica.Flush {
	return replica.Flush{Delay: cfg.FlushDelay, Poll: cfg.MaxWriteQueuePollTime, MaxBatch: cfg.MaxBatchSize}
}

func keeperOptions(cfg *config.Config, log *slog.Logger, found storage.Recovered) replica.KeeperOptions {
	return replica.KeeperOptions{Logger: log, SnapExact: exactSnapshots(cfg), SinceSnapshot: found.TxnsSinceSnapshot,
		SnapRetain: cfg.SnapRetainCount, PurgeInterval: cfg.PurgeInterval}
}

// exactSnapshots: whoever sets the distance between snapshots gets it.
func exactSnapshots(cfg *config.Config) bool {
	for _, key := range []string{"snapCount", "snapSizeLimitInKb"} {
		if _, ok := cfg.Given[key]; ok {
			return true
		}
	}
	return false
}

// outLimit bounds what waits for a client that does not read. It leaves room
// for the replies to one burst of the largest reads.
func outLimit(cfg *config.Config) int { return max(64<<20, 8*int(cfg.JuteMaxBuffer)) }

// outShares is how many clients may each have as much as one may.
const outShares = 8

// sessionServer is the server in the ids of sessions: a server alone is 1.
func sessionServer(cfg *config.Config) int64 {
	if cfg.Distributed() {
		return cfg.Ensemble.ServerID
	}
	return 1
}

func pipelineOptions(cfg *config.Config, log *slog.Logger, authority *acl.Authority) pipeline.Options {
	opt := pipeline.Options{
		Logger: log, ACL: authority, Tick: cfg.TickTime, ServerID: sessionServer(cfg),
		MinSessionTimeout: cfg.MinSessionTimeout, MaxSessionTimeout: cfg.MaxSessionTimeout,
		ExtendedTypes: cfg.ExtendedTypes, EnforceQuota: cfg.EnforceQuota, Digest: cfg.DigestEnabled,
		Reconfig: cfg.Ensemble.ReconfigEnabled, LeaderAlone: cfg.Distributed() && !cfg.LeaderServes, MaxRecord: int(cfg.JuteMaxBuffer + cfg.JuteMaxBufferExtra),
		OutstandingMax: cfg.GlobalOutstandingLimit, OutLimit: outLimit(cfg), OutSum: outShares * outLimit(cfg),
		ThrottleMax:     cfg.RequestThrottle.MaxRequests,
		ThrottleStale:   cfg.RequestThrottle.DropStale && cfg.RequestThrottle.StaleConnectionCheck,
		ThrottleLate:    cfg.RequestThrottle.DropStale && cfg.RequestThrottle.StaleLatencyCheck,
		ThrottledOpWait: cfg.ThrottledOpWaitTime, LargeThreshold: int(cfg.LargeRequestThreshold), LargeMax: cfg.LargeRequestMaxBytes,
		ContainerPeriod: cfg.Container.CheckInterval, ContainerMax: cfg.Container.MaxPerMinute, ContainerUnused: cfg.Container.MaxNeverUsed,
	}
	if cfg.Distributed() {
		opt.LocalSessions, opt.LocalUpgrades = cfg.LocalSessions, cfg.LocalSessions && cfg.LocalSessionsUpgrading
	}
	if cfg.SessionRequireClientSASLAuth || cfg.EnforceAuth.Enabled {
		opt.EnforceAuth = proto.ErrSessionClosedSASL
	}
	if t := cfg.ConnectionThrottle; t.Tokens > 0 {
		b := &pipeline.TokenBucket{Capacity: t.Tokens, FillCount: t.FillCount, FillTime: t.FillTime, NewCost: 1, RenewCost: 1,
			FreezeTime: t.FreezeTime, Increase: t.DropIncrease, Decrease: t.DropDecrease, Margin: t.DecreaseRatio}
		if t.WeightEnabled {
			b.Capacity, b.FillCount = t.Tokens*t.GlobalWeight, t.FillCount*t.GlobalWeight
			b.NewCost, b.RenewCost = t.GlobalWeight, t.RenewWeight
			if opt.LocalSessions {
				b.NewCost = t.LocalWeight
			}
		}
		opt.ConnectionBucket = b
	}
	return opt
}

// quotaLog says of each path once a minute at most that its quota is exceeded
// or broken. It is called under the tree's lock, so the line is written later.
func quotaLog(log *slog.Logger) func(path, problem string) {
	var (
		mu   sync.Mutex
		said = map[string]time.Time{}
	)
	return func(path, problem string) {
		mu.Lock()
		defer mu.Unlock()
		if len(said) > 10000 {
			clear(said)
		}
		if time.Since(said[path]) < time.Minute && !said[path].IsZero() {
			return
		}
		said[path] = time.Now()
		go log.Warn("quota", "path", path, "problem", problem)
	}
}
