//go:build !race

package bus

import (
	"testing"

	"github.com/verbose-bus/verbose/codec"
)

// The race detector has sync.Pool drop things, so it is not for this.

// A long frame arrives where it stays, in memory that is used again, once there was one as long.
func TestLongFramesAreReadInPlace(t *testing.T) {
	f := newFrameSink(1<<21, dataAhead, true, func(_ byte, _ []byte, m *codec.Memory) error {
		if m != nil {
			m.Free()
		}
		return nil
	})
	long := frame(1, make([]byte, 1<<20))
	feed(f, long, len(long))
	feed(f, long, len(long))
	if n := testing.AllocsPerRun(10, func() { feed(f, long, len(long)) }); n > 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

// So does a short one, which is copied there.
func TestShortFramesGetMemoryThatGoesRound(t *testing.T) {
	f := newFrameSink(1<<21, dataAhead, true, func(_ byte, _ []byte, m *codec.Memory) error {
		m.Free()
		return nil
	})
	short := append(frame(1, make([]byte, 100)), frame(1, make([]byte, 1000))...)
	feed(f, short, len(short))
	if n := testing.AllocsPerRun(100, func() { feed(f, short, len(short)) }); n > 0 {
		t.Errorf("%v allocations for two frames", n)
	}
}
