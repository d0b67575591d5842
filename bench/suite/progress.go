package suite

import (
	"io"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a run is, and how long it still takes, on a terminal.
type progress struct {
	bar     *progressbar.ProgressBar // nil: shows nothing
	started bool
}

func newProgress(out io.Writer, terminal bool, turns int) *progress {
	if !terminal {
		return new(progress)
	}
	return &progress{bar: progressbar.NewOptions(turns,
		progressbar.OptionSetWriter(out), progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())}
}

// step says what begins now; what was before is done.
func (p *progress) step(what string) {
	if p.bar == nil {
		return
	}
	p.bar.Describe(what)
	if p.started {
		p.bar.Add(1)
	}
	p.started = true
}

// skip counts what is left out.
func (p *progress) skip(turns int) {
	if p.bar != nil {
		p.bar.Add(turns)
	}
}

// finish takes the bar away.
func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Clear()
	}
}
