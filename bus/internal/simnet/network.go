package simnet

import (
	"container/heap"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Network is a set of hosts and the links between them. All methods of it and of what it makes may be called concurrently,
// while traffic runs. In a bubble of testing/synctest it has to be made inside.
type Network struct {
	seed uint64

	mu    sync.Mutex // guards everything here; never held while something is waited for
	hosts map[netip.Addr]*Host
	ways  map[[2]*Host]*way
	made  int // hosts so far

	agenda agenda
	order  uint64 // of the last thing put on the agenda
	timer  *time.Timer
	wakeAt time.Time // zero: the timer is not set
}

// New returns a network without hosts. Everything random on its links is drawn from the seed.
func New(seed uint64) *Network {
	return &Network{seed: seed, hosts: make(map[netip.Addr]*Host), ways: make(map[[2]*Host]*way)}
}

// Host makes a host with an IP address. It panics if that is none, or taken.
func (n *Network) Host(addr string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{network: n, number: n.made, sockets: make(map[uint16]*PacketConn),
		listeners: make(map[uint16]*Listener), conns: make(map[connKey]*Conn), lastPort: firstPort}
	n.made++
	n.place(h, addr)
	return h
}

// place gives a host an address. The lock is held.
func (n *Network) place(h *Host, addr string) {
	ip := netip.MustParseAddr(addr)
	if other := n.hosts[ip]; other != nil && other != h {
		panic(fmt.Sprintf("simnet: %s is the address of another host", addr))
	}
	delete(n.hosts, h.addr)
	h.addr = ip
	n.hosts[ip] = h
}

// send puts a packet on its way. Where there is no such host it is lost. The lock is held.
func (n *Network) send(from *Host, p packet) {
	to := n.hosts[p.to.Addr()]
	if to == nil {
		return
	}
	p.from = netip.AddrPortFrom(from.addr, p.from.Port())
	w := n.way(from, to)
	for _, at := range w.carry(time.Now(), p.size()) {
		n.at(at, func() {
			w.flying--
			if n.hosts[p.to.Addr()] == to { // it may have moved
				to.receive(p)
			}
		})
	}
}

// at has something done at a time, under the lock, which is held now, too.
func (n *Network) at(at time.Time, do func()) {
	n.order++
	heap.Push(&n.agenda, item{at, n.order, do})
	n.arm()
}

// arm sets the timer for what is due first.
func (n *Network) arm() {
	if len(n.agenda) == 0 || !n.wakeAt.IsZero() && !n.agenda[0].at.Before(n.wakeAt) {
		return
	}
	n.wakeAt = n.agenda[0].at
	if n.timer == nil {
		n.timer = time.AfterFunc(time.Until(n.wakeAt), n.turn)
	} else {
		n.timer.Reset(time.Until(n.wakeAt))
	}
}

// turn does what is due.
func (n *Network) turn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wakeAt = time.Time{}
	now := time.Now()
	for len(n.agenda) > 0 && !n.agenda[0].at.After(now) {
		heap.Pop(&n.agenda).(item).do()
	}
	n.arm()
}

// wait releases the lock until something has changed, or a time has come; zero means never. The lock is held
// before and after.
func (n *Network) wait(c *notice, until time.Time) {
	changed := c.watch()
	n.mu.Unlock()
	defer n.mu.Lock()
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-changed:
	case <-due:
	}
}

// item is something to do at a time.
type item struct {
	at    time.Time
	order uint64
	do    func()
}

// agenda is a heap of items: the earliest first, and in the order they were put there at the same time.
type agenda []item

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if c := a[i].at.Compare(a[j].at); c != 0 {
		return c < 0
	}
	return a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(item)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = item{}
	*a = (*a)[:last]
	return x
}

// notice tells everyone who watches that something has changed. The network's lock guards it.
type notice struct{ changed chan struct{} }

func (c *notice) watch() <-chan struct{} {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

func (c *notice) tell() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !deadline.After(time.Now()) }
