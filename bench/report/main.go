package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
)

type options struct {
	Out   string   `help:"The directory to write into." default:"bench/results/report" placeholder:"DIR"`
	Files []string `arg:"" name:"file" help:"Results of the benchmarks, as JSON. They come on the page in this order."`
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// run does what args ask for, and says on out what it wrote.
func run(args []string, out io.Writer) error {
	o := new(options)
	parser, err := kong.New(o, kong.Name("report"), kong.Writers(out, out), kong.Description("Draws the results of the benchmarks."))
	if err != nil {
		panic(err) // the tags of options are wrong
	}
	if _, err := parser.Parse(args); err != nil {
		return err
	}
	documents := make([]document, len(o.Files))
	for i, name := range o.Files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if documents[i], err = parse(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	page, figures, err := render(documents)
	if err != nil {
		return err
	}
	if err := write(o.Out, page, figures); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s, and %d figures beside it\n", filepath.Join(o.Out, index), len(figures))
	return err
}

// index is the page's file.
const index = "index.html"

func write(dir string, page []byte, figures []figure) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range figures {
		if err := os.WriteFile(filepath.Join(dir, f.ID+".svg"), f.file(), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, index), page, 0o644)
}
