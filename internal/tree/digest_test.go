// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"paddock/proto"
)

// What is summed in one go, filled up in front, is the CRC-32 of path, data
// and numbers, whatever their lengths and whatever the buffer held before.
func TestDigester(t *testing.T) {
	var d Digester
	rng := rand.New(rand.NewPCG(1, 2))
	for pathLen := range 80 {
		for _, dataLen := range []int{0, 1, 2, 3, 4, 15, 16, 17, 63, 64, 100, crcAtOnce - pathLen - 1, crcAtOnce - pathLen, crcAtOnce - pathLen + 1, 5000} {
			path := strings.Repeat("/é", 40)[:pathLen]
			data := make([]byte, dataLen)
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			plain := append([]byte(path), data...)
			crc := d.Path(path, data)
			if want := crc32.ChecksumIEEE(plain); crc != want {
				t.Fatalf("path of %d and data of %d bytes: %08x, want %08x", pathLen, dataLen, crc, want)
			}
			st := proto.StatPersisted{Czxid: proto.Zxid(rng.Int64()), Mzxid: proto.Zxid(rng.Int64()), Ctime: rng.Int64(), Mtime: rng.Int64(), Version: rng.Int32(),
				Cversion: -rng.Int32(), Aversion: rng.Int32(), EphemeralOwner: -rng.Int64(), Pzxid: proto.Zxid(rng.Int64())}
			b := plain
			for _, v := range []int64{int64(st.Czxid), int64(st.Mzxid), int64(st.Pzxid), st.Ctime, st.Mtime} {
				b = binary.BigEndian.AppendUint64(b, uint64(v))
			}
			for _, v := range []int32{st.Version, st.Cversion, st.Aversion} {
				b = binary.BigEndian.AppendUint32(b, uint32(v))
			}
			b = binary.BigEndian.AppendUint64(b, uint64(st.EphemeralOwner))
			if got, want := d.Node(crc, &st), crc32.ChecksumIEEE(b); got != want {
				t.Fatalf("path of %d and data of %d bytes: digest %08x, want %08x", pathLen, dataLen, got, want)
			}
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	var d Digester
	data := make([]byte, 100)
	st := proto.StatPersisted{Czxid: 1, Mzxid: 2}
	b.ReportAllocs()
	for b.Loop() {
		d.Node(d.Path("/service/members/n000001", data), &st)
	}
}
