// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"paddock/proto"
)

// BenchmarkTree reads from all CPUs while one writer applies batches of 32 as
// an applier does: it is what the lock behind View and Write was chosen by. An
// operation is one View with one lookup; writes/s counts transactions.
//
//	go test -run - -bench Tree -cpu 1,2,4,8,16 ./internal/tree
//
// The lock with one slot is a plain sync.RWMutex. The writer either waits a
// millisecond between batches (a disk that syncs) or not at all.
func BenchmarkTree(b *testing.B) {
	const nodes = 100_000
	paths := make([]string, nodes)
	for i := range paths {
		paths[i] = fmt.Sprintf("/d%d/n%d", i%100, i)
	}
	locks := []struct {
		name string
		make func() shardedLock
	}{
		{"sharded", newShardedLock},
		{"rwmutex", func() shardedLock { return shardedLock{slots: make([]lockSlot, 1)} }},
	}
	writers := []struct {
		name  string
		pause time.Duration // < 0: no writer
	}{{"no writer", -1}, {"writer each ms", time.Millisecond}, {"writer always", 0}}
	for _, w := range writers {
		for _, l := range locks {
			b.Run(fmt.Sprintf("%s/%s", w.name, l.name), func(b *testing.B) {
				t := New()
				defer t.Close()
				t.lock = l.make()
				z := proto.Zxid(0)
				for i := range 100 {
					z++
					applyAll(t, &proto.Txn{Zxid: z, Type: proto.OpCreate, Body: &proto.CreateTxn{Path: fmt.Sprintf("/d%d", i), ACL: openList, ParentCversion: -1}})
				}
				data := make([]byte, 100)
				for _, p := range paths {
					z++
					applyAll(t, &proto.Txn{Zxid: z, Type: proto.OpCreate, Body: &proto.CreateTxn{Path: p, Data: data, ACL: openList, ParentCversion: -1}})
				}
				stop, done := make(chan struct{}), make(chan struct{})
				written := 0
				go func() {
					defer close(done)
					rng := rand.New(rand.NewPCG(1, 1))
					for w.pause >= 0 {
						select {
						case <-stop:
							return
						case <-time.After(w.pause):
						}
						batch := t.Write(nil)
						for range 32 {
							z++
							written++
							batch.Apply(&proto.Txn{Zxid: z, Type: proto.OpSetData, Body: &proto.SetDataTxn{Path: paths[rng.IntN(nodes)], Data: data}})
						}
						batch.Close()
					}
				}()
				var slots atomic.Uint32
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					slot := slots.Add(1)
					rng := rand.New(rand.NewPCG(uint64(slot), 2))
					for pb.Next() {
						v := t.View(slot)
						if r := v.Find(paths[rng.IntN(nodes)]); r == 0 || len(v.Data(r)) != 100 {
							panic("a znode is missing")
						}
						v.Close()
					}
				})
				b.StopTimer()
				close(stop)
				<-done
				b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "writes/s")
			})
		}
	}
}

// BenchmarkApply is the cost of transactions without anybody else about.
func BenchmarkApply(b *testing.B) {
	t := New()
	defer t.Close()
	data := make([]byte, 100)
	create := func(z int, path string) *proto.Txn {
		return &proto.Txn{Zxid: proto.Zxid(z), Type: proto.OpCreate, Body: &proto.CreateTxn{Path: path, Data: data, ACL: openList, ParentCversion: -1}}
	}
	path := make([]string, 1<<16)
	for i := range path {
		path[i] = fmt.Sprintf("/node-%08d", i)
	}
	b.Run("create and delete", func(b *testing.B) {
		b.ReportAllocs()
		w := t.Write(nil)
		defer w.Close()
		z := 0
		for b.Loop() {
			p := path[z&(len(path)-1)]
			w.Apply(create(2*z+1, p))
			w.Apply(&proto.Txn{Zxid: proto.Zxid(2*z + 2), Type: proto.OpDelete, Body: &proto.DeleteTxn{Path: p}})
			z++
		}
	})
	b.Run("setData", func(b *testing.B) {
		b.ReportAllocs()
		w := t.Write(nil)
		defer w.Close()
		for i, p := range path {
			w.Apply(create(1<<40+i, p))
		}
		z := 1 << 41
		for b.Loop() {
			w.Apply(&proto.Txn{Zxid: proto.Zxid(z), Type: proto.OpSetData, Body: &proto.SetDataTxn{Path: path[z&(len(path)-1)], Data: data}})
			z++
		}
	})
}
