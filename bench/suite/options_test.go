package suite

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/host"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]size{"64": 64, "64B": 64, "1KiB": 1 << 10, "16KiB": 16 << 10, "1MiB": 1 << 20, "1536": 1536} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
		var again size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s: written as %s, read as %d, %v", text, s, again, err)
		}
	}
	for _, text := range []string{"", "B", "0", "-1", "1GiB", "17MiB", "1.5KiB", "x", "64 B"} {
		if err := new(size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestPresets(t *testing.T) {
	for _, c := range []struct {
		args  []string
		cells int // where processes can be pinned
		time  time.Duration
	}{
		{nil, 4 + 2, 2 * time.Second},
		{[]string{"--quick"}, 1 + 2, 200 * time.Millisecond},
		{[]string{"--quick", "--time=1s"}, 1 + 2, time.Second},
		// An open loop for each transport, load and way of pinning, and the one-way cells their rates are from.
		{[]string{"--pattern=open-loop"}, 2*3*2 + 2, 2 * time.Second},
		{[]string{"--pattern=ping-pong", "--size=1KiB,1MiB", "--cpu=pinned"}, 2, 2 * time.Second},
		{[]string{"--pattern=fan-out,chain,subscriptions", "--size=64B"}, 4 + 3 + 2, 2 * time.Second},
		{[]string{"--pattern=fan-out", "--size=64B", "--fan=1,10", "--rate=100,200,300"}, 6, 2 * time.Second},
	} {
		o, err := alone.parse(c.args, io.Discard)
		must(t, err)
		jobs, _ := plan(o)
		if host.CanPin && len(jobs) != c.cells || o.Time != c.time || o.Passes != 5 {
			t.Errorf("%q: %d cells, %s, %d passes", c.args, len(jobs), o.Time, o.Passes)
		}
	}
}

func TestAllIsEveryPatternAndPayload(t *testing.T) {
	o, err := alone.parse([]string{"--all"}, io.Discard)
	must(t, err)
	jobs, _ := plan(o)
	seen := make(map[string]bool)
	cells := make(map[cell]bool)
	for _, j := range jobs {
		if cells[j.cell] {
			t.Errorf("%s is there twice", j.cell)
		}
		cells[j.cell] = true
		seen[j.cell.Pattern+j.cell.Payload+j.cell.Size.String()] = true
	}
	if len(seen) != len(allPatterns)*2*4 {
		t.Errorf("%d of %d", len(seen), len(allPatterns)*2*4)
	}
	if jobs[0].cell.Pattern != oneWay {
		t.Error("one-way, which open loops have their rates from, is not first")
	}
}

func TestCompressionIsForEarthquakes(t *testing.T) {
	o, err := alone.parse([]string{"--payload=random,earthquakes", "--pattern=one-way", "--size=64B", "--transport=quic", "--baseline=quic"}, io.Discard)
	must(t, err)
	jobs, _ := plan(o)
	names := func(j job) (list []string) {
		for _, c := range j.contestants {
			list = append(list, c.String())
		}
		return list
	}
	if got := names(jobs[0]); !slices.Equal(got, []string{"bus/quic", "bus/quic borrow", "raw/quic"}) {
		t.Errorf("random: %v", got)
	}
	if got := names(jobs[1]); !slices.Equal(got, []string{"bus/quic", "bus/quic borrow", "bus/quic adaptive", "bus/quic adaptive borrow", "raw/quic"}) {
		t.Errorf("earthquakes: %v", got)
	}
}

func TestPeersTakePartWhereTheyCan(t *testing.T) {
	p := Program{New: alone.New, Root: alone.Root, Peers: []Peer{{Kind: "some"}, {Kind: "other", Aside: true}}}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--pattern=one-way"}, []string{"bus/tcp", "bus/tcp borrow", "some", "raw/tcp"}},
		{[]string{"--pattern=one-way", "--handler=keep"}, []string{"bus/tcp", "some", "raw/tcp"}},
		{[]string{"--pattern=ping-pong", "--handler=borrow"}, []string{"bus/tcp borrow", "some", "raw/tcp"}},
		{[]string{"--pattern=open-loop"}, []string{"bus/tcp", "some", "raw/tcp"}}, // one-way for its rates alone
		{[]string{"--pattern=open-loop,one-way"}, []string{"bus/tcp", "bus/tcp borrow", "some", "raw/tcp"}},
		{[]string{"--pattern=ping-pong", "--peer=other,some"}, []string{"bus/tcp", "other", "some", "raw/tcp"}},
		{[]string{"--pattern=chain"}, []string{"bus/tcp", "raw/tcp"}},
	} {
		o, err := p.parse(append(c.args, "--transport=tcp", "--baseline=tcp", "--size=64B"), io.Discard)
		must(t, err)
		jobs, _ := plan(o)
		var got []string
		for _, who := range jobs[0].contestants {
			got = append(got, who.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q", c.args, got)
		}
	}
	if _, err := p.parse([]string{"--peer=nobody"}, io.Discard); err == nil {
		t.Error("an unknown peer is accepted")
	}
	if _, err := alone.parse([]string{"--peer=some"}, io.Discard); err == nil {
		t.Error("a program without peers has --peer")
	}
}

func TestWrongOptions(t *testing.T) {
	for _, args := range [][]string{
		{"--pattern=sideways"}, {"--size=0"}, {"--load=0"}, {"--load=101"}, {"--fan=1001"}, {"--rate=0"}, {"--relays=0"}, {"--passes=-1"}, {"--time=-1s"},
		{"--quick", "--all"}, {"--in-process", "--cpu=pinned"}, {"--in-process", "--profile=x"}, {"--congestion=none"}, {"--compression=gzip"}, {"surplus"},
	} {
		if _, err := alone.parse(args, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
