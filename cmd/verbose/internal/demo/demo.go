package demo

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/certs"
)

// hops is the number of links of a chain.
const hops = 3

// schemes are the transports of the links.
var schemes = [hops]string{"quic", "tcp", "quic"}

// Config describes a demo.
type Config struct {
	Fast     bool
	Seed     uint64
	Out      io.Writer
	Terminal bool // redraw in place
	Color    bool
}

// Result is what arrived over verbose and over plain connections.
type Result struct {
	Bus, Plain Side
}

// Side is the result of one chain.
type Side struct {
	Counts
	Cuts       int
	Reconnects int
	Slowest    time.Duration // from a cut to the link's next connection
	WireBytes  uint64        // in UDP packets and over TCP connections, both ways, all links
	Payload    uint64        // bytes emitted
}

// pace is how fast a demo runs.
type pace struct {
	emit             time.Duration // between two events
	every            time.Duration // between two cuts, on average
	closedMin, spent time.Duration // how long a link lets no connection through: at least, and up to so much longer
	settle           time.Duration // how long what is missing at the end may take
}

func (c Config) pace(events int) pace {
	if c.Fast {
		return pace{emit: 1200 * time.Millisecond / time.Duration(events), every: 150 * time.Millisecond,
			closedMin: 40 * time.Millisecond, spent: 80 * time.Millisecond, settle: 10 * time.Second}
	}
	return pace{emit: 9500 * time.Millisecond / time.Duration(events), every: 700 * time.Millisecond,
		closedMin: 100 * time.Millisecond, spent: 300 * time.Millisecond, settle: 20 * time.Second}
}

// Run runs the demo, which ends early with ctx.
func Run(ctx context.Context, c Config) (Result, error) {
	lines, err := earthquakes()
	if err != nil {
		return Result{}, err
	}
	ca, err := certs.NewCA("verbose demo")
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	show := newScreen(c, len(lines))
	p := c.pace(len(lines))
	plan := newPlan(c.Seed, p, time.Duration(len(lines))*p.emit)

	plain, err := newPlainChain(ctx, ca)
	if err != nil {
		return Result{}, err
	}
	defer plain.close()
	chain, err := newBusChain(ctx, ca, show)
	if err != nil {
		return Result{}, err
	}
	defer chain.close()
	if err := chain.ready(ctx); err != nil {
		return Result{}, err
	}
	return stream(ctx, lines, p, plan, chain, plain, show)
}

// stream emits every line over both chains while the plan is carried out.
func stream(ctx context.Context, lines [][]byte, p pace, plan []planned, chain *busChain, plain *plainChain, show *screen) (Result, error) {
	show.start(chain)
	defer show.stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	cutting, stopCutting := context.WithCancel(ctx)
	defer stopCutting()
	wg.Go(func() { carryOut(cutting, plan, chain.cutters, plain.cutters) })

	ticker := time.NewTicker(p.emit)
	defer ticker.Stop()
	for _, line := range lines {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return Result{}, context.Cause(ctx)
		}
		if err := chain.emit(ctx, line); err != nil {
			return Result{}, err
		}
		plain.emit(line)
	}
	stopCutting()
	settling, done := context.WithTimeout(ctx, p.settle)
	defer done()
	wg.Go(func() { plain.finish(settling) })
	chain.finish(settling)
	wg.Wait()
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	result := Result{Bus: chain.side(lines), Plain: plain.side(lines)}
	show.stop()
	return result, nil
}

// issue makes an identity for a node of a chain.
func issue(ca *certs.CA, name string) (*certs.Identity, error) { return ca.Issue(uuid.Nil, name) }
