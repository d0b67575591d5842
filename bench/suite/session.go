package suite

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/stats"
	"github.com/verbose-bus/verbose/certs"
)

// session is one run of the command.
type session struct {
	program  Program
	options  *options
	dir      string // of the CA of all nodes
	progress *progress
	measured func() // called after each turn, for tests; may be nil
}

func (p Program) newSession(o *options, shown *progress) (*session, error) {
	dir, err := os.MkdirTemp("", "verbose-bench-")
	if err != nil {
		return nil, err
	}
	s := &session{program: p, options: o, dir: dir, progress: shown}
	if _, err = certs.InitCA(dir, "bench"); err == nil && o.Profile != "" {
		err = os.MkdirAll(o.Profile, 0o755)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { os.RemoveAll(s.dir) }

// measureAll runs jobs until ctx ends, and reports what there is then.
func (s *session) measureAll(ctx context.Context, jobs []job) *report {
	began := time.Now()
	r := &report{Schema: schema, Began: began.UTC(), Environment: host.Describe(s.options.Congestion), Settings: s.options}
	for _, j := range jobs {
		if ctx.Err() == nil {
			r.Rows = append(r.Rows, s.measureJob(ctx, j, r)...)
		}
	}
	s.progress.finish()
	r.Took, r.Interrupted = time.Since(began).Seconds(), ctx.Err() != nil
	return r
}

// measureJob runs a cell: once each to count packets, where that is to be done, and then pass by pass, in an order that moves on by one.
func (s *session) measureJob(ctx context.Context, j job, done *report) []row {
	rows := make([]row, len(j.contestants))
	for i, c := range j.contestants {
		rows[i] = row{Cell: j.cell, Contestant: c, Name: c.String()}
	}
	rate := float64(j.cell.Rate)
	if j.rateOf != nil {
		saturation := done.saturation(j.cell, *j.rateOf)
		if rate = saturation * float64(j.cell.Load) / 100; rate == 0 {
			for i := range rows {
				rows[i].Errors = []string{fmt.Sprintf("the saturation of %s is not known", j.rateOf)}
			}
			s.progress.skip(len(rows) * (1 + s.options.Passes))
			return rows
		}
	}
	for pass := s.options.firstPass(); pass <= s.options.Passes; pass++ {
		for i := range rows {
			row := &rows[(i+pass)%len(rows)]
			row.OfferedRate = rate
			s.progress.step(fmt.Sprintf("%s: %s", j.cell, row.Name))
			got, err := s.measure(ctx, turn{cell: j.cell, contestant: row.Contestant, pass: pass, rate: rate})
			if ctx.Err() != nil {
				return summarised(rows)
			}
			row.take(got, err)
			if s.measured != nil {
				s.measured()
			}
		}
	}
	return summarised(rows)
}

// take adds what a turn gave.
func (r *row) take(got sample, err error) {
	switch {
	case err != nil:
		r.Errors = append(r.Errors, err.Error())
	case got.Link != nil && got.Link.Rejected != "":
		r.Rejected = append(r.Rejected, got)
	case got.Pass == 0:
		r.Wire = wire{PacketsPerEvent: got.PacketsPerEvent, BytesPerEvent: got.WirePerEvent}
	default:
		r.Samples = append(r.Samples, got)
	}
}

// summarised reduces the samples of rows to ranges, and compares each bus with each baseline, and each peer with both. Rows without
// samples are left out unless they say why.
func summarised(rows []row) []row {
	var kept []row
	for _, r := range rows {
		if len(r.Samples)+len(r.Rejected)+len(r.Errors) == 0 {
			continue
		}
		r.Rate = stats.RangeOf(r.each(rateOf))
		for _, base := range rows {
			if r.Contestant.comparesWith(base.Contestant) {
				r.compare(base)
			}
		}
		kept = append(kept, r)
	}
	return kept
}
