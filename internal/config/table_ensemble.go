// SPDX-License-Identifier: Apache-2.0

package config

// ensembleTable is what only a server among several uses. All of it is checked; a standalone server names it in
// one warning and does no more.
func ensembleTable() []section {
	return []section{
		{title: "Ensemble: membership", fate: ensemble, rows: []row{
			{key: "server.N", kind: text, spell: fileOnly,
				doc: "`host:quorumPort:electionPort[:participant|observer][;[host:]clientPort]`; several addresses are parted by `|`. A single voter runs standalone, and its client part counts."},
			{key: "group.N", kind: text, spell: fileOnly, doc: "Server ids of a group, parted by colons: hierarchical quorums."},
			{key: "weight.N", kind: text, spell: fileOnly, doc: "Votes of a server; default 1, 0 never counts."},
			{key: "dynamicConfigFile", kind: path, spell: fileOnly, bind: func(c *Config) any { return &c.Ensemble.DynamicConfigFile },
				doc: "File with the server, group and weight lines."},
			{key: "standaloneEnabled", kind: truth, spell: fileOnly, def: "true", off: "true", bind: func(c *Config) any { return &c.Ensemble.StandaloneEnabled },
				doc: "`false`: even one server runs as an ensemble."},
			{key: "reconfigEnabled", kind: truth, spell: fileOnly, def: "false", bind: func(c *Config) any { return &c.Ensemble.ReconfigEnabled },
				doc: "Change the membership at run time."},
			{key: "peerType", kind: text, spell: fileOnly, check: checkPeerType, off: "participant", doc: "`participant` or `observer`; the server's own line wins."},
			{key: "oraclePath", kind: path, spell: fileOnly, bind: func(c *Config) any { return &c.Ensemble.OraclePath },
				doc: "File of an outside tie breaker for two servers."},
			{key: "multiAddress.enabled", kind: truth, def: "false", bind: func(c *Config) any { return &c.Ensemble.MultiAddress },
				doc: "Allow several addresses in a server line. Apache does not see this line in a file; here it counts."},
			{key: "multiAddress.reachabilityCheckEnabled", kind: truth, def: "true", doc: "Probe the addresses."},
			{key: "multiAddress.reachabilityCheckTimeoutMs", kind: number, def: "1000", doc: "ms per probe."},
		}},
		{title: "Ensemble: time, election and learners", fate: ensemble, rows: []row{
			{key: "initLimit", kind: number, spell: fileOnly, def: "0", bind: func(c *Config) any { return &c.Ensemble.InitLimit },
				doc: "Ticks to connect to a leader and to synchronise; required in an ensemble."},
			{key: "syncLimit", kind: number, spell: fileOnly, def: "0", bind: func(c *Config) any { return &c.Ensemble.SyncLimit },
				doc: "Ticks a learner may be behind; required in an ensemble."},
			{key: "connectToLearnerMasterLimit", kind: number, spell: fileOnly, def: "0", bind: func(c *Config) any { return &c.Ensemble.ConnectToLearnerMasterLimit },
				doc: "Ticks to reach the leader after an election; 0: initLimit."},
			{key: "electionAlg", kind: number, spell: fileOnly, def: "3", off: "3", oneOf: []string{"3"}, bind: func(c *Config) any { return &c.Ensemble.ElectionAlg },
				doc: "3 is the only one."},
			{key: "quorumListenOnAllIPs", kind: truth, spell: fileOnly, def: "false", bind: func(c *Config) any { return &c.Ensemble.ListenOnAllIPs },
				doc: "Quorum and election ports on every interface."},
			{key: "observerMasterPort", kind: port, spell: fileOnly, def: "0", hi: 65535, bind: func(c *Config) any { return &c.Ensemble.ObserverMasterPort },
				doc: "Port on which followers serve observers; 0 is none."},
			{key: "syncEnabled", kind: truth, spell: fileOnly, def: "true", bind: func(c *Config) any { return &c.Ensemble.SyncEnabled },
				doc: "Observers write logs and snapshots."},
			{key: "observer.syncEnabled", kind: truth, doc: "The same; wins over syncEnabled."},
			{key: "readonlymode.enabled", kind: truth, spell: bare, def: "false", bind: func(c *Config) any { return &c.ReadOnlyMode },
				doc: "Serve reads when cut off from the quorum. Puts isro on the list of allowed four-letter words, standalone too. Apache ignores this line in a file and wants `-Dreadonlymode.enabled`; here the line counts, and the -D wins over it."},
			{key: "localSessionsEnabled", kind: truth, spell: fileOnly, def: "false", bind: func(c *Config) any { return &c.LocalSessions }, doc: "Sessions that only one server knows."},
			{key: "localSessionsUpgradingEnabled", kind: truth, spell: fileOnly, def: "false", bind: func(c *Config) any { return &c.LocalSessionsUpgrading }, doc: "Make them global when they create an ephemeral znode."},
			{key: "leaderServes", kind: yesNo, def: "yes", off: "yes", bind: func(c *Config) any { return &c.LeaderServes }, doc: "The leader serves clients."},
			{key: "enableEagerACLCheck", kind: truth, def: "false", bind: func(c *Config) any { return &c.EagerACLCheck }, doc: "Learners check permissions before they forward a write."},
			{key: "commitLogCount", kind: number, def: "500", lo: 500, raise: true, bind: func(c *Config) any { return &c.CommitLogCount }, doc: "Committed transactions kept in memory for learners."},
			{key: "snapshotSizeFactor", kind: text, def: "0.33", check: checkFloat, doc: "Log to replay, relative to a snapshot, before a learner gets the snapshot."},
			{key: "forceSnapshotSync", kind: truth, def: "false", doc: "Always send learners a snapshot."},
			{key: "leader.maxConcurrentSnapSyncs", guide: "maxConcurrentSnapSyncs", kind: number, def: "10", doc: "Snapshots sent at once."},
			{key: "leader.maxConcurrentDiffSyncs", guide: "maxConcurrentDiffSyncs", kind: number, def: "100", doc: "Differences sent at once."},
			{key: "leader.maxTimeToWaitForEpoch", guide: "maxTimeToWaitForEpoch", kind: number, def: "-1", lo: any32, doc: "ms for a quorum to agree on an epoch."},
			{key: "cnxTimeout", kind: number, def: "5000", doc: "ms to connect for an election."},
			{key: "quorumCnxnTimeoutMs", kind: number, def: "-1", lo: any32, doc: "ms to read from an election connection; -1: syncLimit."},
			{key: "electionPortBindRetry", kind: number, def: "3", doc: "Attempts to bind the election port; 0 is for ever."},
			{key: "fastleader.minNotificationInterval", kind: number, def: "200", doc: "ms, the shortest wait for votes."},
			{key: "fastleader.maxNotificationInterval", kind: number, def: "2000", doc: "ms, the longest wait for votes before they are sent again; 60000 in the original."},
			{key: "tcpKeepAlive", kind: truth, def: "false", doc: "TCP keep-alive on election connections."},
			{key: "observer.reconnectDelayMs", kind: number, def: "0", doc: "ms before an observer reconnects."},
			{key: "observer.election.DelayMs", kind: number, def: "200", doc: "ms before an observer asks for the leader again."},
			{key: "observerMaster.sizeLimit", kind: number, def: "33554432", lo: any32, doc: "Bytes that may wait to be sent to an observer of a follower before it is let go; at least 65536. Nothing else is kept for observers here."},
			{key: "leaderConnectDelayDuringRetryMs", kind: number, def: "100", doc: "ms between attempts to reach the leader."},
		}},
		{title: "Ensemble: security between servers", fate: ensemble, rows: []row{
			{key: "sslQuorum", kind: truth, spell: fileOnly, def: "false", doc: "TLS between servers."},
			{key: "portUnification", kind: truth, spell: fileOnly, def: "false", doc: "Quorum ports accept TLS and plain."},
			{key: "sslQuorumReloadCertFiles", kind: truth, spell: fileOnly, def: "false", doc: "Watch the key and trust stores."},
			{key: "quorum.auth.enableSasl", kind: truth, spell: fileOnly, def: "false", doc: "SASL between servers."},
			{key: "quorum.auth.learnerRequireSasl", kind: truth, spell: fileOnly, def: "false", doc: "Learners insist on it."},
			{key: "quorum.auth.serverRequireSasl", kind: truth, spell: fileOnly, def: "false", doc: "Leaders insist on it."},
			{key: "quorum.auth.learner.saslLoginContext", kind: text, spell: fileOnly, def: "QuorumLearner", doc: "Section of the JAAS file."},
			{key: "quorum.auth.server.saslLoginContext", kind: text, spell: fileOnly, def: "QuorumServer", doc: "Section of the JAAS file."},
			{key: "quorum.auth.kerberos.servicePrincipal", kind: text, spell: fileOnly, def: "zkquorum/localhost", doc: "Kerberos principal of the servers."},
		}},
		{title: "Ensemble: TLS stores", fate: ensemble, rows: tlsRows("ssl.quorum.", "true")},
	}
}

