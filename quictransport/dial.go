package quictransport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
)

const (
	// maxAddresses is how many addresses of a host name are tried.
	maxAddresses = 4
	// attemptDelay is how long an address has the field to itself (RFC 8305 section 5).
	attemptDelay = 250 * time.Millisecond
)

// Dial connects to addr (host:port). If the host has several addresses, up to four of them, IPv6 and IPv4 in turn, are tried one
// after the other, 250 ms apart, and the first that answers is kept. A peer
// that does not answer within 10 s is given up.
func (t *Transport) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	remotes, err := resolve(ctx, addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("quictransport: dial %s: %w", addr, err)
	}
	config := t.config.Identity.ClientTLS(want, alpn)
	if len(remotes) == 1 {
		return t.attempt(ctx, remotes[0], config)
	}
	return t.race(ctx, remotes, config)
}

func resolve(ctx context.Context, addr string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("port %q: use a number from 1 to 65535", service)
	}
	if host == "" {
		host = "localhost"
	}
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, err
	}
	remotes := make([]netip.AddrPort, 0, maxAddresses)
	for _, ip := range choose(ips) {
		remotes = append(remotes, netip.AddrPortFrom(ip, uint16(port)))
	}
	return remotes, nil
}

// choose returns the addresses to try, in the order of the resolver but with IPv6 and IPv4 in turn (RFC 8305 section 4): where one of
// them leads nowhere, its addresses must not be all that are tried.
func choose(ips []netip.Addr) (chosen []netip.Addr) {
	var families [2][]netip.Addr // that of the first address, and the other
	for _, ip := range ips {
		family := 0
		if ip.Unmap().Is4() != ips[0].Unmap().Is4() {
			family = 1
		}
		families[family] = append(families[family], ip.Unmap())
	}
	for i := range ips {
		for _, family := range families {
			if i < len(family) && len(chosen) < maxAddresses {
				chosen = append(chosen, family[i])
			}
		}
	}
	return chosen
}

// race tries addresses until one answers, and returns when no attempt is left running.
func (t *Transport) race(ctx context.Context, remotes []netip.AddrPort, config *tls.Config) (bus.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn bus.Conn
		err  error
	}
	results := make(chan result)
	next := time.NewTimer(0)
	defer next.Stop()

	var winner bus.Conn
	var failures []error
	for started, running := 0, 0; running > 0 || winner == nil && started < len(remotes); {
		select {
		case <-next.C:
			if winner != nil || started == len(remotes) {
				continue
			}
			remote := remotes[started]
			started++
			running++
			// The loop receives every result before it returns.
			go func() {
				conn, err := t.attempt(ctx, remote, config)
				results <- result{conn, err}
			}()
			next.Reset(attemptDelay)
		case r := <-results:
			running--
			switch {
			case r.err != nil:
				failures = append(failures, r.err)
				next.Reset(0)
			case winner == nil:
				winner = r.conn
				cancel()
			default:
				r.conn.CloseWithCode(bus.CloseSurplus, "another address answered first")
			}
		}
	}
	if winner != nil {
		return winner, nil
	}
	// A refusal says more than an address that did not answer.
	for _, err := range failures {
		if _, ok := errors.AsType[*bus.PeerError](err); ok {
			return nil, err
		}
	}
	return nil, errors.Join(failures...)
}

// attempt connects to one address.
func (t *Transport) attempt(ctx context.Context, remote netip.AddrPort, config *tls.Config) (bus.Conn, error) {
	for {
		e, opened, err := t.route(ctx, remote)
		if err != nil {
			return nil, err
		}
		q, err := e.quic.Dial(ctx, net.UDPAddrFromAddrPort(remote), config, t.quicConfig())
		if err == nil {
			c, err := t.track(q, nil)
			if err != nil {
				return nil, err
			}
			return c, nil
		}
		broken := t.dropBroken(e, err)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := t.ready(); err != nil {
			return nil, err // closed meanwhile
		}
		if broken && !opened {
			continue
		}
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return nil, fmt.Errorf("quictransport: no answer from %s: %w", remote, err)
		}
		return nil, refusal.Explain(translate(err), t.config.Identity)
	}
}

// route returns the socket to dial remote from: the first listening one that can reach it, or
// else one on a random port. It reports whether that was opened now.
func (t *Transport) route(ctx context.Context, remote netip.AddrPort) (e *endpoint, opened bool, err error) {
	source := remote.Addr()
	if t.config.ListenPacket == nil {
		if source, err = sourceFor(remote); err != nil {
			return nil, false, fmt.Errorf("quictransport: %w", err)
		}
	}
	unlock, err := t.lockOpening(ctx)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if e := t.reaching(remote.Addr(), source); e != nil {
		return e, false, nil
	}
	e, err = t.open(ctx, ":0")
	return e, true, err
}

// sourceFor returns the local address the system reaches remote from. Connecting a
// UDP socket looks up the route and sends nothing; without a route, dialling fails here, at once.
func sourceFor(remote netip.AddrPort) (netip.Addr, error) {
	probe, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return netip.Addr{}, err
	}
	defer probe.Close()
	return probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// reaching returns an open socket that can reach remote, a listening one if possible.
func (t *Transport) reaching(remote, source netip.Addr) *endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found *endpoint
	for _, e := range t.endpoints {
		if (t.config.ListenPacket != nil || reaches(e.local.Addr(), remote, source)) && (found == nil || e.listener != nil && found.listener == nil) {
			found = e
		}
	}
	return found
}

// reaches reports whether a socket bound to local can reach remote, where source is the
// address that the system would send from.
func reaches(local, remote, source netip.Addr) bool {
	switch {
	case local.IsUnspecified():
		return local.Is6() || remote.Is4() // [::] does both
	case local.IsLoopback():
		return remote.IsLoopback() && local.Is4() == remote.Is4()
	default:
		return local == source
	}
}
