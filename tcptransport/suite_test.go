package tcptransport

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

func TestSuite(t *testing.T) {
	ca := pair.NewCA(t, "test")
	bustest.RunTransportSuite(t, bustest.Factory{
		New:    func(t testing.TB) bus.Transport { return New(Config{Identity: pair.Issue(t, ca)}) },
		Listen: pair.Loopback,
		Freezing: func(t testing.TB) (tr bus.Transport, freeze, thaw func()) {
			config, ice := onIce("tcp")
			config.Identity = pair.Issue(t, ca)
			return New(config), ice.freeze, ice.thaw
		},
		Stranger: func(t testing.TB) bus.Transport { return New(Config{Identity: pair.Stranger(t, ca)}) },
	})
}

// ice stops the calls of a process: the system goes on to take what its buffers hold.
type ice struct {
	mu    sync.Mutex
	water chan struct{} // closed by thaw; nil while nothing is frozen
}

// onIce is a config whose sockets can be stopped.
func onIce(network string) (Config, *ice) {
	i := new(ice)
	return Config{
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &freezing{conn, i}, err
		},
		Listen: func(ctx context.Context, addr string) (net.Listener, error) {
			l, err := new(net.ListenConfig).Listen(ctx, network, addr)
			return &freezingListener{l, i}, err
		},
	}, i
}

func (i *ice) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.water = make(chan struct{})
}

func (i *ice) thaw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.water != nil {
		close(i.water)
		i.water = nil
	}
}

func (i *ice) wait() {
	i.mu.Lock()
	water := i.water
	i.mu.Unlock()
	if water != nil {
		<-water
	}
}

type freezing struct {
	net.Conn
	ice *ice
}

func (f *freezing) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.ice.wait()
	return n, err
}

func (f *freezing) Write(p []byte) (int, error) {
	f.ice.wait()
	return f.Conn.Write(p)
}

type freezingListener struct {
	net.Listener
	ice *ice
}

func (l *freezingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	l.ice.wait()
	return &freezing{conn, l.ice}, err
}

// TestTimeoutOfNothing holds that a timeout which would end every connection is ignored.
func TestTimeoutOfNothing(t *testing.T) {
	tr := newTransport(t, Config{})
	for _, test := range []struct{ set, want time.Duration }{{0, defaultTimeout}, {-1, defaultTimeout}, {time.Second, time.Second}} {
		tr.SetTimeout(test.set)
		if got := time.Duration(tr.timeout.Load()); got != test.want {
			t.Errorf("after %s the timeout is %s, want %s", test.set, got, test.want)
		}
	}
}