// tlsRows is the family of keys that the client port and the quorum ports have alike.
func tlsRows(prefix, hostChecks string) []row {
	rows := []row{
		{key: "protocol", doc: "TLS version to offer."},
		{key: "enabledProtocols", doc: "Comma list of TLS versions."},
		{key: "ciphersuites", doc: "Comma list of cipher suites."},
		{key: "hostnameVerification", kind: truth, def: "true", doc: "Check the peer's name against its certificate."},
		{key: "clientHostnameVerification", kind: truth, def: hostChecks, doc: "The same for the side that connects."},
		{key: "allowReverseDnsLookup", kind: truth, def: hostChecks, doc: "Look names up for that check."},
		{key: "crl", kind: truth, def: "false", doc: "Certificate revocation lists."},
		{key: "ocsp", kind: truth, def: "false", doc: "OCSP."},
		{key: "clientAuth", def: "need", oneOf: []string{"need", "want", "none", "NEED", "WANT", "NONE"}, doc: "Ask for a client certificate: need, want or none."},
		{key: "handshakeDetectionTimeoutMillis", kind: number, def: "5000", doc: "ms to tell TLS from plain."},
		{key: "context.supplier.class", doc: "A Java class; it cannot be loaded."},
	}
	for _, store := range []string{"keyStore", "trustStore"} {
		rows = append(rows,
			row{key: store + ".location", doc: "File."},
			row{key: store + ".password", secret: true, doc: "Password of the file."},
			row{key: store + ".passwordPath", doc: "File that holds the password; wins over the password given inline."},
			row{key: store + ".type", oneOf: []string{"", "JKS", "PEM", "PKCS12", "BCFKS"}, doc: "JKS, PEM or PKCS12; by default from the file's ending."},
		)
	}
	for i := range rows {
		rows[i].key = prefix + rows[i].key
	}
	return rows
}
