// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// TestDrain: it waits for all that is on its way, takes nothing more, and no
// longer than its context or the log lives.
func TestDrain(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(r *rig, cancel func())
	}{
		{"the last is applied", func(r *rig, _ func()) { r.commit(1) }},
		{"the context ends", func(_ *rig, cancel func()) { cancel() }},
		{"the log fails", func(r *rig, _ func()) { r.p.Abandon() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				w := r.connect()
				for _, p := range []string{"/a", "/b"} {
					s := mk(p, 0)
					w.send(s.op, s.rec)
				}
				w.end()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := false
				go func() { r.p.Drain(ctx); done = true }()
				synctest.Wait()
				r.commit(1)
				synctest.Wait()
				if done {
					t.Fatal("it ended with a request on its way")
				}
				s := mk("/c", 0)
				w.send(s.op, s.rec)
				w.end()
				if len(r.flight) != 1 {
					t.Fatalf("%d requests are in flight, want only the one that was sent before", len(r.flight))
				}
				tc.end(r, cancel)
				synctest.Wait()
				if !done {
					t.Fatal("it still waits")
				}
			})
		})
	}
	t.Run("nothing is on its way", func(t *testing.T) {
		newRig(t, nil).p.Drain(t.Context())
	})
}

func TestTokenBucket(t *testing.T) {
	const ms = time.Millisecond
	type take struct {
		at    time.Duration // since the first
		renew bool
		luck  float64
		want  bool
	}
	for _, tc := range []struct {
		name   string
		bucket *TokenBucket
		takes  []take
	}{
		{"empty, then filled one by one", &TokenBucket{Capacity: 2, FillCount: 1, FillTime: 10 * ms, NewCost: 1, RenewCost: 1}, []take{
			{0, false, 0, true}, {0, true, 0, true}, {0, false, 0, false}, {9 * ms, false, 0, false}, {10 * ms, false, 0, true},
			{19 * ms, false, 0, false}, {20 * ms, false, 0, true}}},
		{"never above its capacity", &TokenBucket{Capacity: 2, FillCount: 1, FillTime: 10 * ms, NewCost: 1, RenewCost: 1}, []take{
			{0, false, 0, true}, {time.Hour, false, 0, true}, {time.Hour, false, 0, true}, {time.Hour, false, 0, false}}},
		{"nor by an overflow", &TokenBucket{Capacity: 2, FillCount: math.MaxInt32, FillTime: time.Nanosecond, NewCost: 1, RenewCost: 1}, []take{
			{0, false, 0, true}, {0, false, 0, true}, {0, false, 0, false}, {100000 * time.Hour, false, 0, true}, {100000 * time.Hour, false, 0, true},
			{100000 * time.Hour, false, 0, false}}},
		{"several at a time", &TokenBucket{Capacity: 5, FillCount: 3, FillTime: 10 * ms, NewCost: 1, RenewCost: 1}, []take{
			{0, false, 0, true}, {0, false, 0, true}, {0, false, 0, true}, {0, false, 0, true}, {0, false, 0, true}, {0, false, 0, false},
			{10 * ms, false, 0, true}, {10 * ms, false, 0, true}, {10 * ms, false, 0, true}, {10 * ms, false, 0, false}}},
		{"fractions of the time are kept", &TokenBucket{Capacity: 1, FillCount: 1, FillTime: 10 * ms, NewCost: 1, RenewCost: 1}, []take{
			{0, false, 0, true}, {15 * ms, false, 0, true}, {20 * ms, false, 0, true}, {29 * ms, false, 0, false}, {30 * ms, false, 0, true}}},
		{"weights", &TokenBucket{Capacity: 6, FillCount: 3, FillTime: 10 * ms, NewCost: 3, RenewCost: 2}, []take{
			{0, false, 0, true}, {0, true, 0, true}, {0, true, 0, false}, {0, false, 0, false}, // one left
			{10 * ms, true, 0, true}, {10 * ms, true, 0, true}, {10 * ms, true, 0, false}}},
		{"never refilled", &TokenBucket{Capacity: 1, FillCount: 0, FillTime: 10 * ms, NewCost: 1, RenewCost: 1}, []take{
			{0, false, 0, true}, {time.Hour, false, 0, false}}},
		{"dropped at random after it was empty", &TokenBucket{Capacity: 1, FillCount: 1, FillTime: 100 * ms, NewCost: 1, RenewCost: 1,
			FreezeTime: 10 * ms, Increase: 0.5, Decrease: 0.25}, []take{
			{0, false, 0, true},            // empty
			{5 * ms, false, 0.49, false},   // no token
			{10 * ms, false, 0.49, false},  // no token; probability 0.5 from here on
			{100 * ms, false, 0.99, true},  // full at the change: 0.25, by luck a token
			{105 * ms, false, 0.0, false},  // frozen
			{110 * ms, false, 0.0, false},  // empty: 0.75
			{120 * ms, false, 0.0, false},  // 1 at most
			{130 * ms, false, 0.0, false},  // still 1
			{200 * ms, false, 0.74, false}, // full: 0.75, dropped with a token at hand
			{200 * ms, false, 0.75, true}}},
		{"less often again while few are missing", &TokenBucket{Capacity: 4, FillCount: 4, FillTime: 100 * ms, NewCost: 1, RenewCost: 1,
			FreezeTime: 10 * ms, Increase: 1, Decrease: 0.5, Margin: 0.5}, []take{
			{0, false, 0, true}, {0, false, 0, true}, {0, false, 0, true}, {0, false, 0, true},
			{10 * ms, false, 0.9, false}, // 1
			{100 * ms, false, 0.5, true}, // full: 0.5
			{100 * ms, false, 0.4, false},
			{110 * ms, false, 0, true},   // one is missing: 0
			{111 * ms, false, 0, true},   // two left
			{120 * ms, false, 0, true}}}, // one left
		{"no random drop without a freeze time", &TokenBucket{Capacity: 1, FillCount: 1, FillTime: 100 * ms, NewCost: 1, RenewCost: 1, Increase: 1, FreezeTime: -1}, []take{
			{0, false, 0, true}, {50 * ms, false, 0, false}, {100 * ms, false, 0, true}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Unix(1700000000, 0)
			b := tc.bucket
			for i, k := range tc.takes {
				if got := b.take(k.renew, start.Add(k.at), k.luck); got != k.want {
					t.Fatalf("connection %d at %v: %t, with %d tokens and probability %g", i+1, k.at, got, b.tokens, b.drop)
				}
			}
		})
	}
}

// TestTokenBucketByTheClock: the public door uses the time as it is.
func TestTokenBucketByTheClock(t *testing.T) {
	b := &TokenBucket{Capacity: 1, FillCount: 1, FillTime: time.Hour, NewCost: 1, RenewCost: 1}
	if !b.Take(false) || b.Take(true) {
		t.Error("one token is not good for one connection")
	}
}
