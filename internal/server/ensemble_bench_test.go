// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"paddock/zk"
)

// BenchmarkEnsembleWrites has clients, some at each of three servers, write one
// after the other. All of it is one process.
func BenchmarkEnsembleWrites(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			c := newCluster(b, "ppp", "")
			c.quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
			c.start()
			c.leader()
			all := make([]*zk.Client, clients)
			for i := range all {
				all[i] = c.connect(i%3 + 1)
				c.create(all[i], fmt.Sprintf("/b%d", i))
			}
			data := make([]byte, 100)
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, cl := range all {
				wg.Go(func() {
					for range (b.N + clients - 1) / clients {
						if _, err := cl.Set(context.Background(), fmt.Sprintf("/b%d", i), data, -1); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			for _, cl := range all {
				cl.Close()
			}
		})
	}
}
