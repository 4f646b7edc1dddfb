// SPDX-License-Identifier: Apache-2.0

// Package golden replays recorded exchanges of the client protocol against a running server and says, byte by byte,
// where the server answers differently from the one that was recorded.
//
// A recording is a file of JSON lines: one meta line (the settings of the recorded server), then one step per line
// (open a connection, send these bytes and expect those, wait for a close ...). What cannot repeat from run to run is
// named by masks: session ids, passwords, times. Zxids are not masked unless asked: on a fresh data directory they
// follow from the order of the requests, so a server that spends one zxid too many is caught.
//
// The package knows no server and no record of the protocol: bytes in, bytes out. It does not start servers either;
// its tests do.
package golden

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// Recording is one file: the settings of the recorded server and the steps in the order in which they were made.
type Recording struct {
	File  string // base name, for messages
	Meta  Meta
	Steps []Step
}

// Meta is the first line of a recording.
type Meta struct {
	Server     ServerMeta       `json:"server"`
	Replayable bool             `json:"replayable"` // false: notes for people (and for tests written by hand), not bytes to compare
	DataFiles  map[string]Bytes `json:"data_files"` // path under dataDir -> content, to be there before the server starts
}

// ServerMeta says how the recorded server was set up.
type ServerMeta struct {
	Version     string            `json:"version"`
	Mode        string            `json:"mode"`
	Cfg         map[string]Scalar `json:"zoo.cfg"`
	Properties  map[string]string `json:"java_properties"` // system properties, given as -Dname=value
	Description string            `json:"description"`
}

// Step is one line of a recording. Request and Response hold whole frames, length prefix included.
type Step struct {
	Seq      int    `json:"seq"`
	Name     string `json:"name"`
	Note     string `json:"note"`
	Conn     string `json:"conn"`   // label of the TCP connection
	Action   string `json:"action"` // one of the actions in replay.go
	Op       string `json:"op"`
	Request  Bytes  `json:"request_hex"`
	Vars     []Var  `json:"request_vars"`
	Response Bytes  `json:"response_hex"`
	Masks    []Mask `json:"masks"`
	Text     string `json:"response_text"` // answer of a four-letter word
	Closed   bool   `json:"closed"`        // the server closed the connection after Response
	Close    string `json:"close"`         // how: fin or rst
	AnyOrder bool   `json:"unordered_frames"`
	WaitMs   int    `json:"wait_ms"`

	Requests    []Bytes `json:"requests_hex"` // of action "hazard"
	Observed    string  `json:"observed"`
	Recommended string  `json:"recommended"`
}

// Var is a place in Request that takes a value learnt from a connection of this run: "A.sessionId" or "A.passwd".
type Var struct {
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	Var    string `json:"var"`
}

// Mask is a range of Response that may differ from the recording, and in which way.
type Mask struct {
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	Field  string `json:"field"` // zxid, time, sessionId, passwd or unordered (a run of strings in free order)
	Var    string `json:"var"`   // whose session id it is
}

// Bytes is binary data written as hex.
type Bytes []byte

// UnmarshalText decodes hex.
func (b *Bytes) UnmarshalText(text []byte) error {
	out := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(out, text); err != nil {
		return err
	}
	*b = out
	return nil
}

// Scalar is a value of a zoo.cfg key, written in JSON as a string or a number.
type Scalar string

// UnmarshalJSON takes a JSON string by its value and anything else by its text.
func (s *Scalar) UnmarshalJSON(b []byte) error {
	var str string
	if json.Unmarshal(b, &str) == nil {
		*s = Scalar(str)
		return nil
	}
	*s = Scalar(b)
	return nil
}

// Load reads one recording and checks that every offset in it lies inside its bytes.
func Load(path string) (*Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rec := &Recording{File: filepath.Base(path)}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for n := 0; lines.Scan(); n++ {
		if n == 0 {
			rec.Meta.Replayable = true // the default when the line does not say
			err = json.Unmarshal(lines.Bytes(), &rec.Meta)
		} else {
			var s Step
			if err = json.Unmarshal(lines.Bytes(), &s); err == nil {
				err = s.check()
			}
			rec.Steps = append(rec.Steps, s)
		}
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", rec.File, n+1, err)
		}
	}
	return rec, lines.Err()
}

func (s *Step) check() error {
	for _, v := range s.Vars {
		if v.Offset < 0 || v.Length < 0 || v.Offset+v.Length > len(s.Request) {
			return fmt.Errorf("request_vars %+v outside a request of %d bytes", v, len(s.Request))
		}
	}
	for _, m := range s.Masks {
		if m.Offset < 0 || m.Length < 0 || m.Offset+m.Length > len(s.Response) {
			return fmt.Errorf("mask %+v outside a response of %d bytes", m, len(s.Response))
		}
		switch m.Field {
		case "zxid", "time", "sessionId", "passwd", "unordered":
		default:
			return fmt.Errorf("unknown mask field %q", m.Field)
		}
	}
	return nil
}

// Step returns the step with that number, or nil. The caller may change it before a Play.
func (r *Recording) Step(seq int) *Step {
	for i := range r.Steps {
		if r.Steps[i].Seq == seq {
			return &r.Steps[i]
		}
	}
	return nil
}

// Flags returns the system properties as -D flags, sorted.
func (m ServerMeta) Flags() []string {
	var out []string
	for k, v := range m.Properties {
		out = append(out, "-D"+k+"="+v)
	}
	sort.Strings(out)
	return out
}
