package peer

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
)

// libp2pNetwork is a swarm, with one stream on each connection. The umbrella package builds with an older quic-go than the bus
// has, so the swarm and its transports are put together here, with their defaults: windows of 16 MiB for yamux, of 10 and 15 MiB for QUIC.
// Of libp2p's security protocols TLS is chosen, which its documentation of connections names first; QUIC has it built in.
type libp2pNetwork struct {
	uncounted
	swarm    *swarm.Swarm
	reuse    *quicreuse.ConnManager // of QUIC
	wildcard string
	accepted chan contender.Conn
	closed   chan struct{}
}

func newLibP2P(c contender.Config) (contender.Network, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, err
	}
	if err := peers.AddPrivKey(id, key); err != nil {
		return nil, err
	}
	n := &libp2pNetwork{accepted: make(chan contender.Conn), closed: make(chan struct{})}
	if n.swarm, err = swarm.NewSwarm(id, peers, eventbus.NewBus()); err != nil {
		return nil, err
	}
	var t transport.Transport
	if c.Kind == LibP2PQUIC {
		t, err = n.quic(c, key)
	} else {
		t, err = n.tcp(c, key)
	}
	if err == nil {
		err = n.swarm.AddTransport(t)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *libp2pNetwork) quic(c contender.Config, key crypto.PrivKey) (t transport.Transport, err error) {
	n.wildcard = "/ip4/" + c.Host() + "/udp/0/quic-v1"
	if n.reuse, err = quicreuse.NewConnManager(quic.StatelessResetKey{}, quic.TokenGeneratorKey{}); err != nil {
		return nil, err
	}
	return libp2pquic.NewTransport(key, n.reuse, nil, nil, nil)
}

func (n *libp2pNetwork) tcp(c contender.Config, key crypto.PrivKey) (transport.Transport, error) {
	n.wildcard = "/ip4/" + c.Host() + "/tcp/0"
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	security, err := libp2ptls.New(libp2ptls.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	upgrade, err := upgrader.New([]sec.SecureTransport{security}, muxers, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Control: host.SetCongestion(c.Congestion)}
	return tcp.NewTCPTransport(upgrade, nil, nil, tcp.DisableReuseport(),
		tcp.WithDialerForAddr(func(ma.Multiaddr) (tcp.ContextDialer, error) { return dialer, nil }))
}

// Listen returns an address with the peer's name behind it, which who dials has to know.
func (n *libp2pNetwork) Listen(context.Context) (string, error) {
	n.swarm.SetStreamHandler(func(s network.Stream) {
		select {
		case n.accepted <- contender.Framed(swarmStream{s}):
		case <-n.closed:
			s.Reset()
		}
	})
	if err := n.swarm.Listen(ma.StringCast(n.wildcard)); err != nil {
		return "", err
	}
	parts := strings.Split(n.swarm.ListenAddresses()[0].String(), "/") // "", ip4, host, tcp or udp, port
	return net.JoinHostPort(parts[2], parts[4]) + "/" + n.swarm.LocalPeer().String(), nil
}

func (n *libp2pNetwork) Accept(ctx context.Context) (contender.Conn, error) {
	select {
	case c := <-n.accepted:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *libp2pNetwork) Dial(ctx context.Context, addr string) (contender.Conn, error) {
	at, name, _ := strings.Cut(addr, "/")
	ip, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(name)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(n.wildcard, "/")
	parts[2], parts[4] = ip, port
	where, err := ma.NewMultiaddr(strings.Join(parts, "/"))
	if err != nil {
		return nil, err
	}
	n.swarm.Peerstore().AddAddr(id, where, peerstore.PermanentAddrTTL)
	s, err := n.swarm.NewStream(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("no stream: %w", err)
	}
	return contender.Framed(swarmStream{s}), nil
}

func (n *libp2pNetwork) Close() error {
	close(n.closed)
	err := n.swarm.Close()
	if n.reuse != nil {
		n.reuse.Close()
	}
	n.swarm.Peerstore().Close()
	return err
}

// swarmStream is the one stream of a connection.
type swarmStream struct{ network.Stream }

func (s swarmStream) Close() error { return s.Conn().Close() }
