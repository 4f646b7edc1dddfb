// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"paddock/jute"
	"paddock/proto"
)

func TestParseTrack(t *testing.T) {
	type limits [4]int64 // count, bytes, hard count, hard bytes
	for _, tc := range []struct {
		text string
		want limits
		out  string // "" where it cannot be read
	}{
		{"", limits{-1, -1, -1, -1}, "count=-1,bytes=-1"},
		{"count=5,bytes=10", limits{5, 10, -1, -1}, "count=5,bytes=10"},
		{"bytes=10", limits{-1, 10, -1, -1}, "count=-1,bytes=10"},
		{"count=,bytes=", limits{-1, -1, -1, -1}, "count=-1,bytes=-1"},
		{"count=5,bytes=100=;byteHardLimit=200;countHardLimit=10", limits{5, 100, 10, 200}, "count=5,bytes=100=;byteHardLimit=200;countHardLimit=10"},
		{"countHardLimit=10,byteHardLimit=200", limits{-1, -1, 10, 200}, "count=-1,bytes=-1=;byteHardLimit=200;countHardLimit=10"},
		{";;count=1,,;bytes=2", limits{1, 2, -1, -1}, "count=1,bytes=2"},
		{"count=1,zeta=7,bytes=2,alpha=8", limits{1, 2, -1, -1}, "count=1,bytes=2=;alpha=8;zeta=7"},
		{"count=-3,bytes=-4", limits{-3, -4, -1, -1}, "count=-3,bytes=-4"},
		{"count=1,count=2", limits{2, -1, -1, -1}, "count=2,bytes=-1"},
		{"count=9223372036854775807", limits{1<<63 - 1, -1, -1, -1}, "count=9223372036854775807,bytes=-1"},
		{"count=9223372036854775808", limits{}, ""},
		{"garbage", limits{}, ""},
		{"count=x,bytes=y", limits{}, ""},
		{"count 5", limits{}, ""},
		{"count= 5", limits{}, ""},
		{"=5", limits{}, ""},
		{"=,=", limits{}, ""},
		{"count=1=2", limits{}, ""},
		{"\xff\xfe", limits{}, ""},
	} {
		got, err := ParseTrack([]byte(tc.text))
		if tc.out == "" {
			if !errors.Is(err, ErrTrack) {
				t.Errorf("%q: %+v, error %v, want one", tc.text, got, err)
			}
			continue
		}
		if l := (limits{got.Count, got.Bytes, got.CountHard, got.BytesHard}); err != nil || l != tc.want || got.String() != tc.out {
			t.Errorf("%q: %v as %q, error %v; want %v as %q", tc.text, l, got, err, tc.want, tc.out)
		}
	}
}

// FuzzParseTrack: what can be read is written in a form that means the same.
func FuzzParseTrack(f *testing.F) {
	for _, s := range []string{"", "count=5,bytes=10", "count=5,bytes=100=;byteHardLimit=200;countHardLimit=10", "a=1;b=,c==;", "=", "count=1,\xff=2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		first, err := ParseTrack(text)
		if err != nil {
			return
		}
		second, err := ParseTrack([]byte(first.String()))
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%q reads as %+v, its text %q as %+v, error %v", text, first, first, second, err)
		}
	})
}

// quotaTree is a tree that plain requests change.
type quotaTree struct {
	*testing.T
	*Tree
	z        proto.Zxid
	problems []string
}

func newQuotaTree(t *testing.T) *quotaTree {
	q := &quotaTree{T: t, Tree: New()}
	q.OnQuota(func(path, problem string) { q.problems = append(q.problems, path+": "+problem) })
	t.Cleanup(q.Tree.Close)
	return q
}

func (q *quotaTree) do(op proto.OpCode, body jute.Record) {
	q.z++
	applyAll(q.Tree, &proto.Txn{Zxid: q.z, Type: op, Body: body})
}

func (q *quotaTree) create(path, data string) {
	q.do(proto.OpCreate, &proto.CreateTxn{Path: path, Data: []byte(data), ACL: openList, ParentCversion: -1})
}

func (q *quotaTree) set(path, data string) {
	q.do(proto.OpSetData, &proto.SetDataTxn{Path: path, Data: []byte(data)})
}

func (q *quotaTree) delete(path string) {
	q.do(proto.OpDelete, &proto.DeleteTxn{Path: path})
}

// limit sets a quota up as clients do.
func (q *quotaTree) limit(path, limits string) {
	at := proto.QuotaPath
	for _, name := range strings.Split(path[1:], "/") {
		if at += "/" + name; q.find(at) == 0 {
			q.create(at, "")
		}
	}
	q.create(at+limitsSuffix, limits)
	q.create(at+statsSuffix, "whatever")
}

func (q *quotaTree) used(path, want string) {
	q.Helper()
	v := q.View(0)
	defer v.Close()
	r := v.Find(proto.QuotaPath + path + statsSuffix)
	if r == 0 {
		q.Fatalf("%s has no stats", path)
	}
	if got := string(v.Data(r)); got != want {
		q.Errorf("usage of %s: %q, want %q", path, got, want)
	}
	if st := v.Persisted(r); st.Version != 0 && st.Mzxid == q.z {
		q.Errorf("the usage text moved its znode's numbers: %+v", st)
	}
	var sum uint64
	q.walk(rootRef, func(r Ref) { sum += uint64(q.nodes.node(r).sum) })
	if sum != q.digest {
		q.Errorf("digest %x, that of the znodes is %x", q.digest, sum)
	}
}

