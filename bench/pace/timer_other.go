//go:build !linux

package pace

import "time"

type timer struct{}

func newTimer() (*timer, error) { return nil, nil }

func (*timer) wait(d time.Duration) error {
	<-time.After(d)
	return nil
}

func (*timer) close() error { return nil }
