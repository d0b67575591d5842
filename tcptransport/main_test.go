package tcptransport

import (
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bus/bustest/pair"
	"github.com/verbose-bus/verbose/certs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTransport(t testing.TB, config Config) *Transport {
	t.Helper()
	return pair.Closing(t, New(config))
}

func newPair(t testing.TB) *pair.Pair[*Transport] {
	t.Helper()
	return pair.New(t, func(id *certs.Identity) *Transport { return New(Config{Identity: id}) })
}

func port(addr net.Addr) int { return addr.(*net.TCPAddr).Port }
