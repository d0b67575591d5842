package losstest

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// headerBytes are the number of an event, in the order they were emitted, and the checksum of the rest.
const headerBytes = 12

// compose makes the payload of an event. It does not compress.
func compose(payload []byte, number uint64) {
	random := rand.New(rand.NewPCG(number, 0))
	for rest := payload[headerBytes:]; len(rest) > 0; {
		rest = rest[copy(rest, binary.NativeEndian.AppendUint64(nil, random.Uint64())):]
	}
	binary.BigEndian.PutUint64(payload, number)
	binary.BigEndian.PutUint32(payload[8:], crc32.ChecksumIEEE(payload[headerBytes:]))
}

// parse reads the number, and checks the rest.
func parse(payload []byte) (number uint64, err error) {
	if len(payload) < headerBytes || binary.BigEndian.Uint32(payload[8:]) != crc32.ChecksumIEEE(payload[headerBytes:]) {
		return 0, fmt.Errorf("%d bytes of another payload", len(payload))
	}
	return binary.BigEndian.Uint64(payload), nil
}

// ledger is what one node received, compared at once with what it has to be.
type ledger struct {
	mu       sync.Mutex
	changed  chan struct{}        // closed and replaced with every event
	received map[uuid.UUID]uint64 // by origin: all events up to this number
	problems []string             // the first few
	wrong    int
	fresh    map[uuid.UUID]time.Time // by origin: since when an event is waited for that is emitted after it
	resumed  []time.Duration
}

func newLedger() *ledger {
	return &ledger{changed: make(chan struct{}), received: make(map[uuid.UUID]uint64), fresh: make(map[uuid.UUID]time.Time)}
}

// handle is a bus.Handler.
func (l *ledger) handle(_ context.Context, e bus.Event) {
	number, err := parse(e.Payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	want := l.received[e.Origin.Node] + 1
	switch {
	case err != nil:
		l.object("event %d of %v: %v", e.Seq, e.Origin.Node, err)
	case number != want || e.Seq != want:
		l.object("event %d of %v has number %d, want %d", e.Seq, e.Origin.Node, number, want)
	}
	l.received[e.Origin.Node] = number
	if since, ok := l.fresh[e.Origin.Node]; ok && e.Time.After(since) {
		l.resumed = append(l.resumed, time.Since(since))
		delete(l.fresh, e.Origin.Node)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// gap is for bus.OnGap.
func (l *ledger) gap(_ context.Context, g *bus.GapError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.object("%v", g)
}

// object notes a problem. The lock is held.
func (l *ledger) object(format string, args ...any) {
	if l.wrong++; l.wrong <= 5 {
		l.problems = append(l.problems, fmt.Sprintf(format, args...))
	}
}

// measure begins to measure the time until an event of an origin arrives that is emitted from now on.
func (l *ledger) measure(origin uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh[origin] = time.Now()
}

// until waits for a state of the ledger.
func (l *ledger) until(ctx context.Context, ok func() bool) error {
	for {
		l.mu.Lock()
		done, changed := ok(), l.changed
		l.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// untilResumed waits for the event that measure is about.
func (l *ledger) untilResumed(ctx context.Context, origin uuid.UUID) error {
	return l.until(ctx, func() bool { return l.fresh[origin].IsZero() })
}

// untilReceived waits for so many events of an origin.
func (l *ledger) untilReceived(ctx context.Context, origin uuid.UUID, count uint64) error {
	return l.until(ctx, func() bool { return l.received[origin] >= count })
}

// describe says how long a node waited for events, at least once.
func describe(waits []time.Duration) string {
	slices.Sort(waits)
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return fmt.Sprintf("resumed %d times, after p50 %v, max %v", len(waits), round(waits[len(waits)/2]), round(waits[len(waits)-1]))
}
