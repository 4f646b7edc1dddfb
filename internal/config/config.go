// SPDX-License-Identifier: Apache-2.0

// Package config turns a zoo.cfg, the -D properties of SERVER_JVMFLAGS and JVMFLAGS, and the command line's
// own overrides into one typed Config, and says what it could not honour.
//
//	flags  >  file  >  -Dzookeeper.<key>  >  default          (the first that is set wins)
//
// Every key is one row of the table in table.go and its neighbours: parsing, bounds, warnings, defaults and
// docs/configuration.md all come from that row. Load reports every error it finds, each with file, line, key
// and reason; a key that is unknown, belongs to an ensemble or has no meaning outside a JVM is named in
// Config.Warnings and never stops the server.
//
// Load opens no socket and creates no file. The only reader of a Config is internal/server, which hands each part
// of the server its own options. Dynamic keeps, where the operator has allowed it, the files that say who the
// members of the ensemble are.
package config

import (
	"time"

	"paddock/internal/quorum"
)

// A Config is every setting of one server, validated and in Go units. It is not changed after Load returns it.
// Zero means "off" or "no limit" wherever the field's comment says so.
type Config struct {
	ConfigFile string // path as given; "" for the embedded default and the positional form

	// Data directories. Files live in version-2 below them.
	DataDir           string // snapshots, myid
	DataLogDir        string // transaction logs; equals DataDir unless set
	DatadirAutocreate bool   // datadir.autocreate: create a missing directory rather than refuse to start
	DBAutocreate      bool   // db.autocreate: an empty directory is a new database

	// Client port.
	ClientAddr         string        // host:port to listen on; ":2181" is every interface; "" is none
	ClientPort         int           // 0 when ClientAddr is ""; also 0 for a free port asked for by a flag
	ClientPortAddress  string        // host as written; "" is every interface
	ListenBacklog      int           // clientPortListenBacklog; -1 is the system's default
	TickTime           time.Duration // base unit of the timeouts below
	MaxClientCnxns     int           // connections per client address; 0 is unlimited
	MaxCnxns           int           // connections in all; 0 is unlimited
	MinSessionTimeout  time.Duration // resolved: 2 ticks unless set
	MaxSessionTimeout  time.Duration // resolved: 20 ticks unless set
	SessionlessTimeout time.Duration // nio.sessionlessCnxnTimeout: a connection without a session is closed after it
	TCPKeepAlive       bool          // clientTcpKeepAlive

	// Sizes of packets, bytes.
	JuteMaxBuffer         int64 // largest packet and largest record
	JuteMaxBufferExtra    int64 // room on top of it for what the server itself adds; = JuteMaxBuffer unless set
	LargeRequestMaxBytes  int64 // sum of all large requests in flight
	LargeRequestThreshold int64 // a request above it counts as large; <= 0 switches the limit off

	// Storage.
	SnapCount             int           // transactions between snapshots; each server takes between half and all of it
	SnapSizeLimit         int64         // bytes of log between snapshots; 0 is off
	TxnLogSizeLimit       int64         // bytes after which a log file is rolled; 0 is off
	PreAllocSize          int64         // bytes a log file grows by
	ForceSync             bool          // fsync before a write is acknowledged
	FsyncWarning          time.Duration // a slower fsync is logged
	FlushDelay            time.Duration // how long a write may wait for company before the fsync; 0 is not at all
	MaxWriteQueuePollTime time.Duration // longest wait for the next write while a batch is open; FlushDelay/3 unless set
	MaxBatchSize          int           // transactions per fsync; 0 is no limit
	SnapshotCompression   string        // "", "gz" or "snappy"
	SnapshotTrustEmpty    bool          // start on log files without any snapshot
	SerializeLastZxid     bool          // serializeLastProcessedZxid.enabled
	DigestEnabled         bool          // digest.enabled: keep and log the tree's digest
	SnapRetainCount       int           // snapshots that retention keeps; at least 3
	PurgeInterval         time.Duration // retention runs this often; 0 is off
	CommitLogCount        int           // committed transactions kept in memory

	// Requests.
	GlobalOutstandingLimit int // requests in the pipeline before reading from clients pauses
	RequestThrottle        RequestThrottle
	ThrottledOpWaitTime    time.Duration // a request queued for longer is answered THROTTLEDOP; 0 is off
	ConnectionThrottle     ConnectionThrottle

	// The tree.
	ExtendedTypes          bool // TTL znodes
	EnforceQuota           bool // hard quotas refuse
	SkipACL                bool // no permission is checked
	EagerACLCheck          bool // ensembles only
	Container              Container
	ReadOnlyMode           bool // readonlymode.enabled; ensembles only, but it puts isro on the whitelist
	LocalSessions          bool // ensembles only
	LocalSessionsUpgrading bool // ensembles only
	LeaderServes           bool // ensembles only

	// Authentication.
	Digest                       DigestAuth
	EnsembleAuthNames            []string        // secrets of the ensemble scheme; empty switches it off
	AuthProviders                map[string]bool // schemes there are: ip, digest unless disabled, and those of authProvider.N (ensemble, sasl, x509)
	EnforceAuth                  EnforceAuth
	SessionRequireClientSASLAuth bool // answer every request before SASL with SESSIONCLOSEDREQUIRESASLAUTH
	AllowSaslFailedClients       bool

	FourLetterWords Whitelist // 4lw.commands.whitelist

	Ensemble Ensemble // parsed and validated, but without effect on a standalone server

	// Given holds every key that was set, by its name in the file, with the text that won.
	Given map[string]Given
	// Properties is Given under the names and with the texts the original's system_properties command shows:
	// zookeeper.<key> for keys that it passes through, and each -D as it came. Secrets included: see IsSecret.
	Properties map[string]string
	// Warnings are complete lines for the log, in a stable order.
	Warnings []string
}

