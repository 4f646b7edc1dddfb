// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"paddock/internal/config"
	"paddock/internal/server"
	"paddock/internal/vfs"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// rounds is how often a test crashes its server: PADDOCK_CRASH_ROUNDS if that
// is set (times scale), else usual, or fewer with -short.
func rounds(t testing.TB, usual, short, scale int) int {
	if s := os.Getenv("PADDOCK_CRASH_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("PADDOCK_CRASH_ROUNDS: %v", err)
		}
		return n * scale
	}
	if testing.Short() {
		return short
	}
	return usual
}

// seeded returns a source of chance that PADDOCK_CRASH_SEED repeats, as far as
// the scheduling of goroutines and processes lets it.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PADDOCK_CRASH_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("PADDOCK_CRASH_SEED: %v", err)
		}
	}
	t.Logf("PADDOCK_CRASH_SEED=%d repeats this schedule", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// settings are a server's, drawn so that snapshots, rolled logs and purges
// come often.
func settings(rng *rand.Rand) map[string]string {
	pick := func(values ...string) string { return values[rng.IntN(len(values))] }
	return map[string]string{
		"tickTime":                    "20", // so that short sessions are over soon
		"maxSessionTimeout":           strconv.Itoa(int(HeldTimeout.Milliseconds())),
		"maxClientCnxns":              "0",
		"snapCount":                   pick("10", "60", "300", "3000"),
		"txnLogSizeLimitInKb":         pick("-1", "-1", "8", "64"),
		"preAllocSize":                pick("0", "64", "64", "4096"),
		"flushDelay":                  pick("0", "0", "0", "2"),
		"snapshot.compression.method": pick("", "gz", "snappy"),
		"autopurge.snapRetainCount":   "3",
		"autopurge.purgeInterval":     pick("20ms", "100ms", "0"),
		"extendedTypesEnabled":        "true",
	}
}

func configText(dataDir string, set map[string]string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "dataDir=%s\nclientPortAddress=127.0.0.1\nclientPort=2181\n", dataDir)
	for _, key := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s=%s\n", key, set[key])
	}
	return []byte(b.String())
}

// start runs a server in this process on fsys, with a client port if port is
// set.
func start(fsys vfs.FS, dataDir string, set map[string]string, port bool) (*server.Server, error) {
	src := config.Source{Base: map[string]string{"dataDir": dataDir}, BaseName: "test", Flags: maps.Clone(set)}
	if port {
		src.Base["clientPort"], src.Base["clientPortAddress"] = "2181", "127.0.0.1"
		src.Flags["clientPort"] = "0"
	}
	cfg, err := config.Load(src)
	if err != nil {
		return nil, err
	}
	return server.New(cfg, server.Options{FS: fsys})
}

func report(t testing.TB, faults []string) {
	t.Helper()
	for i, f := range faults {
		if i == 20 {
			t.Errorf("and %d more", len(faults)-i)
			break
		}
		t.Error(f)
	}
}

// begin runs w in the background; the channel is closed when all writers have
// ended.
func (w *Workload) begin(addr string) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(context.Background(), addr)
	}()
	return ended
}

// awaitWriters waits for the writers of a server that is gone: it must have let
// go of them.
func awaitWriters(t testing.TB, w *Workload, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(2 * opTimeout):
		t.Fatal("the server has failed, and clients still wait for it")
	}
	report(t, w.Ledger.Faults())
}
