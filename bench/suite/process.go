package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/contender"
)

// process is a child as its parent sees it.
type process struct {
	role   child.Role
	orders io.WriteCloser
	report *json.Decoder
	wait   func() error
	kill   context.CancelFunc
}

// start starts a child by a function such as (*exec.Cmd).Start, and has it connect. It ends with ctx at the latest; stop has to be
// called.
func (s *session) start(ctx context.Context, spec child.Spec, start func(*exec.Cmd) error) (*process, child.Report, error) {
	p := &process{role: spec.Role}
	ctx, p.kill = context.WithCancel(ctx)
	var err error
	if s.options.InProcess {
		p.goroutine(ctx, s.program.New)
	} else {
		err = p.exec(ctx, s.program.command(spec.Kind), start)
	}
	if err != nil {
		p.kill()
		return nil, child.Report{}, err
	}
	line, err := json.Marshal(spec)
	var report child.Report
	if err == nil {
		report, err = p.ask(string(line))
	}
	if err != nil {
		p.stop()
		return nil, child.Report{}, err
	}
	return p, report, nil
}

// command returns what makes the program that is a child of a kind: this one again, for most.
func (p Program) command(kind contender.Kind) func() ([]string, error) {
	for _, peer := range p.Peers {
		if peer.Kind == kind && peer.Command != nil {
			return peer.Command
		}
	}
	return func() ([]string, error) {
		program, err := os.Executable()
		return []string{program}, err
	}
}

// exec starts a program.
func (p *process) exec(ctx context.Context, program func() ([]string, error), start func(*exec.Cmd) error) error {
	command, err := program()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Env = append(os.Environ(), childVariable+"=1")
	c.Stderr = os.Stderr
	if p.orders, err = c.StdinPipe(); err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	p.report = json.NewDecoder(out)
	p.wait = c.Wait
	return start(c)
}

// goroutine has a child without a process of its own.
func (p *process) goroutine(ctx context.Context, ends contender.Maker) {
	in, orders := io.Pipe()
	reports, out := io.Pipe()
	done := make(chan error, 1)
	go func() { // stop waits for it
		err := child.Run(in, out, ends)
		out.CloseWithError(io.EOF)
		in.CloseWithError(io.ErrClosedPipe)
		done <- err
	}()
	release := context.AfterFunc(ctx, func() { in.Close(); reports.Close() })
	p.orders, p.report = orders, json.NewDecoder(reports)
	p.wait = func() error { release(); return <-done }
}

// ask tells the child something and returns its answer.
func (p *process) ask(line string) (child.Report, error) {
	var r child.Report
	if _, err := io.WriteString(p.orders, line+"\n"); err != nil {
		return r, fmt.Errorf("the %s is gone: %w", p.role, err)
	}
	if err := p.report.Decode(&r); err != nil {
		return r, fmt.Errorf("the %s does not answer: %w", p.role, err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// stopTimeout is how long a child may take to close its ends. What it measured is known by then.
const stopTimeout = 10 * time.Second

// stop ends the child and waits for it. Its errors count no more.
func (p *process) stop() {
	defer p.kill()
	defer time.AfterFunc(stopTimeout, p.kill).Stop()
	p.ask(string(child.Stop))
	p.orders.Close()
	p.wait()
}
