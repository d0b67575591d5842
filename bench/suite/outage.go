package suite

import (
	"context"
	"time"

	"github.com/verbose-bus/verbose/bench/child"
)

// A timeline begins so many slots before the outage, which has so many. The rest of stats.MostSlots is for what comes after.
const (
	slotsWithin = 50
	slotsBefore = 25
)

// slotOf is the length of a slot in the timeline of an outage.
func slotOf(outage time.Duration) time.Duration { return outage / slotsWithin }

// outageTimes are when the link was cut, and how long after it was healed the first event arrived.
type outageTimes struct {
	began    time.Time
	recovery time.Duration
}

// cut lets time pass, in the middle of which an outage is.
func (m *meeting) cut(ctx context.Context, length time.Duration) error {
	outage := m.turn.cell.Outage
	before := min(slotsBefore*slotOf(outage), length/2)
	if err := sleep(ctx, length/2-before); err != nil {
		return err
	}
	if _, err := m.ask(child.Watch); err != nil {
		return err
	}
	if err := sleep(ctx, before); err != nil {
		return err
	}
	m.stretch.between.Cut()
	m.outage.began = time.Now()
	if err := sleep(ctx, outage); err != nil {
		return err
	}
	m.stretch.between.Heal()
	healed := time.Now()
	if _, err := m.ask(child.Next); err != nil {
		return err
	}
	m.outage.recovery = time.Since(healed)
	return sleep(ctx, length/2)
}
