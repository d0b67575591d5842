package tcptransport

import (
	"net"
	"testing"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

func TestSuite(t *testing.T) {
	ca := newCA(t, "test")
	bustest.RunTransportSuite(t, bustest.Factory{
		New:    func(t testing.TB) bus.Transport { return New(Config{Identity: issue(t, ca)}) },
		Listen: loopback,
		Silent: func(t testing.TB) string { return silent(t).Addr().String() },
	})
}

// silent is a socket that takes connections and never says anything.
func silent(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
