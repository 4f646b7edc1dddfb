// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The other tests rest on the reference comparing the digest of each transaction that it replays.
// Here one digest in a log of the server under test is wrong, and the reference must say so: the
// log has digests, and they are looked at.
func TestReferenceSeesAWrongDigest(t *testing.T) {
	p := newPlace(t)
	p.start("sut")
	c := connect(t, p.addr)
	for i := range 100 {
		must(t, create(c, fmt.Sprintf("/n%d", i), 0))
	}
	_, err := c.Set("/n7", []byte("x"), 0)
	must(t, err)
	p.end(syscall.SIGKILL)
	c.Close()
	spoilLastDigest(t, filepath.Join(p.dir, "data", "version-2"))

	p.start("reference")
	if n := mismatches(p); n != 1 {
		t.Errorf("the reference counts %d digest mismatches, not 1", n)
	}
	look := connect(t, p.addr)
	defer look.Close()
	if _, stat, err := look.Exists("/n7"); err != nil || stat.Version != 1 {
		t.Errorf("/n7 after it: %+v, %v", stat, err)
	}
}

// mismatches is the count that a server tells in mntr, or -1 when it tells none.
func mismatches(p *place) int {
	_, rest, _ := strings.Cut(p.word("mntr"), "zk_digest_mismatches_count\t")
	text, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

// spoilLastDigest changes the digest of the last transaction of the newest log in dir, and makes
// its checksum right again.
//
// A log is a header of 16 bytes and records: Adler-32 of the payload as a long, length of the
// payload, payload, 0x42. A payload ends with the version of the digest, 2, and the digest.
func spoilLastDigest(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %v, %v: want one", logs, err)
	}
	b, err := os.ReadFile(logs[0])
	must(t, err)
	last, lastLen := 0, 0
	for at := 16; at+12 <= len(b); {
		n := int(binary.BigEndian.Uint32(b[at+8:]))
		if n == 0 {
			break // preallocated
		}
		last, lastLen = at, n
		at += 12 + n + 1
	}
	if last == 0 || last+12+lastLen > len(b) {
		t.Fatalf("%s: no whole record", logs[0])
	}
	payload := b[last+12 : last+12+lastLen]
	if v := binary.BigEndian.Uint32(payload[lastLen-12:]); v != 2 {
		t.Fatalf("%s: the last transaction has no digest: %x", logs[0], payload)
	}
	payload[lastLen-1] ^= 1
	binary.BigEndian.PutUint64(b[last:], uint64(adler32.Checksum(payload)))
	must(t, os.WriteFile(logs[0], b, 0o600))
}
