package child

import (
	"bytes"
	"encoding/json"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/certs"
)

func TestRunRefusesWhatItCannotBe(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":               "once upon a time",
		"no ends":               `{"role":"sink","kind":"raw/tcp","size":1,"subscriptions":1}`,
		"no room for the time":  `{"role":"source","kind":"raw/tcp","load":"paced","ends":1,"size":7,"rate":1,"subscriptions":1}`,
		"no rate":               `{"role":"source","kind":"raw/tcp","load":"paced","ends":1,"size":64,"subscriptions":1}`,
		"no CA":                 `{"role":"sink","kind":"raw/tcp","ends":1,"size":64,"subscriptions":1,"ca":"missing"}`,
		"two paced sources":     `{"role":"source","kind":"raw/tcp","load":"paced","ends":2,"size":64,"rate":1,"subscriptions":1}`,
		"no file of its events": `{"role":"source","kind":"raw/tcp","ends":1,"size":64,"subscriptions":1,"events":"missing"}`,
	} {
		var out bytes.Buffer
		err := Run(strings.NewReader(line+"\n"), &out, contender.New)
		var r Report
		if err != nil || json.Unmarshal(out.Bytes(), &r) != nil || r.Error == "" {
			t.Errorf("%s: %v, and said %q", name, err, out.String())
		}
	}
}

func TestRunEndsWithItsInput(t *testing.T) {
	if err := Run(strings.NewReader(""), io.Discard, contender.New); err != nil {
		t.Error(err)
	}
}

func TestPayloads(t *testing.T) {
	list, err := payloads(Spec{Size: 1 << 20})
	if err != nil || len(list) != 4 || len(list[0]) != 1<<20 || bytes.Equal(list[0], list[1]) {
		t.Errorf("%d payloads, %v", len(list), err)
	}
	list, err = payloads(Spec{Size: 64, Events: "../../codec/testdata/earthquakes.ndjson"})
	if err != nil || len(list) != maxPayloads || !bytes.HasPrefix(list[0], []byte(`{"type":"Feature"`)) {
		t.Errorf("%d payloads, %v", len(list), err)
	}
}

func TestCutGoesRound(t *testing.T) {
	var got []string
	for _, p := range cut([]byte("abcde"), 3, 4) {
		got = append(got, string(p))
	}
	if strings.Join(got, " ") != "abc dea bcd eab" {
		t.Errorf("%q", got)
	}
	if got := cut([]byte("ab"), 5, 1); string(got[0]) != "ababa" {
		t.Errorf("%q", got)
	}
}

func TestSpecTravels(t *testing.T) {
	want := Spec{Role: Source, Kind: contender.BusQUIC, Load: Paced, Ends: 1, Size: 64, Rate: 12.5, Subscriptions: 1}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Spec
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestAFailureOfSendingIsReported has the sink vanish under a source.
func TestAFailureOfSendingIsReported(t *testing.T) {
	dir := t.TempDir()
	if _, err := certs.InitCA(dir, "bench"); err != nil {
		t.Fatal(err)
	}
	sink, source := newTalk(t), newTalk(t)
	addr := sink.be(t, Spec{Role: Sink, Kind: contender.RawTCP, Load: Saturate, Ends: 1, Listen: true, Dialled: 1, Size: 64, Subscriptions: 1, Counts: true, CA: dir})[0]
	source.be(t, Spec{Role: Source, Kind: contender.RawTCP, Load: Saturate, Ends: 1, Dial: addr, Size: 64, Subscriptions: 1, CA: dir})
	for _, order := range []Order{Go, Flow, Begin} {
		for _, c := range []*talk{source, sink} {
			if err := c.process.obey(order, new(Report)); err != nil {
				t.Fatal(order, err)
			}
		}
	}
	sink.process.close()
	sink.process = nil
	for source.process.failure.Load() == nil { // the kernel may take some more
		runtime.Gosched()
	}
	if err := source.process.obey(End, new(Report)); err == nil {
		t.Error("the source reports success")
	}
}

// talk is what a parent has with a process, without Run's lines.
type talk struct{ process *process }

func newTalk(t *testing.T) *talk {
	c := new(talk)
	t.Cleanup(func() {
		if c.process != nil {
			c.process.close()
		}
	})
	return c
}

func (c *talk) be(t *testing.T, s Spec) (addrs []string) {
	t.Helper()
	line, err := json.Marshal(s)
	if err == nil {
		c.process, addrs, err = begin(line, contender.New)
	}
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}
