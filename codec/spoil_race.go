//go:build race

package codec

import "bytes"

// spoiled is what memory that was given back is full of under the race detector.
const spoiled = 0xdb

var junk = bytes.Repeat([]byte{spoiled}, 4<<10)

// spoil overwrites memory that nobody may look at any more. Who does all the same is found out, by the race detector or by what
// it finds.
func spoil(p []byte) {
	for len(p) > 0 {
		p = p[copy(p, junk):]
	}
}

// renewed is the memory with another batch in it, so that the one that was in it stays without content.
func (m *Memory) renewed() *Memory { return &Memory{bytes: m.bytes, class: m.class} }
