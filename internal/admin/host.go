// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	runmetrics "runtime/metrics"
	"strings"
)

// memoryUse is what envi tells of the memory, in bytes: of the total that the
// program has of the system some is free for objects; max is what the total may
// grow to.
type memoryUse struct{ free, max, total uint64 }

func memory() memoryUse {
	s := []runmetrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	runmetrics.Read(s)
	released := s[3].Value.Uint64() // mapped still, but the system's again
	m := memoryUse{free: s[1].Value.Uint64() + s[2].Value.Uint64(), total: s[0].Value.Uint64() - released}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		m.max = uint64(limit)
	} else if m.max = machineMemory(); m.max == 0 {
		m.max = m.total
	}
	return m
}

// machineMemory is 0 where the system does not tell.
func machineMemory() uint64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var kib uint64
		if n, _ := fmt.Sscanf(lines.Text(), "MemTotal: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// osName is the system as Java names it.
func osName() string {
	switch runtime.GOOS {
	case "linux":
		return "Linux"
	case "darwin":
		return "Mac OS X"
	case "windows":
		return "Windows"
	}
	return runtime.GOOS
}

// osVersion is the kernel's; "" where the system does not tell.
func osVersion() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// openDescriptors counts the program's open files; -1 where the system does not
// tell.
func openDescriptors() int64 {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		names, err := f.Readdirnames(-1)
		f.Close()
		if err == nil {
			return int64(len(names)) - 1 // without the directory itself
		}
	}
	return -1
}
