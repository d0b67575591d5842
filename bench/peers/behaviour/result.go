package behaviour

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
)

// schema is the version of the report's format.
const schema = 1

// Report is what a run writes.
type Report struct {
	Schema      int              `json:"schema"`
	Began       time.Time        `json:"began"`
	Interrupted bool             `json:"interrupted,omitempty"`
	Environment host.Environment `json:"environment"`
	Plan        Plan             `json:"plan"`
	Results     []Result         `json:"results"`
}

// Result is what became of the events of one system in one situation. All of it was counted.
type Result struct {
	Situation Situation      `json:"situation"`
	System    contender.Kind `json:"system"`
	Omitted   string         `json:"omitted,omitempty"` // why it was not tried

	Cuts      int     `json:"cuts,omitempty"` // that happened
	Sent      uint64  `json:"sent"`           // events that were taken from the sender
	Lost      uint64  `json:"lost"`
	Repeated  uint64  `json:"repeated"`
	Reordered uint64  `json:"reordered"`
	Failed    int     `json:"failed"`            // events whose sending failed at first
	Failure   string  `json:"failure,omitempty"` // the first
	Opened    int     `json:"opened"`            // how often the sender had to be opened
	Waited    float64 `json:"waited_s"`          // the longest that sending an event took
	Took      float64 `json:"took_s"`

	Sender   Told   `json:"sender"`
	Receiver Told   `json:"receiver"`
	Error    string `json:"error,omitempty"` // why the trial ended early
}

// Told is what one side was told.
type Told struct {
	Notices int    `json:"notices"`
	Lost    uint64 `json:"lost"`            // events that they said are lost
	First   string `json:"first,omitempty"` // the first of them
}

func (t *trial) fill(r *Result) {
	r.Cuts = t.cuts
	r.Sender, r.Receiver = t.told[sending].told(), t.told[receiving].told()
	if s := t.sender; s != nil {
		r.Sent, r.Failed, r.Opened, r.Waited = s.next, s.failed, s.opened, s.waited.Seconds()
		if s.first != nil {
			r.Failure = s.first.Error()
		}
	}
	r.Lost = t.ledger.lost(r.Sent)
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	r.Repeated, r.Reordered = t.ledger.repeated, t.ledger.reordered
}

// Said is whether a loss was told of.
func (r Result) Said() string {
	switch {
	case r.Lost == 0:
		return "–"
	case r.Receiver.Lost == r.Lost || r.Sender.Lost == r.Lost:
		return "said, all of it"
	case r.Receiver.Lost+r.Sender.Lost > 0:
		return fmt.Sprintf("said %d", max(r.Receiver.Lost, r.Sender.Lost))
	case r.Receiver.Notices+r.Sender.Notices+r.Failed > 0:
		return "trouble said, the loss not"
	}
	return "unsaid"
}

// Print writes a table for each situation.
func (r *Report) Print(out io.Writer) error {
	if r.Interrupted {
		fmt.Fprintln(out, "Interrupted: what follows is what was there.")
	}
	for _, s := range Situations() {
		w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		fmt.Fprintf(w, "\n%s\n  \tsent\tlost\trepeated\treordered\tthe loss was\tfailed sends\topened\tlongest wait\ttold: sender\treceiver\n", s)
		tried := false
		for _, result := range r.Results {
			if result.Situation == s {
				result.print(w)
				tried = true
			}
		}
		if !tried {
			continue
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (r Result) print(w io.Writer) {
	if r.Omitted != "" {
		fmt.Fprintf(w, "  %s\tnot tried: %s\n", r.System, r.Omitted)
		return
	}
	fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%d\t%s\t%d\t%d\t%.1f s\t%d\t%d", r.System, r.Sent, r.Lost, r.Repeated, r.Reordered, r.Said(), r.Failed, r.Opened, r.Waited, r.Sender.Notices, r.Receiver.Notices)
	if r.Error != "" {
		fmt.Fprintf(w, "\t%s", r.Error)
	}
	fmt.Fprintln(w)
}
