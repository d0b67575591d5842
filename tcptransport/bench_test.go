package tcptransport

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// BenchmarkThroughput sends one way in 64 KiB writes: over this package, and
// over crypto/tls alone.
func BenchmarkThroughput(b *testing.B) {
	b.Run("verbose", func(b *testing.B) {
		p := newPair(b)
		opened, accepted := p.Streams(b)
		pair.OneWay(b, opened, accepted, opened.CloseWrite)
	})
	b.Run("crypto-tls", func(b *testing.B) {
		dialled, arrived := tlsPair(b)
		pair.OneWay(b, dialled, arrived, dialled.CloseWrite)
	})
}

func tlsPair(b *testing.B) (dialled, arrived *tls.Conn) {
	b.Helper()
	id := pair.Issue(b, pair.NewCA(b, "test"))
	l, err := net.Listen("tcp", pair.Loopback)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan *tls.Conn, 1)
	go func() {
		defer close(accepted)
		if raw, err := l.Accept(); err == nil {
			conn := tls.Server(raw, id.ServerTLS(alpn))
			conn.Handshake() // what is wrong shows on the other side
			accepted <- conn
		}
	}()
	if dialled, err = tls.Dial("tcp", l.Addr().String(), id.ClientTLS(uuid.Nil, alpn)); err != nil {
		b.Fatal(err)
	}
	arrived = <-accepted
	b.Cleanup(func() { dialled.NetConn().Close(); arrived.NetConn().Close() })
	return dialled, arrived
}

// BenchmarkControl is the round trip of 64 bytes on an urgent stream, alone and beside bulk on another. The
// mean says little beside bulk: see p99.
func BenchmarkControl(b *testing.B) {
	for _, bulk := range []bool{false, true} {
		name := "idle"
		if bulk {
			name = "besideBulk"
		}
		b.Run(name, func(b *testing.B) {
			p := newPair(b)
			opened, accepted := p.Streams(b)
			for _, s := range []bus.Stream{opened, accepted} {
				s.(bus.Prioritizer).SetPriority(0)
			}
			go io.Copy(accepted, accepted) // ends with the pair
			if bulk {
				out, in := p.Streams(b)
				go io.Copy(io.Discard, in)
				go func() {
					for chunk := make([]byte, 64<<10); ; {
						if _, err := out.Write(chunk); err != nil {
							return
						}
					}
				}()
			}
			message := make([]byte, 64)
			var times []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				if _, err := opened.Write(message); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(opened, message); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
		})
	}
}
