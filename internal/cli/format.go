// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"paddock/zk"
)

// javaDate is how Java prints a time: Sat Nov 21 03:08:03 UTC 2026.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

func printStat(w io.Writer, s *zk.Stat) {
	date := func(ms int64) string { return time.UnixMilli(ms).Format(javaDate) }
	fmt.Fprintf(w, "cZxid = 0x%x\nctime = %s\nmZxid = 0x%x\nmtime = %s\npZxid = 0x%x\n",
		uint64(s.Czxid), date(s.Ctime), uint64(s.Mzxid), date(s.Mtime), uint64(s.Pzxid))
	fmt.Fprintf(w, "cversion = %d\ndataVersion = %d\naclVersion = %d\nephemeralOwner = 0x%x\ndataLength = %d\nnumChildren = %d\n",
		s.Cversion, s.Version, s.Aversion, uint64(s.EphemeralOwner), s.DataLength, s.NumChildren)
}

// listOf is a sorted list as Java prints one: [a, b].
func listOf(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return "[" + strings.Join(names, ", ") + "]"
}

func printEvent(w io.Writer, ev zk.Event) {
	path := ev.Path
	if ev.Type == zk.EventSession {
		path = "null"
	}
	fmt.Fprintf(w, "\nWATCHER::\n\nWatchedEvent state:%s type:%s path:%s zxid: %d\n", ev.State, ev.Type, path, int64(ev.Zxid))
}

// permLetters are the permissions in the order they are printed.
var permLetters = []struct {
	letter byte
	bit    int32
}{
	{'c', zk.PermCreate}, {'d', zk.PermDelete}, {'r', zk.PermRead}, {'w', zk.PermWrite}, {'a', zk.PermAdmin},
}

func permString(perms int32) string {
	var b []byte
	for _, p := range permLetters {
		if perms&p.bit != 0 {
			b = append(b, p.letter)
		}
	}
	return string(b)
}

func printACL(w io.Writer, acl []zk.ACL) {
	for _, a := range acl {
		fmt.Fprintf(w, "'%s,'%s\n: %s\n", a.Scheme, a.ID, permString(a.Perms))
	}
}

// parseACL reads "scheme:id:perms,…", where an id may hold colons. As in zkCli
// an entry of another form, or an unknown letter, is told to warn and left out.
func parseACL(text string, warn io.Writer) ([]zk.ACL, error) {
	var acl []zk.ACL
	for entry := range strings.SplitSeq(text, ",") {
		first, last := strings.IndexByte(entry, ':'), strings.LastIndexByte(entry, ':')
		if first == last {
			fmt.Fprintf(warn, "%s does not have the form scheme:id:perm\n", entry)
			continue
		}
		a := zk.ACL{Scheme: entry[:first], ID: entry[first+1 : last]}
		for _, letter := range entry[last+1:] {
			known := false
			for _, p := range permLetters {
				if rune(p.letter) == letter {
					a.Perms |= p.bit
					known = true
				}
			}
			if !known {
				fmt.Fprintf(warn, "Unknown perm type: %c\n", letter)
			}
		}
		acl = append(acl, a)
	}
	if len(acl) == 0 {
		return nil, badf("Acl is not valid : null")
	}
	return acl, nil
}

// hexDump prints data in zkCli's box, sixteen bytes a line.
func hexDump(w io.Writer, data []byte) {
	const rule = "+--------+-------------------------------------------------+----------------+\n"
	fmt.Fprint(w, "         +-------------------------------------------------+\n",
		"         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n", rule)
	for at := 0; at < len(data); at += 16 {
		line := data[at:min(at+16, len(data))]
		hex, text := "", ""
		for _, b := range line {
			hex += fmt.Sprintf(" %02x", b)
			if b < 0x20 || b >= 0x7f {
				b = '.'
			}
			text += string(rune(b))
		}
		fmt.Fprintf(w, "|%08x|%-49s|%-16s|\n", at, hex, text)
	}
	fmt.Fprint(w, rule)
}
