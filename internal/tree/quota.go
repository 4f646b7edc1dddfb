// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"paddock/proto"
)

// Quotas live in the tree (client-protocol.md section 7.8): clients create
//
//	/zookeeper/quota<path>/zookeeper_limits   what is allowed
//	/zookeeper/quota<path>/zookeeper_stats    what is used, kept by the server
//
// The usage text is rewritten in place by every change below <path>, without a
// transaction and without moving the znode's numbers, on each server alike.

// Track is the text of a limits or a stats znode, such as
// count=5,bytes=100=;byteHardLimit=200;countHardLimit=10. A key that is
// missing or empty is -1: no limit.
type Track struct {
	Count, Bytes         int64
	CountHard, BytesHard int64
	more                 map[string]int64 // every key but count and bytes, the hard limits too
}

// ErrTrack says that a quota text cannot be read.
var ErrTrack = errors.New("not a quota text")

// ParseTrack reads a quota text. Empty text has no limit.
func ParseTrack(text []byte) (Track, error) {
	t := Track{Count: -1, Bytes: -1, CountHard: -1, BytesHard: -1}
	for _, part := range strings.FieldsFunc(string(text), func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, ok := strings.Cut(part, "=")
		if !ok || key == "" {
			return t, fmt.Errorf("%w: %q", ErrTrack, text)
		}
		value = strings.TrimRight(value, "=")
		n := int64(-1)
		if value != "" {
			var err error
			if n, err = strconv.ParseInt(value, 10, 64); err != nil {
				return t, fmt.Errorf("%w: %q", ErrTrack, text)
			}
		}
		switch key {
		case "count":
			t.Count = n
			continue
		case "bytes":
			t.Bytes = n
			continue
		case "countHardLimit":
			t.CountHard = n
		case "byteHardLimit":
			t.BytesHard = n
		}
		if t.more == nil {
			t.more = map[string]int64{}
		}
		t.more[key] = n
	}
	return t, nil
}

