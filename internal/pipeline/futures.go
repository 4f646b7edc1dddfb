// SPDX-License-Identifier: Apache-2.0

package pipeline

// futures finds states by path and its hash, which the tree computes anyway and
// nobody outside can choose. It grows with what is in flight at most.
type futures struct {
	buckets []*state // a power of two
	n       int
}

func (t *futures) init() { t.buckets, t.n = make([]*state, 256), 0 }

func (t *futures) bucket(hash uint32) **state { return &t.buckets[int(hash)&(len(t.buckets)-1)] }

func (t *futures) get(path string, hash uint32) *state {
	s := *t.bucket(hash)
	for s != nil && (s.hash != hash || s.path != path) {
		s = s.next
	}
	return s
}

// add takes in a state whose path is not there.
func (t *futures) add(s *state) {
	if t.n++; t.n > len(t.buckets) {
		old := t.buckets
		t.buckets = make([]*state, 2*len(old))
		for _, k := range old {
			for k != nil {
				next := k.next
				t.link(k)
				k = next
			}
		}
	}
	t.link(s)
}

func (t *futures) link(s *state) {
	b := t.bucket(s.hash)
	s.next, *b = *b, s
}

// remove takes out a state that is there.
func (t *futures) remove(s *state) {
	p := t.bucket(s.hash)
	for *p != s {
		p = &(*p).next
	}
	*p = s.next
	t.n--
}
