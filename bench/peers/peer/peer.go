package peer

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/certs"
)

// The peers. What comes after the slash is what they run over: TCP alone, TLS over it, or QUIC.
const (
	NATS        contender.Kind = "nats/tcp"      // the dialling end is a client of the server that the other end embeds
	NATSTLS     contender.Kind = "nats/tls"      // the same
	NATSLeaf    contender.Kind = "nats-leaf/tcp" // both ends embed a server; one is the other's leaf node
	NATSLeafTLS contender.Kind = "nats-leaf/tls" // the same
	GRPC        contender.Kind = "grpc/tcp"      // a stream both ways
	GRPCTLS     contender.Kind = "grpc/tls"      // the same
	DRPC        contender.Kind = "drpc/tcp"      // a stream both ways
	DRPCTLS     contender.Kind = "drpc/tls"      // the same
	LibP2PQUIC  contender.Kind = "libp2p/quic"   // a stream of a swarm
	LibP2PTCP   contender.Kind = "libp2p/tcp"    // the same; TLS 1.3 and yamux over TCP
	MQTT        contender.Kind = "mqtt/tcp"      // quality of service 0, paho to an embedded mochi
	MQTTTLS     contender.Kind = "mqtt/tls"      // the same
	MQTTOnce    contender.Kind = "mqtt-qos1/tcp" // quality of service 1, a session that lasts
	ZeroMQ      contender.Kind = "zmq/tcp"       // PUSH to PULL; in programs built with the tag zmq
)

// Kinds are the peers of this program.
func Kinds() []contender.Kind {
	kinds := []contender.Kind{NATS, NATSTLS, NATSLeaf, NATSLeafTLS, GRPC, GRPCTLS, DRPC, DRPCTLS, LibP2PQUIC, LibP2PTCP, MQTT, MQTTTLS, MQTTOnce}
	if hasZeroMQ {
		kinds = append(kinds, ZeroMQ)
	}
	return kinds
}

// New makes an end of a peer, of the bus or of a baseline, that has no connection yet.
func New(c contender.Config) (contender.End, error) {
	switch c.Kind {
	case NATS, NATSTLS, NATSLeaf, NATSLeafTLS:
		return newNATS(c)
	case GRPC, GRPCTLS:
		return ofStreams(c, newGRPC)
	case DRPC, DRPCTLS:
		return ofStreams(c, newDRPC)
	case LibP2PQUIC, LibP2PTCP:
		return ofStreams(c, newLibP2P)
	case MQTT, MQTTTLS, MQTTOnce:
		return newMQTT(c)
	case ZeroMQ:
		return newZeroMQ(c)
	}
	return contender.New(c)
}

// OpensSockets reports whether a kind opens its TCP sockets itself and can't be told how: they have the system's congestion control.
func OpensSockets(kind contender.Kind) bool {
	return kind == NATSLeaf || kind == NATSLeafTLS || kind == ZeroMQ
}

func ofStreams(c contender.Config, network func(contender.Config) (contender.Network, error)) (contender.End, error) {
	n, err := network(c)
	if err != nil {
		return nil, err
	}
	return contender.NewStreams(c, n), nil
}

// bufferSize is that of writers and readers, in bytes: as much as the baselines have.
const bufferSize = 64 << 10

// maxMessage is more than the largest event has, in bytes.
const maxMessage = 17 << 20

// uncounted is what a peer knows of its packets.
type uncounted struct{}

func (uncounted) Sent() contender.Traffic { return contender.Traffic{} }

// security is what an end of a kind over TLS has; nil for others.
type security struct{ identity *certs.Identity }

func securityOf(c contender.Config, kinds ...contender.Kind) (*security, error) {
	for _, kind := range kinds {
		if c.Kind == kind {
			id, err := c.CA.Issue(uuid.Nil, "")
			return &security{id}, err
		}
	}
	return nil, nil
}

func (s *security) server(alpn string) *tls.Config { return s.identity.ServerTLS(alpn) }

func (s *security) client(alpn string) *tls.Config { return s.identity.ClientTLS(uuid.Nil, alpn) }

// listen opens a socket, with TLS on it where there is security.
func listen(ctx context.Context, c contender.Config, s *security, alpn string) (net.Listener, error) {
	config := net.ListenConfig{Control: host.SetCongestion(c.Congestion)}
	l, err := config.Listen(ctx, "tcp", c.Local())
	if err == nil && s != nil {
		l = tls.NewListener(l, s.server(alpn))
	}
	return l, err
}

// dial opens a connection, with TLS on it where there is security.
func dial(ctx context.Context, c contender.Config, s *security, addr, alpn string) (net.Conn, error) {
	dialer := net.Dialer{Control: host.SetCongestion(c.Congestion)}
	if s == nil {
		return dialer.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: &dialer, Config: s.client(alpn)}).DialContext(ctx, "tcp", addr)
}

// poll is how often what no peer tells of is looked for.
const poll = time.Millisecond

// await waits until something is so.
func await(ctx context.Context, what string, so func() bool) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
	return nil
}
