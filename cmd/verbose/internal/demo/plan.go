package demo

import (
	"context"
	"math/rand/v2"
	"time"
)

// planned is one cut of the plan, which both chains get.
type planned struct {
	at     time.Duration // from the first event
	hop    int
	closed time.Duration // how long no new connection is let through
}

// newPlan chooses the cuts. It leaves the end of the stream alone, for the last cut to be resumed from.
func newPlan(seed uint64, p pace, length time.Duration) (plan []planned) {
	random := rand.New(rand.NewPCG(seed, 0))
	below := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	var turns []int
	for at := p.every / 2; at < length-p.every/2; at += p.every/2 + below(p.every) {
		if len(turns) == 0 {
			turns = random.Perm(hops) // no link is spared
		}
		plan = append(plan, planned{at: at, hop: turns[0], closed: p.closedMin + below(p.spent)})
		turns = turns[1:]
	}
	return plan
}

// carryOut has the cutters cut as planned, until ctx ends.
func carryOut(ctx context.Context, plan []planned, sides ...[hops]*cutter) {
	start := time.Now()
	for _, cut := range plan {
		timer := time.NewTimer(time.Until(start.Add(cut.at)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		for _, cutters := range sides { // so that both sides get every cut
			if cutters[cut.hop].awaitReady(ctx) != nil {
				return
			}
		}
		for _, cutters := range sides {
			cutters[cut.hop].arm(cut.closed)
		}
	}
}
