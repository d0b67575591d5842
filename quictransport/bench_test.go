package quictransport

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
)

// BenchmarkThroughput sends one way in 64 KiB writes: over this package, and
// over quic-go alone with the same settings on plain sockets.
func BenchmarkThroughput(b *testing.B) {
	b.Run("verbose", func(b *testing.B) {
		p := newPair(b)
		opened, accepted := p.streams(b)
		oneWay(b, opened, accepted, opened.CloseWrite)
	})
	b.Run("quic-go", func(b *testing.B) {
		id := issue(b, newCA(b, "test"))
		config := New(Config{Identity: id}).quicConfig()
		ctx := testContext(b)
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
		oneWay(b, opened, accepted, opened.Close)
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

func oneWay(b *testing.B, w io.Writer, r io.Reader, closeWrite func() error) {
	const size = 64 << 10
	received := make(chan int64, 1)
	go func() {
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, size))
		received <- n
	}()
	chunk := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	var sent int64
	for b.Loop() {
		n, err := w.Write(chunk)
		if err != nil {
			b.Fatal(err)
		}
		sent += int64(n)
	}
	if err := closeWrite(); err != nil {
		b.Fatal(err)
	}
	if n := <-received; n != sent {
		b.Fatalf("%d bytes of %d arrived", n, sent)
	}
}
