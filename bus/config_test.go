package bus_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/codec"
	"github.com/verbose-bus/verbose/quictransport"
)

// Each bad value is refused by an error that names its field.
func TestConfigIsValidated(t *testing.T) {
	w := newNetwork(t)
	for _, c := range []struct {
		field string
		spoil func(*bus.Config)
	}{
		{"ID", func(c *bus.Config) { c.ID = uuid.New() }},
		{"Name", func(c *bus.Config) { c.Name = string(make([]byte, 256)) }},
		{"Channel", func(c *bus.Config) { c.Channel = "\xff" }},
		{"Transports", func(c *bus.Config) { c.Transports = nil }},
		{"Transports", func(c *bus.Config) { c.Transports = append(c.Transports, nil) }},
		{"Transports", func(c *bus.Config) { c.Transports = append(c.Transports, c.Transports[0]) }},
		{"Timeout", func(c *bus.Config) { c.Timeout = time.Millisecond }},
		{"AckInterval", func(c *bus.Config) { c.AckInterval = -1 }},
		{"MaxPeers", func(c *bus.Config) { c.MaxPeers = -1 }},
		{"MaxPeers", func(c *bus.Config) { c.MaxPeers = 4097 }},
		{"MaxOrigins", func(c *bus.Config) { c.MaxOrigins = -1 }},
		{"MeshDegree", func(c *bus.Config) { c.MeshDegree = -1 }},
		{"MeshDegree", func(c *bus.Config) { c.MeshDegree, c.MaxPeers = 5, 4 }},
		{"Advertise", func(c *bus.Config) { c.Advertise = []string{"tcp://10.0.0.1:7777"} }},
		{"Advertise", func(c *bus.Config) { c.Advertise = []string{"quic+dns://service:7777"} }},
		{"Advertise", func(c *bus.Config) { c.Advertise = []string{"quic://" + uuid.New().String() + "@10.0.0.1:7777"} }},
		{"Advertise", func(c *bus.Config) { c.Advertise = []string{"quic://" + strings.Repeat("x", 250) + ":7777"} }},
		{"Advertise", func(c *bus.Config) { c.Advertise = slices.Repeat([]string{"quic://10.0.0.1:7777"}, 17) }},
		{"BufferMax", func(c *bus.Config) { c.BufferMax = -1 }},
		{"BufferBytes", func(c *bus.Config) { c.BufferBytes = -1 }},
		{"BufferTimeout", func(c *bus.Config) { c.BufferTimeout = -1 }},
		{"Overflow", func(c *bus.Config) { c.Overflow = 9 }},
		{"PeerOverflow", func(c *bus.Config) { c.PeerOverflow = map[uuid.UUID]bus.Overflow{uuid.New(): bus.Reject} }},
		{"BlockTimeout", func(c *bus.Config) { c.BlockTimeout = -1 }},
		{"GapWait", func(c *bus.Config) { c.GapWait = -1 }},
		{"ReceiveBytes", func(c *bus.Config) { c.ReceiveBytes = -1 }},
		{"Lanes", func(c *bus.Config) { c.Lanes = 65 }},
		{"MaxEvent", func(c *bus.Config) { c.MaxEvent = 2 << 30 }},
		{"Encoding", func(c *bus.Config) { c.Encoding = 3 }},
		{"Compression", func(c *bus.Config) { c.Compression = 9 }},
	} {
		cfg := bus.Config{Transports: []bus.Transport{quictransport.New(quictransport.Config{Identity: w.identity(uuid.Nil, "n")})}}
		c.spoil(&cfg)
		before := cfg
		n, err := bus.New(cfg)
		var bad *bus.ConfigError
		if !errors.As(err, &bad) || bad.Field != c.field {
			t.Errorf("%s: error %v", c.field, err)
		}
		if n != nil {
			must(t, n.Close())
		}
		if cfg.ID != before.ID || cfg.MaxPeers != before.MaxPeers || cfg.Timeout != before.Timeout {
			t.Errorf("%s: New changed the caller's configuration", c.field)
		}
	}
}

func TestConfigNameReachesPeers(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("alice"), w.node("bob")
	w.chain(a, b)
	s, err := b.Peers()[0].Stats()
	must(t, err)
	if s.Name != "alice" || !s.Connected || s.Paths != 1 {
		t.Errorf("peer %+v", s)
	}
}

func TestConfigIDIsTheCertificates(t *testing.T) {
	w := newNetwork(t)
	id := uuid.New()
	n := w.nodeAs(w.identity(id, "n"), func(c *bus.Config) { c.ID = id })
	if n.ID() != id {
		t.Errorf("id %v, want %v", n.ID(), id)
	}
}

func TestConfigMaxEvent(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a", func(c *bus.Config) { c.MaxEvent = 1000 })
	must(t, a.EmitBytes(soon(t), "x", make([]byte, 1000)))
	if err := a.EmitBytes(soon(t), "x", make([]byte, 1001)); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

// A receiver with a smaller bound misses the event, and both sides are told.
func TestLargerThanTheReceiverTakes(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a")
	b := w.node("b", func(c *bus.Config) { c.MaxEvent = 1000 })
	in := collect(t, b, ">")
	stream := a.Lifecycle(soon(t))
	w.chain(a, b)
	must(t, in.sub.Ready(soon(t)))
	send(t, a, "x", "1")
	must(t, a.Drain(soon(t))) // so that the large one has a batch of its own
	must(t, a.EmitBytes(soon(t), "x", make([]byte, 1<<20)))
	must(t, a.Drain(soon(t)))
	send(t, a, "x", "3")
	in.want("1", "3")
	if len(in.gaps) != 1 || in.gaps[0].From != 2 || in.gaps[0].To != 2 || in.gaps[0].Reason != bus.ReasonTooLarge {
		t.Errorf("gaps %v", in.gaps)
	}
	e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleReport })
	if e.Gap.Receiver != b.ID() || e.Gap.From != 2 || a.Stats().Reported != 1 || b.Stats().Missed != 1 {
		t.Errorf("report %v, %+v, %+v", e, a.Stats(), b.Stats())
	}
}

