package bus

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/codec"
)

// Overflow says what happens when connected peers lag behind a full buffer. A
// peer that is not connected never blocks anyone: for it the oldest events are
// dropped, and it is told which.
type Overflow uint8

// The overflow policies.
const (
	Block      Overflow = iota // Emit waits under its context; after BlockTimeout without progress the laggard drops
	DropOldest                 // the oldest events are dropped
	Reject                     // Emit returns ErrBufferFull
	Disconnect                 // the laggard is disconnected, and owed what the buffer can keep
)

// Config describes a node. Its zero value but for Transports is ready to use;
// each field's comment has its default. Durations are from 1 ms to 366 days. New never
// changes the caller's copy.
type Config struct {
	// ID is the node's id. It has to equal that of every transport, which the
	// transport's certificate proves; by default it is taken from there.
	ID uuid.UUID
	// Name is shown to people beside the id; it need not be unique. At most 255 bytes of UTF-8.
	Name string
	// Channel separates buses that could reach each other: peers have to agree
	// on it, or the connection is refused. At most 255 bytes of UTF-8.
	Channel string
	// Transports connect the node, at least one. A URL's scheme selects one; a bare
	// host:port means the first. The node owns and closes them.
	Transports []Transport

	// Timeout is how long a peer may be silent before its connection counts as
	// dead. Default 60 s, at least 100 ms.
	Timeout time.Duration
	// AckInterval is the longest an acknowledgement waits; they go sooner by
	// count and bytes. Default 1 s.
	AckInterval time.Duration
	// MaxPeers is how many connected peers are accepted. Default 1,000, at most 4,096: a node tells all others who its peers are.
	MaxPeers int
	// MaxOrigins is how many logs of other nodes are kept. Default 4,096, at most 131,072.
	MaxOrigins int

	// Mesh has the node look for peers by itself, once it has one. It tells the others where it listens, learns
	// from them where they do, and connects to some at random until it has MeshDegree peers; when members are out of
	// reach, it looks for them now and then for an hour. Default: off.
	Mesh bool
	// MeshDegree is how many peers are enough for the mesh, whoever dialled. Default 3, at most MaxPeers.
	MeshDegree int
	// Advertise are the URLs at which others are told to dial this node, at most 16 of 255 bytes each: addresses, not names to look up.
	// Default with Mesh: where it listens. A listener on 0.0.0.0 or [::] is taken to be at each address that the
	// host's interfaces have then, but for loopback and link-local ones; behind a NAT, or with a port that a
	// container maps, it takes Advertise. Without Mesh, nobody is told anything but what is given here.
	Advertise []string
	// Resolver looks up the names of scheme+dns and scheme+srv URLs, see [Node.Connect]. Default net.DefaultResolver.
	Resolver *net.Resolver

	// BufferMax bounds the events kept per origin and lane for peers that lag or
	// are away. Default 65,536, at most 2³¹ − 1.
	BufferMax int
	// BufferBytes bounds the same in bytes. Default 64 MiB.
	BufferBytes int64
	// BufferTimeout is the age at which a kept event is dropped, and an absent
	// peer forgotten. Default 15 min. When a newcomer comes while more than MaxPeers are
	// away, the one that has been away longest is forgotten at once.
	BufferTimeout time.Duration
	// Overflow says what happens when connected peers lag behind a full buffer. Default Block.
	Overflow Overflow
	// PeerOverflow says it for single peers instead: Block, DropOldest or Disconnect. Where
	// Overflow is Reject, Emit returns ErrBufferFull for those with Block, too.
	PeerOverflow map[uuid.UUID]Overflow
	// BlockTimeout is how long Block waits for a laggard that makes no progress at
	// all. Default 10 s.
	BlockTimeout time.Duration
	// GapWait is for how long missing events are not given up while a node that was here a moment ago
	// is out of reach, and may have them. Later events of their origin and lane wait for that. Default 2 s.
	GapWait time.Duration
	// ReceiveBytes bounds the bytes of other nodes' events that wait for local
	// handlers or for peers further on, beyond 64 KiB for each origin and lane. Default 256 MiB.
	ReceiveBytes int64

	// Lanes is the number of independent ordered logs this node's events are
	// spread over by key, 1 to 64. Default 1: one total order.
	Lanes int
	// MaxEvent is the size in bytes of the largest payload that is emitted; headers may have 64 KiB
	// besides (codec.MaxHeaders). Default 16 MiB, at most 1 GiB. A node takes batches of its own MaxEvent
	// and 68 KiB, and of 128 KiB in any case; it misses larger events, and is told.
	MaxEvent int
	// Encoding is how the values of Emit are encoded. Default JSON.
	Encoding codec.Encoding
	// Compression of this node's batches. Default codec.Adaptive.
	Compression codec.Mode

	// Logger gets what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
}

