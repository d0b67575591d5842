package bustest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// brokenTransports break the rules of transports and listeners.
var brokenTransports = []breakage{
	{"IDsOnBothSides", "Peer is made up", func(f *faulty) {
		f.conn = func(c *faultyConn) { c.peer = uuid.New }
	}},
	{"IDsOnBothSides", "a goroutine is left behind", func(f *faulty) {
		f.conn = func(*faultyConn) { go func() { <-f.over }() }
	}},
	{"WrongIDIsRefused", "Dial takes whoever answers", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, _ uuid.UUID) (bus.Conn, error) { return dial(ctx, uuid.Nil) }
	}},
	{"WrongIDIsRefused", "the refusal is no PeerError", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			if err != nil {
				err = errBroken
			}
			return c, err
		}
	}},
	{"UntrustedIsRefused", "the refusal has another code", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			if err != nil {
				err = &bus.PeerError{Code: bus.CloseInternal}
			}
			return c, err
		}
	}},
	{"UntrustedIsRefused", "Accept hands strangers out", func(f *faulty) {
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			if member, ok := l.(*memberListener); ok {
				l = member.Listener
			}
			return l.Accept(ctx)
		}
	}},
	{"UntrustedIsRefused", "a refused stranger is told nothing", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			if refused, ok := errors.AsType[*bus.PeerError](err); ok && refused.Remote {
				err = errBroken
			}
			return c, err
		}
		f.conn = func(c *faultyConn) {
			ctx, cancel := context.WithCancelCause(context.Background())
			context.AfterFunc(c.Conn.Context(), func() { cancel(errBroken) })
			c.context = func() context.Context { return ctx }
		}
	}},
	{"ManyConnections", "the second peer counts as the first", func(f *faulty) {
		var first uuid.UUID
		var once sync.Once
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			if err != nil {
				return nil, err
			}
			once.Do(func() { first = c.Peer() })
			return &faultyConn{Conn: c, f: f, peer: func() uuid.UUID { return first }}, nil
		}
	}},
	{"DataBeforeAccept", "Dial waits for Accept", func(f *faulty) {
		accepted := make(chan struct{}, 100)
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			select {
			case <-accepted:
			case <-f.over:
			}
			return c, err
		}
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			accepted <- struct{}{}
			return c, err
		}
	}},
	{"CancelDial", "Dial does not look at its context", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx) // but where it waits
			}
			return dial(context.WithoutCancel(ctx), want)
		}
	}},
	{"CancelDial", "Dial does not say why its context ended", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			return c, withoutCause(ctx, err)
		}
	}},
	{"CancelDial", "a Dial that was given up leaves a goroutine until Transport.Close", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			if err != nil {
				go func() { <-f.over }()
			}
			return c, err
		}
	}},
	{"CancelAccept", "Accept does not look at its context", func(f *faulty) {
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			return l.Accept(context.WithoutCancel(ctx))
		}
	}},
	{"CancelAccept", "a cancelled Accept swallows a connection", func(f *faulty) {
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			got := make(chan bus.Conn, 1)
			go func() {
				if c, err := l.Accept(context.WithoutCancel(ctx)); err == nil {
					got <- c
				}
			}()
			select {
			case c := <-got:
				return c, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}},
	{"CancelAccept", "Accept does not say why its context ended", func(f *faulty) {
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			return c, withoutCause(ctx, err)
		}
	}},
	{"DialToClosedAddress", "Listener.Close goes on accepting", func(f *faulty) {
		f.unbind = func(bus.Listener) error { return nil }
	}},
	{"DialToClosedAddress", "Dial tries for a minute", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			if err != nil {
				<-time.After(time.Minute)
			}
			return c, err
		}
	}},
	{"ListenerClose", "Accept's error is not net.ErrClosed", func(f *faulty) {
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			if err != nil {
				err = errBroken
			}
			return c, err
		}
	}},
	{"ListenerClose", "accepted connections end with it", func(f *faulty) {
		var accepted []bus.Conn
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			if err == nil {
				accepted = append(accepted, c)
			}
			return c, err
		}
		f.unbind = func(l bus.Listener) error {
			for _, c := range accepted {
				c.CloseWithCode(bus.CloseNormal, "")
			}
			return l.Close()
		}
	}},
}

// withoutCause is the error of a call that its context ended as most calls have it.
func withoutCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

type dialFunc = func(context.Context, uuid.UUID) (bus.Conn, error)
