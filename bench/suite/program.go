package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/contender"
)

// Program is a command that measures the bus and the baselines, and perhaps others.
type Program struct {
	// New makes the ends of all contenders, the bus and the baselines among them.
	New contender.Maker
	// Peers are other systems. They take part one way, in ping-pong and in open loops, and across links.
	Peers []Peer
	// Links has them measured across bad links, in a matrix with flags of its own, which takes Linux and root.
	Links bool
	// Root is the root of the repository, from where the command is started.
	Root string
}

// Peer is another system that does what the bus does, or a part of it.
type Peer struct {
	Kind contender.Kind
	// Aside has it measured only where it is asked for by name.
	Aside bool
	// OpensSockets says that its TCP sockets have the system's congestion control, whatever it is told.
	OpensSockets bool
	// Command returns the program, with its arguments, that is a [child] of this kind, or why it can't be run. Nil is this one.
	Command func() ([]string, error)
}

// childVariable is set in the environment of the processes this one starts.
const childVariable = "VERBOSE_BENCH_CHILD"

// Main is a command's main function. It measures what args select, and ends the process.
func (p Program) Main(args []string) {
	if IsChild() {
		signal.Ignore(os.Interrupt) // Ctrl-C reaches every process; the parent ends this one
		os.Exit(status(p.Child()))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(status(p.Run(ctx, args, os.Stdout, os.Stderr)))
}

func status(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// IsChild reports whether this process was started by Run, and has to be a [Program.Child].
func IsChild() bool { return os.Getenv(childVariable) != "" }

// Child is the life of a process that Run has started.
func (p Program) Child() error { return child.Run(os.Stdin, os.Stdout, p.New) }

// Run measures what args select. It prints tables on out and what goes on on messages. Once ctx ends, it prints what is there.
func (p Program) Run(ctx context.Context, args []string, out io.Writer, messages *os.File) error {
	o, err := p.parse(args, out)
	if err != nil {
		return err
	}
	if o.Links != nil {
		if err := o.Links.supported(); err != nil {
			return err
		}
	}
	jobs, notes := plan(o)
	for _, note := range notes {
		fmt.Fprintln(messages, note)
	}
	if len(jobs) == 0 {
		return errors.New("nothing is left to measure")
	}
	fmt.Fprintf(messages, "%d cells, about %s\n", len(jobs), expected(o, jobs).Round(time.Second))
	s, err := p.newSession(o, newProgress(messages, term.IsTerminal(int(messages.Fd())), turns(o, jobs)))
	if err != nil {
		return err
	}
	defer s.close()
	report := s.measureAll(ctx, jobs)
	if err := report.print(out); err != nil {
		return err
	}
	file, err := report.save(o.Out)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "\nEverything measured is in", file)
	if failed := report.failures(); failed > 0 && !report.Interrupted {
		return fmt.Errorf("%d rows have failures", failed)
	}
	return nil
}