func TestConfigEncoding(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a", func(c *bus.Config) { c.Encoding = codec.EncodingCBOR })
	b := w.node("b")
	in := collect(t, b, ">")
	w.chain(a, b)
	must(t, in.sub.Ready(soon(t)))
	must(t, a.Emit(soon(t), "x", 7, "seven"))
	in.until("the event", func() bool { return len(in.events) == 1 })
	var n int
	var s string
	must(t, in.events[0].Args(&n, &s))
	if n != 7 || s != "seven" || in.events[0].Encoding() != codec.EncodingCBOR {
		t.Errorf("%d, %q, %v", n, s, in.events[0].Encoding())
	}
}

func TestConfigCompression(t *testing.T) {
	w := newNetwork(t)
	text := make([]byte, 10_000) // zeros
	var sizes []uint64
	for _, mode := range []codec.Mode{codec.Off, codec.S2, codec.Zstd, codec.Adaptive} {
		a := w.node("a", func(c *bus.Config) { c.Compression = mode })
		b := w.node("b")
		in := collect(t, b, ">")
		w.chain(a, b)
		must(t, in.sub.Ready(soon(t)))
		must(t, a.EmitBytes(soon(t), "x", text))
		in.want(string(text))
		_, err := a.EmitMessage(soon(t), bus.Message{Topic: "x", Payload: text, Uncompressed: true})
		must(t, err)
		must(t, a.Drain(soon(t)))
		s, err := b.Peers()[0].Stats()
		must(t, err)
		sizes = append(sizes, s.ReceivedBytes-uint64(len(text)))
	}
	if sizes[0] < 10_000 || sizes[1] > 2000 || sizes[2] > 2000 || sizes[3] > 2000 {
		t.Errorf("bytes of a compressible event beside an uncompressed one: %v", sizes)
	}
}

func TestConfigLanes(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a", func(c *bus.Config) { c.Lanes = 4 }), w.node("b")
	in := collect(t, b, ">")
	w.chain(a, b)
	must(t, in.sub.Ready(soon(t)))
	for i := range 400 {
		_, err := a.EmitMessage(soon(t), bus.Message{Topic: "x", Payload: []byte{byte(i)}, Key: numbers(i%20, i%20)[0]})
		must(t, err)
	}
	in.until("all", func() bool { return len(in.events) == 400 })
	must(t, a.Drain(soon(t)))
	next, last := make(map[uint8]uint64), make(map[byte]int)
	for _, e := range in.events {
		if next[e.Lane]++; e.Seq != next[e.Lane] {
			t.Fatalf("lane %d: event %d came as number %d", e.Lane, e.Seq, next[e.Lane])
		}
		if v := int(e.Payload[0]); len(next) > 0 {
			last[e.Payload[0]%20] = v
		}
	}
	if len(next) < 2 {
		t.Errorf("20 keys went to %d lanes", len(next))
	}
}

func TestConfigChannel(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a", func(c *bus.Config) { c.Channel = "blue" })
	b := w.node("b", func(c *bus.Config) { c.Channel = "red" })
	stream := a.Lifecycle(soon(t))
	url := w.listen(a)
	if err := refusal(t, b, url); err.Code != bus.CloseChannel || !err.Remote {
		t.Errorf("refused with %v", err)
	}
	e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleRejected })
	var here *bus.PeerError
	if !errors.As(e.Err, &here) || here.Code != bus.CloseChannel || here.Remote {
		t.Errorf("rejected with %v", e.Err)
	}
	c := w.node("c", func(c *bus.Config) { c.Channel = "blue" })
	w.connect(c, url)
}

func TestConfigMaxPeers(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a", func(c *bus.Config) { c.MaxPeers = 1 })
	url := w.listen(a)
	in := collect(t, a, ">")
	b, c := w.node("b"), w.node("c")
	w.connect(b, url)
	must(t, b.WaitInterest(soon(t), "x")) // a has accepted it
	if err := refusal(t, c, url); err.Code != bus.CloseFull || !err.Remote {
		t.Errorf("refused with %v", err)
	}
	send(t, b, "x", "unharmed")
	in.want("unharmed")
}

func TestConfigMaxOrigins(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a", func(c *bus.Config) { c.MaxOrigins = 1 })
	stream := a.Lifecycle(soon(t))
	url := w.listen(a)
	in := collect(t, a, ">")
	b, c := w.node("b"), w.node("c")
	w.connect(b, url)
	send(t, b, "x", "first")
	in.want("first")
	w.connect(c, url)
	send(t, c, "x", "second")
	e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleRefused })
	if e.Peer != c.ID() {
		t.Errorf("refused %v", e)
	}
	send(t, b, "x", "third")
	in.want("first", "third")
}
