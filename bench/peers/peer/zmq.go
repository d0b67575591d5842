//go:build zmq

package peer

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/verbose-bus/verbose/bench/contender"
)

const hasZeroMQ = true

// zmqPause is how often a receiver looks whether it has to end: only its own goroutine may use a socket.
const zmqPause = 100 * time.Millisecond

// zmqEnd has a PUSH socket to send and a PULL socket to receive: the pair that waits for a receiver rather than dropping, which the
// guide (zguide.zeromq.org, "High-Water Marks") says of PUB. The marks are the defaults, 1,000 messages a side.
type zmqEnd struct {
	uncounted
	config     contender.Config
	push, pull *zmq.Socket
	closing    atomic.Bool
	receiving  sync.WaitGroup
}

func newZeroMQ(c contender.Config) (contender.End, error) {
	e := &zmqEnd{config: c}
	var err error
	if e.push, err = zmq.NewSocket(zmq.PUSH); err != nil {
		return nil, err
	}
	if e.pull, err = zmq.NewSocket(zmq.PULL); err != nil {
		return nil, err
	}
	e.push.SetLinger(0)
	e.pull.SetLinger(0)
	e.push.SetSndtimeo(zmqPause)
	return e, e.pull.SetRcvtimeo(zmqPause)
}

// Listen returns where it receives, and behind a slash the port it sends from.
func (e *zmqEnd) Listen(context.Context) (string, error) {
	var at [2]string
	for i, s := range []*zmq.Socket{e.pull, e.push} {
		if err := s.Bind("tcp://" + e.config.Host() + ":*"); err != nil {
			return "", err
		}
		where, err := s.GetLastEndpoint()
		if err != nil {
			return "", err
		}
		at[i] = strings.TrimPrefix(where, "tcp://")
	}
	_, port, err := net.SplitHostPort(at[1])
	e.receiving.Go(e.receive) // ends with Close, which waits for it
	return at[0] + "/" + port, err
}

func (e *zmqEnd) Dial(_ context.Context, addr string) error {
	to, port, _ := strings.Cut(addr, "/")
	if err := e.push.Connect("tcp://" + to); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(to)
	if err != nil {
		return err
	}
	if err := e.pull.Connect("tcp://" + net.JoinHostPort(host, port)); err != nil {
		return err
	}
	e.receiving.Go(e.receive) // ends with Close, which waits for it
	return nil
}

func (e *zmqEnd) receive() {
	defer e.pull.Close()
	for !e.closing.Load() {
		payload, err := e.pull.RecvBytes(0)
		if err == nil && e.config.Pattern != "" {
			e.config.Receive(payload)
		}
	}
}

// Ready does nothing: PUSH waits by itself.
func (e *zmqEnd) Ready(context.Context, int) error { return nil }

func (e *zmqEnd) Send(payload []byte) error {
	for !e.closing.Load() {
		_, err := e.push.SendBytes(payload, 0)
		if zmq.AsErrno(err) != zmq.Errno(syscall.EAGAIN) {
			return err
		}
	}
	return fmt.Errorf("closed")
}

// Flush does nothing: ZeroMQ sends by itself.
func (e *zmqEnd) Flush() error { return nil }

// Close leaves the PUSH socket to the end of the process: another goroutine may be sending on it.
func (e *zmqEnd) Close() error {
	e.closing.Store(true)
	e.receiving.Wait()
	return nil
}
