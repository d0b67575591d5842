package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	statusOK      = 0
	statusError   = 1
	statusUsage   = 2
	statusMissing = 3 // events are known to be missing
)

// cli is the command line.
type cli struct {
	On         onCommand         `cmd:"" aliases:"sub" help:"Print the events whose topic matches a pattern."`
	Emit       emitCommand       `cmd:"" aliases:"pub" help:"Emit events, and wait until they are done everywhere."`
	Relay      relayCommand      `cmd:"" help:"Run a node that only passes events on."`
	Ping       pingCommand       `cmd:"" help:"Measure round trips to a node."`
	Topology   topologyCommand   `cmd:"" help:"Show the nodes of a bus and how they are linked."`
	Certs      certsCommand      `cmd:"" help:"Make a CA, and issue and renew identities."`
	Demo       demoCommand       `cmd:"" help:"Stream a week of earthquakes through a chain of nodes, over QUIC and TCP, whose connections are cut again and again."`
	Completion completionCommand `cmd:"" help:"Print a completion script for a shell."`
}

const description = `A distributed event bus with no broker.

Two terminals are enough to try it:

  verbose on 'orders.>' --listen quic://127.0.0.1:7777
  verbose emit orders.new '{"id": 1}' --connect quic://127.0.0.1:7777

Every flag can be set by the environment: VERBOSE_LISTEN for --listen, and so on; each
command's --help names them. A second Ctrl-C ends any of them at once.
Exit status: 0 done, 1 error, 2 wrong usage, 3 events are missing.`

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// streams are where a command reads and writes, and the model its completion is made from.
type streams struct {
	in  *os.File
	out *output
	err *os.File
	app *kong.Application
}

// say prints a line for the user beside the command's output.
func (s *streams) say(format string, args ...any) {
	fmt.Fprintf(s.err, "verbose: "+format+"\n", args...)
}

// usageError is wrong usage: the command line can't mean anything.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// missingError says that events are known to be missing.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }

// run does not return after --help: kong ends the process.
func run(args []string, in, out, stderr *os.File) (status int) {
	s := &streams{in: in, out: &output{file: out}, err: stderr}
	parser, err := newParser(out, stderr)
	if err != nil {
		panic(err) // the tags of cli are wrong
	}
	s.app = parser.Model
	if len(args) == 0 {
		args = []string{"--help"}
	}
	for i, arg := range args {
		if !utf8.ValidString(arg) { // kong would change it
			s.say("argument %d is not UTF-8; emit takes any bytes with --stdin", i+1)
			return statusUsage
		}
	}
	command, err := parser.Parse(args)
	if err != nil {
		s.say("%v; see verbose %s--help", err, commandOf(err))
		return statusUsage
	}
	// A closed pipe is an error of write, not the end of the process.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	command.BindTo(ctx, (*context.Context)(nil))
	if err = command.Run(s); err == nil {
		err = s.out.err // what was printed is what was asked for
	}
	return s.finish(err)
}

func newParser(out, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(&cli{},
		kong.Name("verbose"),
		kong.Description(description),
		kong.DefaultEnvars("VERBOSE"),
		kong.Writers(out, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
}

// commandOf is the command a parse error is about, with a space behind it.
func commandOf(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if selected := parse.Context.Selected(); selected != nil {
			return commandPath(selected) + " "
		}
	}
	return ""
}

// commandPath is the command as it is typed, without aliases.
func commandPath(node *kong.Node) string {
	if node.Parent == nil || node.Parent.Parent == nil {
		return node.Name
	}
	return commandPath(node.Parent) + " " + node.Name
}

// finish prints how a command ended and returns its exit status.
func (s *streams) finish(err error) int {
	if err == nil {
		return statusOK
	}
	if errors.Is(err, syscall.EPIPE) { // whoever read the output has gone
		return statusError
	}
	s.say("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	var usage *usageError
	var missing *missingError
	switch {
	case errors.As(err, &usage):
		return statusUsage
	case errors.As(err, &missing):
		return statusMissing
	}
	return statusError
}
