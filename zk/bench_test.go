// SPDX-License-Identifier: Apache-2.0

package zk_test

import (
	"fmt"
	"testing"

	"paddock/internal/servertest"
	"paddock/zk"
)

// Reads over one connection, by few and by many callers.
func BenchmarkGet(b *testing.B) {
	c := connect(b, servertest.Addr(b))
	path := home(b, c)
	if _, err := c.Set(b.Context(), path, make([]byte, 100), zk.AnyVersion); err != nil {
		b.Fatal(err)
	}
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, _, err := c.Get(b.Context(), path); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
