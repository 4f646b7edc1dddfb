// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"paddock/internal/quorum"
	"paddock/internal/vfs"
)

// recordedFiles is the directory of a server of Apache's after its first start
// and after some reconfigs: stage, file name, content.
func recordedFiles(t *testing.T) [2]map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/reconfig-files.txt")
	if err != nil {
		t.Fatal(err)
	}
	var stages [2]map[string]string
	for i, stage := range strings.Split("\n"+string(data), "\n### ")[1:] {
		stages[i] = map[string]string{}
		for _, block := range strings.Split(stage, "\n--- ")[1:] {
			name, content, _ := strings.Cut(block, "\n")
			stages[i][name] = strings.TrimRight(content, "\n")
		}
	}
	return stages
}

func lines(text string) []string {
	return slices.Sorted(strings.SplitSeq(strings.Trim(text, "\n"), "\n"))
}

// TestFilesAsRecorded goes with one server through the reconfigs of a
// recording and finds the same files.
func TestFilesAsRecorded(t *testing.T) {
	stages := recordedFiles(t)
	dir := t.TempDir()
	here := func(text string) string { return strings.ReplaceAll(text, "/var/lib/zookeeper", dir) }
	file := write(t, filepath.Join(dir, "zoo.cfg"), here(stages[0]["zoo.cfg.bak"])+"\n")
	write(t, filepath.Join(dir, "myid"), "1\n")
	start := func() (*Config, *Dynamic) {
		t.Helper()
		c, err := Load(Source{File: file})
		if err != nil {
			t.Fatal(err)
		}
		d := NewDynamic(c, vfs.OS)
		if err := d.Begin(); err != nil {
			t.Fatal(err)
		}
		return c, d
	}
	check := func(want map[string]string) {
		t.Helper()
		for name, text := range want {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			same := string(got) == here(text)
			if name == "zoo.cfg" { // the original loses the order
				same = slices.Equal(lines(string(got)), lines(here(text)))
			}
			if name == "zoo.cfg.bak" {
				same = strings.TrimRight(string(got), "\n") == here(text)
			}
			if !same {
				t.Errorf("%s is\n%s\nwant\n%s", name, got, here(text))
			}
		}
	}

	c, d := start()
	if err := d.Committed(c.Ensemble.Members.WithVersion(0x100000000)); err != nil {
		t.Fatal(err)
	}
	check(stages[0])
	for name, text := range stages[1] {
		if v, ok := strings.CutPrefix(name, "zoo.cfg.dynamic."); ok {
			next, err := quorum.Parse(text + "\nversion=" + v)
			if err != nil {
				t.Fatal(err)
			}
			if next.Version > c.Ensemble.Members.Version {
				c.Ensemble.Members = next
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stages[1])) {
		v, ok := strings.CutPrefix(name, "zoo.cfg.dynamic.")
		if !ok {
			continue
		}
		next, err := quorum.Parse(stages[1][name] + "\nversion=" + v)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Seen(next), d.Committed(next)); err != nil {
			t.Fatal(err)
		}
	}
	check(stages[1])
	if isFile(file + ".dynamic.next") {
		t.Error("the proposed membership is still there")
	}
	again, _ := start()
	if got, want := again.Ensemble.Members.String(), c.Ensemble.Members.String(); got != want {
		t.Errorf("read again as\n%s\nwant\n%s", got, want)
	}
	check(map[string]string{"zoo.cfg.bak": stages[1]["zoo.cfg.bak"]})
}

