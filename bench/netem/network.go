package netem

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Network is hosts and the links between them. All methods may be called concurrently.
type Network struct {
	seed  uint64
	began time.Time
	wire  *wire

	mu         sync.Mutex
	closed     bool
	hosts      []*Host
	made       int // hosts, whatever became of them
	lastAddr   netip.Addr
	places     map[netip.Addr]*Host
	directions map[[2]*Host]*direction
}

// New makes a network without hosts. All its links draw from streams of the seed.
func New(seed uint64) (*Network, error) {
	n := newNetwork(seed)
	var err error
	n.wire, err = newWire(n)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// newNetwork is one without a wire.
func newNetwork(seed uint64) *Network {
	return &Network{
		seed: seed, began: time.Now(),
		lastAddr:   netip.AddrFrom4([4]byte{198, 18, 0, 0}),
		places:     make(map[netip.Addr]*Host),
		directions: make(map[[2]*Host]*direction),
	}
}

// Close ends all traffic and lets go of the hosts: when it returns, no thread is left. The sockets of the hosts stay
// open, and with them the kernel keeps what they need; who made them closes them. Later calls do nothing.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	hosts := n.hosts
	n.mu.Unlock()
	errs := []error{n.wire.close()}
	for _, h := range hosts {
		errs = append(errs, h.machine.close())
	}
	return errors.Join(errs...)
}

// Stats adds up what happened on all links.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*direction
	for _, d := range n.directions {
		all = append(all, d)
	}
	return sum(all)
}

// Verdict returns an error if the emulator did not keep up, which makes a measurement void: if in some direction more than 1 %
// of the packets were later than the limit, or if any packet was lost that no [Profile] lost. It counts from the
// network's beginning, and may be called until Close.
func (n *Network) Verdict(limit time.Duration) error {
	n.mu.Lock()
	hosts := n.hosts
	n.mu.Unlock()
	var errs []error
	for _, from := range hosts {
		for _, to := range hosts {
			if err := n.judge(from, to, limit); err != nil {
				errs = append(errs, fmt.Errorf("netem: %s to %s: %w", from, to, err))
			}
		}
		if dropped, err := from.machine.dropped(); err != nil {
			errs = append(errs, err)
		} else if dropped > 0 {
			errs = append(errs, fmt.Errorf("netem: %d packets of %s were not read in time", dropped, from))
		}
	}
	return errors.Join(errs...)
}

func (n *Network) judge(from, to *Host, limit time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.directions[[2]*Host{from, to}]
	if d == nil {
		return nil
	}
	switch s := sum([]*direction{d}); {
	case s.Unplanned > 0:
		return fmt.Errorf("%d packets were not carried", s.Unplanned)
	case s.Lateness.P99 > limit:
		return fmt.Errorf("1 %% of the packets were %v late or more, beyond %v", s.Lateness.P99, limit)
	}
	return nil
}

// now is the time of the models.
func (n *Network) now() time.Duration { return time.Since(n.began) }

// direction returns that from one host to another. The lock is held.
func (n *Network) direction(from, to *Host) *direction {
	key := [2]*Host{from, to}
	d := n.directions[key]
	if d == nil {
		d = newDirection(n.seed, uint64(from.number)<<32|uint64(to.number))
		n.directions[key] = d
	}
	return d
}

// enter decides about a packet that a host sends now: it arrives n times, by a direction, at a host. What it
// does not carry, such as packets to nobody, arrives 0 times and is in no count. The packet's source becomes what the network sees.
func (n *Network) enter(from *Host, p []byte) (d *direction, to *Host, arrivals [2]time.Duration, times int) {
	if !isIPv4(p) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if address(p, sourceAt) != from.inner {
		return // of an address that it had
	}
	if to = n.places[address(p, destinationAt)]; to == nil {
		return
	}
	if from.outer != from.inner {
		translate(p, sourceAt, from.outer)
	}
	d = n.direction(from, to)
	arrivals, times = d.model.carry(n.now(), len(p))
	return d, to, arrivals, times
}

// arrive ends the way of a packet. Its destination becomes what the host knows; false if the host is not there any more.
func (n *Network) arrive(p *packet) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p.way.model.land()
	if n.places[address(p.bytes(), destinationAt)] != p.to {
		p.way.astray++
		return false
	}
	if p.to.outer != p.to.inner {
		translate(p.bytes(), destinationAt, p.to.inner)
	}
	return true
}

// handed counts a packet that arrived and was handed to the host's device, or was not.
func (n *Network) handed(p *packet, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		p.way.unplanned++
		return
	}
	p.way.deliver(n.now() - p.due)
}
