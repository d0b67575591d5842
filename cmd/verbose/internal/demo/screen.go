package demo

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// names are those of the nodes.
var names = [hops + 1]string{"seismograph", "relay-1", "relay-2", "archive"}

// redrawEvery is how often a terminal is redrawn; a pipe gets a line of progress less often.
const (
	redrawEvery = 80 * time.Millisecond
	reportEvery = 2 * time.Second
)

// Colours, as the SGR parameters of ECMA-48.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

// screen shows the chain while it runs: redrawn in place on a terminal, as lines elsewhere.
type screen struct {
	out             io.Writer
	terminal, color bool
	events          int
	quit            chan struct{}
	drawing         sync.WaitGroup

	mu      sync.Mutex
	chain   *busChain // nil before start and after stop
	began   time.Time
	closed  [hops]time.Duration // of links that are cut, how long they are closed
	cuts    int
	resumes int
	drawn   int // lines of the drawing on the terminal
}

func newScreen(c Config, events int) *screen {
	s := &screen{out: c.Out, terminal: c.Terminal, color: c.Color, events: events}
	fmt.Fprintf(s.out, "%s: a week of earthquakes, %s events, from %s to %s over %s with mutual TLS\n",
		s.paint(bold, "verbose demo"), thousands(uint64(events)), names[0], names[hops], strings.ToUpper(strings.Join(schemes[:], ", ")))
	fmt.Fprintf(s.out, "Connections are cut in the middle of an event; a plain connection that reconnects runs beside it under the same cuts.\n\n")
	return s
}

func (s *screen) start(chain *busChain) {
	s.mu.Lock()
	s.chain, s.began, s.quit = chain, time.Now(), make(chan struct{})
	s.mu.Unlock()
	every := reportEvery
	if s.terminal {
		every = redrawEvery
	}
	s.drawing.Go(func() { // stop waits for it
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.print("")
			case <-s.quit:
				return
			}
		}
	})
}

// stop ends the drawing. Later calls do nothing.
func (s *screen) stop() {
	s.mu.Lock()
	running := s.chain != nil
	s.mu.Unlock()
	if !running {
		return
	}
	close(s.quit)
	s.drawing.Wait()
	s.print("")
	s.mu.Lock()
	s.chain, s.drawn = nil, 0
	s.mu.Unlock()
}

func (s *screen) cut(hop int, closed time.Duration) {
	s.mu.Lock()
	s.cuts++
	s.closed[hop] = closed
	s.mu.Unlock()
	if s.terminal {
		s.print("")
	}
}

func (s *screen) resumed(hop int, took time.Duration) {
	s.mu.Lock()
	closed := s.closed[hop]
	s.closed[hop] = 0
	s.resumes++
	s.mu.Unlock()
	s.note("%5.2f s  %s over %-4s between %s and %s, closed for %d ms: resumed %s", time.Since(s.began).Seconds(), s.paint(red, "cut"), strings.ToUpper(schemes[hop]), names[hop], names[hop+1],
		closed.Milliseconds(), s.paint(green, fmt.Sprintf("%d ms after the cut", took.Milliseconds())))
}

// note prints a line above the drawing.
func (s *screen) note(format string, args ...any) { s.print(fmt.Sprintf(format, args...) + "\n") }

// print writes text and then the drawing anew, in one write.
func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	if s.terminal && s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", s.drawn)
	}
	b.WriteString(text)
	switch {
	case s.chain == nil:
		s.drawn = 0
	case s.terminal:
		drawing := s.draw()
		b.WriteString(drawing)
		s.drawn = strings.Count(drawing, "\n")
	case text == "":
		fmt.Fprintf(&b, "%5.2f s  %s\n", time.Since(s.began).Seconds(), s.progress())
	}
	s.out.Write(b.Bytes())
}

// draw is the chain and how far it is.
func (s *screen) draw() string {
	var b strings.Builder
	b.WriteString("\n  ")
	for i, name := range names {
		b.WriteString(s.paint(bold, name))
		switch {
		case i == hops:
		case s.closed[i] > 0:
			b.WriteString(" " + s.paint(red, "━╳ "+strings.ToUpper(schemes[i])+" ╳━") + " ")
		default:
			b.WriteString(" " + s.paint(cyan, "━━ "+strings.ToUpper(schemes[i])+" ━━") + " ")
		}
	}
	fmt.Fprintf(&b, "\n\n  %s  %s\n\n", s.bar(), s.progress())
	return b.String()
}

func (s *screen) bar() string {
	const width = 24
	full := min(s.chain.delivered()*width/s.events, width)
	return s.paint(green, strings.Repeat("█", full)) + s.paint(faint, strings.Repeat("░", width-full))
}

func (s *screen) progress() string {
	return fmt.Sprintf("%s emitted, %s delivered, %d cuts, %d resumed",
		thousands(s.chain.emitted.Load()), thousands(uint64(s.chain.delivered())), s.cuts, s.resumes)
}

func (s *screen) paint(sgr, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// thousands writes 1707 as 1,707.
func thousands(n uint64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
