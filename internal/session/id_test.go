// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/hex"
	"math"
	"testing"
)

// The vectors are passwords that the reference gave out.
func TestPassword(t *testing.T) {
	for id, want := range map[int64]string{
		0x1000026f54f0000: "832e533d54b18d1f99c416b6bd73017d",
		72057834027614210: "4c525cf2d73a9c89b663d2c61170624a",
		72057834027614217: "1ebe1bf2b77a347f3f4442a42951441a",
		72057834518020098: "81e5c6b168861a7573d628eb8a18831a",
	} {
		got := Password(id)
		if hex.EncodeToString(got[:]) != want {
			t.Errorf("%#x: %x, want %s", id, got, want)
		}
		if !Verify(id, got[:]) {
			t.Errorf("%#x: its password is refused", id)
		}
		for name, bad := range map[string][]byte{
			"null": nil, "empty": {}, "short": got[:15], "long": append(got[:], 0), "zero": make([]byte, 16),
			"last bit": append(append([]byte{}, got[:15]...), got[15]^1),
		} {
			if Verify(id, bad) {
				t.Errorf("%#x: a password that is %s is accepted", id, name)
			}
		}
	}
	if zero := Password(0); Verify(0, zero[:]) {
		t.Error("session 0 is accepted")
	}
	if p := Password(-5); !Verify(-5, p[:]) {
		t.Error("a negative id is refused its password")
	}
}

func TestFirstID(t *testing.T) {
	for _, tc := range []struct {
		name           string
		server, millis int64
		want           int64
	}{
		{"as recorded", 1, 0x26f54f, 0x1000026f54f0000},
		{"40 bits of the clock", 3, 0x19f12345678, 0x39f123456780000},
		{"a server above 127 makes it negative", 254, 1, -0x1ffffffffff0000},
		{"the low byte of the server counts", 0x1ff, 0, -0x100000000000000},
		{"not the owner of containers", 128, 0, math.MinInt64 + 1},
	} {
		if got := FirstID(tc.server, tc.millis); got != tc.want {
			t.Errorf("%s: %#x, want %#x", tc.name, got, tc.want)
		}
	}
}
