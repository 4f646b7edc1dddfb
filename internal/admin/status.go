// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"paddock/proto"
)

// compatible is the version of Apache's server whose protocols and files this
// server speaks. Clients and exporters read the digits at the front of the
// version to learn what a server can do.
const compatible = "3.9.5"

// version is the line that srvr, stat, mntr and envi show.
func (a *Admin) version() string {
	return compatible + "-paddock-" + a.src.Version + ", built on " + a.built.UTC().Format("2006-01-02 15:04 MST")
}

// buildTime is the time of the commit this program was built from, or else of
// the program's file.
func buildTime() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
					return t
				}
			}
		}
	}
	if exe, err := os.Executable(); err == nil {
		if st, err := os.Stat(exe); err == nil {
			return st.ModTime()
		}
	}
	return time.Unix(0, 0)
}

// serverStatus is the answer to srvr.
type serverStatus struct {
	Version     string
	Latency     latency
	Received    int64 // frames and four-letter words
	Sent        int64
	Connections int
	Outstanding int
	Zxid        proto.Zxid
	Mode        string
	Nodes       int
	Proposals   *proposalSizes // nil but for a leader
}

func (a *Admin) currentStatus() serverStatus {
	p := a.src.Pipeline
	sums := p.Totals()
	v := p.Tree().View(0)
	zxid, nodes := v.Zxid(), v.Nodes()
	v.Close()
	return serverStatus{
		Version: a.version(), Latency: latencyOf(sums),
		Received: sums.Received + a.words.Load(), Sent: sums.Sent,
		Connections: a.src.OpenConnections(), Outstanding: p.Outstanding(),
		Zxid: zxid, Mode: a.mode(), Proposals: a.proposals(), Nodes: nodes + rootTwice,
	}
}

// rootTwice is by how much Apache's count of znodes exceeds what there is: it
// holds the root under two names, "" and "/", and counts both (and the one byte
// of "/" in the data size). An empty server shows 5 znodes and 44 bytes; the
// same data shows the same figures here.
const rootTwice = 1

func (a *Admin) status() answer { return a.currentStatus() }

func (s serverStatus) appendText(b []byte) []byte { return s.appendRest(s.appendVersion(b)) }

func (s serverStatus) appendVersion(b []byte) []byte {
	b = fmt.Appendf(b, "Zookeeper version: %s\n", s.Version)
	if s.Mode == readOnly {
		b = append(b, "READ-ONLY mode; serving only read-only clients\n"...)
	}
	return b
}

func (s serverStatus) appendRest(b []byte) []byte {
	b = fmt.Appendf(b, "Latency min/avg/max: %d/%s/%d\nReceived: %d\nSent: %d\nConnections: %d\nOutstanding: %d\nZxid: %s\nMode: %s\nNode count: %d\n",
		s.Latency.Min, decimal(s.Latency.Avg), s.Latency.Max, s.Received, s.Sent, s.Connections, s.Outstanding, s.Zxid, s.Mode, s.Nodes)
	if p := s.Proposals; p != nil {
		b = fmt.Appendf(b, "Proposal sizes last/min/max: %d/%d/%d\n", p.Last, p.Min, p.Max)
	}
	return b
}

// statusAndClients is the answer to stat.
type statusAndClients struct {
	Server  serverStatus
	Clients []connection
}

func (a *Admin) statusWithClients() answer {
	return statusAndClients{a.currentStatus(), a.connections()}
}

func (s statusAndClients) appendText(b []byte) []byte {
	b = append(s.Server.appendVersion(b), "Clients:\n"...)
	for _, c := range s.Clients {
		b = append(c.appendShort(b), ")\n"...)
	}
	return s.Server.appendRest(append(b, '\n'))
}

// decimal writes a number with at most four places and at least one, as a Java
// double is written: 0.0, 1.6334.
func decimal(f float64) string {
	s := strconv.FormatFloat(math.Round(f*1e4)/1e4, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
