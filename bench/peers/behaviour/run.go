package behaviour

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/peers/original"
	"github.com/verbose-bus/verbose/bench/peers/peer"
	"github.com/verbose-bus/verbose/certs"
)

type options struct {
	System    []contender.Kind `help:"Who: ${systems}. Default: all but ${aside}." enum:"${systems}" placeholder:"NAME"`
	Situation []Situation      `help:"What goes wrong: cuts, outage, diamond, stop. Default: all." enum:"cuts,outage,diamond,stop" placeholder:"NAME"`
	Cuts      int              `help:"Of each connection." default:"20" placeholder:"N"`
	Out       string           `help:"The directory for results." default:"${root}/bench/results" placeholder:"DIR"`
}

// Run tries what args select. It prints tables on out, and each result on messages as it comes; once ctx ends, what is
// there. Root is the root of the repository.
func Run(ctx context.Context, root string, args []string, out, messages io.Writer) error {
	o := new(options)
	systems := append([]contender.Kind{contender.BusQUIC, contender.BusTCP}, peer.Kinds()...)
	systems = append(systems, contender.RawQUIC, contender.RawTLS, contender.RawTCP)
	var names []string
	for _, kind := range append(systems, original.Kind) {
		names = append(names, string(kind))
	}
	parser, err := kong.New(o, kong.Name("behaviour"), kong.Writers(out, out),
		kong.Description("Finds out what becomes of events when something goes wrong. Lists are separated by commas."),
		kong.Vars{"root": root, "systems": strings.Join(names, ","), "aside": string(original.Kind)})
	if err != nil {
		panic(err) // the tags of options are wrong
	}
	if _, err := parser.Parse(args); err != nil {
		return err
	}
	if len(o.System) == 0 {
		o.System = systems
	}
	if len(o.Situation) == 0 {
		o.Situation = Situations()
	}
	plan := Usual()
	plan.Cuts = o.Cuts
	r, err := tryAll(ctx, o, plan, messages)
	if err != nil {
		return err
	}
	if err := r.Print(out); err != nil {
		return err
	}
	file, err := r.save(o.Out)
	if err == nil {
		fmt.Fprintln(out, "\nEverything counted is in", file)
	}
	return err
}

func tryAll(ctx context.Context, o *options, plan Plan, messages io.Writer) (*Report, error) {
	ca, err := certs.NewCA("bench")
	if err != nil {
		return nil, err
	}
	r := &Report{Schema: schema, Began: time.Now().UTC(), Environment: host.Describe(""), Plan: plan}
	for _, s := range o.Situation {
		for _, kind := range o.System {
			result := Try(ctx, s, kind, plan, ca)
			if ctx.Err() != nil { // what was on its way would count as lost
				r.Interrupted = true
				return r, nil
			}
			r.Results = append(r.Results, result)
			if result.Omitted == "" {
				fmt.Fprintf(messages, "%s, %s: %d of %d lost, %d repeated, %.0f s %s\n", s, kind, result.Lost, result.Sent, result.Repeated, result.Took, result.Error)
			}
		}
	}
	return r, nil
}

func (r *Report) save(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "behaviour-"+r.Began.Format("2006-01-02T150405Z")+".json")
	return file, os.WriteFile(file, append(text, '\n'), 0o644)
}
