package suite

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/codec"
)

// options are the command line. What is not given is filled in by the preset: the usual one, --quick or --all.
type options struct {
	Quick bool `help:"Take a minute: 64 B, short passes." xor:"preset" json:"quick,omitempty"`
	All   bool `help:"Measure every pattern and payload; takes hours." xor:"preset" json:"all,omitempty"`

	Pattern       []string     `help:"What flows: one-way, ping-pong, open-loop, fan-out, fan-in, chain, unheard, subscriptions. Default: one-way,ping-pong." enum:"one-way,ping-pong,open-loop,fan-out,fan-in,chain,unheard,subscriptions" placeholder:"NAME" json:"pattern"`
	Transport     []string     `help:"The bus over quic, tcp. Default: both." enum:"quic,tcp" placeholder:"NAME" json:"transport"`
	Baseline      []string     `help:"What it is compared with: quic, tls, tcp. Default: all." enum:"quic,tls,tcp" placeholder:"NAME" json:"baseline"`
	Size          []size       `help:"Of an event. Default: 64B,1KiB,16KiB,1MiB; for latency 64B." placeholder:"SIZE" json:"size"`
	Payload       []string     `help:"random, earthquakes. Default: random." enum:"random,earthquakes" placeholder:"NAME" json:"payload"`
	Compression   []codec.Mode `help:"Of the bus, for earthquakes: off, adaptive, s2, zstd. Default: off,adaptive. Random payloads always go without." placeholder:"NAME" json:"compression"`
	Handler       []string     `help:"Of the bus: keep, which may hold on to events, or borrow (bus.Borrow). Default: keep, and one-way both." enum:"keep,borrow" placeholder:"NAME" json:"handler,omitempty"`
	CPU           []string     `help:"pinned: all processes on one processor; free: on all. Default: free; for latency both." enum:"pinned,free" placeholder:"NAME" json:"cpu,omitempty"`
	Load          []int        `help:"Of an open loop, in percent of the bus's saturation. Default: 10,50,80." placeholder:"N" json:"load"`
	Fan           []int        `help:"Ends of a fan-out or fan-in. Default: 1,10,100,1000." placeholder:"N" json:"fan"`
	Rate          []int        `help:"Of a fan-out, in events/s. Default: to saturation." placeholder:"N" json:"rate,omitempty"`
	Relays        []int        `help:"In a chain. Default: 1,2,4." placeholder:"N" json:"relays"`
	Subscriptions []int        `help:"Of the receiver, one of which matches. Default: 1,10000." placeholder:"N" json:"subscriptions"`

	Passes     int           `help:"Default: 5." placeholder:"N" json:"passes"`
	Time       time.Duration `help:"Measured in each pass, of each contender. Default: 2s." placeholder:"D" json:"time_ns"`
	Warmup     time.Duration `help:"Before that. Default: 300ms." placeholder:"D" json:"warmup_ns"`
	Congestion string        `help:"TCP congestion control, such as bbr or cubic. Default: the system's." placeholder:"NAME" json:"congestion,omitempty"`
	InProcess  bool          `help:"Run both sides in this process instead of one each." json:"in_process,omitempty"`

	Events  string `help:"A file with events, one a line, to cut payloads from." default:"${root}/cmd/verbose/internal/demo/earthquakes.ndjson.zst" placeholder:"FILE" json:"events"`
	Out     string `help:"The directory for results." default:"${root}/bench/results" placeholder:"DIR" json:"-"`
	Profile string `help:"A directory for CPU profiles of every process." placeholder:"DIR" json:"-"`

	Peers peerOptions  `kong:"-" json:"peers,omitzero"`
	Links *linkOptions `kong:"-" json:"links,omitempty"` // nil: everything is on loopback

	latencySizes []size // other than Size where no size was asked for: latency says most where events are small
}

// peerOptions are those of a program that has peers.
type peerOptions struct {
	Peer []contender.Kind `help:"Other systems: ${peers}. Default: all but what is named by itself: ${aside}." enum:"${peers}" placeholder:"NAME" json:"peer,omitempty"`
}

// size is one in bytes.
type size int

