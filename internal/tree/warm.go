// SPDX-License-Identifier: Apache-2.0

package tree

import "hash/maphash"

// Len is the number of znodes as of the last change, the root included. It needs
// no View.
func (t *Tree) Len() int { return int(t.size.Load()) }

// WarmMost is how many paths one call of Warm takes.
const WarmMost = 16

// Warm touches what looking up these paths will touch: in a large tree each
// lookup waits for memory four times, one after the other, and here those of all
// paths are waited for together. What it returns means nothing.
func (v View) Warm(paths [][]byte) (sum uint32) {
	var (
		t      = v.t
		hashes [WarmMost]uint32
		refs   [WarmMost]Ref
	)
	paths = paths[:min(len(paths), WarmMost)]
	for i, path := range paths {
		hashes[i] = fold(maphash.Bytes(t.seed, path))
		refs[i] = *t.index.bucket(hashes[i])
	}
	for i := range paths {
		if r := refs[i]; r != 0 {
			if n := t.nodes.node(r); n.hash != hashes[i] {
				refs[i] = n.hnext // seldom; and then seldom that one neither
			}
		}
	}
	for i := range paths {
		if r := refs[i]; r != 0 {
			n := t.nodes.node(r)
			if b := t.arena.bytes(n.block, n.bytes()); len(b) > 0 {
				sum += uint32(b[0]) + uint32(b[len(b)-1]) + uint32(n.flags)
			}
		}
	}
	return sum
}
