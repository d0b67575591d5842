package codec

import (
	"math/bits"
	"sync"
)

// Memory is room for one batch, used again and again. The caches of the processor still know it then, and the collector has
// nothing to do, which for batches that come and go by the thousand a second is a good part of what they cost. Where they are few, it
// keeps them off memory that the process has never touched, which costs an event tens of microseconds a page.
type Memory struct {
	bytes []byte
	class int
	batch Batch // whose bytes are in it
}

const (
	// memorySize is the smallest. Each class has twice as much as the one before. From 2304 bytes on all are size classes
	// of Go's allocator, or whole pages; the smaller ones fit a payload of a power of two and a header.
	memorySize    = 144
	memoryClasses = 18
	// MaxMemory is the largest.
	MaxMemory = memorySize << (memoryClasses - 1)

	// builderSize is for a body of 64 KiB, a last event that goes past it, and a header. It is a class, too.
	builderSize  = memorySize << builderClass
	builderClass = 9
)

// memories are those that nobody uses, by class. The collector takes what is there for long.
var memories [memoryClasses]sync.Pool

// NewMemory returns one that nobody uses, for a batch of n bytes, and at most twice as large where that is more than a few dozen: who
// holds on to the batch holds on to all of it. What is in it is left from before. It is nil for more than [MaxMemory].
func NewMemory(n int) *Memory {
	if n > MaxMemory {
		return nil
	}
	class := bits.Len(uint(max(n-1, 0)) / memorySize)
	if m, ok := memories[class].Get().(*Memory); ok {
		return m
	}
	return &Memory{bytes: make([]byte, memorySize<<class), class: class}
}

// Bytes is all of it.
func (m *Memory) Bytes() []byte { return m.bytes }

// Free says that nobody looks at it any more. It must not be used after that.
func (m *Memory) Free() { memories[m.class].Put(m.renewed()) }

// newBatch returns a batch without a header, of bytes that are in m; nil leaves them to the collector.
func newBatch(p []byte, m *Memory) *Batch {
	var b *Batch
	if m == nil {
		b = new(Batch)
	} else {
		b = &m.batch
		b.opened.Store(nil)
	}
	b.bytes, b.memory = p[:len(p):len(p)], m
	b.holders.Store(1)
	return b
}

// Retain adds a holder of the batch. A new one has one.
func (b *Batch) Retain() { b.holders.Add(1) }

// Free says that one holder is done. When the last is, the batch and all that points into it must not be looked at any more: its
// memory may be another's. A holder that does not know when it is done never calls it, and leaves the batch to
// the collector.
func (b *Batch) Free() {
	switch n := b.holders.Add(-1); {
	case n < 0:
		panic("codec: a batch was freed more often than it was held")
	case n > 0:
		return
	}
	spoil(b.bytes)
	m := b.memory
	if o := b.opened.Swap(nil); o != nil {
		spoil(o.body)
		if o.memory != nil {
			o.memory.Free()
		}
	}
	b.bytes, b.Topics, b.few, b.memory = nil, nil, [len(b.few)]TopicCount{}, nil // who looks all the same finds nothing, until m is used again
	if m != nil {
		m.Free()
	}
}

// FreeOpened is Free by a holder that has opened the batch: for the others, the body is not kept decompressed.
func (b *Batch) FreeOpened() {
	if b.holders.Load() > 1 {
		b.Release()
	}
	b.Free()
}
