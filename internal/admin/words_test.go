// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"paddock/internal/config"
	"paddock/internal/conn"
	"paddock/internal/pipeline"
	"paddock/internal/tree"
)

// idle is an Admin of a server that nobody uses.
func idle(t testing.TB, flags map[string]string) *Admin {
	t.Helper()
	src := config.Embedded(t.TempDir())
	src.Flags = flags
	cfg, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	tr := tree.New()
	t.Cleanup(tr.Close)
	zero := func() int64 { return 0 }
	return New(Source{Pipeline: pipeline.New(tr, pipeline.Options{Tick: cfg.TickTime}), Config: cfg, Started: time.Now(), Version: "1.2.3",
		OpenConnections: func() int { return 1 }, Rejected: zero, Fsyncs: zero, Snapshots: zero})
}

func TestWhitelist(t *testing.T) {
	refused := func(word string) string { return word + " is not executed because it is not in the whitelist.\n" }
	tests := []struct {
		name, whitelist, readOnlyMode string
		word, want                    string // want: how the answer begins
	}{
		{"srvr is always there", "ruok", "false", "srvr", "Zookeeper version: 3.9.5-paddock-1.2.3, built on 2"},
		{"listed", "stat, ruok", "false", "ruok", "imok"},
		{"not listed", "ruok", "false", "mntr", refused("mntr")},
		{"not listed and not served", "ruok", "false", "hash", refused("hash")},
		{"not served", "*", "false", "hash", "hash is not supported by this server yet.\n"},
		{"isro", "ruok", "false", "isro", refused("isro")},
		{"isro with read-only mode", "ruok", "true", "isro", "rw"},
		{"all", "*", "false", "wchs", "0 connections watching 0 paths\nTotal watches:0\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := idle(t, map[string]string{"4lw.commands.whitelist": tt.whitelist, "readonlymode.enabled": tt.readOnlyMode})
			if got := string(a.FourLetter(tt.word)); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s answers %q, want %q", tt.word, got, tt.want)
			}
		})
	}
}

// The words that the connections hand over are those of the table.
func TestEveryWordIsKnown(t *testing.T) {
	for word := range commands {
		if !conn.IsFourLetter(word) {
			t.Errorf("%s never gets here: it is taken for a frame's length", word)
		}
	}
	if !conn.IsFourLetter(telnetInterrupt) {
		t.Error("telnet's interrupt is taken for a frame's length")
	}
}

func TestIdleServer(t *testing.T) {
	a := idle(t, nil)
	for word, name := range map[string]string{"srvr": "idle-srvr", "wchs": "idle-wchs"} {
		got, want := mask(string(a.FourLetter(word))), mask(recorded(t, name))
		if got != want {
			t.Errorf("%s answers\n%s\nrecorded\n%s", word, got, want)
		}
	}
	// An empty server has the same figures as the reference's.
	text := string(a.FourLetter("mntr"))
	for _, line := range []string{"zk_znode_count\t5\n", "zk_approximate_data_size\t44\n", "zk_server_state\tstandalone\n", "zk_avg_latency\t0.0\n", "zk_packets_received\t3\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("mntr of an empty server lacks %q:\n%s", line, text)
		}
	}
}

func TestConfShowsThePortInUse(t *testing.T) {
	a := idle(t, map[string]string{"clientPort": "0"})
	a.src.ClientAddr = func() net.Addr { return &net.TCPAddr{Port: 4242} }
	if text := string(a.FourLetter("conf")); !strings.HasPrefix(text, "clientPort=4242\nsecureClientPort=-1\n") {
		t.Errorf("conf answers\n%s", text)
	}
	a.src.ClientAddr = func() net.Addr { return nil }
	if text := string(a.FourLetter("conf")); !strings.HasPrefix(text, "clientPort=0\n") {
		t.Errorf("conf answers, before the port is there,\n%s", text)
	}
}

// What the reference's log of fsyncs adds up to, an optional source.
func TestFsyncTime(t *testing.T) {
	a := idle(t, nil)
	a.src.Fsyncs = func() int64 { return 4 }
	a.src.FsyncTime = func() time.Duration { return 10 * time.Millisecond }
	text := string(a.FourLetter("mntr"))
	for _, line := range []string{"zk_cnt_fsynctime\t4\n", "zk_sum_fsynctime\t10\n", "zk_avg_fsynctime\t2.5\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("mntr lacks %q", line)
		}
	}
}

var (
	maskVersion = regexp.MustCompile(`3\.9\.5-\S+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC`)
	maskDate    = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d [A-Z]+ \d{4}`)
	maskHex     = regexp.MustCompile(`0x[0-9a-f]+`)
	maskNumber  = regexp.MustCompile(`\d+(\.\d+)?`)
)

// mask takes the values out of a text and leaves its shape.
func mask(text string) string {
	text = maskVersion.ReplaceAllString(text, "VERSION")
	text = maskDate.ReplaceAllString(text, "DATE")
	text = maskHex.ReplaceAllString(text, "HEX")
	return maskNumber.ReplaceAllString(text, "N")
}

func FuzzFourLetter(f *testing.F) {
	for word := range commands {
		f.Add(word)
	}
	for _, word := range []string{telnetInterrupt, "", "RUOK", "ruok\n", "abcd", "ru", "\x00\x00\x00\x2d"} {
		f.Add(word)
	}
	open, shut := idle(f, nil), idle(f, map[string]string{"4lw.commands.whitelist": "ruok"})
	f.Fuzz(func(t *testing.T, word string) {
		_, known := commands[word]
		if got := open.FourLetter(word); known != (len(got) > 0) {
			t.Errorf("%q, known: %v, answers %q", word, known, got)
		}
		if got := string(shut.FourLetter(word)); known && word != "ruok" && word != "srvr" && got != word+" is not executed because it is not in the whitelist.\n" {
			t.Errorf("%q answers %q though it is not listed", word, got)
		}
	})
}
