package suite

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/netem"
	"github.com/verbose-bus/verbose/codec"
)

// linkOptions are what is varied of links, and what only they have.
type linkOptions struct {
	RTT        []time.Duration `help:"Round trip times. Default: 40ms." placeholder:"D" json:"rtt_ns"`
	Loss       []float64       `help:"Packets lost at random each way, in percent. Default: 1." placeholder:"N" json:"loss_percent"`
	Bandwidth  []int           `help:"Of the link each way, in Mbit/s. Default: 20." placeholder:"N" json:"mbit_per_s"`
	Queue      size            `help:"The drop-tail queue before the bandwidth. Default: what a round trip carries, at least 64KiB." placeholder:"SIZE" json:"queue"`
	Congestion []string        `help:"TCP congestion control, of everyone over TCP. QUIC's is quic-go's NewReno." default:"cubic,bbr" placeholder:"NAME" json:"congestion"`
	Lanes      []int           `help:"Of the bus. Default: 1." placeholder:"N" json:"lanes"`
	Rate       []int           `help:"Of the open loop, in events/s. Default: 200." placeholder:"N" json:"rate"`
	Seed       uint64          `help:"Decides which packets are lost, with the cell and the pass. Default: by chance; results have it." placeholder:"N" json:"seed"`
	Outage     []time.Duration `help:"How long the link is cut, in the middle of a pass at the first rate. Default: 1s." placeholder:"D" json:"outage_ns"`

	system []contender.Kind // peers whose TCP has the system's congestion control
}

// linkFlags are the command line of a program that measures across links.
type linkFlags struct {
	All     bool          `help:"Every RTT of 1ms,20ms,40ms,100ms with every loss of 0,0.1,1,3 % at 20 and 100 Mbit/s, with 1 and 8 lanes, at 100, 200 and 1000 events/s, with outages of 1s and 5s, where nothing else is given: ten hours."`
	Pattern []string      `help:"What flows: one-way, open-loop, outage." enum:"one-way,open-loop,outage" default:"one-way,open-loop,outage" placeholder:"NAME"`
	Bus     []string      `help:"The bus over quic, tcp, each beside what it stands on: raw/quic, raw/tls." name:"transport" enum:"quic,tcp" default:"quic,tcp" placeholder:"NAME"`
	Size    []size        `help:"Of an event." default:"1KiB" placeholder:"SIZE"`
	Payload []string      `help:"random, earthquakes." enum:"random,earthquakes" default:"random" placeholder:"NAME"`
	Modes   []codec.Mode  `help:"Compression of the bus, for earthquakes: off, adaptive, s2, zstd. Random payloads always go without." name:"compression" default:"off,adaptive" placeholder:"NAME"`
	Handler []string      `help:"Of the bus: keep, which may hold on to events, or borrow (bus.Borrow)." enum:"keep,borrow" default:"keep" placeholder:"NAME"`
	Events  string        `help:"A file with events, one a line, to cut payloads from." default:"${root}/cmd/verbose/internal/demo/earthquakes.ndjson.zst" placeholder:"FILE"`
	Passes  int           `help:"How often everyone has a turn." default:"3" placeholder:"N"`
	Time    time.Duration `help:"Measured in each pass, of each contender, outages not counted." default:"3s" placeholder:"D"`
	Warmup  time.Duration `help:"Before that, for each lane." default:"1s" placeholder:"D"`
	Out     string        `help:"The directory for results." default:"${root}/bench/results" placeholder:"DIR"`
	Profile string        `help:"A directory for CPU profiles of every process." placeholder:"DIR"`
	linkOptions
}

// parseLinks reads the command line.
func (p Program) parseLinks(args []string, out io.Writer) (*options, error) {
	f, peers := new(linkFlags), peerOptions{}
	name := "wan"
	if len(p.Peers) > 0 {
		name = "peers links"
	}
	err := p.read(args, out, f, &peers, name, "Measures the bus beside raw QUIC and TLS across bad links. Takes root. Lists are separated by commas.")
	if err != nil {
		return nil, err
	}
	f.fill(f.All)
	o := &options{
		All: f.All, Pattern: f.Pattern, Transport: f.Bus, Size: f.Size, Payload: f.Payload, Compression: f.Modes, Handler: f.Handler, CPU: []string{"free"}, Events: f.Events,
		Passes: f.Passes, Time: f.Time, Warmup: f.Warmup, Out: f.Out, Profile: f.Profile, Peers: peers, Links: &f.linkOptions,
	}
	for _, peer := range p.Peers {
		if peer.OpensSockets {
			o.Links.system = append(o.Links.system, peer.Kind)
		}
	}
	if err := o.Links.validate(); err != nil {
		return nil, err
	}
	if shortest, longest := slices.Min(f.Outage), slices.Max(f.RTT); has(f.Pattern, outage) && shortest < longest {
		// What is on its way arrives in spite of a cut, and recovery is when the first event has arrived after it.
		return nil, fmt.Errorf("--outage: %v is shorter than --rtt %v: what is on its way would end it", shortest, longest)
	}
	for o.Links.Seed == 0 {
		o.Links.Seed = uint64(rand.Uint32()) // any reader of JSON has it exactly
	}
	return o, o.validate()
}

