// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/binary"

	"paddock/internal/tree"
	"paddock/proto"
)

// warmFrom is how many znodes a tree has that a processor's caches do not hold.
const warmFrom = 50_000

// Warm has the tree look ahead to the znodes that the requests in buf, frames
// with their lengths, are about. It returns for how many frames that will do, at
// least 1. Reader only.
func (c *Client) Warm(b *Burst, buf []byte) (frames int) {
	if c.p.tree.Len() < warmFrom {
		return framesUnwarmed
	}
	var paths [tree.WarmMost][]byte
	known := 0
	for known < len(paths) {
		frame, rest, ok := cutFrame(buf)
		if !ok {
			break
		}
		frames, buf = frames+1, rest
		if path, ok := pathIn(frame); ok {
			paths[known] = path
			known++
		}
	}
	if known > 1 { // a single one has nobody to wait with
		v := b.view
		if !b.opened {
			v = c.p.tree.View(c.slot)
			defer v.Close()
		}
		b.warmth += v.Warm(paths[:known])
	}
	return max(frames, 1)
}

// framesUnwarmed is for how many frames it is taken for granted that a small
// tree stays small.
const framesUnwarmed = 64

// cutFrame cuts the first whole frame off.
func cutFrame(buf []byte) (frame, rest []byte, ok bool) {
	if len(buf) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(buf)
	if uint64(n) > uint64(len(buf)-4) {
		return nil, nil, false
	}
	return buf[4 : 4+n], buf[4+n:], true
}

// pathIn is the path of a request whose record begins with one.
func pathIn(frame []byte) ([]byte, bool) {
	if len(frame) < 12 {
		return nil, false
	}
	switch proto.OpCode(binary.BigEndian.Uint32(frame[4:])) {
	case proto.OpGetData, proto.OpSetData, proto.OpExists, proto.OpDelete, proto.OpGetACL, proto.OpSetACL,
		proto.OpGetChildren, proto.OpGetChildren2, proto.OpCheck,
		proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL: // whose place in the index is looked at
	default:
		return nil, false
	}
	n := int(int32(binary.BigEndian.Uint32(frame[8:])))
	if n < 1 || n > len(frame)-12 {
		return nil, false
	}
	return frame[12 : 12+n], true
}
