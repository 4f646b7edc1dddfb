// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, file, content string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func noSuchHost(host string) error {
	if strings.HasSuffix(host, ".invalid") {
		return fmt.Errorf("no such host")
	}
	return nil
}

// load loads a file of these lines below a dataDir line of its own.
func load(t *testing.T, lines string, edit func(*Source)) (*Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	src := Source{File: write(t, filepath.Join(dir, "zoo.cfg"), "dataDir="+dir+"\n"+lines), Resolve: noSuchHost}
	if edit != nil {
		edit(&src)
	}
	c, err := Load(src)
	return c, dir, err
}

func env(pairs ...string) func(*Source) {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(s *Source) { s.Env = func(k string) string { return m[k] } }
}

// TestRefused checks the words of errors: file, line, key, value, reason.
func TestRefused(t *testing.T) {
	for _, tc := range []struct{ name, lines, want string }{
		{"port out of range", "clientPort=70000", "zoo.cfg:2: clientPort=70000: port out of range: must be between 0 and 65535"},
		{"huge port", "clientPort=99999999999999999999", "zoo.cfg:2: clientPort=99999999999999999999: port out of range: must be between 0 and 65535"},
		{"number", "# c\ntickTime=2s", "zoo.cfg:3: tickTime=2s: is not a whole number"},
		{"zero tick", "tickTime=0", "zoo.cfg:2: tickTime=0: must be between 1 and 107374182"},
		{"inline comment", "clientPort=2181 # x", "zoo.cfg:2: clientPort=2181 # x: is not a whole number (a comment must stand on a line of its own)"},
		{"quotes", `clientPort="2181"`, `zoo.cfg:2: clientPort="2181": is not a whole number (quotes are a part of the value; leave them out)`},
		{"bool", "digest.enabled=yes", "zoo.cfg:2: digest.enabled=yes: must be true or false"},
		{"yes/no", "forceSync=false", "zoo.cfg:2: forceSync=false: must be yes or no"},
		{"one of", "snapshot.compression.method=lz4", `zoo.cfg:2: snapshot.compression.method=lz4: must be one of "", "gz", "snappy"`},
		{"election", "electionAlg=1", `zoo.cfg:2: electionAlg=1: must be one of "3"`},
		{"ratio", "connection_throttle_drop_increase=1.5", "zoo.cfg:2: connection_throttle_drop_increase=1.5: must be a number from 0 to 1"},
		{"not a number ratio", "connection_throttle_drop_increase=NaN", "zoo.cfg:2: connection_throttle_drop_increase=NaN: must be a number from 0 to 1"},
		{"32 bits", "maxClientCnxns=3000000000", "zoo.cfg:2: maxClientCnxns=3000000000: does not fit into 32 bits"},
		{"purge", "autopurge.purgeInterval=1w", "zoo.cfg:2: autopurge.purgeInterval=1w: is not a number of hours, nor a number followed by ms, s, m, h or d"},
		{"address without port", "clientPortAddress=127.0.0.1", "zoo.cfg:2: clientPortAddress=127.0.0.1: is set but clientPort is not"},
		{"address unknown", "clientPort=1\nclientPortAddress=x.invalid", "zoo.cfg:3: clientPortAddress=x.invalid: cannot be resolved: no such host"},
		{"timeouts", "clientPort=1\nminSessionTimeout=80000", "zoo.cfg:3: minSessionTimeout=80000: minSessionTimeout (80000 ms) must not be larger than maxSessionTimeout (60000 ms); the defaults are 2 and 20 ticks of 3000 ms"},
		{"empty dataLogDir", "dataLogDir=", "zoo.cfg:2: dataLogDir: is not set"},
		{"secret masked", "DigestAuthenticationProvider.superDigest=hunter2", "zoo.cfg:2: DigestAuthenticationProvider.superDigest=****: must have the form user:digest"},
		{"escape", `foo=\u12`, `zoo.cfg:2: foo: \u must be followed by four hexadecimal digits`},
		{"digest algorithm", "DigestAuthenticationProvider.digestAlg=ROT13", "is not a known hash"},
		{"enforce without schemes", "enforce.auth.enabled=true", "zoo.cfg:2: enforce.auth.enabled=true: enforce.auth.schemes is not set"},
		{"enforce unknown scheme", "enforce.auth.enabled=true\nenforce.auth.schemes=digest, foo", "zoo.cfg:3: enforce.auth.schemes=digest, foo: there is no scheme foo"},
		{"sasl required but absent", "sessionRequireClientSASLAuth=true", "zoo.cfg:2: sessionRequireClientSASLAuth=true: there is no scheme sasl"},
		{"same ports", "server.1=a:5:5", "zoo.cfg:2: server.1=a:5:5: quorum port and election port must differ, both are 5"},
		{"same server twice", "server.1=a:1:2\nserver.01=a:3:4", "this id is given twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, dir, err := load(t, tc.lines, nil)
			if err == nil {
				t.Fatal("accepted")
			}
			got := strings.ReplaceAll(err.Error(), dir+"/", "")
			if !strings.Contains(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestAllProblemsAreReported(t *testing.T) {
	_, _, err := load(t, "clientPort=x\nsnapCount=y\nserver.1=z\nskipACL=1\n", nil)
	var all Problems
	if !errors.As(err, &all) || len(all) != 4 {
		t.Fatalf("got %v, want four problems", err)
	}
	for i, p := range all[:2] {
		if p.Line != i+2 {
			t.Errorf("problem %d is of line %d: %v", i, p.Line, p)
		}
	}
	var one *Problem
	if !errors.As(err, &one) {
		t.Error("a Problem cannot be had with errors.As")
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(Source{File: filepath.Join(t.TempDir(), "none.cfg")})
	if err == nil || !strings.HasSuffix(err.Error(), "none.cfg: no such file or directory") {
		t.Errorf("got %v", err)
	}
	big := write(t, filepath.Join(t.TempDir(), "big.cfg"), strings.Repeat("#\n", fileMax))
	if _, err = Load(Source{File: big}); err == nil || !strings.Contains(err.Error(), "is larger than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

// TestWarned checks that nothing which is not honoured goes unnamed.
func TestWarned(t *testing.T) {
	for _, tc := range []struct{ name, lines, want string }{
		{"unknown", "frobnicate=1", "zoo.cfg:2: frobnicate is not a known key and has no effect"},
		{"case", "localsessionsenabled=true", "zoo.cfg:2: localsessionsenabled is not a known key and has no effect; did you mean localSessionsEnabled?"},
		{"slip", "snapCuont=1", "did you mean snapCount?"},
		{"dots", "autopurgePurgeInterval=1", "did you mean autopurge.purgeInterval?"},
		{"guide name", "requestThrottleLimit=1", "zoo.cfg:2: requestThrottleLimit has no effect: the key's real name is request_throttle_max_requests"},
		{"prefix", "zookeeper.skipACL=yes", "zoo.cfg:2: zookeeper.skipACL has no effect, as in Apache ZooKeeper: write skipACL"},
		{"duplicate", "snapCount=5\nsnapCount=6", "zoo.cfg:3: snapCount is given twice; this line wins over line 2"},
		{"ensemble", "initLimit=10\nsyncLimit=5", "no effect on a standalone server: initLimit (zoo.cfg:2), syncLimit (zoo.cfg:3)"},
		{"eager", "enableEagerACLCheck=true", "no effect on a standalone server: enableEagerACLCheck (zoo.cfg:2)"},
		{"not yet", "secureClientPort=2281", "not supported yet (TLS is not built yet): secureClientPort (zoo.cfg:2)"},
		{"tuning", "nio.numWorkerThreads=8", "accepted without effect (there are no such threads, buffers or caches here): nio.numWorkerThreads (zoo.cfg:2)"},
		{"raised", "snapCount=1", "zoo.cfg:2: snapCount=1 is raised to 2, the least allowed"},
		{"relative", "dataLogDir=logs", "zoo.cfg:2: dataLogDir=logs is relative to the working directory: /"},
		{"latin", "foo=\xe9", "zoo.cfg:2: foo: bytes above 0x7f are read as ISO-8859-1"},
		{"no port", "", "zoo.cfg: clientPort is not set: the server listens for no client"},
		{"java auth class", "authProvider.1=com.example.Foo", "zoo.cfg:2: authProvider.1=com.example.Foo: this Java class cannot be loaded"},
		{"large request", "largeRequestThreshold=9\nlargeRequestMaxBytes=8", "largeRequestThreshold=9 is above largeRequestMaxBytes=8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, dir, err := load(t, tc.lines, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(strings.Join(c.Warnings, "\n"), dir+"/", "")
			if !strings.Contains(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestNothingToSay: a file of honoured keys, and of keys that ask for nothing, gives no warning.
func TestNothingToSay(t *testing.T) {
	c, _, err := load(t, "clientPort=2181\nsslQuorum=false\nelectionAlg=3\nadmin.enableServer=false\nmaxClientCnxns=-1\nflushDelay=-1\n", nil)
	if err != nil || len(c.Warnings) > 0 {
		t.Fatalf("%v, %q", err, c.Warnings)
	}
	if c.MaxClientCnxns != 0 || c.FlushDelay != 0 {
		t.Errorf("negative limits are not off: %d, %s", c.MaxClientCnxns, c.FlushDelay)
	}
}

// TestEveryKeyIsHandled gives each key of the table, alone, a value that asks for something: it must be kept in
// a field, or be named in a warning.
func TestEveryKeyIsHandled(t *testing.T) {
	for _, r := range allRows() {
		key := strings.TrimSuffix(strings.TrimSuffix(r.key, "N"), "*")
		if r.pattern() {
			key += "1"
		}
		t.Run(key, func(t *testing.T) {
			line, ok := samples[r.kind]
			if special, has := sampleOf[r.key]; has {
				line, ok = special, true
			}
			if !ok {
				t.Fatalf("no sample value for kind %d", r.kind)
			}
			c, _, err := load(t, key+"="+line+"\n", nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Given[key].Value != line || c.Given[key].Origin.Line != 2 && key != "dataDir" {
				t.Errorf("Given holds %+v", c.Given[key])
			}
			warned := slices.ContainsFunc(c.Warnings, func(w string) bool {
				return strings.Contains(w, key+" (") || strings.Contains(w, ": "+key)
			})
			switch {
			case r.fate != honoured && r.off != line && !warned:
				t.Errorf("not honoured, and no warning: %q", c.Warnings)
			case r.fate == honoured && r.bind == nil && r.key != "authProvider.N":
				t.Error("honoured, but kept nowhere")
			}
		})
	}
}

var samples = map[kind]string{text: "x", path: "./x", number: "1000", port: "2000", size: "2000", span: "2000",
	ratio: "0.5", truth: "true", yesNo: "no", list: "a,b", words: "stat", hours: "2"}

var sampleOf = map[string]string{
	"dataDir":                                  "./data",
	"clientPortAddress":                        "", // needs clientPort
	"maxSessionTimeout":                        "9000",
	"secureClientPortAddress":                  "",
	"snapshot.compression.method":              "gz",
	"DigestAuthenticationProvider.superDigest": "super:x",
	"DigestAuthenticationProvider.digestAlg":   "SHA-256",
	"authProvider.N":                           "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider",
	"enforce.auth.enabled":                     "false", // needs schemes
	"sessionRequireClientSASLAuth":             "false", // needs a provider
	"server.N":                                 "a:1:2",
	"group.N":                                  "1:2",
	"weight.N":                                 "1",
	"dynamicConfigFile":                        "testdata/one.dynamic",
	"standaloneEnabled":                        "true",
	"peerType":                                 "observer",
	"electionAlg":                              "3",
	"snapshotSizeFactor":                       "0.5",
	"quorum.auth.learnerRequireSasl":           "false",
	"quorum.auth.serverRequireSasl":            "false",
	"metricsProvider.className":                "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
	"ssl.clientAuth":                           "want",
	"ssl.quorum.clientAuth":                    "want",
	"ssl.keyStore.type":                        "PEM",
	"ssl.trustStore.type":                      "PEM",
	"ssl.quorum.keyStore.type":                 "PEM",
	"ssl.quorum.trustStore.type":               "PEM",
}

func TestValues(t *testing.T) {
	c, dir, err := load(t, `tickTime=1000
clientPort=2181
clientPortAddress=::1
maxSessionTimeout=50000
snapSizeLimitInKb=-1
preAllocSize=1
autopurge.purgeInterval=90m
jute.maxbuffer=0x100000
flushDelay=30
skipACL=yes
4lw.commands.whitelist=stat, ruok ,mntr
readonlymode.enabled=true
ensembleAuthName=a, b
authProvider.1=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider
observer.syncEnabled=false
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"DataDir", c.DataDir, dir},
		{"DataLogDir", c.DataLogDir, dir},
		{"ClientAddr", c.ClientAddr, "[::1]:2181"},
		{"TickTime", c.TickTime, time.Second},
		{"MinSessionTimeout", c.MinSessionTimeout, 2 * time.Second},
		{"MaxSessionTimeout", c.MaxSessionTimeout, 50 * time.Second},
		{"SnapSizeLimit", c.SnapSizeLimit, int64(0)},
		{"PreAllocSize", c.PreAllocSize, int64(1024)},
		{"PurgeInterval", c.PurgeInterval, 90 * time.Minute},
		{"JuteMaxBuffer", c.JuteMaxBuffer, int64(1 << 20)},
		{"JuteMaxBufferExtra", c.JuteMaxBufferExtra, int64(1 << 20)},
		{"MaxWriteQueuePollTime", c.MaxWriteQueuePollTime, 10 * time.Millisecond},
		{"SkipACL", c.SkipACL, true},
		{"ForceSync", c.ForceSync, true},
		{"ruok", c.FourLetterWords.Allows("ruok"), true},
		{"srvr", c.FourLetterWords.Allows("srvr"), true},
		{"isro", c.FourLetterWords.Allows("isro"), true},
		{"dump", c.FourLetterWords.Allows("dump"), false},
		{"ensembleAuthName", strings.Join(c.EnsembleAuthNames, "|"), "a|b"},
		{"ensemble scheme", c.AuthProviders["ensemble"], true},
		{"digest scheme", c.AuthProviders["digest"], true},
		{"sasl scheme", c.AuthProviders["sasl"], false},
		{"SyncEnabled", c.Ensemble.SyncEnabled, false},
		{"SnapCount", c.SnapCount, 100000},
		{"SessionlessTimeout", c.SessionlessTimeout, 10 * time.Second},
		{"Distributed", c.Distributed(), false},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, _, err := load(t, "clientPort=2181\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.ClientAddr != ":2181" || c.TickTime != 3*time.Second || c.MaxClientCnxns != 60 || c.JuteMaxBuffer != 1048575 ||
		c.SnapSizeLimit != 4<<30 || c.PreAllocSize != 64<<20 || c.PurgeInterval != time.Hour || c.SnapRetainCount != 3 ||
		!c.DatadirAutocreate || c.FourLetterWords.All || c.ListenBacklog != -1 || c.Digest.Alg != "SHA1" {
		t.Errorf("%+v", c)
	}
	off, _, err := load(t, "autopurge.purgeInterval=0\n", nil)
	if err != nil || off.PurgeInterval != 0 {
		t.Errorf("retention cannot be switched off: %v", err)
	}
}

func TestEmbedded(t *testing.T) {
	c, err := Default("/tmp/x")
	if err != nil {
		t.Fatal(err)
	}
	if c.ClientAddr != "127.0.0.1:2181" || c.DataDir != "/tmp/x" || c.TickTime != 2*time.Second ||
		!c.FourLetterWords.Allows("dump") || len(c.Warnings) > 0 {
		t.Errorf("%+v", c)
	}
	src := Embedded("/tmp/x")
	src.Flags = map[string]string{"clientPort": "0", "snapCount": "7"}
	if c, err = Load(src); err != nil || c.ClientAddr != "127.0.0.1:0" || c.SnapCount != 7 {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestDefaultDataDir(t *testing.T) {
	for _, tc := range []struct{ xdg, home, want string }{
		{"/xdg", "/home/a", "/xdg/paddock"},
		{"", "/home/a", "/home/a/.local/share/paddock"},
		{"relative", "/home/a", "/home/a/.local/share/paddock"},
		{"", "", "paddock-data"},
		{"", "/", "paddock-data"},
	} {
		m := map[string]string{"XDG_DATA_HOME": tc.xdg, "HOME": tc.home}
		if got := DefaultDataDir(func(k string) string { return m[k] }); got != tc.want {
			t.Errorf("%+v: got %s", tc, got)
		}
	}
}

func TestPositional(t *testing.T) {
	src, err := FromPositional([]string{"2181", "/data", "1000", "7"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(src)
	if err != nil || c.ClientAddr != ":2181" || c.DataDir != "/data" || c.TickTime != time.Second || c.MaxClientCnxns != 7 {
		t.Errorf("%v, %+v", err, c)
	}
	if src, err = FromPositional([]string{"2181", "/data"}); err != nil {
		t.Fatal(err)
	}
	if c, err = Load(src); err != nil || c.MaxClientCnxns != 0 || c.TickTime != 3*time.Second {
		t.Errorf("%v, %+v", err, c)
	}
	for _, args := range [][]string{nil, {"1"}, {"1", "2", "3", "4", "5"}} {
		if _, err := FromPositional(args); err == nil {
			t.Errorf("%q accepted", args)
		}
	}
	src, _ = FromPositional([]string{"http", "/data"})
	if _, err = Load(src); err == nil || err.Error() != "command line: clientPort=http: is not a whole number" {
		t.Errorf("got %v", err)
	}
}

func TestPrecedence(t *testing.T) {
	both := func(a, b func(*Source)) func(*Source) { return func(s *Source) { a(s); b(s) } }
	flags := func(s *Source) { s.Flags = map[string]string{"snapCount": "40", "jute.maxbuffer": "40"} }
	props := env("SERVER_JVMFLAGS", "-Dzookeeper.snapCount=10 -Djute.maxbuffer=10")
	for _, tc := range []struct {
		name, lines string
		edit        func(*Source)
		snap, jute  int64
	}{
		{"default", "", nil, 100000, 1048575},
		{"property", "", props, 10, 10},
		{"file over prefixed property, bare property over file", "snapCount=20\njute.maxbuffer=20", props, 20, 10},
		{"flag over all", "snapCount=20\njute.maxbuffer=20", both(props, flags), 40, 40},
		{"JVMFLAGS over SERVER_JVMFLAGS", "", env("JVMFLAGS", "-Dzookeeper.snapCount=11", "SERVER_JVMFLAGS", "-Dzookeeper.snapCount=10 -Djute.maxbuffer=5"), 11, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, err := load(t, tc.lines, tc.edit)
			if err != nil {
				t.Fatal(err)
			}
			if int64(c.SnapCount) != tc.snap || c.JuteMaxBuffer != tc.jute {
				t.Errorf("snapCount %d, jute.maxbuffer %d; want %d, %d", c.SnapCount, c.JuteMaxBuffer, tc.snap, tc.jute)
			}
		})
	}
}

func TestJVMFlags(t *testing.T) {
	c, dir, err := load(t, "clientPort=2181\n", env(
		"SERVER_JVMFLAGS", `-Xmx1000m  -XX:+UseG1GC -Dzookeeper.tickTime=5 -Dfsync.warningthresholdms=50 -Djava.net.preferIPv4Stack=true`,
		"JVMFLAGS", `-cp "/a b" -Dzookeeper.4lw.commands.whitelist="ruok, stat" -DsnapCount=3 -Dzookeeper.snapcount=3 -Dzookeeper.client.secure=true -Xmx1000m -Dzookeeper.fsync.warningthresholdms=60`,
		"ZOO_DATADIR_AUTOCREATE_DISABLE", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if c.FsyncWarning != 60*time.Millisecond || !c.FourLetterWords.Allows("stat") || c.DatadirAutocreate || c.SnapCount != 100000 {
		t.Errorf("%+v", c)
	}
	got := strings.ReplaceAll(strings.Join(c.Warnings, "\n"), dir+"/", "")
	for _, want := range []string{
		"SERVER_JVMFLAGS: -Dzookeeper.tickTime has no effect: tickTime is read from the configuration file only",
		"JVMFLAGS: -DsnapCount has no effect; write -Dzookeeper.snapCount",
		"JVMFLAGS: -Dzookeeper.snapcount is not a known key and has no effect; did you mean snapCount?",
		"JVMFLAGS: -Dzookeeper.client.secure is for clients",
		"ignored JVM flags: -Xmx1000m -XX:+UseG1GC -cp /a b -Djava.net.preferIPv4Stack",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if c.Properties["java.net.preferIPv4Stack"] != "true" {
		t.Errorf("properties %v", c.Properties)
	}
	_, _, err = load(t, "", env("JVMFLAGS", "-Dzookeeper.snapCount=many"))
	if err == nil || err.Error() != "JVMFLAGS: snapCount=many: is not a whole number" {
		t.Errorf("got %v", err)
	}
}

func TestSplitWords(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" a\t b\n", []string{"a", "b"}},
		{`-Da="x y" 'b c'd`, []string{"-Da=x y", "b cd"}},
		{`"it's" ''`, []string{"it's", ""}},
		{`C:\x "open end`, []string{`C:\x`, "open end"}},
	} {
		if got := splitWords(tc.in); !slices.Equal(got, tc.want) {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestFlagsAreChecked(t *testing.T) {
	_, _, err := load(t, "", func(s *Source) { s.Flags = map[string]string{"snapcount": "4", "tickTime": "x"} })
	want := "command line: snapcount=4: unknown key; did you mean snapCount?\ncommand line: tickTime=x: is not a whole number"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestMembership(t *testing.T) {
	three := "initLimit=5\nsyncLimit=2\nserver.1=a:1:2;2181\nserver.2=[::1]:1:2:observer;[::1]:2182\nserver.3=c:1:2\nserver.4=d:1:2\n"
	dir := t.TempDir()
	write(t, filepath.Join(dir, "myid"), "2\n")
	c, err := Load(Source{File: write(t, filepath.Join(dir, "zoo.cfg"), "dataDir="+dir+"\n"+three), Resolve: noSuchHost})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Distributed() || c.Voters() != 3 || !c.Ensemble.Observer || c.ClientAddr != "[::1]:2182" || c.InitLimit() != 15*time.Second {
		t.Errorf("%+v", c)
	}
	if got := c.Ensemble.Members.Members[1].String(); got != "[0:0:0:0:0:0:0:1]:1:2:observer;[0:0:0:0:0:0:0:1]:2182" {
		t.Error(got)
	}
	if slices.ContainsFunc(c.Warnings, func(w string) bool { return strings.Contains(w, "standalone") }) {
		t.Errorf("%q", c.Warnings)
	}
}

func TestStandaloneServerLine(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "myid"), "1\r\n")
	c, err := Load(Source{File: write(t, filepath.Join(dir, "zoo.cfg"), "dataDir="+dir+"\nserver.1=127.0.0.1:1:2;127.0.0.1:2183\n")})
	if err != nil || c.Distributed() || c.ClientAddr != "127.0.0.1:2183" {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestDynamicFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "myid"), "1")
	bad := write(t, filepath.Join(dir, "d.dynamic.1f"), "server.1=a:1:2\n\ntickTime=4\nversion=3\n")
	file := write(t, filepath.Join(dir, "zoo.cfg"), "dataDir="+dir+"\nclientPort=1\ndynamicConfigFile="+bad+"\n")
	_, err := Load(Source{File: file})
	if err == nil || !strings.Contains(err.Error(), bad+":3: tickTime=4: does not belong into a dynamic file") ||
		!strings.Contains(err.Error(), bad+":4: version=3: does not belong") {
		t.Errorf("got %v", err)
	}
	write(t, bad, "server.1=a:1:2\n")
	c, err := Load(Source{File: file})
	if err != nil || c.Ensemble.Members.Version != 0x1f || len(c.Ensemble.Members.Members) != 1 {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestSecrets(t *testing.T) {
	for name, want := range map[string]bool{
		"zookeeper.DigestAuthenticationProvider.superDigest": true, "ssl.keyStore.password": true,
		"zookeeper.ssl.quorum.trustStore.password": true, "javax.net.ssl.keyStorePassword": true,
		"snapCount": false, "zookeeper.ssl.keyStore.location": false,
	} {
		if IsSecret(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
