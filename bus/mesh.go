package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// The storm limit: of a node, one dial at a time and no two within meshPause; of all nodes together, about a hundred a
// second, also when they lose the same hub at the same moment.
const (
	meshPause  = 100 * time.Millisecond // before each dial, and more at random:
	meshJitter = time.Second            // at most so much
	meshShare  = 10 * time.Millisecond  // or so much for each contact, if that is more
)

const (
	meshGrace  = 5 * time.Second  // a peer lost so recently counts as one: it may be back sooner than another is found
	meshRecall = time.Hour        // a member out of reach is remembered so long
	meshIdle   = 24 * time.Hour   // with nothing to do but to wait for news
	lookUpPace = 30 * time.Second // between looking up the same name

	// searchPace is how often one that is out of reach is dialled by all together, while none lacks peers.
	searchPace = 5 * time.Second

	dialPatience = 5 * time.Second // with a dial, until the peer has accepted
	retryFirst   = 2 * time.Second // after a failure, doubled with each
	retryMost    = time.Minute
)

// mesh sees to it that its node has Config.MeshDegree peers, and finds back to members that are out of reach. All of it
// happens in one goroutine, run.
type mesh struct {
	node *Node
	news signal // members, peers or names may have changed

	mu       sync.Mutex              // never held while something is waited for; taken before the node's and the engine's
	resting  int                     // calls of Disconnect that have not returned
	left     bool                    // by Disconnect, and without a peer since
	peers    map[uuid.UUID]time.Time // when each was lost; zero: it is connected
	members  map[uuid.UUID]*contact
	names    map[*Link]*name
	reached  map[uuid.UUID]bool // who is a member now
	told     map[string]bool    // the URLs of those
	searchAt time.Time          // zero: nobody is out of reach
}

// name is a name in the DNS that a link of the node connects to.
type name struct {
	lookedUp time.Time
	contacts map[string]*contact // by URL
}

func newMesh(n *Node) *mesh {
	return &mesh{node: n, news: newSignal(),
		peers:   make(map[uuid.UUID]time.Time),
		members: make(map[uuid.UUID]*contact),
		names:   make(map[*Link]*name)}
}

// wake has the mesh look again.
func (m *mesh) wake() {
	if m != nil {
		m.news.notify()
	}
}

// rest has the mesh dial nobody until resume, which makes it forget everybody.
func (m *mesh) rest() (resume func()) {
	if m == nil {
		return func() {}
	}
	m.mu.Lock()
	m.resting++
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		m.resting--
		m.left = true
		clear(m.peers)
		clear(m.members)
		clear(m.names)
		m.mu.Unlock()
		m.wake()
	}
}

// run ends with the node. Node.Close waits for it.
func (m *mesh) run() {
	defer m.node.running.Done()
	for wait := meshIdle; m.sleep(wait, m.news) && m.sleep(m.jitter(), nil); {
		m.lookUp()
		c, short, next := m.look(time.Now())
		if wait = next; c != nil {
			m.dial(c, short)
			wait = 0
		}
	}
}

// sleep returns false once the node is closed.
func (m *mesh) sleep(d time.Duration, news signal) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-news:
	case <-m.node.ctx.Done():
		return false
	}
	return true
}

func (m *mesh) jitter() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return meshPause + rand.N(max(meshJitter, meshShare*time.Duration(len(m.members))))
}

// look learns who is there, and chooses whom to dial. If that is nobody, it says when to look again without news.
func (m *mesh) look(now time.Time) (c *contact, short bool, next time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.resting > 0 {
		return nil, false, meshIdle
	}
	connected, due := m.learn(now)
	short = connected == 0 || len(m.peers) < m.node.cfg.MeshDegree
	if connected < m.node.cfg.MaxPeers {
		c = m.choose(now, short, due)
	}
	return c, short, due.at.Sub(now)
}

// deadline is the earliest of several times.
type deadline struct{ at time.Time }

func (d *deadline) by(at time.Time) {
	if at.Before(d.at) {
		d.at = at
	}
}

// learn takes over what the records say, and counts the peers that are connected.
func (m *mesh) learn(now time.Time) (connected int, due *deadline) {
	due = &deadline{now.Add(meshIdle)}
	e := m.node.engine
	e.mu.Lock()
	graph, peers := e.m.Graph(), e.m.Connected()
	e.mu.Unlock()
	is := make(map[uuid.UUID]bool)
	for _, id := range peers {
		is[id], m.peers[id] = true, time.Time{}
	}
	for id, lostAt := range m.peers {
		switch {
		case is[id]:
		case lostAt.IsZero():
			m.peers[id] = now
			due.by(now.Add(meshGrace))
		case now.Sub(lostAt) >= meshGrace:
			delete(m.peers, id)
		default:
			due.by(lostAt.Add(meshGrace))
		}
	}
	members := graph.Members()
	heard := graph.Held() // also who was here for less than the pause before a look
	if m.left = m.left && len(peers) == 0; m.left {
		heard = members
	}
	for _, x := range heard {
		c := m.members[x.ID]
		switch {
		case x.ID == m.node.cfg.ID || c == nil && len(x.Endpoints) == 0:
			continue
		case c == nil:
			c = &contact{id: x.ID}
			m.members[x.ID] = c
		}
		c.hear(&m.node.cfg, x.Endpoints)
	}
	m.reached, m.told = make(map[uuid.UUID]bool), make(map[string]bool)
	for _, x := range members {
		m.reached[x.ID] = true
		for _, url := range x.Endpoints {
			m.told[url] = true
		}
	}
	m.forget(now)
	for _, n := range m.names {
		due.by(n.lookedUp.Add(lookUpPace))
	}
	return len(peers), due
}

