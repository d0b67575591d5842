package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/verbose-bus/verbose/certs"
)

type certsRenewCommand struct {
	Node   string `arg:"" optional:"" help:"The node's name or id, or its file, which ends in .pem. Default: every node in the CA's directory, with --within."`
	Within span   `help:"Renew only what expires within this time, such as 30d, or has expired." placeholder:"TIME"`
	NewKey bool   `help:"Make a new private key too. When a node restarts with another key, peers notice only by their timeout."`
	caFlags
	validFlag
}

func (*certsRenewCommand) Help() string {
	return `The node's id and name stay, its private key, and the file's owner. The file is replaced in one step; a node that
runs takes it up for its next connections, without a restart. What was copied elsewhere has to be copied again. The exit
status is 1 if anything that was to be renewed could not be.

Examples:

  verbose certs renew shop --dir ./ca
  verbose certs renew --within 30d --dir ./ca`
}

func (c *certsRenewCommand) Run(s *streams) error {
	if c.Node == "" && c.Within == 0 {
		return &usageError{"certs renew needs to know what to renew: give a node's name, or --within 30d for all that expire soon"}
	}
	ca, err := certs.LoadCA(c.Dir)
	if err != nil {
		return err
	}
	options, err := c.options(ca)
	if err != nil {
		return err
	}
	nodes, trouble := c.nodes()
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if len(nodes) > 0 {
		fmt.Fprintln(table, "RESULT\tNAME\tVALID UNTIL\tBEFORE\tFILE")
	}
	for _, old := range nodes {
		renewed, err := c.renew(ca, old, options)
		result, until, before := "left", validity(old), ""
		switch {
		case err != nil:
			result, trouble = "failed", errors.Join(trouble, err)
		case renewed != nil:
			result, until, before = "renewed", validity(*renewed), validity(old)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", result, printable(old.Name), until, before, filepath.ToSlash(old.File))
	}
	return errors.Join(table.Flush(), trouble)
}

// nodes are those to look at; beside an error, those that could be read.
func (c *certsRenewCommand) nodes() ([]certs.Info, error) {
	if filepath.Ext(c.Node) == ".pem" {
		info, err := certs.Show(c.Node)
		if err != nil {
			return nil, err
		}
		if info.IsCA {
			return nil, fmt.Errorf("%s is a CA's certificate, and only nodes' are renewed: make a new CA with `verbose certs init`", c.Node)
		}
		return []certs.Info{info}, nil
	}
	list, err := certs.List(c.Dir)
	list = slices.DeleteFunc(list, func(info certs.Info) bool {
		return info.IsCA || c.Node != "" && c.Node != info.Name && c.Node != info.ID.String()
	})
	if c.Node == "" || len(list) > 0 {
		return list, err
	}
	dir := filepath.ToSlash(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("no node %q among what can be read in %s/nodes: %w", c.Node, dir, err)
	}
	return nil, fmt.Errorf("no node %q in %s/nodes: `verbose certs list --dir %s` shows which there are, and a file elsewhere can be given as FILE.pem", c.Node, dir, dir)
}

// renew replaces one file, and returns nil if that is not due.
func (c *certsRenewCommand) renew(ca *certs.CA, old certs.Info, options []certs.Option) (*certs.Info, error) {
	if c.Within != 0 && old.NotAfter.After(time.Now().Add(time.Duration(c.Within))) {
		return nil, nil
	}
	identity, err := ca.Renew(old.File, options...)
	if err == nil && c.NewKey {
		identity, err = ca.Issue(old.ID, old.Name, options...)
	}
	if err != nil {
		return nil, err
	}
	info := identity.Info()
	if end := ca.Info().NotAfter; !c.NewKey && info.NotAfter.Equal(end) && !info.NotAfter.After(old.NotAfter) {
		return nil, fmt.Errorf("%s can't be valid any longer, because its CA %q ends at %s: make a new CA with `verbose certs init`, have every node trust both, and issue the nodes' certificates anew",
			filepath.ToSlash(old.File), ca.Info().Name, timeText(end))
	}
	return &info, identity.Save(old.File)
}
