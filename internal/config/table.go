// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"sync"
)

// A section is a group of rows that share a heading, a fate and the reason for it.
type section struct {
	title string
	fate  fate
	why   string // for rows that give no reason of their own
	rows  []row
}

// table is every key there is, in the order of docs/configuration.md.
var table = sync.OnceValue(func() []section {
	all := append(append(standaloneTable(), ensembleTable()...), laterTable()...)
	for _, s := range all {
		for i := range s.rows {
			r := &s.rows[i]
			r.fate = s.fate
			if r.why == "" {
				r.why = s.why
			}
			if r.kind == truth && r.def == "false" {
				r.off = "false"
			}
		}
	}
	return all
})

var allRows = sync.OnceValue(func() []*row {
	var rows []*row
	for _, s := range table() {
		for i := range s.rows {
			rows = append(rows, &s.rows[i])
		}
	}
	return rows
})

var rowsByKey = sync.OnceValue(func() map[string]*row {
	m := map[string]*row{}
	for _, r := range allRows() {
		if m[r.key] != nil {
			panic("config: two rows for " + r.key)
		}
		m[r.key] = r
	}
	return m
})

// find returns the row of a key, be it a family's, or nil.
func find(key string) *row {
	if r := rowsByKey()[key]; r != nil && !r.pattern() {
		return r
	}
	dot := strings.IndexByte(key, '.')
	if dot < 0 || dot == len(key)-1 {
		return nil
	}
	if r := rowsByKey()[key[:dot]+".N"]; r != nil {
		return r
	}
	return rowsByKey()[key[:dot]+".*"]
}

// guideName returns the row that the administrator's guide lists under this name.
func guideName(name string) *row {
	for _, r := range allRows() {
		if r.guide == name {
			return r
		}
	}
	return nil
}

// IsSecret says whether the value of a key, with or without the zookeeper. prefix, is not for display.
func IsSecret(name string) bool {
	key := strings.TrimPrefix(name, "zookeeper.")
	if r := find(key); r != nil {
		return r.secret
	}
	return strings.Contains(strings.ToLower(key), "password")
}

