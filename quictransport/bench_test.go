package quictransport

import (
	"context"
	"net"
	"testing"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// BenchmarkThroughput sends one way in 64 KiB writes: over this package, and
// over quic-go alone with the same settings on plain sockets.
func BenchmarkThroughput(b *testing.B) {
	b.Run("verbose", func(b *testing.B) {
		p := newPair(b)
		opened, accepted := p.Streams(b)
		pair.OneWay(b, opened, accepted, opened.CloseWrite)
	})
	b.Run("quic-go", func(b *testing.B) {
		id := pair.Issue(b, pair.NewCA(b, "test"))
		config := New(Config{Identity: id}).quicConfig()
		ctx := pair.Context(b)
		ends := make([]*quic.Transport, 2)
		for i := range ends {
			socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			defer socket.Close()
			ends[i] = &quic.Transport{Conn: socket}
			defer ends[i].Close()
		}
		l, err := ends[0].Listen(id.ServerTLS(alpn), config)
		if err != nil {
			b.Fatal(err)
		}
		dialled, err := ends[1].Dial(ctx, l.Addr(), id.ClientTLS(uuid.Nil, alpn), config)
		if err != nil {
			b.Fatal(err)
		}
		arrived, err := l.Accept(ctx)
		if err != nil {
			b.Fatal(err)
		}
		opened, accepted := quicStreams(b, ctx, dialled, arrived)
		pair.OneWay(b, opened, accepted, opened.Close)
		dialled.CloseWithError(quic.ApplicationErrorCode(bus.CloseNormal), "")
	})
}

func quicStreams(b *testing.B, ctx context.Context, dialled, arrived *quic.Conn) (opened, accepted *quic.Stream) {
	b.Helper()
	opened, err := dialled.OpenStream()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := opened.Write([]byte{1}); err != nil {
		b.Fatal(err)
	}
	if accepted, err = arrived.AcceptStream(ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := accepted.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	return opened, accepted
}
