package netem

// Link is what lies between two hosts. One that was not set is perfect. No method blocks, and all may be called
// concurrently and while traffic runs.
type Link struct {
	network    *Network
	directions []*direction
}

// Link returns the link between two hosts of the network. Link(a, b) and Link(b, a) are the same but for [Link.OneWay].
func (n *Network) Link(a, b *Host) *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &Link{n, []*direction{n.direction(a, b), n.direction(b, a)}}
}

// OneWay is the direction from the first host to the second of [Network.Link].
func (l *Link) OneWay() *Link { return &Link{l.network, l.directions[:1]} }

// Set changes the profile of what is sent from now on. What is on its way arrives as it would have, and before what is sent
// now. A cut stays.
func (l *Link) Set(p Profile) {
	now := l.network.now()
	l.each(func(d *direction) { d.model.set(now, p) })
}

// Cut loses every packet that is sent from now on, and tells nobody. What is on its way arrives.
func (l *Link) Cut() {
	l.each(func(d *direction) { d.model.cut = true })
}

// Heal ends a Cut.
func (l *Link) Heal() {
	l.each(func(d *direction) { d.model.cut = false })
}

// Stats adds up what happened in the link's directions, since the network was made.
func (l *Link) Stats() Stats {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	return sum(l.directions)
}

func (l *Link) each(f func(*direction)) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	for _, d := range l.directions {
		f(d)
	}
}
