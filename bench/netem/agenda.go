package netem

import (
	"container/heap"
	"time"
)

// maxPacket is the MTU of the hosts' devices, in bytes.
const maxPacket = 1500

// packet is one on its way.
type packet struct {
	due   time.Duration
	order uint64 // in which they entered
	way   *direction
	to    *Host
	size  int
	data  [maxPacket]byte
}

func (p *packet) bytes() []byte { return p.data[:p.size] }

// agenda is what is on its way, the first that is due at the front; of those due together, the first that entered. It keeps
// packets that are done for use again, so it never holds more than were on their way at once.
type agenda struct {
	packets byDue
	entered uint64
	spare   []*packet
}

// next is when the first packet is due.
func (a *agenda) next() (due time.Duration, ok bool) {
	if len(a.packets) == 0 {
		return 0, false
	}
	return a.packets[0].due, true
}

// blank returns a packet to fill.
func (a *agenda) blank() *packet {
	if last := len(a.spare) - 1; last >= 0 {
		p := a.spare[last]
		a.spare = a.spare[:last]
		return p
	}
	return new(packet)
}

func (a *agenda) add(p *packet) {
	p.order = a.entered
	a.entered++
	heap.Push(&a.packets, p)
}

// take removes the first packet.
func (a *agenda) take() *packet { return heap.Pop(&a.packets).(*packet) }

// done takes back a packet that nobody needs any more.
func (a *agenda) done(p *packet) {
	p.way, p.to = nil, nil
	a.spare = append(a.spare, p)
}

// byDue implements heap.Interface.
type byDue []*packet

func (h byDue) Len() int      { return len(h) }
func (h byDue) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h byDue) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].order < h[j].order
}

// Push is heap.Interface's.
func (h *byDue) Push(x any) { *h = append(*h, x.(*packet)) }

// Pop is heap.Interface's.
func (h *byDue) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
