// SPDX-License-Identifier: Apache-2.0

package conn

import "bytes"

// foreign tells what a peer that does not speak our protocol seems to speak,
// from its first bytes; "" if they may be ours.
func foreign(b []byte) string {
	for _, m := range []string{"GET ", "POST", "HEAD", "PUT ", "OPTI", "DELE", "PRI "} {
		if bytes.HasPrefix(b, []byte(m)) {
			return "speaks HTTP: this is the client port of a ZooKeeper server"
		}
	}
	switch {
	case len(b) >= 3 && b[0] == 0x16 && b[1] == 3 && b[2] <= 4:
		return "speaks TLS: this port is not encrypted"
	case bytes.HasPrefix(b, []byte("SSH-")):
		return "speaks SSH: this is the client port of a ZooKeeper server"
	}
	return ""
}

// fourLetter are the words a server knows, which are told from frame lengths
// by being here (client-protocol.md section 1.4).
var fourLetter = map[string]bool{
	"conf": true, "cons": true, "crst": true, "dirs": true, "dump": true, "envi": true, "gtmk": true, "ruok": true, "stmk": true,
	"srst": true, "srvr": true, "stat": true, "wchc": true, "wchp": true, "wchs": true, "mntr": true, "isro": true, "hash": true,
	"hand":             true, // paddock's own
	"\xff\xf4\xff\xfd": true, // telnet's interrupt
}

// IsFourLetter tells whether the first four bytes of a connection are a word
// rather than a length.
func IsFourLetter(word string) bool { return fourLetter[word] }