// standaloneTable is what one server honours.
func standaloneTable() []section {
	return []section{
		{title: "Data directories", rows: []row{
			{key: "dataDir", kind: path, spell: fileOnly, bind: func(c *Config) any { return &c.DataDir },
				doc: "Snapshots and the myid file; also the transaction logs unless dataLogDir is set. Files live under `version-2/`. Required in a file."},
			{key: "dataLogDir", kind: path, spell: fileOnly, bind: func(c *Config) any { return &c.DataLogDir },
				doc: "Transaction logs, best on a disk of their own. Default: dataDir."},
			{key: "datadir.autocreate", kind: truth, def: "true", bind: func(c *Config) any { return &c.DatadirAutocreate },
				doc: "Create a missing data directory. With `false` the server refuses to start without it. The variable ZOO_DATADIR_AUTOCREATE_DISABLE sets `false`."},
			{key: "db.autocreate", kind: truth, def: "true", bind: func(c *Config) any { return &c.DBAutocreate },
				doc: "An empty data directory is a new database. With `false` that needs a file named `initialize` in dataDir."},
		}},
		{title: "Client port and connections", rows: []row{
			{key: "clientPort", kind: port, spell: fileOnly, hi: 65535, bind: func(c *Config) any { return &c.ClientPort },
				doc: "Port for clients. Absent or 0 in a file: none. On the command line 0 takes a free port."},
			{key: "clientPortAddress", kind: text, spell: fileOnly, bind: func(c *Config) any { return &c.ClientPortAddress },
				doc: "Host name or address to listen on. Default: every interface."},
			{key: "clientPortListenBacklog", kind: number, spell: fileOnly, def: "-1", lo: -1, bind: func(c *Config) any { return &c.ListenBacklog },
				doc: "Backlog of the listening socket; -1 is the system's."},
			{key: "maxClientCnxns", kind: number, spell: fileOnly, def: "60", lo: any32, floor: true, bind: func(c *Config) any { return &c.MaxClientCnxns },
				doc: "Connections from one client address; 0 is unlimited."},
			{key: "maxCnxns", kind: number, def: "0", lo: any32, floor: true, bind: func(c *Config) any { return &c.MaxCnxns },
				doc: "Connections in all; 0 is unlimited."},
			{key: "clientTcpKeepAlive", kind: truth, def: "false", bind: func(c *Config) any { return &c.TCPKeepAlive },
				doc: "TCP keep-alive on client connections."},
			{key: "nio.sessionlessCnxnTimeout", kind: span, unit: ms, def: "10000", lo: 1, bind: func(c *Config) any { return &c.SessionlessTimeout },
				doc: "ms after which a connection that never made a session is closed."},
			{key: "4lw.commands.whitelist", kind: words, def: "srvr", bind: func(c *Config) any { return &c.FourLetterWords },
				doc: "Comma list of four-letter words that are answered, `*` for all. srvr always is."},
		}},
		{title: "Time and sessions", rows: []row{
			{key: "tickTime", kind: span, unit: ms, spell: fileOnly, def: "3000", lo: 1, hi: largest / 20, bind: func(c *Config) any { return &c.TickTime },
				doc: "ms; the base unit."},
			{key: "minSessionTimeout", kind: span, unit: ms, spell: fileOnly, def: "-1", lo: -1, bind: func(c *Config) any { return &c.MinSessionTimeout },
				doc: "ms; the shortest timeout a client can get. -1: 2 ticks."},
			{key: "maxSessionTimeout", kind: span, unit: ms, spell: fileOnly, def: "-1", lo: -1, bind: func(c *Config) any { return &c.MaxSessionTimeout },
				doc: "ms; the longest timeout a client can get. -1: 20 ticks."},
		}},
		{title: "Storage", rows: []row{
			{key: "snapCount", kind: number, def: "100000", lo: 2, raise: true, bind: func(c *Config) any { return &c.SnapCount },
				doc: "Transactions between snapshots; the actual number is drawn between half and all of it. Where it is not set, a large tree waits for half as many transactions as it has znodes."},
			{key: "snapSizeLimitInKb", kind: size, unit: kib, def: "4194304", lo: any32, hi: largestK, floor: true, bind: func(c *Config) any { return &c.SnapSizeLimit },
				doc: "KiB of log between snapshots; 0 or less is off."},
			{key: "txnLogSizeLimitInKb", kind: size, unit: kib, def: "-1", lo: any32, hi: largestK, floor: true, bind: func(c *Config) any { return &c.TxnLogSizeLimit },
				doc: "KiB after which a log file is rolled; 0 or less is off."},
			{key: "preAllocSize", kind: size, unit: kib, def: "65536", lo: 0, hi: largestK, bind: func(c *Config) any { return &c.PreAllocSize },
				doc: "KiB by which a log file grows; 0 is off."},
			{key: "forceSync", kind: yesNo, def: "yes", bind: func(c *Config) any { return &c.ForceSync },
				doc: "`no` acknowledges writes before they are on the disk: a power cut loses them."},
			{key: "fsync.warningthresholdms", kind: span, unit: ms, spell: bareAlso, def: "1000", bind: func(c *Config) any { return &c.FsyncWarning },
				doc: "ms; a slower fsync is logged."},
			{key: "flushDelay", kind: span, unit: ms, def: "0", lo: any32, floor: true, bind: func(c *Config) any { return &c.FlushDelay },
				doc: "ms a write may wait for others to share its fsync; 0 is not at all."},
			{key: "maxWriteQueuePollTime", kind: span, unit: ms, lo: 0, bind: func(c *Config) any { return &c.MaxWriteQueuePollTime },
				doc: "ms to wait for the next write while a batch is open. Default: a third of flushDelay."},
			{key: "maxBatchSize", kind: number, def: "1000", lo: any32, floor: true, bind: func(c *Config) any { return &c.MaxBatchSize },
				doc: "Transactions per fsync; 0 is no limit."},
			{key: "snapshot.compression.method", kind: text, oneOf: []string{"", "gz", "snappy"}, bind: func(c *Config) any { return &c.SnapshotCompression },
				doc: "`gz`, `snappy`, or empty for none."},
			{key: "snapshot.trust.empty", kind: truth, def: "false", bind: func(c *Config) any { return &c.SnapshotTrustEmpty },
				doc: "Start on transaction logs that have no snapshot, as after an upgrade from 3.4."},
			{key: "serializeLastProcessedZxid.enabled", kind: truth, def: "true", bind: func(c *Config) any { return &c.SerializeLastZxid },
				doc: "Write the last zxid into snapshots."},
			{key: "digest.enabled", kind: truth, def: "true", bind: func(c *Config) any { return &c.DigestEnabled },
				doc: "Keep a digest of the tree, write it with transactions and snapshots, and compare on recovery."},
			{key: "autopurge.snapRetainCount", kind: number, spell: fileOnly, def: "3", lo: 3, raise: true, bind: func(c *Config) any { return &c.SnapRetainCount },
				doc: "Snapshots to keep, with the logs they need."},
			{key: "autopurge.purgeInterval", kind: hours, spell: fileOnly, def: "1", bind: func(c *Config) any { return &c.PurgeInterval },
				doc: "Hours between removals of older snapshots and logs, or a number with ms, s, m, h or d; 0 is off. **Apache's default is off; here it is 1**, because a server that is left alone must not fill its disk."},
		}},
		{title: "Requests and limits", rows: []row{
			{key: "jute.maxbuffer", kind: size, spell: bare, def: "1048575", lo: 1, bind: func(c *Config) any { return &c.JuteMaxBuffer },
				doc: "Bytes of the largest packet. Apache ignores this line in a file and wants `-Djute.maxbuffer`; here the line counts, and the -D wins over it."},
			{key: "jute.maxbuffer.extrasize", kind: size, lo: 0, bind: func(c *Config) any { return &c.JuteMaxBufferExtra },
				doc: "Bytes on top of that for what the server adds itself. Default: jute.maxbuffer."},
			{key: "largeRequestMaxBytes", kind: size, def: "104857600", lo: 1, bind: func(c *Config) any { return &c.LargeRequestMaxBytes },
				doc: "Bytes of all large requests in flight."},
			{key: "largeRequestThreshold", kind: size, def: "-1", lo: any32, bind: func(c *Config) any { return &c.LargeRequestThreshold },
				doc: "Bytes from which a request is large; 0 or less is off."},
			{key: "globalOutstandingLimit", kind: number, def: "1000", lo: 1, bind: func(c *Config) any { return &c.GlobalOutstandingLimit },
				doc: "Queued requests above which the server stops reading from clients."},
			{key: "request_throttle_max_requests", guide: "requestThrottleLimit", kind: number, def: "0", lo: any32, floor: true, bind: func(c *Config) any { return &c.RequestThrottle.MaxRequests },
				doc: "Requests in the pipeline at once; 0 is unlimited."},
			{key: "request_throttle_drop_stale", guide: "requestThrottleDropStale", kind: truth, def: "true", bind: func(c *Config) any { return &c.RequestThrottle.DropStale },
				doc: "Drop a stale request instead of processing it."},
			{key: "request_stale_connection_check", guide: "requestStaleConnectionCheck", kind: truth, def: "true", bind: func(c *Config) any { return &c.RequestThrottle.StaleConnectionCheck },
				doc: "A request is stale when its connection is closed."},
			{key: "request_stale_latency_check", guide: "requestStaleLatencyCheck", kind: truth, def: "false", bind: func(c *Config) any { return &c.RequestThrottle.StaleLatencyCheck },
				doc: "A request is stale when it has waited longer than its session's timeout."},
			{key: "throttled_op_wait_time", guide: "throttledOpWaitTime", kind: span, unit: ms, def: "0", lo: any32, floor: true, bind: func(c *Config) any { return &c.ThrottledOpWaitTime },
				doc: "ms in the queue after which a request is answered THROTTLEDOP; 0 is off."},
			{key: "connection_throttle_tokens", guide: "connectionMaxTokens", kind: number, def: "0", lo: any32, floor: true, bind: func(c *Config) any { return &c.ConnectionThrottle.Tokens },
				doc: "Token bucket for new connections: its size; 0 is off."},
			{key: "connection_throttle_fill_time", guide: "connectionTokenFillTime", kind: span, unit: ms, def: "1", lo: 1, bind: func(c *Config) any { return &c.ConnectionThrottle.FillTime },
				doc: "ms per fill."},
			{key: "connection_throttle_fill_count", guide: "connectionTokenFillCount", kind: number, def: "1", lo: 0, bind: func(c *Config) any { return &c.ConnectionThrottle.FillCount },
				doc: "Tokens per fill."},
			{key: "connection_throttle_freeze_time", guide: "connectionFreezeTime", kind: span, unit: ms, def: "-1", lo: any32, bind: func(c *Config) any { return &c.ConnectionThrottle.FreezeTime },
				doc: "ms between changes of the drop probability; below 0 it stays 0."},
			{key: "connection_throttle_drop_increase", guide: "connectionDropIncrease", kind: ratio, def: "0.02", bind: func(c *Config) any { return &c.ConnectionThrottle.DropIncrease },
				doc: "Added to the drop probability when the bucket is empty."},
			{key: "connection_throttle_drop_decrease", guide: "connectionDropDecrease", kind: ratio, def: "0.002", bind: func(c *Config) any { return &c.ConnectionThrottle.DropDecrease },
				doc: "Taken from it when the bucket is fuller than the ratio below."},
			{key: "connection_throttle_decrease_ratio", guide: "connectionDecreaseRatio", kind: ratio, def: "0", bind: func(c *Config) any { return &c.ConnectionThrottle.DecreaseRatio },
				doc: "Share of the bucket that counts as recovered."},
			{key: "connection_throttle_weight_enabled", kind: truth, def: "false", bind: func(c *Config) any { return &c.ConnectionThrottle.WeightEnabled },
				doc: "Connections cost the weights below instead of one token."},
			{key: "connection_throttle_global_session_weight", kind: number, def: "3", lo: 1, bind: func(c *Config) any { return &c.ConnectionThrottle.GlobalWeight },
				doc: "Tokens of a new session."},
			{key: "connection_throttle_local_session_weight", kind: number, def: "1", lo: 1, bind: func(c *Config) any { return &c.ConnectionThrottle.LocalWeight },
				doc: "Tokens of a new local session."},
			{key: "connection_throttle_renew_session_weight", kind: number, def: "2", lo: 1, bind: func(c *Config) any { return &c.ConnectionThrottle.RenewWeight },
				doc: "Tokens of a session that comes back."},
		}},
		{title: "Znodes", rows: []row{
			{key: "extendedTypesEnabled", kind: truth, def: "false", bind: func(c *Config) any { return &c.ExtendedTypes },
				doc: "TTL znodes. Off: creating one is answered Unimplemented."},
			{key: "enforceQuota", kind: truth, def: "false", bind: func(c *Config) any { return &c.EnforceQuota },
				doc: "Hard quotas refuse writes; otherwise every quota only warns."},
			{key: "znode.container.checkIntervalMs", kind: span, unit: ms, spell: bare, def: "60000", lo: 1, bind: func(c *Config) any { return &c.Container.CheckInterval },
				doc: "ms between sweeps for empty containers and expired TTL znodes."},
			{key: "znode.container.maxPerMinute", kind: number, spell: bare, def: "10000", lo: 1, bind: func(c *Config) any { return &c.Container.MaxPerMinute },
				doc: "Most removals by a sweep per minute."},
			{key: "znode.container.maxNeverUsedIntervalMs", kind: span, unit: ms, spell: bare, def: "0", bind: func(c *Config) any { return &c.Container.MaxNeverUsed },
				doc: "ms after which a container that never had a child is removed; 0 is never."},
		}},
		{title: "Authentication and permissions", rows: []row{
			{key: "skipACL", kind: yesNo, def: "no", bind: func(c *Config) any { return &c.SkipACL },
				doc: "`yes` checks no permission at all."},
			{key: "DigestAuthenticationProvider.enabled", kind: truth, def: "true", bind: func(c *Config) any { return &c.Digest.Enabled },
				doc: "The digest scheme."},
			{key: "DigestAuthenticationProvider.superDigest", kind: text, secret: true, check: checkSuperDigest, bind: func(c *Config) any { return &c.Digest.SuperDigest },
				doc: "`user:digest` of the super user, who passes every permission check."},
			{key: "DigestAuthenticationProvider.digestAlg", kind: text, def: "SHA1", check: checkDigestAlg, bind: func(c *Config) any { return &c.Digest.Alg },
				doc: "Hash of the digest scheme: SHA1, SHA-224, SHA-256, SHA-384, SHA-512, SHA3-224 to SHA3-512, or MD5."},
			{key: "ensembleAuthName", kind: list, secret: true, bind: func(c *Config) any { return &c.EnsembleAuthNames },
				doc: "Names that the scheme `ensemble` accepts; a client that gives another is cut off."},
			{key: "authProvider.N", kind: text,
				doc: "Apache's class names of the digest, ip, ensemble, SASL and X509 providers are recognised. Other Java classes cannot be loaded and are named in a warning."},
			{key: "enforce.auth.enabled", kind: truth, def: "false", bind: func(c *Config) any { return &c.EnforceAuth.Enabled },
				doc: "Refuse the requests of clients that did not authenticate with one of the schemes below."},
			{key: "enforce.auth.schemes", kind: list, bind: func(c *Config) any { return &c.EnforceAuth.Schemes },
				doc: "Comma list of schemes."},
			{key: "sessionRequireClientSASLAuth", kind: truth, def: "false", bind: func(c *Config) any { return &c.SessionRequireClientSASLAuth },
				doc: "The same as enforcing the scheme sasl. SASL itself is not built yet, so that no client gets in."},
			{key: "allowSaslFailedClients", kind: truth, def: "false", bind: func(c *Config) any { return &c.AllowSaslFailedClients },
				doc: "Keep a session whose SASL exchange failed, without an identity."},
		}},
	}
}
