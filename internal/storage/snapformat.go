// SPDX-License-Identifier: Apache-2.0

package storage

// A snapshot (storage-format.md section 6.1), before compression:
//
//	header    "ZKSN", version 2, dbid -1
//	sessions  count, then id and timeout of each
//	acls      count, then key and list of each
//	znodes    path, data, ACL key and stat of each; ended by the path "/"
//	seal      Adler-32 of all bytes so far as a long, then the path "/"
//	digest    zxid, version, digest; seal        (since 3.6, may be missing)
//	lastZxid  zxid; seal                         (since 3.9, may be missing)
const (
	snapMagic      = "ZKSN"
	snapHeaderSize = 16
	sealSize       = 13
	statSize       = 60
)

var (
	snapHeader = []byte(snapMagic + "\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff")
	slashPath  = []byte("\x00\x00\x00\x01/") // as a string; ends the znodes and every seal
)
