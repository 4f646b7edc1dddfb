// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
)

// pairs are lines of key=value, below a title if there is one.
type pairs struct {
	Title string
	Lines []pair
}

type pair struct {
	Key   string
	Value any
}

func (p pairs) appendText(b []byte) []byte {
	if p.Title != "" {
		b = append(b, p.Title+":\n"...)
	}
	for _, l := range p.Lines {
		b = fmt.Appendf(b, "%s=%v\n", l.Key, l.Value)
	}
	return b
}

// settings is the answer to conf.
func (a *Admin) settings() answer {
	c := a.src.Config
	port := c.ClientPort
	if a.src.ClientAddr != nil {
		if addr, ok := a.src.ClientAddr().(*net.TCPAddr); ok {
			port = addr.Port
		}
	}
	data, logs := filesDir(c.DataDir), filesDir(c.DataLogDir)
	lines := []pair{
		{"clientPort", port},
		{"secureClientPort", -1},
		{"dataDir", data},
		{"dataDirSize", sizeOf(data)},
		{"dataLogDir", logs},
		{"dataLogSize", sizeOf(logs)},
		{"tickTime", c.TickTime.Milliseconds()},
		{"maxClientCnxns", c.MaxClientCnxns},
		{"minSessionTimeout", c.MinSessionTimeout.Milliseconds()},
		{"maxSessionTimeout", c.MaxSessionTimeout.Milliseconds()},
		{"clientPortListenBacklog", c.ListenBacklog},
		{"serverId", a.serverID()},
	}
	if a.src.Ensemble == nil {
		return pairs{Lines: lines}
	}
	return ensembleSettings{pairs{Lines: append(lines, a.ensembleSettings()...)}, a.membership()}
}

// filesDir is where the files of a configured directory lie.
func filesDir(dir string) string {
	dir = filepath.Join(dir, "version-2")
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// sizeOf sums the sizes of the files below dir, as far as they can be read.
func sizeOf(dir string) (bytes int64) {
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// environment is the answer to envi: the reference's keys, with what there is
// in a Go program to say to them.
func (a *Admin) environment() answer {
	const none = "<NA>"
	host, _ := os.Hostname()
	exe, _ := os.Executable()
	dir, _ := os.Getwd()
	name, home := none, none
	if u, err := user.Current(); err == nil {
		name, home = u.Username, u.HomeDir
	}
	mem := memory()
	return pairs{"Environment", []pair{
		{"zookeeper.version", a.version()},
		{"host.name", cmp.Or(host, none)},
		{"java.version", runtime.Version()},
		{"java.vendor", none},
		{"java.home", none},
		{"java.class.path", cmp.Or(exe, none)},
		{"java.library.path", none},
		{"java.io.tmpdir", os.TempDir()},
		{"java.compiler", runtime.Compiler},
		{"os.name", osName()},
		{"os.arch", runtime.GOARCH},
		{"os.version", cmp.Or(osVersion(), none)},
		{"user.name", name},
		{"user.home", home},
		{"user.dir", cmp.Or(dir, none)},
		{"os.memory.free", megabytes(mem.free)},
		{"os.memory.max", megabytes(mem.max)},
		{"os.memory.total", megabytes(mem.total)},
	}}
}

func megabytes(n uint64) string { return fmt.Sprintf("%dMB", n>>20) }
