// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"paddock/internal/pipeline"
	"paddock/proto"
)

// The files in testdata/4lw are what Apache's 3.9.5 answered.
func recorded(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "4lw", "standalone-"+name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const apacheVersion = "3.9.5-293c895a8d966a3ecb92872be4a1daf87d725da2, built on 2026-02-11 20:18 UTC"

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// The four connections of the recorded server under load.
var (
	expires = func(clock string) time.Time {
		at, err := time.Parse(javaDate, "Sat Nov 21 "+clock+" UTC 2026")
		if err != nil {
			panic(err)
		}
		return at.UTC()
	}
	second = connection{Peer: "/127.0.0.1:42480", Since: time.UnixMilli(1795229911977), Session: 0x1000018e72e0001, TimeoutMs: 20000,
		Expires: expires("02:58:59"), Answered: ms(1633812),
		Stats: pipeline.ConnStats{Received: 4, Sent: 4, LastOp: proto.OpGetData, LastXid: 3, LastZxid: 0x132, MaxLatency: ms(8), TotalLatency: ms(10), Replies: 4}}
	first = connection{Peer: "/127.0.0.1:42474", Since: time.UnixMilli(1795229911924), Session: 0x1000018e72e0000, TimeoutMs: 30000,
		Expires: expires("02:59:09"), Answered: ms(1633810),
		Stats: pipeline.ConnStats{Received: 307, Sent: 307, LastOp: proto.OpExists, LastXid: 0x132, LastZxid: 0x132, LastLatency: ms(3), MaxLatency: ms(28), TotalLatency: ms(500), Replies: 307}}
	silent = connection{Peer: "/127.0.0.1:42492", Expires: expires("02:58:49")}
)

func asker(port int, received int64) connection {
	return connection{Peer: "/127.0.0.1:" + strconv.Itoa(port), Expires: expires("02:58:49"), Stats: pipeline.ConnStats{Received: received}}
}

func reset(c connection) connection {
	c.Stats, c.Answered = pipeline.ConnStats{}, 0
	return c
}

func loadedStatus(received, sent int64) serverStatus {
	return serverStatus{Version: apacheVersion, Latency: latency{Min: 0, Avg: 1.63341, Max: 28}, Received: received, Sent: sent,
		Connections: 4, Zxid: 0x132, Mode: "standalone", Nodes: 309}
}

// With the recorded server's values our printers write its texts, byte for byte
// but for the interest of the connection that asks: the reference shows 0 there.
func TestTextsAsRecorded(t *testing.T) {
	watched := second
	watched.Stats.MinLatency = 0
	tests := []struct {
		name string
		ans  answer
	}{
		{"loaded-ruok", commands["ruok"].run(New(Source{}))},
		{"loaded-isro", commands["isro"].run(New(Source{}))},
		{"loaded-srvr", loadedStatus(340, 342)},
		{"idle-srvr", serverStatus{Version: apacheVersion, Received: 14, Sent: 14, Connections: 1, Mode: "standalone", Nodes: 5}},
		{"loaded-stat", statusAndClients{loadedStatus(341, 343), []connection{second, {Peer: "/127.0.0.1:42492", Stats: pipeline.ConnStats{}}, asker(42576, 1), first}}},
		{"loaded-cons", connectionList{watched, silent, asker(42496, 1), first}},
		{"idle-cons", connectionList{asker(42370, 1)}},
		{"loaded-after-reset-cons", connectionList{reset(second), asker(42626, 1), silent, reset(first)}},
		{"loaded-wchs", watchNumbers{2, 3, 4}},
		{"idle-wchs", watchNumbers{}},
		{"idle-dump", sessionDump{Connections: expiry[connection]{expires("02:58:49"): {asker(42380, 1)}}}},
		{"loaded-dump", sessionDump{
			Sessions:   expiry[int64]{expires("02:59:03"): {0x1000018e72e0000}, expires("02:58:53"): {0x1000018e72e0001}},
			Ephemerals: []owned{{0x1000018e72e0000, []string{"/app/eph"}}, {0x1000018e72e0001, []string{"/app/eph2"}}},
			Connections: expiry[connection]{expires("02:59:09"): {first}, expires("02:58:59"): {second},
				expires("02:58:49"): {silent, asker(42508, 0)}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := strings.ReplaceAll(recorded(t, tt.name), "[0](", "[1](")
			if got := string(tt.ans.appendText(nil)); got != want {
				t.Errorf("got\n%s\nrecorded\n%s", got, want)
			}
		})
	}
}

func TestDecimalAsJava(t *testing.T) {
	for f, want := range map[float64]string{0: "0.0", 1.63344: "1.6334", 106: "106.0", 132.66667: "132.6667", 0.00004: "0.0", 1e7: "10000000.0"} {
		if got := decimal(f); got != want {
			t.Errorf("decimal(%v) = %s, want %s", f, got, want)
		}
	}
}

func TestAddressAsJava(t *testing.T) {
	for peer, want := range map[string]string{
		"127.0.0.1:42": "/127.0.0.1:42", "[::1]:42": "/[0:0:0:0:0:0:0:1]:42", "pipe": "/pipe",
	} {
		if got := javaAddress(peer); got != want {
			t.Errorf("javaAddress(%s) = %s, want %s", peer, got, want)
		}
	}
}

// An average must lie between the smallest and the largest, or checks alert.
func TestLatencyIsOrdered(t *testing.T) {
	l := latencyOf(pipeline.ConnStats{Replies: 4, MinLatency: 300 * time.Microsecond, MaxLatency: 700 * time.Microsecond, TotalLatency: 2 * time.Millisecond})
	if want := (latency{Min: 0, Max: 1, Avg: 0.5}); l != want {
		t.Errorf("latency %+v, want %+v", l, want)
	}
	if l := latencyOf(pipeline.ConnStats{}); l != (latency{}) {
		t.Errorf("latency of nothing is %+v", l)
	}
}
