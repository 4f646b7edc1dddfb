// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"
	"strings"

	"paddock/proto"
)

// Directory is what a recovery is planned from.
type Directory struct {
	Logs      []File // ascending; Usable is looked at only if no snapshot is usable
	Snapshots []File // ascending

	TrustEmpty bool // logs without a snapshot are replayed from nothing
	MayCreate  bool // an empty directory is an empty database
}

// Plan is what a recovery will do, before anything is read in full or changed.
type Plan struct {
	Load    []File // snapshots to try, in this order, until one can be read
	Skip    []File // snapshots that can't be whole; the log must make up for them
	Logs    []File // all logs, ascending; From chooses
	Remove  []File // empty newest logs: begun by a crashed server and never written
	Nothing bool   // there is no snapshot: begin with nothing
	Empty   bool   // nor a log: an empty database
	Trusted bool   // the empty database may be taken for the truth
}

// maxCandidates is how many snapshots are tried, as in Apache.
const maxCandidates = 100

// PlanRecovery decides what to load and to replay (storage-format.md section
// 5), or says why this directory can't be served.
func PlanRecovery(d Directory) (Plan, error) {
	p := Plan{Logs: d.Logs, Trusted: true}
	for n := len(p.Logs); n > 0 && p.Logs[n-1].Size == 0; n-- {
		p.Remove = append(p.Remove, p.Logs[n-1])
		p.Logs = p.Logs[:n-1]
	}
	for i := len(d.Snapshots) - 1; i >= 0; i-- {
		switch f := d.Snapshots[i]; {
		case f.Usable && len(p.Load) < maxCandidates:
			p.Load = append(p.Load, f)
		case !f.Usable && f.Size > 0 && len(p.Load) == 0:
			p.Skip = append(p.Skip, f)
		}
	}
	if len(p.Load) > 0 {
		return p, nil
	}
	p.Nothing = true
	logged := false
	for _, l := range p.Logs {
		logged = logged || l.Usable
	}
	switch {
	case logged && !d.TrustEmpty:
		return p, fmt.Errorf("storage: %w, but %s holds transactions (restore a snapshot; if these logs are of a 3.4 server that never wrote one, start once with zookeeper.snapshot.trust.empty=true)",
			ErrNoSnapshot, p.Logs[len(p.Logs)-1].Path)
	case !logged && len(p.Skip) > 0:
		// Apache starts with an empty database here and loses what was.
		return p, fmt.Errorf("storage: %w: %s is incomplete and there is no log (restore it, or remove it to start with an empty database)",
			ErrNoSnapshot, p.Skip[0].Path)
	case !logged:
		p.Empty, p.Trusted = true, d.MayCreate
	}
	return p, nil
}

// From returns the logs to read for what follows zxid: the newest that begins
// at or below it, since it may hold more, and all after that one.
func (p Plan) From(z proto.Zxid) []File {
	first := 0
	for i, l := range p.Logs {
		if l.Zxid <= z {
			first = i
		}
	}
	return p.Logs[first:]
}

// String lists the steps, one on a line.
func (p Plan) String() string {
	var b strings.Builder
	line := func(verb string, f File, note string) { fmt.Fprintf(&b, "%s %s%s\n", verb, f.Name, note) }
	for _, f := range p.Remove {
		line("remove", f, " (empty)")
	}
	for _, f := range p.Skip {
		line("skip", f, " (incomplete)")
	}
	switch {
	case p.Empty && p.Trusted:
		b.WriteString("start with an empty database\n")
	case p.Empty:
		b.WriteString("start with nothing, not to be trusted\n")
	case p.Nothing:
		b.WriteString("start from nothing\n")
		for _, f := range p.Logs {
			line("replay", f, "")
		}
	default:
		line("load", p.Load[0], "")
		for _, f := range p.From(p.Load[0].Zxid) {
			line("replay", f, "")
		}
		for _, f := range p.Load[1:] {
			line("or load", f, "")
		}
	}
	return b.String()
}
