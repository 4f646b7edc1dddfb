// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"
	"os"
	"testing"

	"paddock/internal/replica"
	"paddock/internal/storage"
	"paddock/internal/tree"
)

// BenchmarkRecover loads the data directory named by PADDOCK_BENCH_DATA.
func BenchmarkRecover(b *testing.B) {
	dir := os.Getenv("PADDOCK_BENCH_DATA")
	if dir == "" {
		b.Skip("PADDOCK_BENCH_DATA names no data directory")
	}
	znodes, txns := 0, 0
	for b.Loop() {
		store, err := storage.Open(storage.Options{DataDir: dir, MaxBuffer: 2 << 20})
		if err != nil {
			b.Fatal(err)
		}
		t := tree.New()
		rec, err := replica.Recover(store, t, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		v := t.View(0)
		znodes, txns = v.Nodes(), rec.Txns
		v.Close()
		t.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(znodes), "ns/znode")
	b.ReportMetric(float64(txns), "txns")
}