// fill sets what was not given.
func (l *linkOptions) fill(all bool) {
	const ms = time.Millisecond
	if all {
		byDefault(&l.RTT, []time.Duration{ms, 20 * ms, 40 * ms, 100 * ms})
		byDefault(&l.Loss, []float64{0, 0.1, 1, 3})
		byDefault(&l.Bandwidth, []int{20, 100})
		byDefault(&l.Lanes, []int{1, 8})
		byDefault(&l.Rate, []int{200, 100, 1000})
		byDefault(&l.Outage, []time.Duration{time.Second, 5 * time.Second})
	}
	byDefault(&l.RTT, []time.Duration{40 * ms})
	byDefault(&l.Loss, []float64{1})
	byDefault(&l.Bandwidth, []int{20})
	byDefault(&l.Lanes, []int{1})
	byDefault(&l.Rate, []int{200})
	byDefault(&l.Outage, []time.Duration{time.Second})
}

func (l *linkOptions) validate() error {
	for _, rtt := range l.RTT {
		if rtt < 0 || rtt > 2*time.Second {
			return fmt.Errorf("--rtt: %v is not within 0s to 2s", rtt)
		}
	}
	for _, loss := range l.Loss {
		if loss < 0 || loss > 20 {
			return fmt.Errorf("--loss: %v is not within 0 to 20 percent", loss)
		}
	}
	for _, d := range l.Outage {
		if d < 10*time.Millisecond || d > 20*time.Second {
			return fmt.Errorf("--outage: %v is not within 10ms to 20s", d)
		}
	}
	return within([]bound{
		{"bandwidth", l.Bandwidth, 1, 100}, // each way; the emulator carries 200 Mbit/s
		{"lanes", l.Lanes, 1, 64}, {"rate", l.Rate, 1, 100_000},
	})
}

// supported returns why the links can't be measured on this system, if they can't.
func (l *linkOptions) supported() error {
	if err := netem.Supported(); err != nil {
		return fmt.Errorf("links are emulated on Linux only, by root, with /dev/net/tun: %w", err)
	}
	for _, name := range l.Congestion {
		if name == "" || host.CongestionInUse(name) != name {
			return fmt.Errorf("--congestion: this system has no %q", name)
		}
	}
	return nil
}

// across makes the jobs of all links.
func (o *options) across() (jobs []job) {
	l := o.Links
	for _, bandwidth := range l.Bandwidth {
		for _, rtt := range l.RTT {
			for _, loss := range l.Loss {
				for _, size := range o.Size {
					for _, payload := range o.Payload {
						jobs = append(jobs, o.over(cell{Size: size, Payload: payload, Link: newLink(rtt, loss, bandwidth, l.Queue)})...)
					}
				}
			}
		}
	}
	return jobs
}

// over spreads a cell across one link over the patterns.
func (o *options) over(c cell) (jobs []job) {
	add := func(pattern string, rate int, outage time.Duration) {
		c.Pattern, c.Rate, c.Outage = pattern, rate, outage
		jobs = append(jobs, job{cell: c, contestants: o.crossing(c)})
	}
	if has(o.Pattern, oneWay) {
		add(oneWay, 0, 0)
	}
	if has(o.Pattern, openLoop) {
		for _, rate := range o.Links.Rate {
			add(openLoop, rate, 0)
		}
	}
	if has(o.Pattern, outage) {
		for _, d := range o.Links.Outage {
			add(outage, o.Links.Rate[0], d)
		}
	}
	return jobs
}

// crossing are those who meet across links: the bus behind what it stands on, and then the peers.
func (o *options) crossing(c cell) (list []contestant) {
	add := func(base contestant, bus contender.Kind) {
		list = append(list, base)
		for _, mode := range o.modes(c) {
			for _, handler := range o.handlers(c.Pattern) {
				for _, lanes := range o.Links.Lanes {
					list = append(list, contestant{Kind: bus, Compression: mode, Borrow: handler == borrow, Congestion: base.Congestion, Lanes: lanes})
				}
			}
		}
	}
	if has(o.Transport, "quic") {
		add(contestant{Kind: contender.RawQUIC, Compression: codec.Off}, contender.BusQUIC)
	}
	if has(o.Transport, "tcp") {
		for _, name := range o.Links.Congestion {
			add(contestant{Kind: contender.RawTLS, Compression: codec.Off, Congestion: name}, contender.BusTCP)
		}
	}
	for _, kind := range o.Peers.Peer {
		list = append(list, o.peerAcross(kind)...)
	}
	return list
}

// peerAcross is a peer with each congestion control it can have.
func (o *options) peerAcross(kind contender.Kind) (list []contestant) {
	transport, names := "tcp", o.Links.Congestion
	switch {
	case kind.IsQUIC():
		transport, names = "quic", []string{""}
	case has(o.Links.system, kind):
		names = []string{host.CongestionInUse("")}
	}
	if !has(o.Transport, transport) {
		return nil
	}
	for _, name := range names {
		list = append(list, contestant{Kind: kind, Compression: codec.Off, Congestion: name})
	}
	return list
}
