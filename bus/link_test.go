package bus_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// addresses is a transport that takes no address, and says which it was given.
type addresses struct{ scheme string }

type takenError struct{ scheme, addr string }

func (e *takenError) Error() string { return e.scheme + " was given " + e.addr }

func (a addresses) Scheme() string { return a.scheme }
func (a addresses) ID() uuid.UUID  { return uuid.Max }
func (a addresses) Close() error   { return nil }

func (a addresses) Dial(_ context.Context, addr string, _ uuid.UUID) (bus.Conn, error) {
	return nil, &takenError{a.scheme, addr}
}

func (a addresses) Listen(_ context.Context, addr string) (bus.Listener, error) {
	return nil, &takenError{a.scheme, addr}
}

// TestURLs holds what of a URL a transport is given, and which URLs no transport sees.
func TestURLs(t *testing.T) {
	n, err := bus.New(bus.Config{Transports: []bus.Transport{addresses{"one"}, addresses{"two"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	for url, want := range map[string]takenError{
		"two://127.0.0.1:7777":         {"two", "127.0.0.1:7777"},
		"two://[::1]:7777":             {"two", "[::1]:7777"},
		"two://:0":                     {"two", ":0"},
		"two://" + id + "@host:1":      {"two", "host:1"},
		"host:1":                       {"one", "host:1"},
		"two:///run/bus.sock":          {"two", "/run/bus.sock"},
		"two://" + id + "@/a%20path/b": {"two", "/a path/b"},
		"/run/bus.sock":                {"one", "/run/bus.sock"},
		"":                             {},
		"host":                         {},
		"two://host":                   {},
		"two://host/":                  {},
		"two://host/path":              {},
		"two://host:1/path":            {},
		"two://host:1?query":           {},
		"two:///path?query":            {},
		"two:///path#fragment":         {},
		"two://somebody@host:1":        {},
		"three://host:1":               {},
	} {
		_, err := n.Listen(t.Context(), url)
		if got, ok := errors.AsType[*takenError](err); ok != (want.addr != "") || ok && *got != want {
			t.Errorf("%q: %v, want %+v", url, err, want)
		}
	}
}