// Given is one setting as it was written.
type Given struct {
	Value  string
	Origin Origin
}

// Origin says where a setting was written.
type Origin struct {
	File string // file name as given, "command line", or the name of the environment variable
	Line int    // 0 where there are no lines
}

// RequestThrottle holds requests back before they enter the pipeline.
type RequestThrottle struct {
	MaxRequests          int  // request_throttle_max_requests; 0 is off
	DropStale            bool // do not process a stale request
	StaleConnectionCheck bool // a request is stale when its connection is gone
	StaleLatencyCheck    bool // a request is stale when it waited longer than its session's timeout
}

// ConnectionThrottle is a token bucket for new connections.
type ConnectionThrottle struct {
	Tokens        int           // size of the bucket; 0 is off
	FillTime      time.Duration // time per fill
	FillCount     int           // tokens per fill
	FreezeTime    time.Duration // between changes of the drop probability; <0 is off
	DropIncrease  float64
	DropDecrease  float64
	DecreaseRatio float64
	WeightEnabled bool
	GlobalWeight  int // tokens a new session costs
	LocalWeight   int // tokens a new local session costs
	RenewWeight   int // tokens a resumed session costs
}

// Container sets the removal of empty containers and of expired TTL znodes.
type Container struct {
	CheckInterval time.Duration
	MaxPerMinute  int
	MaxNeverUsed  time.Duration // remove a container that never had a child after it; 0 is never
}

// DigestAuth is the digest scheme.
type DigestAuth struct {
	Enabled     bool
	SuperDigest string // user:base64 of the super user; "" is none
	Alg         string // SHA1, SHA-256, ... as Java names them
}

// EnforceAuth closes the sessions of clients that did not authenticate.
type EnforceAuth struct {
	Enabled bool
	Schemes []string
}

// Whitelist is the set of four-letter words that are answered.
type Whitelist struct {
	All   bool
	Words map[string]bool
}

// Allows says whether the word is answered; srvr always is.
func (w Whitelist) Allows(word string) bool {
	return w.All || word == "srvr" || w.Words[word]
}

// Ensemble is what only a server among several uses.
type Ensemble struct {
	ServerID                    int64          // from the myid file; -1 when there is none
	Members                     *quorum.Config // never nil; Version is the dynamic file's, 0 for a static list
	Seen                        *quorum.Config // proposed and not committed when the server stopped; nil for none
	DynamicConfigFile           string
	StandaloneEnabled           bool
	ReconfigEnabled             bool
	InitLimit                   int  // ticks
	SyncLimit                   int  // ticks
	ConnectToLearnerMasterLimit int  // ticks; InitLimit unless set
	ElectionAlg                 int  // always 3
	Observer                    bool // peerType=observer
	SyncEnabled                 bool
	ListenOnAllIPs              bool
	ObserverMasterPort          int
	OraclePath                  string
	MultiAddress                bool
}

// Distributed says whether the settings ask for the ensemble code: more than one voter, or one voter with
// standaloneEnabled=false.
func (c *Config) Distributed() bool {
	voters := c.Voters()
	return voters > 1 || !c.Ensemble.StandaloneEnabled && voters > 0
}

// Voters counts the servers that vote.
func (c *Config) Voters() int { return len(c.Ensemble.Members.Voters()) }

// InitLimit is initLimit in time.
func (c *Config) InitLimit() time.Duration { return time.Duration(c.Ensemble.InitLimit) * c.TickTime }

// SyncLimit is syncLimit in time.
func (c *Config) SyncLimit() time.Duration { return time.Duration(c.Ensemble.SyncLimit) * c.TickTime }