const batchOverhead = codec.MaxHeaders + 4<<10 // room for a batch's header around its largest event

func (c Config) withDefaults() Config {
	fill(&c.Timeout, 60*time.Second)
	fill(&c.AckInterval, time.Second)
	fill(&c.MaxPeers, 1000)
	fill(&c.MeshDegree, min(3, max(c.MaxPeers, 1)))
	fill(&c.Resolver, net.DefaultResolver)
	fill(&c.MaxOrigins, 4096)
	fill(&c.BufferMax, 65536)
	fill(&c.BufferBytes, 64<<20)
	fill(&c.BufferTimeout, 15*time.Minute)
	fill(&c.BlockTimeout, 10*time.Second)
	fill(&c.GapWait, 2*time.Second)
	fill(&c.ReceiveBytes, 256<<20)
	fill(&c.Lanes, 1)
	fill(&c.MaxEvent, 16<<20)
	fill(&c.Encoding, codec.EncodingJSON)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ID == uuid.Nil && len(c.Transports) > 0 && c.Transports[0] != nil {
		c.ID = c.Transports[0].ID()
	}
	return c
}

// fill sets a field that was left at zero.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate checks a configuration whose defaults are filled in.
func (c Config) validate() error {
	if err := c.validateTransports(); err != nil {
		return err
	}
	type bound struct {
		field    string
		value    int64
		min, max int64
	}
	for _, b := range []bound{
		{"MaxPeers", int64(c.MaxPeers), 1, protocol.MostPeers},
		{"MeshDegree", int64(c.MeshDegree), 1, int64(c.MaxPeers)},
		{"MaxOrigins", int64(c.MaxOrigins), 1, 1 << 17},
		{"BufferMax", int64(c.BufferMax), 1, math.MaxInt32},
		{"BufferBytes", c.BufferBytes, 1, math.MaxInt64},
		{"ReceiveBytes", c.ReceiveBytes, 1, math.MaxInt64},
		{"Lanes", int64(c.Lanes), 1, codec.MaxLane + 1},
		{"MaxEvent", int64(c.MaxEvent), 1, 1 << 30},
		{"Overflow", int64(c.Overflow), 0, int64(Disconnect)},
		{"Encoding", int64(c.Encoding), int64(codec.EncodingJSON), int64(codec.EncodingCBOR)},
		{"Compression", int64(c.Compression), 0, int64(codec.Zstd)},
	} {
		if b.value < b.min || b.value > b.max {
			return &ConfigError{b.field, fmt.Sprintf("%d is not from %d to %d", b.value, b.min, b.max)}
		}
	}
	type pace struct {
		field      string
		value, min time.Duration
	}
	for _, p := range []pace{
		{"Timeout", c.Timeout, 100 * time.Millisecond},
		{"AckInterval", c.AckInterval, time.Millisecond},
		{"BufferTimeout", c.BufferTimeout, time.Millisecond},
		{"BlockTimeout", c.BlockTimeout, time.Millisecond},
		{"GapWait", c.GapWait, time.Millisecond},
	} {
		if p.value < p.min || p.value > 366*24*time.Hour {
			return &ConfigError{p.field, fmt.Sprintf("%v is not from %v to a year", p.value, p.min)}
		}
	}
	for peer, o := range c.PeerOverflow {
		if o != Block && o != DropOldest && o != Disconnect {
			return &ConfigError{"PeerOverflow", fmt.Sprintf("%d for %s is not Block, DropOldest or Disconnect", o, peer)}
		}
	}
	for field, text := range map[string]string{"Name": c.Name, "Channel": c.Channel} {
		if len(text) > 255 || !utf8.ValidString(text) {
			return &ConfigError{field, "has to be UTF-8 of at most 255 bytes"}
		}
	}
	return c.validateAdvertise()
}

