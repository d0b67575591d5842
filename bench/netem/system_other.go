//go:build !linux

package netem

import (
	"errors"
	"net/netip"
)

var errSystem = errors.New("netem: needs Linux")

type wire struct{}

func newWire(*Network) (*wire, error) { return nil, errSystem }
func (*wire) attach(*Host)            {}
func (*wire) close() error            { return errSystem }

type machine struct{}

func newMachine(netip.Addr) (*machine, error) { return nil, errSystem }
func (*machine) do(func() error) error        { return errSystem }
func (*machine) renumber(netip.Addr) error    { return errSystem }
func (*machine) dropped() (uint64, error)     { return 0, errSystem }
func (*machine) close() error                 { return errSystem }
