package tcptransport

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// Dial connects to addr (host:port, or a path). If the host has several addresses, they are tried as [net.Dialer]
// does. A peer that does not answer within 10 s is given up.
func (t *Transport) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	done, err := t.begin()
	if err != nil {
		return nil, err
	}
	defer done()
	attempt, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	c, err := t.attempt(attempt, addr, want)
	if err == nil {
		return c, nil
	}
	if _, ok := errors.AsType[*bus.PeerError](err); ok {
		return nil, err
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case t.ctx.Err() != nil:
		return nil, errClosed
	case attempt.Err() != nil:
		return nil, fmt.Errorf("tcptransport: no answer from %s within %s: %w", addr, handshakeTimeout, err)
	}
	return nil, fmt.Errorf("tcptransport: dial %s: %w", addr, err)
}

func (t *Transport) attempt(ctx context.Context, addr string, want uuid.UUID) (*Conn, error) {
	conn, err := t.dialSocket(ctx, addr)
	if err != nil {
		return nil, err
	}
	c, err := t.meet(ctx, conn, want)
	if err == nil {
		err = t.track(c)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (t *Transport) dialSocket(ctx context.Context, addr string) (net.Conn, error) {
	if t.config.Dial != nil {
		return t.config.Dial(ctx, addr)
	}
	return new(net.Dialer).DialContext(ctx, t.network, addr)
}
