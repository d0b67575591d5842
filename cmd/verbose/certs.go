package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/certs"
)

type certsCommand struct {
	Init  certsInitCommand  `cmd:"" help:"Make a CA in a directory."`
	Issue certsIssueCommand `cmd:"" help:"Make a key and a certificate for a node."`
	Renew certsRenewCommand `cmd:"" help:"Renew the certificates of nodes."`
	List  certsListCommand  `cmd:"" help:"List a CA's certificates."`
	Show  certsShowCommand  `cmd:"" help:"Describe a certificate file."`
}

func (*certsCommand) Help() string {
	return `Every node that trusts a CA lets in every node the CA issued an identity for. Copy ca.pem and one
node's file to each host; ca.key stays where it is. A node that runs takes up a file that was replaced.

Example:

  verbose certs init --dir ./ca
  verbose certs issue shop --dir ./ca
  verbose on 'orders.>' --identity ca/nodes/shop.pem --ca ca/ca.pem --listen quic://0.0.0.0:7777`
}

type caFlags struct {
	Dir string `help:"The CA's directory." required:"" placeholder:"DIR"`
}

type validFlag struct {
	For span `help:"How long the certificate is valid, such as 90d or 2160h. Default: ten years for a CA; for a node one year, or until its CA's end." placeholder:"TIME"`
}

// options are those of a certificate that a CA issues, or of the CA itself with nil.
func (f *validFlag) options(ca *certs.CA) ([]certs.Option, error) {
	if f.For == 0 {
		return nil, nil
	}
	now := time.Now()
	until := now.Add(time.Duration(f.For))
	if ca != nil && until.After(ca.Info().NotAfter) {
		return nil, fmt.Errorf("--for goes on after the end of the CA %q at %s, when nobody trusts its certificates any more: give less, or leave --for out",
			ca.Info().Name, timeText(ca.Info().NotAfter))
	}
	return []certs.Option{certs.Valid(now.Add(-time.Hour), until)}, nil
}

// span is a length of time above 0, which may be given in days.
type span time.Duration

// Decode parses 30d, and what time.ParseDuration knows. It implements kong.MapperValue.
func (s *span) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("time", &text); err != nil {
		return err
	}
	value, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 16) // about 90 years at most, which a Duration can hold
		value = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || value <= 0 {
		return fmt.Errorf("%q is no length of time above 0, such as 30d or 12h", text)
	}
	*s = span(value)
	return nil
}

type certsInitCommand struct {
	Name string `help:"The CA's name, for people." default:"verbose" placeholder:"NAME"`
	caFlags
	validFlag
}

func (*certsInitCommand) Help() string {
	return `Example:

  verbose certs init --dir ./ca --name 'my services'`
}

func (c *certsInitCommand) Run(s *streams) error {
	options, err := c.options(nil)
	if err != nil {
		return err
	}
	ca, err := certs.InitCA(c.Dir, c.Name, options...)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "made the CA %q in %s: copy ca.pem to every node, and keep ca.key there\n", ca.Info().Name, c.Dir)
	return nil
}

type certsIssueCommand struct {
	Name string `arg:"" optional:"" help:"The node's name, for people and for the file. Default: its id."`
	ID   string `help:"The node's id, a UUID. Default: a random one." placeholder:"UUID"`
	Out  string `help:"The new file to write. Default: nodes/NAME.pem in the CA's directory." placeholder:"FILE"`
	caFlags
	validFlag
}

func (*certsIssueCommand) Help() string {
	return `The file has the certificate and its private key. Its path is printed. A file that is there already
is not overwritten: verbose certs renew replaces one.

Example:

  verbose certs issue shop --dir ./ca`
}

func (c *certsIssueCommand) Run(s *streams) error {
	id := uuid.Nil
	if c.ID != "" {
		var err error
		if id, err = uuid.Parse(c.ID); err != nil {
			return &usageError{fmt.Sprintf("--id %q is not a UUID: %v", c.ID, err)}
		}
	}
	ca, err := certs.LoadCA(c.Dir)
	if err != nil {
		return err
	}
	options, err := c.options(ca)
	if err != nil {
		return err
	}
	identity, err := ca.Issue(id, c.Name, options...)
	if err != nil {
		return err
	}
	path := c.Out
	if path == "" {
		path, err = ca.Store(identity)
	} else {
		err = identity.SaveNew(path)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, path)
	return nil
}

type certsListCommand struct{ caFlags }

func (*certsListCommand) Help() string {
	return `Example:

  verbose certs list --dir ./ca`
}

func (c *certsListCommand) Run(s *streams) error {
	list, err := certs.List(c.Dir) // beside an error, what could be read
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if len(list) > 0 {
		fmt.Fprintln(table, "NAME\tID\tVALID UNTIL\tFILE")
	}
	for _, info := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable(info.Name), idOf(info), validity(info), filepath.ToSlash(info.File))
	}
	table.Flush()
	return err
}

type certsShowCommand struct {
	File string `arg:"" help:"A PEM file: a CA's or a node's."`
}

func (*certsShowCommand) Help() string {
	return `Example:

  verbose certs show ca/nodes/shop.pem`
}

func (c *certsShowCommand) Run(s *streams) error {
	info, err := certs.Show(c.File)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "name\t%s\n", printable(info.Name))
	fmt.Fprintf(table, "id\t%s\n", idOf(info))
	fmt.Fprintf(table, "issuer\t%s\n", printable(info.Issuer))
	fmt.Fprintf(table, "valid from\t%s\n", timeText(info.NotBefore))
	fmt.Fprintf(table, "valid until\t%s\n", validity(info))
	fmt.Fprintf(table, "sha-256\t%s\n", info.Fingerprint)
	return table.Flush()
}

func idOf(info certs.Info) string {
	if info.IsCA {
		return "(CA)"
	}
	return info.ID.String()
}

// validity is until when a certificate is valid, and whether that has passed.
func validity(info certs.Info) string {
	text := timeText(info.NotAfter)
	if time.Now().After(info.NotAfter) {
		text += " (expired)"
	}
	return text
}

func timeText(t time.Time) string { return t.UTC().Format(time.DateTime) }