// forget notes who is out of reach, and drops those who have been for long, or longest where they are too many.
func (m *mesh) forget(now time.Time) {
	var oldest *contact
	for id, c := range m.members {
		switch {
		case m.reached[id]:
			c.lostAt = time.Time{}
			continue
		case c.lostAt.IsZero():
			c.lostAt = now
		case now.Sub(c.lostAt) > meshRecall:
			delete(m.members, id)
			continue
		}
		if oldest == nil || c.lostAt.Before(oldest.lostAt) {
			oldest = c
		}
	}
	if oldest != nil && len(m.members) > m.node.cfg.MaxOrigins {
		delete(m.members, oldest.id)
		m.forget(now)
	}
}

// choose picks at random: where peers are lacking, one of those in reach or behind a name, or else of those that are
// lost; and where there are enough, now and then one that is out of reach, so that no island stays one.
func (m *mesh) choose(now time.Time, short bool, due *deadline) *contact {
	var near, far []*contact
	unreached := 0
	consider := func(c *contact, named bool) {
		if _, isPeer := m.peers[c.id]; isPeer || c.id == m.node.cfg.ID || len(c.endpoints) == 0 {
			return
		}
		away := !m.reached[c.id]
		if away {
			unreached++
		}
		switch {
		case now.Before(c.retry):
			if short {
				due.by(c.retry)
			}
			return
		case !away || named:
			near = append(near, c)
		}
		if away {
			far = append(far, c)
		}
	}
	for _, c := range m.members {
		consider(c, false)
	}
	for _, n := range m.names {
		for url, c := range n.contacts {
			if !m.told[url] { // or it is considered already
				consider(c, true)
			}
		}
	}
	switch {
	case short && len(near) > 0:
		return near[rand.IntN(len(near))]
	case !short && !m.searches(now, unreached, due), len(far) == 0:
		return nil
	}
	return far[rand.IntN(len(far))]
}

// searches says whether it is time to dial one of those out of reach. The more nodes may do so, the rarer each does.
func (m *mesh) searches(now time.Time, unreached int, due *deadline) bool {
	if unreached == 0 {
		m.searchAt = time.Time{}
		return false
	}
	pace := searchPace * time.Duration(max(1, len(m.reached)/unreached))
	is := !m.searchAt.IsZero() && !now.Before(m.searchAt)
	switch {
	case is:
		m.searchAt = now.Add(pace/2 + rand.N(pace))
	case m.searchAt.IsZero(): // the first of all is early
		m.searchAt = now.Add(rand.N(pace))
	}
	due.by(m.searchAt)
	return is
}

// dial makes a link to a contact, which stays if it comes up: until it is lost for good.
func (m *mesh) dial(c *contact, short bool) {
	l := m.node.newLink(c.endpoints[0].url(), c.endpoints...)
	l.chooses, l.brief = true, true
	m.mu.Lock() // so that Disconnect does not miss the link
	started := m.resting == 0 && m.node.startLink(l, func() {})
	m.mu.Unlock()
	if !started {
		l.cancel(ErrClosed)
		return
	}
	ctx, cancel := context.WithTimeoutCause(m.node.ctx, dialPatience, fmt.Errorf("bus: not accepted within %v", dialPatience))
	peer, err := l.Ready(ctx)
	cancel()

	m.mu.Lock()
	surplus := err == nil && !short && m.reached[peer.ID()] // at an address that it does not tell
	switch {
	case err == nil:
		c.id = peer.ID()
	case errors.Is(err, errItself):
		c.id = m.node.cfg.ID
	}
	c.note(time.Now(), err)
	m.mu.Unlock()
	if err != nil || surplus {
		l.Close()
	}
	if err != nil && m.node.ctx.Err() == nil {
		m.node.lifecycle.publish(LifecycleEvent{Kind: LifecycleBackoff, URL: l.url, Next: c.retry, Err: err})
	}
}

// lookUp asks for the addresses behind the names that links of the node connect to. Where that fails, the ones known stay.
func (m *mesh) lookUp() {
	links := m.node.namedLinks()
	m.mu.Lock()
	maps.DeleteFunc(m.names, func(l *Link, _ *name) bool { return !slices.Contains(links, l) })
	links = slices.DeleteFunc(links, func(l *Link) bool {
		n := m.names[l]
		return n != nil && time.Since(n.lookedUp) < lookUpPace
	})
	m.mu.Unlock()
	for _, l := range links {
		found, err := m.node.cfg.lookUp(m.node.ctx, l.endpoints[0])
		m.mu.Lock()
		before := m.names[l]
		now := &name{time.Now(), make(map[string]*contact)}
		if before != nil && err != nil {
			now.contacts = before.contacts
		}
		for _, e := range found {
			c := &contact{endpoints: []endpoint{e}}
			if before != nil && before.contacts[e.url()] != nil {
				c = before.contacts[e.url()]
			}
			now.contacts[e.url()] = c
		}
		m.names[l] = now
		m.mu.Unlock()
	}
}

// namedLinks are the links to any node behind a name.
func (n *Node) namedLinks() (list []*Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		if e := l.endpoints[0]; e.records != noRecords && e.want == uuid.Nil {
			list = append(list, l)
		}
	}
	return list
}
