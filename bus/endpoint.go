package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	lookUpTimeout = 5 * time.Second
	// maxBehind is how many addresses behind a name are taken.
	maxBehind = 256
)

// endpoint is an address to dial, or a name in the DNS that the node looks such addresses up behind.
type endpoint struct {
	transport Transport
	pref      uint8     // the transport's place in Config.Transports: the first is preferred
	addr      string    // host:port or a path; of services the name alone
	want      uuid.UUID // the only node that is accepted there; uuid.Nil: any
	records   records
}

// records are what is looked up behind an endpoint.
type records uint8

const (
	noRecords records = iota // it is an address
	hosts                    // scheme+dns: A and AAAA
	services                 // scheme+srv: SRV (RFC 2782)
)

// url is the endpoint as [Node.Connect] takes it, without the id.
func (e endpoint) url() string { return e.transport.Scheme() + "://" + e.addr }

// parse reads a URL.
func (c *Config) parse(rawURL string) (endpoint, error) {
	scheme, rest, found := strings.Cut(rawURL, "://")
	if !found {
		scheme, rest = c.Transports[0].Scheme(), rawURL
	}
	var e endpoint
	var schemes []string
	for i, t := range c.Transports {
		switch name := t.Scheme(); scheme {
		case name:
			e.transport, e.pref, e.records = t, uint8(i), noRecords
		case name + "+dns":
			e.transport, e.pref, e.records = t, uint8(i), hosts
		case name + "+srv":
			e.transport, e.pref, e.records = t, uint8(i), services
		}
		schemes = append(schemes, t.Scheme())
	}
	if e.transport == nil {
		return e, fmt.Errorf("bus: %q: no transport for %q here; there is %s", rawURL, scheme, strings.Join(schemes, ", "))
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return e, fmt.Errorf("bus: %q is not an address: %w", rawURL, err)
	}
	if err := e.records.check(u); err != nil {
		return e, fmt.Errorf("bus: %q is not an address: %w", rawURL, err)
	}
	if u.User != nil {
		if e.want, err = uuid.Parse(u.User.Username()); err != nil {
			return e, fmt.Errorf("bus: %q: the node id before the @: %w", rawURL, err)
		}
	}
	e.addr = u.Host + u.Path // one of them is empty
	return e, nil
}

// parseAddress reads a URL that has to be an address, and not a name to look up.
func (c *Config) parseAddress(rawURL string) (endpoint, error) {
	e, err := c.parse(rawURL)
	if err == nil && e.records != noRecords {
		return e, fmt.Errorf("bus: %q is a name to look up, which only Connect does; %s://host:port is an address", rawURL, e.transport.Scheme())
	}
	return e, err
}

// check holds what an endpoint has to consist of.
func (r records) check(u *url.URL) error {
	hasPort, hasPath := u.Host != "" && u.Port() != "", u.Path != ""
	_, notIP := netip.ParseAddr(u.Hostname())
	switch {
	case u.RawQuery != "" || u.Fragment != "":
	case r == services && (hasPort || hasPath):
		return errors.New("it has to be scheme+srv://_service._proto.name alone: the SRV records have the ports")
	case r == services && !strings.HasPrefix(u.Host, "_"):
		return errors.New("the name of SRV records begins with _service._proto, such as scheme+srv://_verbose._udp.example.com")
	case r == services:
		return nil
	case r == hosts && (!hasPort || hasPath):
		return errors.New("it has to be scheme+dns://name:port")
	case r == hosts && notIP == nil:
		return errors.New("there is nothing to look up behind an IP address: leave out the +dns")
	case hasPort != hasPath && (!hasPath || u.Host == ""):
		return nil
	}
	return errors.New("it has to be scheme://host:port or scheme:///path, with id@ after the // or not")
}

// lookUp returns the addresses behind an endpoint, in the order to try them: those of a service by priority and weight,
// those of a host in random order, so that nodes spread over them.
func (c *Config) lookUp(ctx context.Context, e endpoint) ([]endpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	switch e.records {
	case hosts:
		return c.lookUpHost(ctx, e)
	case services:
		return c.lookUpService(ctx, e)
	}
	return []endpoint{e}, nil
}

func (c *Config) lookUpHost(ctx context.Context, e endpoint) (list []endpoint, err error) {
	host, port, err := net.SplitHostPort(e.addr)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	ips, err := c.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	rand.Shuffle(len(ips), func(i, j int) { ips[i], ips[j] = ips[j], ips[i] })
	for _, ip := range ips[:min(len(ips), maxBehind)] {
		found := e
		found.records, found.addr = noRecords, net.JoinHostPort(ip.Unmap().String(), port)
		list = append(list, found)
	}
	return list, nil
}

func (c *Config) lookUpService(ctx context.Context, e endpoint) (list []endpoint, err error) {
	_, targets, err := c.Resolver.LookupSRV(ctx, "", "", e.addr) // by priority, and within that at random by weight
	for _, target := range targets[:min(len(targets), maxBehind)] {
		host := e
		host.records, host.addr = hosts, net.JoinHostPort(target.Target, strconv.Itoa(int(target.Port)))
		found, failed := c.lookUpHost(ctx, host)
		err = cmp.Or(err, failed)
		list = append(list, found...)
	}
	switch {
	case len(list) > 0:
		return list[:min(len(list), maxBehind)], nil
	case err == nil:
		return nil, fmt.Errorf("bus: %s has no SRV records", e.addr)
	}
	return nil, fmt.Errorf("bus: %w", err)
}
