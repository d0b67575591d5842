package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	// maxTried is how many addresses an attempt to connect tries.
	maxTried = 16
	// attemptDelay is how long an address has the field to itself (RFC 8305 section 5).
	attemptDelay = 250 * time.Millisecond
	// attemptPatience is how long an attempt at several addresses may take in all.
	attemptPatience = 15 * time.Second
)

// dialled is a connection, and the address that it leads to.
type dialled struct {
	conn Conn
	at   endpoint
}

// dial makes one attempt. It looks names up anew, and tries several addresses in turn. An eager one is given up when
// it takes several times as long as the last that succeeded.
func (l *Link) dial(eager bool, took time.Duration) (dialled, error) {
	var ctx context.Context
	var cancel context.CancelFunc
	switch {
	case eager:
		ctx, cancel = l.patient(l.ctx, max(eagerPatience, 4*took))
	case l.chooses:
		ctx, cancel = l.patient(l.ctx, attemptPatience)
	default: // the transport has a patience of its own
		return l.try(l.ctx, l.endpoints[0])
	}
	defer cancel()
	if !l.chooses {
		return l.try(ctx, l.endpoints[0])
	}
	var found []endpoint
	var failed error
	for _, e := range l.endpoints {
		list, err := l.node.cfg.lookUp(ctx, e)
		if err != nil {
			failed = err
		}
		found = append(found, list...)
	}
	if len(found) == 0 {
		return dialled{}, failed
	}
	return l.tryEach(ctx, found[:min(len(found), maxTried)])
}

// patient bounds an attempt.
func (l *Link) patient(ctx context.Context, patience time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, patience, fmt.Errorf("bus: no answer from %s within %v", l.url, patience))
}

// try dials one address.
func (l *Link) try(ctx context.Context, e endpoint) (dialled, error) {
	conn, err := e.transport.Dial(ctx, e.addr, e.want)
	return dialled{conn, e}, err
}

// tryEach dials addresses until one leads to a node that is no peer yet: the next after a failure at once, or beside
// the one before when that takes long. It returns when no attempt is left running.
func (l *Link) tryEach(ctx context.Context, endpoints []endpoint) (won dialled, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		dialled
		err error
	}
	results := make(chan result)
	next := time.NewTimer(0)
	defer next.Stop()
	var failures []error
	for begun, running := 0, 0; running > 0 || won.conn == nil && ctx.Err() == nil && begun < len(endpoints); {
		select {
		case <-next.C:
			if won.conn != nil || begun == len(endpoints) {
				continue
			}
			e := endpoints[begun]
			begun++
			running++
			go func() { // waited for through results
				d, err := l.try(ctx, e)
				if err == nil {
					err = l.welcome(d.conn)
				}
				results <- result{d, err}
			}()
			next.Reset(attemptDelay)
		case r := <-results:
			running--
			switch {
			case r.err != nil:
				failures = append(failures, r.err)
				next.Reset(0)
			case won.conn == nil:
				won = r.dialled
				cancel()
			default:
				r.conn.CloseWithCode(CloseSurplus, "another address answered first")
			}
		}
	}
	switch {
	case won.conn != nil:
		return won, nil
	case len(failures) == 0:
		return won, context.Cause(ctx)
	}
	return won, worst(failures)
}

// errItself is not worth a refusal: a node may be behind the name that it connects to.
var errItself = errors.New("bus: the address leads back to the node itself")

// welcome says why a connection is not one to have, and closes it then.
func (l *Link) welcome(conn Conn) error {
	switch peer := conn.Peer(); {
	case peer == l.node.cfg.ID:
		conn.CloseWithCode(CloseNormal, "")
		return errItself
	case l.connected(peer):
		conn.CloseWithCode(CloseSurplus, "")
		return &PeerError{Code: CloseSurplus, Peer: peer}
	}
	return nil
}

// worst is what became of an attempt at several addresses: a peer behind one of them is connected already, or all failed.
func worst(failures []error) error {
	for _, err := range failures {
		if peer, ok := errors.AsType[*PeerError](err); ok && peer.Code == CloseSurplus && peer.Peer != uuid.Nil {
			return err
		}
	}
	if others := slices.DeleteFunc(slices.Clone(failures), func(err error) bool { return err == errItself }); len(others) > 0 {
		return errors.Join(others...)
	}
	return errItself
}
