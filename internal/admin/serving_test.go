// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"paddock/internal/config"
	"paddock/internal/server"
	"paddock/zk"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask sends a word as nc and telnet do and reads the answer to its end.
func ask(t testing.TB, addr, word string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	must(t, err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = nc.Write([]byte(word + "\n"))
	must(t, err)
	text, err := io.ReadAll(nc)
	must(t, err)
	return string(text)
}

// loaded starts a server with the sessions, znodes and watches of the recording:
// two sessions, an ephemeral each, five watches, one of them on children.
func loaded(t testing.TB) (addr string) {
	t.Helper()
	src := config.Embedded(t.TempDir())
	src.Flags = map[string]string{"clientPort": "0"}
	cfg, err := config.Load(src)
	must(t, err)
	srv, err := server.New(cfg, server.Options{})
	must(t, err)
	t.Cleanup(func() { srv.Close() })
	addr = srv.ClientAddr().String()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	connect := func(timeout time.Duration) *zk.Client {
		c, err := zk.Connect(ctx, addr, zk.WithSessionTimeout(timeout))
		must(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	one, two := connect(30*time.Second), connect(20*time.Second)
	create := func(c *zk.Client, path string, flags zk.CreateFlags) {
		_, err := c.Create(ctx, path, nil, zk.OpenACL, flags)
		must(t, err)
	}
	create(one, "/app", 0)
	create(one, "/app/eph", zk.Ephemeral)
	create(two, "/app/eph2", zk.Ephemeral)
	for _, w := range []struct {
		c    *zk.Client
		path string
	}{{one, "/app"}, {one, "/nope"}, {two, "/app"}, {two, "/app/eph"}} {
		_, _, _, err := w.c.ExistsWatch(ctx, w.path)
		must(t, err)
	}
	_, _, _, err = one.ChildrenWatch(ctx, "/app")
	must(t, err)
	return addr
}

func recorded(t testing.TB, word string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "4lw", "standalone-loaded-"+word+".txt"))
	must(t, err)
	return string(text)
}

var masks = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`3\.9\.5-\S+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC`), "VERSION"},
	{regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}`), "DATE"},
	{regexp.MustCompile(`lop=[A-Z]+`), "lop=OP"},
	{regexp.MustCompile(`=/.*/version-2`), "=/DIR/version-2"},
	{regexp.MustCompile(`0x[0-9a-f]+`), "HEX"},
	{regexp.MustCompile(`\d+(\.\d+)?`), "N"},
}

// shape is a text's lines, each kind of line once: values and how many there
// are of a kind depend on the server.
func shape(text string) (lines []string) {
	for _, m := range masks {
		text = m.find.ReplaceAllString(text, m.put)
	}
	for line := range strings.Lines(text) {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestShapesOverTheWire(t *testing.T) {
	addr := loaded(t)
	for _, word := range []string{"ruok", "isro", "srvr", "stat", "conf", "cons", "dump", "wchs"} {
		t.Run(word, func(t *testing.T) {
			want := recorded(t, word)
			if word == "cons" { // connections without a session are not many here
				want = regexp.MustCompile(`(?m)^ [^,]*,recved=\d+,sent=\d+\)\n`).ReplaceAllString(want, "")
			}
			got := ask(t, addr, word)
			if word == "cons" {
				got = regexp.MustCompile(`(?m)^ [^,]*,recved=\d+,sent=\d+\)\n`).ReplaceAllString(got, "")
			}
			if got, want := shape(got), shape(want); !slices.Equal(got, want) {
				t.Errorf("got\n%q\nrecorded\n%q", got, want)
			}
		})
	}
}

// The values are right, too, where the load determines them.
func TestValues(t *testing.T) {
	addr := loaded(t)
	if got, want := ask(t, addr, "wchs"), recorded(t, "wchs"); got != want {
		t.Errorf("wchs answers\n%s\nwant\n%s", got, want)
	}
	dump := ask(t, addr, "dump")
	for _, want := range []string{"Session Sets (2)/(2):\n", "Sessions with Ephemerals (2):\n", ":\n\t/app/eph\n", ":\n\t/app/eph2\n"} {
		if !strings.Contains(dump, want) {
			t.Errorf("dump lacks %q:\n%s", want, dump)
		}
	}
	// Deadlines are in the future, within a timeout and a tick.
	for _, m := range regexp.MustCompile(`expire at (.*):\n\t0x`).FindAllStringSubmatch(dump, -1) {
		at, err := time.ParseInLocation("Mon Jan 02 15:04:05 MST 2006", m[1], time.Local)
		must(t, err)
		if left := time.Until(at); left < 15*time.Second || left > 35*time.Second {
			t.Errorf("a session of 20 s or 30 s expires in %v", left)
		}
	}
	cons := ask(t, addr, "cons")
	for _, want := range []string{"to=30000,lcxid=0x", "to=20000,lcxid=0x", "lop=GETC", "lop=EXIS"} {
		if !strings.Contains(cons, want) {
			t.Errorf("cons lacks %q:\n%s", want, cons)
		}
	}
}

func TestMonitor(t *testing.T) {
	addr := loaded(t)
	known := map[string]bool{}
	for line := range strings.Lines(recorded(t, "mntr")) {
		key, _, _ := strings.Cut(line, "\t")
		known[key] = true
	}
	text := ask(t, addr, "mntr")
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || values[key] != "" {
			t.Errorf("line %q is not one key and value, or there twice", line)
		}
		values[key] = value
		if !known[key] && !strings.HasPrefix(key, "zk_paddock_") {
			t.Errorf("%s is not a key of the reference", key)
		}
		if _, err := strconv.ParseFloat(value, 64); err != nil && key != "zk_version" && key != "zk_server_state" {
			t.Errorf("%s is not a number: %q", key, value)
		}
	}
	for key, want := range map[string]string{
		"zk_server_state": "standalone", "zk_znode_count": "8", "zk_ephemerals_count": "2", "zk_watch_count": "5", "zk_global_sessions": "2",
		"zk_approximate_data_size": strconv.Itoa(44 + len("/app/app/eph/app/eph2")), "zk_num_alive_connections": "3", "zk_outstanding_requests": "0",
		"zk_connection_rejected": "0", "zk_connection_request_count": "2", "zk_paddock_transactions": "5",
	} {
		if values[key] != want {
			t.Errorf("%s is %q, want %s", key, values[key], want)
		}
	}
	for _, key := range []string{"zk_uptime", "zk_packets_received", "zk_packets_sent", "zk_open_file_descriptor_count", "zk_max_file_descriptor_count", "zk_cnt_fsynctime"} {
		if n, _ := strconv.ParseFloat(values[key], 64); n <= 0 {
			t.Errorf("%s is %q", key, values[key])
		}
	}
	// An old check script reads 2,048 bytes and needs these.
	head := text[:min(2048, len(text))]
	for _, key := range []string{"version", "server_state", "avg_latency", "max_latency", "min_latency", "packets_received", "packets_sent",
		"num_alive_connections", "outstanding_requests", "znode_count", "watch_count", "ephemerals_count", "approximate_data_size",
		"open_file_descriptor_count", "max_file_descriptor_count"} {
		if !strings.Contains(head, "zk_"+key+"\t") {
			t.Errorf("zk_%s is not in the first 2048 bytes", key)
		}
	}
}

func TestEnvironmentHasTheKeys(t *testing.T) {
	addr := loaded(t)
	keys := func(text string) (list []string) {
		for line := range strings.Lines(text) {
			key, _, _ := strings.Cut(line, "=")
			list = append(list, key)
		}
		return list
	}
	got := ask(t, addr, "envi")
	if want := keys(recorded(t, "envi")); !slices.Equal(keys(got), want) {
		t.Errorf("envi has keys %q, want %q", keys(got), want)
	}
	if strings.Contains(got, "=\n") {
		t.Errorf("envi has an empty value:\n%s", got)
	}
}

// What tools in wide use read out of the texts.
func TestToolsCanRead(t *testing.T) {
	addr := loaded(t)
	tests := []struct{ tool, word, pattern string }{
		{"kazoo's server_version", "envi", `(?m)^zookeeper\.version=3\.9\.5\D`},
		{"an exporter's version", "mntr", `(?m)^zk_version\t([0-9]+\.[0-9]+\.[0-9]+).*$`},
		{"go-zookeeper's srvr", "srvr", `(?m:\AZookeeper version: [A-Za-z0-9\.\-]+, built on .*\n^Latency min/avg/max: (\d+)/([0-9.]+)/(\d+).*\n^Received: (\d+).*\n^Sent: (\d+).*\n^Connections: (\d+).*\n^Outstanding: (\d+).*\n^Zxid: (0x[A-Za-z0-9]+).*\n^Mode: (\w+).*\n^Node count: (\d+))`},
		{"go-zookeeper's cons", "cons", `(?m)^ /127\.0\.0\.1:\d+\[\d+\]\(queued=\d+,recved=\d+,sent=\d+,sid=0x[A-Za-z0-9]+,lop=\w+,est=\d+,to=\d+,lcxid=0x[A-Za-z0-9]+,lzxid=0x[A-Za-z0-9]+,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)$`},
		{"a check script's mode", "stat", `(?m)^Mode: (leader|follower|standalone|observer)$`},
		{"a check script's zxid", "stat", `(?m)^Zxid: 0x[0-9a-f]+$`},
	}
	for _, tt := range tests {
		t.Run(tt.tool, func(t *testing.T) {
			if text := ask(t, addr, tt.word); !regexp.MustCompile(tt.pattern).MatchString(text) {
				t.Errorf("cannot read\n%s", text)
			}
		})
	}
}
