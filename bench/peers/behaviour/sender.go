package behaviour

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
)

const (
	// again is how long the sender waits before it tries again.
	again = 20 * time.Millisecond
	// opening is how long one attempt to open may take.
	opening = 10 * time.Second
)

// sender is the program that sends.
type sender struct {
	ctx    context.Context // of the trial
	config contender.Config
	addrs  []string
	end    contender.End
	buffer []byte

	next   uint64        // number
	failed int           // events whose sending failed at first
	opened int           // times it was opened
	first  error         // of sending
	waited time.Duration // the longest that sending an event took
}

// open makes the end, and tries until it is connected.
func (s *sender) open() error {
	for {
		err := s.tryOpen()
		if err == nil {
			s.opened++
			return nil
		}
		if !s.pause() {
			return fmt.Errorf("cannot connect: %w", err)
		}
	}
}

func (s *sender) tryOpen() (err error) {
	ctx, cancel := context.WithTimeout(s.ctx, opening)
	defer cancel()
	if s.end, err = newEnd(s.config); err != nil {
		return err
	}
	for _, addr := range s.addrs {
		if err == nil {
			err = s.end.Dial(ctx, addr)
		}
	}
	if err == nil {
		err = s.end.Ready(ctx, 0)
	}
	if err != nil {
		s.close()
	}
	return err
}

// close closes the end, if there is one, once: ends need not bear more.
func (s *sender) close() {
	if s.end != nil {
		s.end.Close()
		s.end = nil
	}
}

// pause reports whether there is time left after it.
func (s *sender) pause() bool {
	select {
	case <-time.After(again):
		return true
	case <-s.ctx.Done():
		return false
	}
}

// Send sends the next event, as often as it takes. Which one it is, is not for who paces to say.
func (s *sender) Send(int, time.Time) error {
	binary.BigEndian.PutUint64(s.buffer, s.next)
	began := time.Now()
	for failed := false; ; failed = true {
		err := s.end.Send(s.buffer)
		if err == nil {
			break
		}
		if !failed {
			s.failed++
		}
		if err := s.recover(err); err != nil {
			return err
		}
	}
	s.waited = max(s.waited, time.Since(began))
	s.next++
	return nil
}

// recover opens anew what does not connect again by itself, and gives others time to.
func (s *sender) recover(err error) error {
	if s.first == nil {
		s.first = err
	}
	if !reconnects(s.config.Kind) {
		s.close()
		return s.open()
	}
	if !s.pause() {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// Flush leaves failures to the next Send.
func (s *sender) Flush() error {
	if s.end == nil {
		return nil
	}
	if err := s.end.Flush(); err != nil && s.first == nil {
		s.first = err
	}
	return nil
}
