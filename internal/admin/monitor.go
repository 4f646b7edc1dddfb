// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"runtime"
	"time"
)

// metrics is the answer to mntr, in order.
type metrics []pair

func (m metrics) appendText(b []byte) []byte {
	for _, l := range m {
		if f, ok := l.Value.(float64); ok {
			l.Value = decimal(f)
		}
		b = fmt.Appendf(b, "zk_%s\t%v\n", l.Key, l.Value)
	}
	return b
}

// monitor gathers mntr. The classic keys are first: an old check script reads
// no more than 2,048 bytes (operations.md section 4.3). A key of the reference
// is there if it means something here, with its meaning there; keys that begin
// with paddock_ are ours alone. Times are in milliseconds.
func (a *Admin) monitor() answer {
	p := a.src.Pipeline
	s := a.currentStatus()
	counts := p.Counts()
	watches, paths, watchers := p.Watches().Counts()
	v := p.Tree().View(0)
	ephemerals, data := v.EphemeralCount(), v.DataSize()
	v.Close()
	open, limit := descriptors()
	fsyncs := a.src.Fsyncs()
	globals, locals := p.Sessions().Count()
	m := metrics{
		{"version", s.Version},
		{"server_state", s.Mode},
	}
	m = append(append(m, a.peerState()...), metrics{
		{"avg_latency", s.Latency.Avg},
		{"max_latency", s.Latency.Max},
		{"min_latency", s.Latency.Min},
		{"packets_received", s.Received},
		{"packets_sent", s.Sent},
		{"num_alive_connections", s.Connections},
		{"outstanding_requests", s.Outstanding},
		{"znode_count", s.Nodes},
		{"watch_count", watches},
		{"ephemerals_count", ephemerals},
		{"approximate_data_size", data + rootTwice},
		{"open_file_descriptor_count", open},
		{"max_file_descriptor_count", limit},
		{"global_sessions", globals},
		{"local_sessions", locals},
		{"uptime", time.Since(a.src.Started).Milliseconds()},
		{"connection_request_count", counts.Connections.Load()},
		{"connection_rejected", a.src.Rejected()},
		{"auth_failed_count", counts.AuthFailed.Load()},
		{"stale_sessions_expired", counts.Expired.Load()},
		{"throttled_ops", counts.Throttled.Load()},
		{"large_requests_rejected", counts.LargeRejected.Load()},
		{"digest_mismatches_count", counts.DigestMismatches.Load()},
		{"cnt_fsynctime", fsyncs},
	}...)
	m = append(m, a.ensembleMetrics()...)
	if a.src.FsyncTime != nil {
		sum := a.src.FsyncTime()
		m = append(m, pair{"sum_fsynctime", sum.Milliseconds()},
			pair{"avg_fsynctime", float64(sum) / float64(time.Millisecond) / float64(max(fsyncs, 1))})
	}
	mem := memory()
	return append(m, metrics{
		{"cnt_snapshottime", a.src.Snapshots()},
		{"paddock_watched_paths", paths},
		{"paddock_watching_connections", watchers},
		{"paddock_transactions", counts.Commits.Load()},
		{"paddock_watch_events", counts.Events.Load()},
		{"paddock_sessions_opened", counts.SessionsOpened.Load()},
		{"paddock_sessions_closed", counts.SessionsClosed.Load()},
		{"paddock_slow_readers_cut", counts.SlowReaders.Load()},
		{"paddock_znodes_reaped", counts.Reaped.Load()},
		{"paddock_goroutines", runtime.NumGoroutine()},
		{"paddock_heap_bytes", mem.total - mem.free},
	}...)
}
