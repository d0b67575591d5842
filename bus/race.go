package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// A silent path is raced at this pace for eagerFor, and then with growing intervals.
	raceLeast = 100 * time.Millisecond
	raceMost  = 200 * time.Millisecond
	// racePatience is the least time an attempt gets. The next one begins meanwhile.
	racePatience = 400 * time.Millisecond
)

// follow runs a connection to its end; up says whether it was accepted. If it goes silent, others are dialled beside
// it: a connection that comes back asks at intervals that grew with the outage, a new one asks at once. The protocol
// settles which of two is used, and closes the other.
func (l *Link) follow(d dialled, took time.Duration) (up bool, err error) {
	ended := make(chan *path)
	start := func(conn Conn) {
		p := newPath(l.node, conn, l, d.at.pref)
		l.change(func() { l.paths = append(l.paths, p) })
		go func() { // waited for through ended
			defer context.AfterFunc(l.ctx, func() { p.cancel(context.Cause(l.ctx)) })()
			p.run()
			ended <- p
		}()
	}
	start(d.conn)
	var raced chan Conn
	stop := func() {}
	for running := 1; running > 0; {
		select {
		case p := <-ended:
			running--
			l.change(func() { l.paths = slices.DeleteFunc(l.paths, func(x *path) bool { return x == p }) })
			up, err = up || p.wasUp(), context.Cause(p.ctx)
		case <-l.look:
		case conn := <-raced:
			stop()
			raced = nil
			if conn != nil {
				running++
				start(conn)
			}
		}
		switch silent := running == 1 && l.silent(); {
		case silent && raced == nil:
			var ctx context.Context
			ctx, stop = context.WithCancel(l.ctx)
			raced = make(chan Conn)
			go func() { raced <- l.race(ctx, d.at, took) }() // waited for through raced
		case !silent && raced != nil:
			stop()
		}
	}
	stop()
	if raced != nil {
		if conn := <-raced; conn != nil {
			conn.CloseWithCode(CloseNormal, "")
		}
	}
	return up, err
}

func (p *path) wasUp() bool {
	select {
	case <-p.up:
		return true
	default:
		return false
	}
}

// silent says whether no path of the link answers.
func (l *Link) silent() bool {
	l.mu.Lock()
	paths := slices.Clone(l.paths)
	l.mu.Unlock()
	e := l.node.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	return !slices.ContainsFunc(paths, func(p *path) bool { return !p.silent })
}

// race dials an address until an attempt succeeds or ctx ends; then it returns nil.
func (l *Link) race(ctx context.Context, at endpoint, took time.Duration) Conn {
	l.node.lifecycle.publish(LifecycleEvent{Kind: LifecycleConnect, URL: l.url})
	ctx, cancel := context.WithCancel(ctx)
	var attempts sync.WaitGroup
	defer attempts.Wait()
	defer cancel()
	won := make(chan Conn)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for began, failures := time.Now(), 0; ; {
		select {
		case <-timer.C:
			attempts.Go(func() {
				attempt, cancel := l.patient(ctx, max(racePatience, 4*took))
				defer cancel()
				d, err := l.try(attempt, at)
				if err != nil {
					return
				}
				select {
				case won <- d.conn:
				case <-ctx.Done():
					d.conn.CloseWithCode(CloseNormal, "")
				}
			})
			wait := raceLeast + rand.N(raceMost-raceLeast)
			if time.Since(began) > eagerFor {
				wait = raceMost + rand.N(min(backoffMost, backoffFirst<<min(failures, 10)))
				failures++
				l.node.lifecycle.publish(LifecycleEvent{Kind: LifecycleBackoff, URL: l.url, Next: time.Now().Add(wait),
					Err: fmt.Errorf("bus: no answer from %s", at.addr)})
			}
			timer.Reset(wait)
		case conn := <-won:
			return conn
		case <-ctx.Done():
			return nil
		}
	}
}

// hush notes that the peer does not answer on the path, or does again. The engine's lock is held.
func (p *path) hush(silent bool, t *todo) {
	p.silent = silent
	if p.link != nil {
		t.wakes = append(t.wakes, p.link.look)
	}
}
