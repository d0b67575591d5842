package main

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
)

// childVariable is set in the environment of the processes this one starts.
const childVariable = "VERBOSE_BENCH_CHILD"

func main() {
	if os.Getenv(childVariable) != "" {
		signal.Ignore(os.Interrupt) // Ctrl-C reaches every process; the parent ends this one
		os.Exit(status(child.Run(os.Stdin, os.Stdout)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(status(run(ctx, os.Args[1:], os.Stdout, os.Stderr)))
}

func status(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// run measures what args select. It prints tables on out and what goes on on messages. Interrupted, it prints what is there.
func run(ctx context.Context, args []string, out io.Writer, messages *os.File) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	jobs, notes := plan(o)
	for _, note := range notes {
		fmt.Fprintln(messages, note)
	}
	if len(jobs) == 0 {
		return errors.New("nothing is left to measure")
	}
	fmt.Fprintf(messages, "%d cells, about %s\n", len(jobs), expected(o, jobs).Round(time.Second))
	s, err := newSession(o, newProgress(messages, term.IsTerminal(int(messages.Fd())), turns(o, jobs)))
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
