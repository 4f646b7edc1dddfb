// SPDX-License-Identifier: Apache-2.0

// Package session numbers sessions, derives their passwords and says when they
// expire.
//
// It reads no clock: the time is handed in, in milliseconds of a clock that
// never steps, such as the time since the process began. What an expiry leads
// to, and which server may decide it, is the caller's business.
package session

import (
	"crypto/subtle"
	"math"
)

// FirstID is the first session id of a server's run: the server's number in
// the top byte, 40 bits of the wall clock's milliseconds, and two bytes of 0;
// each further session adds 1 (client-protocol.md section 2.3).
func FirstID(serverID int64, wallMillis int64) int64 {
	id := int64(uint64(wallMillis)<<24>>8) | serverID<<56
	if id == math.MinInt64 { // the owner of containers
		id++
	}
	return id
}

// passwordSeed and the constants of the generator are the protocol's: every
// server of an ensemble, of either make, derives the same password.
const (
	passwordSeed = 0xb3415c00
	multiplier   = 0x5deece66d
	increment    = 0xb
	mask48       = 1<<48 - 1
)

// Password is what a client must know to take up the session again (section
// 2.4). It is derived from the id alone and keeps nothing secret.
func Password(id int64) (passwd [16]byte) {
	state := (uint64(id) ^ passwordSeed ^ multiplier) & mask48
	for i := 0; i < 16; i += 4 {
		state = (state*multiplier + increment) & mask48
		r := uint32(state >> 16)
		passwd[i], passwd[i+1], passwd[i+2], passwd[i+3] = byte(r), byte(r>>8), byte(r>>16), byte(r>>24)
	}
	return passwd
}

// Verify tells whether passwd is the password of the session; session 0 has
// none.
func Verify(id int64, passwd []byte) bool {
	want := Password(id)
	return subtle.ConstantTimeCompare(want[:], passwd) == 1 && id != 0
}
