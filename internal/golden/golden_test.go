// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRecordings replays every recording that can be replayed, each against a server of its own.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("testdata/client/*.jsonl")
	must(t, err)
	var played []string
	for _, path := range files {
		rec := load(t, filepath.Base(path))
		if !rec.Meta.Replayable {
			continue // limits_test.go and hazards_test.go hold what these say
		}
		played = append(played, rec.File)
		t.Run(strings.TrimSuffix(rec.File, ".jsonl"), func(t *testing.T) {
			t.Parallel()
			if !reference() {
				deviate(t, rec)
			}
			readOn(rec)
			s := start(t, rec.Meta)
			for _, d := range Play(rec, s.addr, Options{LooseEnd: reference()}) {
				t.Errorf("%v", d)
			}
		})
	}
	if len(played) != 24 {
		t.Errorf("%d recordings played, want 24: %v", len(played), played)
	}
	for _, d := range deviations {
		if !slices.Contains(played, d.file) {
			t.Errorf("a deviation names %s, which is not played", d.file)
		}
	}
}

// unread are frames that the recorded server sent after the recording had stopped reading a connection. Play fails on
// frames that nobody expects, so they are read after the last step.
var unread = []struct {
	file, conn string
	anyOrder   bool
	frames     string
}{
	{"06_watches.jsonl", "SX", false, "0000001effffffff0000000000000040000000000000000400000003000000022f73"},
	{"06_watches.jsonl", "F", false, "0000001fffffffff0000000000000044000000000000000100000003000000032f6561" +
		"0000001fffffffff0000000000000045000000000000000100000003000000032f6562"},
	{"06_watches.jsonl", "F", true, "0000001fffffffff0000000000000047000000000000000200000003000000032f6562" +
		"0000001fffffffff0000000000000047000000000000000200000003000000032f6561"}, // two ephemerals of one session end
	{"08_sessions.jsonl", "W", false, "0000001fffffffff0000000000000012000000000000000100000003000000032f6431" +
		"0000001fffffffff0000000000000013000000000000000300000003000000032f6431" +
		"0000001fffffffff0000000000000014000000000000000200000003000000032f6431"},
}

func readOn(rec *Recording) {
	for _, u := range unread {
		if u.file == rec.File {
			rec.Steps = append(rec.Steps, Step{Seq: len(rec.Steps) + 1, Name: "frames left unread by the recording",
				Conn: u.conn, Action: "recv", Response: unhex(u.frames), AnyOrder: u.anyOrder})
		}
	}
}
