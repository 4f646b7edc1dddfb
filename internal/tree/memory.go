// SPDX-License-Identifier: Apache-2.0

package tree

import "unsafe"

// memory hands out the chunks that nodes, names, data and index are kept in. A
// small tree gets them one by one. A larger one gets them out of extents on
// large pages: to look up one znode among a million touches half a dozen places
// that are far apart, and with small pages the search for each page's address
// costs more than the lookup.
type memory struct {
	extents [][]byte
	rest    []byte // of the last extent
	taken   int
}

const (
	smallTree   = 8 << 20  // bytes up to which chunks come one by one
	extentBytes = 32 << 20 // room for chunks, a multiple of the large page
	largePage   = 2 << 20
)

// get returns n zeroed bytes; n divides largePage.
func (m *memory) get(n int) []byte {
	m.taken += n
	if m.taken <= smallTree {
		b := reserve(n)
		m.extents = append(m.extents, b)
		return b
	}
	if len(m.rest) < n {
		b := reserve(extentBytes + largePage)
		m.extents = append(m.extents, b)
		skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (largePage - 1)
		m.rest = b[skip : skip+extentBytes]
		huge(m.rest)
	}
	b := m.rest[:n:n]
	m.rest = m.rest[n:]
	return b
}

func (m *memory) close() {
	for _, b := range m.extents {
		release(b)
	}
	*m = memory{}
}
