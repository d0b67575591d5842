package quictransport

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
		Silent: func(t testing.TB) string {
			socket, err := net.ListenPacket("udp", loopback)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { socket.Close() })
			return socket.LocalAddr().String()
		},
	})
}
