// SPDX-License-Identifier: Apache-2.0

// Package admin answers questions about a running server.
//
// Each command is one row of a table: its name, and a function that finds out
// what there is to say. The outcome is a value that prints itself; the
// four-letter words of the client port are one printer over the table.
//
//	FourLetter("srvr") ── whitelist ── commands["srvr"] ── serverStatus ── text
//
// The texts have the shape of Apache's 3.9, line by line, because scripts and
// exporters read them (operations.md section 2); the values are this server's.
package admin

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"paddock/internal/config"
	"paddock/internal/ensemble"
	"paddock/internal/pipeline"
)

// Source is where the answers come from: functions where values change. All
// functions may be called from many goroutines.
type Source struct {
	Pipeline *pipeline.Pipeline
	Config   *config.Config
	Started  time.Time
	Version  string // of paddock, such as 0.1.0

	OpenConnections func() int   // of the client port, those without a session included
	Rejected        func() int64 // connections refused for maxClientCnxns or maxCnxns
	Fsyncs          func() int64 // of the transaction log
	Snapshots       func() int64 // written since start

	// What follows may be nil.

	// Connections visits every connection, those without a session included;
	// without it only clients past their handshake are listed.
	Connections func(visit func(*pipeline.Client))
	// FsyncTime is the sum over all fsyncs of the log.
	FsyncTime func() time.Duration
	// Ensemble is this server's part in its ensemble; nil for a server alone.
	Ensemble func() ensemble.Health
	// HandOver has this server, as leader, make room for another; nil for a server
	// alone.
	HandOver func(ctx context.Context) (ensemble.Handed, error)
	// ClientAddr is where the client port listens, for a port that the system
	// chose; nil before it does.
	ClientAddr func() net.Addr
}

// Admin answers commands. Use New.
type Admin struct {
	src   Source
	built time.Time
	words atomic.Int64 // four-letter words received: each counts as one packet
}

// New returns an Admin on src.
func New(src Source) *Admin { return &Admin{src: src, built: buildTime()} }

// answer is what a command found out.
type answer interface {
	// appendText appends the answer as the four-letter word has it.
	appendText(b []byte) []byte
}

// command is one row of the table.
type command struct {
	run func(*Admin) answer // nil: a word of the protocol that is not served yet
	// always: it is answered while there is no leader, too
	always bool
	// named: it changes something, so the whitelist has to name it; a star does
	// not count
	named bool
}

// commands are the four-letter words, all that a server may be asked
// (client-protocol.md section 1.4), and one of our own, hand.
var commands = map[string]command{
	"conf": {run: (*Admin).settings},
	"cons": {run: (*Admin).connectionList},
	"dump": {run: (*Admin).dump},
	"envi": {run: (*Admin).environment, always: true},
	"hand": {run: (*Admin).handOver, always: true, named: true},
	"isro": {run: (*Admin).writable, always: true},
	"mntr": {run: (*Admin).monitor},
	"ruok": {run: func(*Admin) answer { return word("imok") }, always: true},
	"srvr": {run: (*Admin).status},
	"stat": {run: (*Admin).statusWithClients},
	"wchs": {run: (*Admin).watchSummary},

	"crst": {}, "dirs": {}, "gtmk": {}, "hash": {}, "srst": {}, "stmk": {}, "wchc": {}, "wchp": {},
}

// telnetInterrupt is what a telnet client sends at Ctrl-C. It is a word that
// does nothing.
const telnetInterrupt = "\xff\xf4\xff\xfd"

// FourLetter answers a four-letter word. The connection is to be closed after
// it. The answer is nil for what is not a word.
func (a *Admin) FourLetter(name string) []byte {
	cmd, ok := commands[name]
	if !ok && name != telnetInterrupt {
		return nil
	}
	a.words.Add(1)
	switch {
	case !ok:
		return nil
	case !a.allows(name, cmd.named):
		return []byte(name + " is not executed because it is not in the whitelist.\n")
	case cmd.run == nil:
		return []byte(name + " is not supported by this server yet.\n")
	case !cmd.always && a.mode() == "":
		return []byte(notServing)
	}
	return cmd.run(a).appendText(nil)
}

func (a *Admin) allows(name string, named bool) bool {
	if named {
		return a.src.Config.FourLetterWords.Words[name]
	}
	return a.src.Config.FourLetterWords.Allows(name) || name == "isro" && a.src.Config.ReadOnlyMode
}

// word is an answer without a line's end.
type word string

func (w word) appendText(b []byte) []byte { return append(b, w...) }