// TestPendingReconfig starts where a leader of Apache's was killed with a
// reconfig in flight.
func TestPendingReconfig(t *testing.T) {
	prepare := func(change func(dir string)) (string, *Config, error) {
		dir := t.TempDir()
		for _, name := range []string{"zoo.cfg", "zoo.cfg.dynamic.next", "zoo.cfg.dynamic.100000000"} {
			data, err := os.ReadFile(filepath.Join("testdata/pending", name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), strings.ReplaceAll(string(data), "@DIR@", dir))
		}
		if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "data", "myid"), "2\n")
		change(dir)
		c, err := Load(Source{File: filepath.Join(dir, "zoo.cfg")})
		return dir, c, err
	}
	replace := func(name, old, by string) func(string) {
		return func(dir string) {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), strings.ReplaceAll(string(data), old, by))
		}
	}

	dir, c, err := prepare(func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	seen := c.Ensemble.Seen
	if c.Ensemble.Members.Version != 0x100000000 || seen == nil || seen.Version != 0x100000003 || !slices.Equal(seen.Voters(), []int64{2, 3}) {
		t.Fatalf("committed %v\nseen %v", c.Ensemble.Members, seen)
	}
	next := filepath.Join(dir, "zoo.cfg.dynamic.next")
	recorded, err := os.ReadFile(next)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDynamic(c, vfs.OS)
	if err := errors.Join(os.Remove(next), d.Seen(seen)); err != nil || isFile(next) {
		t.Errorf("what is on disk is written again: %v", err)
	}
	// The next leader takes it back, or settles it.
	if err := d.Seen(c.Ensemble.Members); err != nil {
		t.Error(err)
	}
	if err := d.Seen(seen); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(next); err != nil || string(got) != string(recorded) {
		t.Errorf("written as %q, %v; want %q", got, err, recorded)
	}
	if err := d.Seen(c.Ensemble.Members); err != nil || isFile(next) {
		t.Errorf("a proposal that was taken back is still there, %v", err)
	}
	if err := errors.Join(d.Seen(seen), d.Committed(seen)); err != nil || isFile(next) {
		t.Errorf("a proposal that is settled is still there, %v", err)
	}

	for _, tc := range []struct {
		name   string
		change func(dir string)
		err    string
	}{
		{"reconfig is off", replace("zoo.cfg", "reconfigEnabled=true", "reconfigEnabled=false"), ""},
		{"settled already", replace("zoo.cfg.dynamic.next", "version=100000003", "version=100000000"), ""},
		{"no file", func(dir string) { os.Remove(filepath.Join(dir, "zoo.cfg.dynamic.next")) }, ""},
		{"members in the main file", func(dir string) {
			write(t, filepath.Join(dir, "zoo.cfg"), "dataDir="+dir+"/data\ninitLimit=5\nsyncLimit=5\nreconfigEnabled=true\nserver.1=a:1:2;3\nserver.2=b:1:2;3\n")
		}, ""},
		{"damaged", replace("zoo.cfg.dynamic.next", "server.3", "pony.3"), "zoo.cfg.dynamic.next: membership: pony.3: unknown key"},
	} {
		_, c, err := prepare(tc.change)
		switch {
		case tc.err == "" && (err != nil || c.Ensemble.Seen != nil):
			t.Errorf("%s: %v, seen %v", tc.name, err, c)
		case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestPointTo(t *testing.T) {
	self := quorum.Member{Client: &quorum.HostPort{Host: "h", Port: 1}}
	secure := quorum.Member{Client: self.Client, Secure: self.Client}
	for _, tc := range []struct {
		name, in string
		self     quorum.Member
		want     string
	}{
		{"empty", "", self, ""},
		{"moves", "a=1\nserver.1=x\ngroup.1=1\nweight.1=1\npeerType=observer\ndynamicConfigFile=old\nb=2\n", self, "a=1\nb=2\n"},
		{"client port", "clientPort=1\nclientPortAddress=x\nclientPortListenBacklog=5\n", self, "clientPortListenBacklog=5\n"},
		{"client port of a static server", "clientPort=1\n", quorum.Member{}, "clientPort=1\n"},
		{"secure port", "secureClientPort=1\nclientPort=2\n", self, "secureClientPort=1\n"},
		{"both ports", "secureClientPort=1\nsecureClientPortAddress=x\nclientPort=2\n", secure, ""},
		{"comments stay", "# hello\n\n! server.1=x\nserver.1=x\n# more\n", self, "# hello\n\n! server.1=x\n# more\n"},
		{"continued lines", "server.1=\\\n  x:1\\\n:2\na=\\\n  server.2=y\n", self, "a=\\\n  server.2=y\n"},
		{"other ways to write a key", "server\\u002e1 x\n  server.2:x\nclientPort 1\n", self, ""},
		{"no end of the last line", "a=1", self, "a=1\n"},
		{"a backslash at the end", "a=1\\", self, "a=1\\\n\n"},
		{"a backslash at the end of what goes", "a=1\nserver.1=\\", self, "a=1\n"},
		{"line ends", "a=1\rserver.1=x\rb=2\r\nserver.2=x\r\nc=3", self, "a=1\rb=2\r\nc=3\n"},
		{"byte order mark", "\xef\xbb\xbfserver.1=x\na=1\n", self, "a=1\n"},
		{"latin-1 and bad escapes", "a=\xe9\nb=\\u12\n", self, "a=\xe9\nb=\\u12\n"},
	} {
		const file = "/d/é 😀\\x.dynamic.1"
		got := pointTo(file, []byte(tc.in), tc.self)
		const last = `dynamicConfigFile=/d/\u00e9 \ud83d\ude00\\x.dynamic.1` + "\n"
		if runtime.GOOS != "windows" && string(got) != tc.want+last {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want+last)
		}
	}
}

// FuzzPointTo: whatever the main file is, it names the dynamic file afterwards
// and has no member left, and keeps all other keys.
func FuzzPointTo(f *testing.F) {
	for _, g := range seedFiles(f) {
		f.Add(g, true)
	}
	f.Add([]byte("server.1=\\\n\\\na=\\\n#\n\\"), false)
	f.Fuzz(func(t *testing.T, data []byte, client bool) {
		var self quorum.Member
		if client {
			self.Client = &quorum.HostPort{Host: "h", Port: 1}
		}
		out := pointTo("/d/zoo.cfg.dynamic.1", data, self)
		before, _, _ := parseProperties("f", data)
		after, _, _ := parseProperties("f", out)
		var want, got []string
		for _, p := range before {
			if !moves(p.key, self) {
				want = append(want, p.key+"="+p.value)
			}
		}
		want = append(want, "dynamicConfigFile=/d/zoo.cfg.dynamic.1")
		for _, p := range after {
			got = append(got, p.key+"="+p.value)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q\nbecame %q:\n%q\nwant\n%q", data, out, got, want)
		}
	})
}

func TestNothingIsWrittenUnlessAsked(t *testing.T) {
	members, err := quorum.Parse("server.1=a:1:2;3\nserver.2=b:1:2;3")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Config{
		"reconfig is off": {ConfigFile: "/etc/zoo.cfg", Ensemble: Ensemble{Members: members}},
		"no file":         {Ensemble: Ensemble{Members: members, ReconfigEnabled: true}},
	} {
		d := NewDynamic(c, nil) // a call would panic
		if err := errors.Join(d.Begin(), d.Seen(members.WithVersion(1)), d.Committed(members.WithVersion(1))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := &Config{ConfigFile: "/etc/zoo.cfg", Ensemble: Ensemble{Members: members.WithVersion(5), ReconfigEnabled: true,
		DynamicConfigFile: "/etc/zoo.cfg.dynamic.5"}}
	d := NewDynamic(c, nil)
	if err := errors.Join(d.Begin(), d.Seen(members.WithVersion(5)), d.Committed(members.WithVersion(5)), d.Committed(members.WithVersion(4))); err != nil {
		t.Error(err)
	}
}

// TestEachFailureIsReported lets every call to the file system fail once; told
// again, the same membership is then kept.
func TestEachFailureIsReported(t *testing.T) {
	members, err := quorum.Parse("server.1=a:1:2;3\nserver.2=b:1:2;3")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		mem := vfs.NewMem()
		if err := errors.Join(mem.MkdirAll("/etc", 0o755), vfs.WriteFileAtomic(mem, "/etc/zoo.cfg", []byte("a=1\nserver.1=x\n"))); err != nil {
			t.Fatal(err)
		}
		failing := &failNth{FS: mem, left: n}
		d := NewDynamic(&Config{ConfigFile: "/etc/zoo.cfg", Ensemble: Ensemble{ServerID: 1, Members: members, ReconfigEnabled: true,
			StandaloneEnabled: true}}, failing)
		steps := []func() error{d.Begin, func() error { return d.Seen(members.WithVersion(1)) },
			func() error { return d.Committed(members.WithVersion(1)) }}
		failures := 0
		for _, step := range steps {
			if err := step(); err != nil {
				if !errors.Is(err, errTest) {
					t.Fatal(err)
				}
				failures++
				if err := step(); err != nil {
					t.Fatalf("call %d failed, and again: %v", n, err)
				}
			}
		}
		if failed := failing.left < 0; failed && failures != 1 {
			t.Fatalf("call %d failed, and %d steps said so", n, failures)
		}
		for name, want := range map[string]string{
			"zoo.cfg.bak":       "a=1\nserver.1=x\n",
			"zoo.cfg.dynamic.1": "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant;0.0.0.0:3",
			"zoo.cfg":           "a=1\ndynamicConfigFile=/etc/zoo.cfg.dynamic.1\n",
		} {
			if got, err := vfs.ReadFile(mem, "/etc/"+name); err != nil || string(got) != want {
				t.Fatalf("call %d failed: %s is %q, %v", n, name, got, err)
			}
		}
		if there, _ := vfs.Exists(mem, "/etc/zoo.cfg.dynamic.next"); there {
			t.Fatalf("call %d failed: the proposal is still there", n)
		}
		if failing.left >= 0 {
			if n < 15 {
				t.Fatalf("only %d calls", n)
			}
			return
		}
	}
	t.Fatal("too many calls")
}

var errTest = errors.New("test")

// failNth fails one call that changes something.
type failNth struct {
	vfs.FS
	left int
}

func (f *failNth) fail(what string) error {
	f.left--
	if f.left == -1 {
		return fmt.Errorf("%s: %w", what, errTest)
	}
	return nil
}

func (f *failNth) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	if err := f.fail("open " + name + " " + strconv.Itoa(flag)); err != nil {
		return nil, err
	}
	return f.FS.OpenFile(name, flag, perm)
}

func (f *failNth) Rename(oldName, newName string) error {
	if err := f.fail("rename " + oldName); err != nil {
		return err
	}
	return f.FS.Rename(oldName, newName)
}

func (f *failNth) SyncDir(name string) error {
	if err := f.fail("sync " + name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

func (f *failNth) Remove(name string) error {
	if err := f.fail("remove " + name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *failNth) Stat(name string) (vfs.Info, error) {
	if err := f.fail("stat " + name); err != nil {
		return vfs.Info{}, err
	}
	return f.FS.Stat(name)
}

// TestSecretsStaySecret: a file that others may not read gets no copy that they may.
func TestSecretsStaySecret(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other permissions")
	}
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "zoo.cfg"), "a=1\n")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	members, err := quorum.Parse("server.1=a:1:2;3\nserver.2=b:1:2;3")
	if err != nil {
		t.Fatal(err)
	}
	d := NewDynamic(&Config{ConfigFile: file, Ensemble: Ensemble{Members: members, ReconfigEnabled: true}}, vfs.OS)
	if err := errors.Join(d.Begin(), d.Committed(members.WithVersion(7))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + ".bak"} {
		st, err := os.Stat(name)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
}