// maxAdvertised is how many URLs a node's record has room for, and maxURL how long each may be.
const (
	maxAdvertised = 16
	maxURL        = 255
)

func (c Config) validateAdvertise() error {
	if len(c.Advertise) > maxAdvertised {
		return &ConfigError{"Advertise", fmt.Sprintf("%d URLs, at most %d are told", len(c.Advertise), maxAdvertised)}
	}
	for _, address := range c.Advertise {
		e, err := c.parseAddress(address)
		switch {
		case err != nil:
			return &ConfigError{"Advertise", strings.TrimPrefix(err.Error(), "bus: ")}
		case e.want != uuid.Nil && e.want != c.ID:
			return &ConfigError{"Advertise", fmt.Sprintf("%q is of another node", address)}
		case len(e.url()) > maxURL:
			return &ConfigError{"Advertise", fmt.Sprintf("%q has more than %d bytes", address, maxURL)}
		}
	}
	return nil
}

func (c Config) validateTransports() error {
	if len(c.Transports) == 0 {
		return &ConfigError{"Transports", "at least one is needed, such as quictransport.New(...)"}
	}
	schemes := make(map[string]bool)
	for i, t := range c.Transports {
		switch {
		case t == nil:
			return &ConfigError{"Transports", fmt.Sprintf("number %d is nil", i)}
		case schemes[t.Scheme()]:
			return &ConfigError{"Transports", fmt.Sprintf("two for the scheme %q", t.Scheme())}
		case t.ID() == uuid.Nil:
			return &ConfigError{"Transports", fmt.Sprintf("the one for %q has no identity", t.Scheme())}
		case t.ID() != c.ID:
			return &ConfigError{"ID", fmt.Sprintf("%s, but the certificate of the transport for %q is of %s", c.ID, t.Scheme(), t.ID())}
		}
		schemes[t.Scheme()] = true
	}
	return nil
}

// blocks says whether an emitter can have to wait for a peer.
func (c *Config) blocks() bool {
	waits := func(o Overflow) bool { return o == Block || o == Reject }
	for _, o := range c.PeerOverflow {
		if waits(o) {
			return true
		}
	}
	return waits(c.Overflow)
}

// maxLeap is how far, in microseconds, a run leaps past an epoch that it hears of (PROTOCOL.md §3.2): far enough not to
// meet another, and no further than the clock goes between two runs.
const maxLeap = 1 << 20

// protocol is the part of the configuration that the state machine needs.
func (c Config) protocol(epoch uint64) protocol.Config {
	peers := make(map[uuid.UUID]protocol.Overflow)
	for id, o := range c.PeerOverflow {
		peers[id] = protocol.Overflow(o)
	}
	return protocol.Config{
		ID: c.ID, Epoch: epoch, Leap: rand.Uint64N(maxLeap), Name: c.Name, Channel: c.Channel, Lanes: c.Lanes,
		MaxPeers: c.MaxPeers, MaxOrigins: c.MaxOrigins, MaxBatch: max(c.MaxEvent+batchOverhead, 2*batchTarget),
		BufferMax: c.BufferMax, BufferBytes: c.BufferBytes, BufferTimeout: c.BufferTimeout,
		Overflow: protocol.Overflow(c.Overflow), PeerOverflow: peers, BlockTimeout: c.BlockTimeout, GapWait: c.GapWait, ReceiveBytes: c.ReceiveBytes,
		Timeout: c.Timeout, AckInterval: c.AckInterval, HelloTimeout: helloTimeout,
	}
}
