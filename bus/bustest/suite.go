package bustest

import (
	"testing"

	"github.com/verbose-bus/verbose/bus"
)

// Factory makes the transports of a test.
type Factory struct {
	// New returns a transport with an identity of its own. All that one factory
	// makes for a test trust each other. The suite closes it.
	New func(t testing.TB) bus.Transport

	// Listen is the address to listen on, such as 127.0.0.1:0. Listening on it
	// several times must give several addresses.
	Listen string
}

// RunTransportSuite holds a transport to what bus/transport.go says, each rule in a subtest of its own.
func RunTransportSuite(t *testing.T, f Factory) {
	t.Helper()
}
