package behaviour

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/peers/peer"
	"github.com/verbose-bus/verbose/certs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// short finds the same things out with fewer events.
func short() Plan {
	p := Usual()
	p.Cuts, p.Hole, p.Tail, p.Quiet = 2, 20*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond
	p.Events, p.Stop, p.Flood, p.Limit = 200, 10*time.Millisecond, 200, 30*time.Second
	return p
}

func try(t *testing.T, s Situation, kind contender.Kind) Result {
	t.Helper()
	ca, err := certs.NewCA("bench")
	must(t, err)
	r := Try(t.Context(), s, kind, short(), ca)
	if r.Error != "" || r.Omitted != "" || r.Sent == 0 {
		t.Fatalf("%+v", r)
	}
	return r
}

// TestTheBusLosesNothing: what the README promises of the bus is what this counts for everyone.
func TestTheBusLosesNothing(t *testing.T) {
	for _, kind := range []contender.Kind{contender.BusQUIC, contender.BusTCP} {
		for _, s := range []Situation{Cuts, Diamond, Stop} {
			t.Run(string(s)+"/"+string(kind), func(t *testing.T) {
				r := try(t, s, kind)
				if r.Lost+r.Repeated+r.Reordered > 0 || r.Failed > 0 || r.Opened != 1 {
					t.Errorf("%+v", r)
				}
				if s == Cuts && (r.Cuts != 2 || kind == contender.BusTCP && r.Receiver.Notices < 2) {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// TestRelaysOfABareStreamRepeat: a diamond of what only passes on has everything arrive twice.
func TestRelaysOfABareStreamRepeat(t *testing.T) {
	if r := try(t, Diamond, contender.RawTCP); r.Lost != 0 || r.Repeated != r.Sent {
		t.Errorf("%+v", r)
	}
}

// TestACutStreamIsOpenedAnew: each cut of a bare stream fails the sender once.
func TestACutStreamIsOpenedAnew(t *testing.T) {
	if r := try(t, Cuts, contender.RawTCP); r.Cuts != 2 || r.Opened != 3 || r.Failed != 2 || r.Receiver.Notices != 2 {
		t.Errorf("%+v", r)
	}
}

// TestEveryoneTakesPart in every situation that is for it.
func TestEveryoneTakesPart(t *testing.T) {
	for _, kind := range peer.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			ca, err := certs.NewCA("bench")
			must(t, err)
			for _, s := range []Situation{Diamond, Stop} {
				r := Try(t.Context(), s, kind, short(), ca)
				if r.Error != "" || r.Omitted == "" && r.Sent != 200 || r.Lost > 0 {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func TestLedger(t *testing.T) {
	var l ledger
	for _, n := range []uint64{0, 1, 3, 2, 3, 6} {
		l.receive(binary.BigEndian.AppendUint64(nil, n))
	}
	if l.lost(7) != 2 || l.lost(4) != 0 || l.lost(9) != 4 || l.repeated != 1 || l.reordered != 1 || l.received != 6 {
		t.Errorf("%+v, %d lost", &l, l.lost(7))
	}
}

func TestSaid(t *testing.T) {
	for want, r := range map[string]Result{
		"–":                          {Failed: 1},
		"unsaid":                     {Lost: 1},
		"said, all of it":            {Lost: 3, Receiver: Told{Notices: 1, Lost: 3}},
		"said 2":                     {Lost: 3, Receiver: Told{Notices: 1, Lost: 2}},
		"trouble said, the loss not": {Lost: 3, Sender: Told{Notices: 1}},
	} {
		if got := r.Said(); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
}

// failing is an end that takes nothing.
type failing struct{ contender.End }

func (failing) Send([]byte) error { return errors.New("no") }
func (failing) Close() error      { return nil }

func TestASenderThatCannotConnectGivesUpInTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	s := &sender{ctx: ctx, config: contender.Config{Kind: contender.RawTCP}, addrs: []string{"127.0.0.1:1"}, end: failing{}, buffer: make([]byte, 8)}
	if err := s.Send(0, time.Time{}); err == nil || s.failed != 1 || s.next != 0 {
		t.Errorf("%v, %+v", err, s)
	}
}

// TestWhatIsInterruptedIsNoLoss: neither of an end of the time for a trial, which is an error, nor of the run, whose last result is left out.
func TestWhatIsInterruptedIsNoLoss(t *testing.T) {
	ca, err := certs.NewCA("bench")
	must(t, err)
	plan := short()
	plan.Events, plan.Limit = 1_000_000, 300*time.Millisecond
	if r := Try(t.Context(), Diamond, contender.RawTCP, plan, ca); r.Sent == 0 || !strings.Contains(r.Error, "deadline") {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	plan.Limit = 30 * time.Second
	o := &options{System: []contender.Kind{contender.RawTCP, contender.RawTLS}, Situation: []Situation{Diamond}}
	r, err := tryAll(ctx, o, plan, io.Discard)
	must(t, err)
	if !r.Interrupted || len(r.Results) > 0 {
		t.Errorf("%+v", r)
	}
}

// TestASenderThatIsInterruptedWhileItDials closes each of its ends once: those of libp2p and MQTT bear no more.
func TestASenderThatIsInterruptedWhileItDials(t *testing.T) {
	ca, err := certs.NewCA("bench")
	must(t, err)
	for _, kind := range []contender.Kind{"libp2p/tcp", "mqtt/tcp", "nats/tcp", contender.BusTCP} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		s := &sender{ctx: ctx, config: contender.Config{Kind: kind, CA: ca, Topic: contender.There, Sharing: 1}, addrs: []string{"127.0.0.1:1"}, buffer: make([]byte, 8)}
		if err := s.open(); err == nil {
			t.Errorf("%s is connected to nothing", kind)
		}
		must(t, s.Flush())
		s.close()
		cancel()
	}
}

func TestRunPrintsAndSaves(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	must(t, Run(t.Context(), "../../..", []string{"--system=mqtt/tcp,bus/tcp", "--situation=diamond", "--out=" + dir}, &out, io.Discard))
	for _, want := range []string{"diamond", "bus/tcp", "not tried: a client has one broker"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "behaviour-*.json"))
	must(t, err)
	if len(files) != 1 {
		t.Fatal(files)
	}
	text, err := os.ReadFile(files[0])
	must(t, err)
	var r Report
	must(t, json.Unmarshal(text, &r))
	if len(r.Results) != 2 || r.Results[1].Sent != uint64(r.Plan.Events) || r.Schema != schema {
		t.Errorf("%+v", r)
	}
	if err := Run(t.Context(), "", []string{"--system=nobody"}, &out, io.Discard); err == nil {
		t.Error("an unknown system is accepted")
	}
}