// String is the text that servers write.
func (t Track) String() string {
	b := fmt.Appendf(nil, "count=%d,bytes=%d", t.Count, t.Bytes)
	keys := make([]string, 0, len(t.more))
	for k := range t.more {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for i, k := range keys {
		if i == 0 {
			b = append(b, '=')
		}
		b = fmt.Appendf(b, ";%s=%d", k, t.more[k])
	}
	return string(b)
}

const (
	limitsSuffix = "/" + proto.LimitsNode
	statsSuffix  = "/" + proto.StatsNode
)

// quotaFor returns the deepest path with a quota that path lies in.
func (t *Tree) quotaFor(path string) (string, bool) {
	if len(t.quotas) == 0 {
		return "", false
	}
	for p := path; p != ""; p, _ = Split(p) {
		if _, ok := t.quotas[p]; ok {
			return p, true
		}
	}
	return "", false
}

// Quota is what holds for changes at one path.
type Quota struct {
	Path   string // that carries the quota
	Limits Track
	Used   Track
}

// Quota returns the quota that path falls under. The error says that its
// limits cannot be read.
func (v View) Quota(path string) (q Quota, ok bool, err error) {
	t := v.t
	if q.Path, ok = t.quotaFor(path); !ok {
		return q, false, nil
	}
	lim := t.find(proto.QuotaPath + q.Path + limitsSuffix)
	if lim == 0 {
		return q, false, nil
	}
	if q.Limits, err = ParseTrack(v.Data(lim)); err != nil {
		return q, true, err
	}
	used := t.find(proto.QuotaPath + q.Path + statsSuffix)
	if used == 0 {
		return q, false, nil
	}
	if q.Used, err = ParseTrack(v.Data(used)); err != nil {
		q.Used, err = t.usage(q.Path), nil
	}
	return q, true, nil
}

// usage counts what is really there at and below path.
func (t *Tree) usage(path string) Track {
	u := Track{CountHard: -1, BytesHard: -1}
	if r := t.find(path); r != 0 {
		t.walk(r, func(k Ref) {
			u.Count++
			u.Bytes += int64(max(0, t.nodes.node(k).dataLen))
		})
	}
	return u
}

// quotaOf tells which path a limits or stats znode below parent speaks of.
func quotaOf(parent string) (string, bool) {
	p, ok := strings.CutPrefix(parent, proto.QuotaPath)
	return p, ok && p != "" && p[0] == '/'
}

func (t *Tree) quotaCreated(r Ref, path, parent, name string, data []byte) {
	if q, ok := quotaOf(parent); ok {
		switch name {
		case proto.LimitsNode:
			t.quotas[cloneString(q)] = struct{}{} // what is applied does not outlive that
		case proto.StatsNode:
			t.setData(t.nodes.node(r), path, []byte(t.usage(q).String()))
		}
	}
	t.quotaChanged(path, 1, int64(len(data)))
}

func (t *Tree) quotaRemoved(path, parent, name string, dataLen int64) {
	if q, ok := quotaOf(parent); ok && name == proto.LimitsNode {
		delete(t.quotas, q)
	}
	t.quotaChanged(path, -1, -dataLen)
}

// quotaChanged carries the usage text of the deepest quota along.
func (t *Tree) quotaChanged(path string, count, bytes int64) {
	q, ok := t.quotaFor(path)
	if !ok || count == 0 && bytes == 0 {
		return
	}
	stats := proto.QuotaPath + q + statsSuffix
	r := t.find(stats)
	if r == 0 {
		t.quotaProblem(q, "usage is not tracked: "+stats+" is missing")
		return
	}
	n := t.nodes.node(r)
	u, err := ParseTrack(t.data(n))
	if err != nil || n.dataLen <= 0 {
		// A client wrote over it. The reference stops here; the truth is at hand.
		u = t.usage(q)
	} else {
		u.Count += count
		u.Bytes += bytes
	}
	t.setData(n, stats, []byte(u.String()))
	if count <= 0 && bytes <= 0 {
		return
	}
	if l := t.find(proto.QuotaPath + q + limitsSuffix); l != 0 {
		lim, err := ParseTrack(t.data(t.nodes.node(l)))
		switch {
		case err != nil:
			t.quotaProblem(q, "limits cannot be read: "+err.Error())
		case lim.Count > -1 && u.Count > lim.Count:
			t.quotaProblem(q, fmt.Sprintf("count quota exceeded: %d znodes, limit %d", u.Count, lim.Count))
		case lim.Bytes > -1 && u.Bytes > lim.Bytes:
			t.quotaProblem(q, fmt.Sprintf("bytes quota exceeded: %d bytes, limit %d", u.Bytes, lim.Bytes))
		}
	}
}

func (t *Tree) quotaProblem(path, problem string) {
	if t.onQuot != nil {
		t.onQuot(path, problem)
	}
}

// OnQuota sets who hears of soft limits that are exceeded and of quotas that
// are broken. The call is made under the write lock and must not block. It is
// set before the tree is shared.
func (t *Tree) OnQuota(f func(path, problem string)) { t.onQuot = f }

// RebuildQuotas finds the quotas after a load and recounts their usage.
func (w Writer) RebuildQuotas() {
	t := w.t
	t.quotas = map[string]struct{}{}
	root := t.find(proto.QuotaPath)
	if root == 0 {
		return
	}
	var stats []string
	t.walk(root, func(r Ref) {
		switch name := string(t.name(t.nodes.node(r))); name {
		case proto.LimitsNode, proto.StatsNode:
			path := t.path(r)
			up, _ := Split(path)
			q, ok := quotaOf(up)
			if !ok {
				return
			}
			if name == proto.LimitsNode {
				t.quotas[q] = struct{}{}
			} else {
				stats = append(stats, q)
			}
		}
	})
	for _, q := range stats {
		path := proto.QuotaPath + q + statsSuffix
		t.setData(t.nodes.node(t.find(path)), path, []byte(t.usage(q).String()))
	}
}
