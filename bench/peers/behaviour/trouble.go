package behaviour

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bus/bustest/proxy"
)

// between is a proxy of either kind.
type between interface {
	Addr() string
	Strike(f proxy.Fault, after int, struck func())
	Mend()
	Close()
}

// newBetween stands in front of an address. What follows the port in it stays as it is.
func newBetween(kind contender.Kind, addr string) (between, string, error) {
	target, rest, named := strings.Cut(addr, "/")
	var p between
	var err error
	if kind.IsQUIC() {
		p, err = proxy.NewUDP(target)
	} else {
		p, err = proxy.NewTCP(target)
	}
	if err != nil {
		return nil, "", err
	}
	front := p.Addr()
	if named {
		front += "/" + rest
	}
	return p, front, nil
}

// A cut comes so long after events arrive again: time enough to send what waited meanwhile.
const (
	shortestPeace = 100 * time.Millisecond
	longestPeace  = 300 * time.Millisecond
)

// cut makes so many cuts, and returns how many there were once they are done or ctx has ended.
func (t *trial) cut(ctx context.Context, p between, cuts int, hole time.Duration) (done int) {
	chance := rand.New(rand.NewPCG(1, 2)) // the same for all
	for range cuts {
		if !t.flows(ctx) {
			return done
		}
		wait(ctx, shortestPeace+time.Duration(chance.Int64N(int64(longestPeace-shortestPeace))))
		struck := make(chan struct{})
		fault := proxy.Reset
		if t.kind.IsQUIC() {
			fault = proxy.Hole
		}
		p.Strike(fault, 1+chance.IntN(t.plan.Size), func() { close(struck) })
		select {
		case <-struck:
		case <-ctx.Done():
			return done
		}
		done++
		if fault == proxy.Hole {
			wait(ctx, hole)
			p.Mend()
		}
	}
	return done
}

// flows waits until more events arrive.
func (t *trial) flows(ctx context.Context) bool {
	for before := t.ledger.count(); t.ledger.count() == before; {
		if ctx.Err() != nil {
			return false
		}
		wait(ctx, again)
	}
	return true
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
