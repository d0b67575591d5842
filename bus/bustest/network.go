package bustest

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"sync"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// Network is a network in memory. All methods may be called concurrently, while traffic runs.
//
// Its bounds are those of a real one: a stream takes 256 KiB from its writer that its reader has not
// read, a side may have 128 streams open, and 128 connections wait for a listener's Accept.
type Network struct {
	seed uint64

	mu        sync.Mutex
	links     map[[2]string]*link
	listeners map[address]*listener
	ports     map[string]int // the last that was picked, by name
	nodes     map[string]*bus.Node
}

const (
	streamBytes = 256 << 10 // what a direction of a stream takes without a reader
	maxStreams  = 128       // that a side has open
	maxBacklog  = 128       // connections that wait for Accept
)

// NewNetwork returns a network without nodes, delays or faults. The jitter of its links is drawn from the
// seed: the n-th write on the n-th stream of a link's n-th connection takes as long each time.
func NewNetwork(seed uint64) *Network {
	return &Network{
		seed:      seed,
		links:     make(map[[2]string]*link),
		listeners: make(map[address]*listener),
		ports:     make(map[string]int),
		nodes:     make(map[string]*bus.Node),
	}
}

var validName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// Transport returns a transport of the node with a name: letters, digits, dots and hyphens, as in a host
// name. Its scheme is "mem"; it listens on "name:port" and, for short, ":port". The id is
// the name if that is a UUID, and else is derived from it, the same in each network. A second transport of a
// name is the same node again, such as after a restart. It panics on another name.
func (n *Network) Transport(name string) bus.Transport {
	if !validName.MatchString(name) {
		panic(fmt.Sprintf("bustest: %q is not a name for a node", name))
	}
	return &transport{
		network: n, name: name, id: idOf(name),
		gone:      make(chan struct{}),
		ends:      make(map[*conn]struct{}),
		listeners: make(map[*listener]struct{}),
	}
}

func idOf(name string) uuid.UUID {
	if id, err := uuid.Parse(name); err == nil {
		return id
	}
	return uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name+".bustest.invalid"))
}

// Link returns the link between two nodes, which all their connections use whoever dialled. Link(a, b) and Link(b, a)
// are the same but for [Link.OneWay]. The nodes need not exist yet.
func (n *Network) Link(a, b string) *Link {
	l := n.link(a, b)
	return &Link{link: l, ways: []*way{l.from(a), l.from(b)}}
}

func (n *Network) link(a, b string) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := [2]string{min(a, b), max(a, b)}
	l := n.links[key]
	if l == nil {
		sum := fnv.New64a()
		fmt.Fprint(sum, n.seed, key)
		l = &link{seed: sum.Sum64(), names: key, wires: make(map[*wire]struct{})}
		n.links[key] = l
	}
	return l
}

// address is "name:port".
type address struct {
	name string
	port int
}

// Network is "mem".
func (a address) Network() string { return scheme }

func (a address) String() string { return fmt.Sprintf("%s:%d", a.name, a.port) }