func TestQuotaUsage(t *testing.T) {
	q := newQuotaTree(t)
	q.create("/a", "12345")
	q.create("/a/b", "1")
	q.limit("/a", "count=3,bytes=20")
	q.used("/a", "count=2,bytes=6")
	q.create("/a/c", "")
	q.set("/a/b", "abc")
	q.used("/a", "count=3,bytes=8")
	q.set("/a", "")
	q.used("/a", "count=3,bytes=3")
	if len(q.problems) > 0 {
		t.Errorf("problems %q, want none yet", q.problems)
	}
	q.create("/a/c/d", "")
	q.set("/a/c/d", strings.Repeat("x", 30))
	q.used("/a", "count=4,bytes=33")
	q.delete("/a/c/d")
	q.delete("/a/none")
	q.set("/a/none", "x")
	q.create("/ab", "the next name is another path")
	q.used("/a", "count=3,bytes=3")
	want := []string{"/a: count quota exceeded: 4 znodes, limit 3", "/a: count quota exceeded: 4 znodes, limit 3"}
	if !reflect.DeepEqual(q.problems, want) {
		t.Errorf("problems %q, want %q", q.problems, want)
	}

	// The deepest quota alone follows; when its limits go, the one above does.
	q.limit("/a/c", "count=9")
	q.used("/a/c", "count=1,bytes=0")
	q.create("/a/c/e", "ee")
	q.used("/a/c", "count=2,bytes=2")
	q.used("/a", "count=3,bytes=3")
	q.delete(proto.QuotaPath + "/a/c" + limitsSuffix)
	q.create("/a/c/f", "f")
	q.used("/a/c", "count=2,bytes=2")
	q.used("/a", "count=4,bytes=4")

	// What a client wrote over the usage.
	for _, odd := range []string{"", "garbage", "=1", "count=x"} {
		q.set(proto.QuotaPath+"/a"+statsSuffix, odd)
		q.set("/a/b", "wxyz"+odd)
		q.set("/a/b", "wxyz")
		q.used("/a", "count=5,bytes=7")
	}
	q.problems = nil
	q.delete(proto.QuotaPath + "/a" + statsSuffix)
	q.create("/a/g", "")
	q.set(proto.QuotaPath+"/a"+limitsSuffix, "garbage")
	q.create(proto.QuotaPath+"/a"+statsSuffix, "")
	q.create("/a/h", "")
	if len(q.problems) != 2 || !strings.Contains(q.problems[0], "is missing") || !strings.Contains(q.problems[1], "limits cannot be read") {
		t.Errorf("problems %q", q.problems)
	}
	q.used("/a", "count=7,bytes=7")
}

// TestQuotaOfAPathThatComesLater: the quota may be there first.
func TestQuotaOfAPathThatComesLater(t *testing.T) {
	q := newQuotaTree(t)
	q.limit("/later/on", "count=1")
	q.used("/later/on", "count=0,bytes=0")
	q.create("/later", "xx")
	q.create("/later/on", "yyy")
	q.used("/later/on", "count=1,bytes=3")
	q.delete("/later/on")
	q.used("/later/on", "count=0,bytes=0")
}

func TestViewQuota(t *testing.T) {
	q := newQuotaTree(t)
	q.create("/a", "12")
	q.create("/a/b", "")
	q.limit("/a", "count=1,bytes=2=;byteHardLimit=4;countHardLimit=3")
	ask := func(path string) (Quota, bool, error) {
		v := q.View(0)
		defer v.Close()
		return v.Quota(path)
	}
	for path, there := range map[string]bool{"/a": true, "/a/b": true, "/a/b/c/d": true, "/": false, "/ab": false, "/zookeeper/quota/a": false} {
		got, ok, err := ask(path)
		if ok != there || err != nil {
			t.Errorf("%s: %t, %v", path, ok, err)
		}
		if there && (got.Path != "/a" || got.Limits.CountHard != 3 || got.Limits.BytesHard != 4 || got.Used.Count != 2 || got.Used.Bytes != 2) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	q.set(proto.QuotaPath+"/a"+statsSuffix, "garbage")
	if got, ok, err := ask("/a/b"); got.Used.Count != 2 || got.Used.Bytes != 2 || !ok || err != nil {
		t.Errorf("with garbage as usage: %+v, %t, %v", got, ok, err)
	}
	q.set(proto.QuotaPath+"/a"+limitsSuffix, "garbage")
	if _, ok, err := ask("/a/b"); !ok || !errors.Is(err, ErrTrack) {
		t.Errorf("with garbage as limits: %t, %v", ok, err)
	}
	q.delete(proto.QuotaPath + "/a" + statsSuffix)
	q.set(proto.QuotaPath+"/a"+limitsSuffix, "countHardLimit=1")
	if _, ok, err := ask("/a/b"); ok || err != nil {
		t.Errorf("without stats: %t, %v", ok, err)
	}
}

// TestRebuildQuotas: a load finds the quotas and counts what is there.
func TestRebuildQuotas(t *testing.T) {
	q := newQuotaTree(t)
	q.create("/a", "12")
	q.limit("/a", "count=1")
	q.limit("/b/c", "count=1")
	q.delete(proto.QuotaPath + "/b/c" + limitsSuffix)
	q.set(proto.QuotaPath+"/a"+statsSuffix, "count=100,bytes=100")
	f := write(t, q.Tree, nil)
	digest := q.digest
	loaded := newQuotaTree(t)
	f.load(t, loaded.Tree, nil, 0)
	loaded.used("/a", "count=1,bytes=2")
	loaded.used("/b/c", "count=0,bytes=0")
	if loaded.digest != digest {
		t.Errorf("digest %x, want %x", loaded.digest, digest)
	}
	loaded.z = 100
	loaded.create("/a/x", "345")
	loaded.create("/b", "")
	loaded.create("/b/c", "")
	loaded.used("/a", "count=2,bytes=5")
	loaded.used("/b/c", "count=0,bytes=0")
}
