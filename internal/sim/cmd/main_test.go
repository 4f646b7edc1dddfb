// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // in the output
		err  string // of the error
	}{
		{"", "", "usage"},
		{"simulate", "", "usage"},
		{"sim -seed x", "", "invalid value"},
		{"sim -seed 0x7", "seed 0x7: ", ""},
		{"sim -seed 7 -v", "UPTODATE", ""},
		{"sim -fresh 2 -from 1", "seeds 0x1 to 0x2", ""},
	} {
		var out strings.Builder
		err := command(strings.Fields(c.args), &out)
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v", c.args, err)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%q: no %q in %d bytes of output", c.args, c.want, out.Len())
		}
	}
}
