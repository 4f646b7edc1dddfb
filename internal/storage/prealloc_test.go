// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"testing"
	"time"

	"paddock/internal/vfs"
	"paddock/proto"
)

// TestPadding: zeros are there ahead of the entries, entries stay whole beside
// them, and a reader sees neither.
func TestPadding(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(vfs.OS)
	o.DataDir, o.PreAlloc = dir, 64<<20
	s := started(t, o)
	z := proto.Zxid(1)
	big := make([]byte, 300<<10)
	for range 30 { // some 9 MiB, faster than zeros can be synced
		var b Batch
		x := testTxn(z)
		x.Body.(*proto.CreateTxn).Data = big
		b.Add(x)
		b.Add(testTxn(z + 1))
		if err := s.Log().Append(&b); err != nil {
			t.Fatal(err)
		}
		z += 2
	}
	path, entries := s.Log().file.path, s.Log().file.end
	deadline := time.Now().Add(20 * time.Second)
	for {
		st, err := vfs.OS.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size >= entries+padAhead/2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("size %d, entries end at %d: no zeros ahead", st.Size, entries)
		}
		time.Sleep(time.Millisecond)
	}
	end, err := ReadLog(vfs.OS, path, 0, func(Entry) error { return nil })
	if err != nil || end.Torn != "" || end.Last != z-1 || end.Offset != entries {
		t.Errorf("%+v, %v", end, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st, _ := vfs.OS.Stat(path); st.Size != entries {
		t.Errorf("size %d after Close, want %d", st.Size, entries)
	}
}

func TestPreAllocIsABound(t *testing.T) {
	m := vfs.NewMem()
	o := testOptions(m)
	o.PreAlloc = 8192
	s := started(t, o)
	for z := proto.Zxid(1); z <= 500; z++ {
		appendTxns(t, s, z, 1)
		if st, _ := m.Stat("/d/version-2/log.1"); st.Size > s.Log().file.end+8192+padPage {
			t.Fatalf("size %d, entries end at %d", st.Size, s.Log().file.end)
		}
	}
	s.Close()
}