// sizeUnits are the longest first: each ends with the next.
var sizeUnits = []struct {
	name  string
	bytes int
}{{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// UnmarshalText reads a number with a unit: 64, 64B, 16KiB, 1MiB.
func (s *size) UnmarshalText(text []byte) error {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(string(text), unit.name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > 16<<20/unit.bytes {
			break
		}
		*s = size(n * unit.bytes)
		return nil
	}
	return fmt.Errorf("%q: use a size from 1B to 16MiB, such as 64B or 16KiB", text)
}

// MarshalText is String, for results.
func (s size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the size in the largest unit that leaves no fraction.
func (s size) String() string {
	for _, unit := range sizeUnits {
		if int(s)%unit.bytes == 0 {
			return strconv.Itoa(int(s)/unit.bytes) + unit.name
		}
	}
	panic("every size is a number of bytes")
}

// parse reads the command line.
func (p Program) parse(args []string, out io.Writer) (*options, error) {
	if p.Links {
		return p.parseLinks(args, out)
	}
	o := new(options)
	err := p.read(args, out, o, &o.Peers, "bench", "Measures the bus beside raw QUIC, TLS and TCP. Lists are separated by commas.")
	if err != nil {
		return nil, err
	}
	o.fill()
	if o.Events, err = filepath.Abs(o.Events); err != nil {
		return nil, err
	}
	return o, o.validate()
}

// read fills flags, and those of peers where the program has any. It does not return after --help.
func (p Program) read(args []string, out io.Writer, flags any, o *peerOptions, name, description string) error {
	var peers, aside []string
	for _, peer := range p.Peers {
		peers = append(peers, string(peer.Kind))
		if peer.Aside {
			aside = append(aside, string(peer.Kind))
		}
	}
	settings := []kong.Option{kong.Name(name), kong.Writers(out, out), kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 110}), kong.ValueFormatter(withDefault),
		kong.Vars{"root": p.Root, "peers": strings.Join(peers, ","), "aside": strings.Join(aside, ",")}}
	if len(peers) > 0 {
		settings = append(settings, kong.Embed(o))
	}
	parser, err := kong.New(flags, settings...)
	if err != nil {
		panic(err) // the tags of the flags are wrong
	}
	if _, err := parser.Parse(args); err != nil {
		return err
	}
	if len(o.Peer) > 0 {
		return nil
	}
	for _, peer := range p.Peers {
		if !peer.Aside {
			o.Peer = append(o.Peer, peer.Kind)
		}
	}
	return nil
}

// withDefault is the help of a flag, with what it is when it is not given; where that depends, the text says it.
func withDefault(v *kong.Value) string {
	if !v.HasDefault {
		return v.Help
	}
	return v.Help + " Default: " + v.Default + "."
}

// fill sets what was not given.
func (o *options) fill() {
	passes, length, warmup := 5, 2*time.Second, 300*time.Millisecond
	patterns, payloads, sizes := []string{oneWay, pingPong}, []string{random}, []size{64, 1 << 10, 16 << 10, 1 << 20}
	switch {
	case o.Quick:
		sizes, length, warmup = sizes[:1], 200*time.Millisecond, 100*time.Millisecond
	case o.All:
		patterns, payloads = allPatterns, []string{random, earthquakes}
	}
	byDefault(&o.Pattern, patterns)
	byDefault(&o.Payload, payloads)
	byDefault(&o.Transport, []string{"quic", "tcp"})
	byDefault(&o.Baseline, []string{"quic", "tls", "tcp"})
	byDefault(&o.Compression, []codec.Mode{codec.Off, codec.Adaptive})
	byDefault(&o.Load, []int{10, 50, 80})
	byDefault(&o.Fan, []int{1, 10, 100, 1000})
	byDefault(&o.Relays, []int{1, 2, 4})
	byDefault(&o.Subscriptions, []int{1, 10_000})
	if len(o.Size) == 0 && !o.All {
		o.latencySizes = sizes[:1]
	}
	byDefault(&o.Size, sizes)
	if o.Passes == 0 {
		o.Passes = passes
	}
	if o.Time == 0 {
		o.Time = length
	}
	if o.Warmup == 0 {
		o.Warmup = warmup
	}
}

func byDefault[T any](list *[]T, values []T) {
	if len(*list) == 0 {
		*list = values
	}
}

// bound is what the values of a flag have to be within.
type bound struct {
	flag     string
	values   []int
	min, max int
}

func within(bounds []bound) error {
	for _, b := range bounds {
		for _, v := range b.values {
			if v < b.min || v > b.max {
				return fmt.Errorf("--%s: %d is not within %d to %d", b.flag, v, b.min, b.max)
			}
		}
	}
	return nil
}

func (o *options) validate() error {
	if err := within([]bound{
		{"load", o.Load, 1, 100}, {"fan", o.Fan, 1, 1000}, {"relays", o.Relays, 1, 16}, {"subscriptions", o.Subscriptions, 1, 1_000_000},
		{"rate", o.Rate, 1, 10_000_000},
		{"passes", []int{o.Passes}, 1, 1000},
	}); err != nil {
		return err
	}
	if o.Time < 0 || o.Warmup < 0 {
		return errors.New("--time and --warmup can't be negative")
	}
	if o.InProcess && has(o.CPU, "pinned") {
		return errors.New("--in-process can't be pinned: only processes of their own are")
	}
	if o.InProcess && o.Profile != "" {
		return errors.New("--in-process can't be profiled: a profile is of one process, in which everybody would be")
	}
	if o.Congestion != "" && host.CongestionInUse(o.Congestion) != o.Congestion {
		return fmt.Errorf("--congestion: this system has no %s", o.Congestion)
	}
	return nil
}
