// SPDX-License-Identifier: Apache-2.0

package config

// laterTable is what is accepted and named in a warning: because what it asks for is not built yet, or because
// there is nothing here that it could tune.
func laterTable() []section {
	return []section{
		{title: "TLS for clients", fate: notYet, why: "TLS is not built yet", rows: append([]row{
			{key: "secureClientPort", kind: port, spell: fileOnly, hi: 65535, doc: "TLS port for clients. It is not opened."},
			{key: "secureClientPortAddress", kind: text, spell: fileOnly, doc: "Address of the TLS port."},
			{key: "ssl.authProvider", kind: text, def: "x509", doc: "Scheme of client certificates."},
			{key: "ssl.sslProvider", kind: text, def: "JDK", doc: "A Java TLS library."},
			{key: "fips-mode", kind: truth, def: "true", doc: "Only FIPS algorithms."},
			{key: "client.portUnification", kind: truth, def: "false", doc: "The client port accepts TLS and plain."},
			{key: "client.certReload", kind: truth, def: "false", doc: "Watch the key and trust stores."},
			{key: "X509AuthenticationProvider.superUser", kind: text, doc: "Certificate name of the super user."},
			{key: "netty.server.outstandingHandshake.limit", kind: number, def: "-1", lo: any32, doc: "TLS handshakes at once."},
			{key: "netty.server.earlyDropSecureConnectionHandshakes", kind: truth, def: "false", doc: "Drop connections above the limit before the handshake."},
		}, tlsRows("ssl.", "false")...)},
		{title: "SASL for clients", fate: notYet, why: "SASL is not built yet", rows: []row{
			{key: "superUser", kind: text, doc: "SASL name of the super user."},
			{key: "superUser.N", kind: text, doc: "Further super users."},
			{key: "SASLAuthenticationProvider.superPassword", kind: text, secret: true, doc: "Password of the SASL super user."},
			{key: "letAnySaslUserDoX", kind: text, doc: "Every SASL user may do everything."},
			{key: "sasl.serverconfig", kind: text, def: "Server", doc: "Section of the JAAS file."},
			{key: "java.security.auth.login.config", kind: text, spell: bare, doc: "The JAAS file."},
			{key: "kerberos.removeHostFromPrincipal", kind: truth, def: "false", doc: "Shorten Kerberos names."},
			{key: "kerberos.removeRealmFromPrincipal", kind: truth, def: "false", doc: "Shorten Kerberos names."},
			{key: "kerberos.canonicalizeHostNames", kind: truth, def: "false", doc: "Look host names up."},
			{key: "security.auth_to_local", kind: text, def: "DEFAULT", doc: "Rules from Kerberos to local names."},
		}},
		{title: "HTTP admin server", fate: notYet, why: "the HTTP admin server is not built yet", rows: []row{
			{key: "admin.enableServer", kind: truth, def: "true", off: "false", doc: "The HTTP admin server. Nothing is listening yet, whatever the value."},
			{key: "admin.serverAddress", kind: text, def: "0.0.0.0", doc: "Its address."},
			{key: "admin.serverPort", kind: port, def: "8080", hi: 65535, doc: "Its port."},
			{key: "admin.commandURL", kind: text, def: "/commands", doc: "Prefix of its commands."},
			{key: "admin.idleTimeout", kind: number, def: "30000", lo: any32, doc: "ms."},
			{key: "admin.httpVersion", kind: number, def: "11", doc: "HTTP version of clear-text upgrades."},
			{key: "admin.portUnification", kind: truth, def: "false", doc: "Accept TLS and plain."},
			{key: "admin.forceHttps", kind: truth, def: "false", doc: "Accept only TLS."},
			{key: "admin.needClientAuth", kind: truth, def: "false", doc: "Ask for a client certificate."},
			{key: "admin.rateLimiterIntervalInMS", kind: number, def: "300000", doc: "ms between snapshot or restore commands."},
			{key: "admin.snapshot.enabled", kind: truth, def: "true", doc: "The snapshot command."},
			{key: "admin.restore.enabled", kind: truth, def: "true", doc: "The restore command."},
			{key: "IPAuthenticationProvider.usexforwardedfor", kind: truth, def: "false", doc: "Believe X-Forwarded-For in the ip scheme over HTTP."},
		}},
		{title: "Metrics, audit and diagnosis", fate: notYet, why: "not built yet", rows: []row{
			{key: "metricsProvider.className", kind: text, spell: fileOnly, def: "DefaultMetricsProvider", off: "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", check: checkMetricsClass, doc: "Apache's Default, Null and Prometheus providers are recognised; mntr answers in the Default's form."},
			{key: "metricsProvider.*", kind: text, spell: fileOnly, doc: "Settings of the provider."},
			{key: "audit.enable", kind: truth, def: "false", doc: "The audit log."},
			{key: "audit.impl.class", kind: text, doc: "A Java class; it cannot be loaded."},
			{key: "jvm.pause.monitor", kind: truth, spell: fileOnly, def: "false", doc: "Report pauses of the process."},
			{key: "jvm.pause.info-threshold.ms", kind: number, spell: fileOnly, def: "1000", doc: "ms of a pause worth a line."},
			{key: "jvm.pause.warn-threshold.ms", kind: number, spell: fileOnly, def: "10000", doc: "ms of a pause worth a warning."},
			{key: "jvm.pause.sleep.time.ms", kind: number, spell: fileOnly, def: "500", doc: "ms between looks."},
			{key: "pathStats.enabled", kind: truth, def: "false", doc: "Report the busiest paths."},
			{key: "pathStats.slotCapacity", kind: number, doc: "Tuning of pathStats."},
			{key: "pathStats.slotDuration", kind: number, doc: "Tuning of pathStats."},
			{key: "pathStats.maxDepth", kind: number, doc: "Tuning of pathStats."},
			{key: "pathStats.sampleRate", kind: ratio, doc: "Tuning of pathStats."},
			{key: "pathStats.initialDelay", kind: number, doc: "Tuning of pathStats."},
			{key: "pathStats.delay", kind: number, doc: "Tuning of pathStats."},
			{key: "pathStats.topPathMax", kind: number, doc: "Tuning of pathStats."},
		}},
		{title: "Without effect: threads, buffers and caches of the Java server", fate: noEffect, why: "there are no such threads, buffers or caches here", rows: silent(
			"quorum.cnxn.threads.size", "nio.numSelectorThreads", "nio.numWorkerThreads", "nio.directBufferBytes",
			"nio.shutdownTimeout", "commitProcessor.numWorkerThreads", "commitProcessor.maxReadBatchSize",
			"commitProcessor.maxCommitBatchSize", "commitProcessor.shutdownTimeout", "request_throttler.shutdownTimeout",
			"maxResponseCacheSize", "maxGetChildrenResponseCacheSize", "intBufferStartingSizeBytes",
			"netty.advancedFlowControl.enabled", "watchManagerName", "watcherCleanThreadsNum", "watcherCleanThreshold",
			"watcherCleanIntervalInSeconds", "maxInProcessingDeadWatchers", "bitHashCacheSize",
			"messageTracker.Enabled", "messageTracker.BufferSize", "leader.ackLoggingFrequency",
			"follower.skipLearnerRequestToNextProcessor", "forward_learner_requests_to_commit_processor_disabled",
			"learner.asyncSending", "learner.closeSocketAsync", "leader.closeSocketAsync", "leader.nodelay", "follower.nodelay")},
		{title: "Old forms on disk", fate: notYet, why: "that form is neither written nor understood here", rows: []row{
			{key: "emulate353TTLNodes", kind: truth, def: "false", off: "false", doc: "TTLs in the encoding of 3.5.3."},
			{key: "closeSessionTxn.enabled", kind: truth, def: "true", off: "true",
				doc: "Name the ephemeral znodes in the transaction that closes their session. They always are: Apache's server misreads the other form."},
		}},
		{title: "Without effect: waits", fate: noEffect, why: "whoever waits is woken when there is room", rows: []row{
			{key: "request_throttle_stall_time", guide: "requestThrottleStallTime", kind: number, def: "100", doc: "Milliseconds between looks whether a throttled request may go on."},
		}},
		{title: "Without effect: Java classes and logging", fate: noEffect, rows: []row{
			{key: "serverCnxnFactory", why: "there is one network layer here", doc: "NIO or Netty; either name is accepted."},
			{key: "jmx.log4j.disable", why: "there is no JMX here", doc: "JMX beans of the log."},
			{key: "log.dir", why: "the log goes to standard error", doc: "Set by the scripts."},
			{key: "log.file", why: "the log goes to standard error", doc: "Set by the scripts."},
			{key: "root.logger", why: "the log goes to standard error", doc: "Set by the scripts of older releases."},
			{key: "console.threshold", why: "the log goes to standard error", doc: "Set by the scripts of older releases."},
			{key: "log.threshold", why: "the log goes to standard error", doc: "Set by the scripts of older releases."},
			{key: "tracelog.dir", why: "the log goes to standard error", doc: "Set by the scripts of older releases."},
			{key: "tracelog.file", why: "the log goes to standard error", doc: "Set by the scripts of older releases."},
		}},
	}
}

// silent makes rows of keys whose value is not even looked at.
func silent(keys ...string) []row {
	bareKeys := map[string]bool{"learner.asyncSending": true, "learner.closeSocketAsync": true,
		"leader.closeSocketAsync": true, "leader.nodelay": true, "follower.nodelay": true}
	rows := make([]row, len(keys))
	for i, k := range keys {
		rows[i] = row{key: k}
		switch {
		case bareKeys[k]:
			rows[i].spell = bareAlso
		case k == "quorum.cnxn.threads.size":
			rows[i].spell = fileOnly
		}
	}
	return rows
}
