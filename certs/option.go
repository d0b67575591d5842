package certs

import "time"

// How long certificates are valid by default. They begin an hour back, for
// peers whose clocks are behind.
const (
	caValidity   = 10 * 365 * 24 * time.Hour
	leafValidity = 365 * 24 * time.Hour
	clockSlack   = time.Hour
)

// Option changes one thing about a certificate that is being issued.
type Option func(*window)

type window struct{ notBefore, notAfter time.Time }

// Valid sets when the certificate is valid, to the second. Without it: from an hour ago, for ten
// years for a CA and one year for a node. A virtual clock may need another window; that of
// testing/synctest starts in the year 2000.
func Valid(notBefore, notAfter time.Time) Option {
	return func(w *window) { *w = window{notBefore, notAfter} }
}

func newWindow(validity time.Duration, options []Option) window {
	now := time.Now()
	w := window{now.Add(-clockSlack), now.Add(validity)}
	for _, option := range options {
		option(&w)
	}
	return w
}
