package proxy

import "sync"

// Fault is what a proxy does to what passes.
type Fault uint8

// The faults. A proxy ignores one that is not of its transport.
const (
	End      Fault = iota + 1 // TCP: both ends see the end of the connection (FIN)
	Reset                     // TCP: both ends see a reset (RST)
	Rebind                    // UDP: packets of the dialling side come from another port from now on
	Stall                     // nothing passes until Mend, and then everything that waited
	Hole                      // nothing passes, and no end is told. TCP: for good, but new connections pass. UDP: until Mend
	HalfHole                  // the same, in the direction of the byte it strikes at
)

var faultNames = [...]string{End: "end", Reset: "reset", Rebind: "rebind", Stall: "stall", Hole: "hole", HalfHole: "half hole"}

// String is the fault in words.
func (f Fault) String() string { return faultNames[f] }

// strike is a fault to come.
type strike struct {
	fault Fault
	left  int    // bytes that pass before
	done  func() // is called when it has happened
}

// trigger has the next strike.
type trigger struct {
	mu   sync.Mutex
	next *strike
}

func (t *trigger) arm(s *strike) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = s
}

// take says how many of n bytes pass before a strike, which is nil if all do.
func (t *trigger) take(n int) (pass int, s *strike) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		return n, nil
	}
	if n < t.next.left {
		t.next.left -= n
		return n, nil
	}
	s, t.next = t.next, nil
	return s.left, s
}

// The directions.
const (
	out = iota // from the dialling side
	back
)

// passage is what keeps bytes from passing: a connection's, or that of all packets.
type passage struct {
	mu      sync.Mutex
	stalled chan struct{} // nil, or closed by mend
	swallow [2]bool       // by direction
}

// enter waits while the passage is stalled, and says whether it swallows.
func (p *passage) enter(way int) (swallow bool) {
	p.mu.Lock()
	stalled := p.stalled
	p.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	return p.swallows(way)
}

func (p *passage) swallows(way int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.swallow[way]
}

// harm begins a fault in what passes one way.
func (p *passage) harm(f Fault, way int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case f == Stall && p.stalled == nil:
		p.stalled = make(chan struct{})
	case f == Hole || f == End:
		p.swallow = [2]bool{true, true}
	case f == HalfHole:
		p.swallow[way] = true
	}
}

// resume ends a stall.
func (p *passage) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// fill ends holes.
func (p *passage) fill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = [2]bool{}
}
