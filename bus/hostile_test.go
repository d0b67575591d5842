package bus_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/quictransport"
)

// logBook is a log that a test can read while it is written.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// besideAStream runs what strangers do to a node's port while a stream of events goes
// through it, and holds that the stream loses nothing.
func besideAStream(t *testing.T, mischief func(w *network, url string)) *logBook {
	w := newNetwork(t)
	book := &logBook{}
	log := slog.New(slog.NewTextHandler(book, nil))
	identity := w.identity(uuid.Nil, "server")
	server, err := bus.New(bus.Config{Logger: log,
		Transports: []bus.Transport{quictransport.New(quictransport.Config{Identity: identity, Logger: log})}})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	client := w.node("client")
	in := collect(t, server, "x")
	url := w.listen(server)
	w.connect(client, url)
	must(t, client.WaitInterest(soon(t), "x"))
	ctx, stop := context.WithCancel(context.Background())
	emitted := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil || n < 1000; n++ {
			if err := client.EmitBytes(context.Background(), "x", []byte{byte(n)}); err != nil {
				t.Error(err)
				break
			}
			runtime.Gosched()
			if n >= 200_000 {
				<-ctx.Done()
			}
		}
		emitted <- n
	}()
	mischief(w, url)
	stop()
	n := <-emitted
	in.until("every event", func() bool { return len(in.events) == n })
	for i, e := range in.events {
		if e.Seq != uint64(i+1) {
			t.Fatalf("event %d came as number %d", e.Seq, i+1)
		}
	}
	if s := server.Stats(); s.Gaps != 0 || s.Peers == 0 {
		t.Errorf("stats %+v", s)
	}
	return book
}

func TestGarbageOnThePort(t *testing.T) {
	besideAStream(t, func(w *network, url string) {
		c, err := net.Dial("udp", strings.TrimPrefix(url, "quic://"))
		must(t, err)
		defer c.Close()
		p := make([]byte, 1200)
		for i := range 5000 {
			rand.Read(p)
			if i%2 == 0 {
				copy(p, []byte{0xc0, 0, 0, 0, 1}) // the long header of QUIC 1
			}
			c.Write(p[:1+i%len(p)])
		}
	})
}

// mute is a socket that sends and hears nothing.
type mute struct {
	net.PacketConn
	done chan struct{}
}

func (m mute) ReadFrom([]byte) (int, net.Addr, error) {
	<-m.done
	return 0, nil, net.ErrClosed
}
func (m mute) SetReadBuffer(int) error  { return nil }
func (m mute) SetWriteBuffer(int) error { return nil }

func TestThousandHalfOpenConnections(t *testing.T) {
	besideAStream(t, func(w *network, url string) {
		addr, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(url, "quic://"))
		must(t, err)
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		m := mute{socket, make(chan struct{})}
		flood := &quic.Transport{Conn: m}
		ctx, cancel := context.WithCancel(context.Background())
		var dials sync.WaitGroup
		for range 1000 {
			dials.Go(func() {
				flood.Dial(ctx, addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"verbose/1"}}, nil)
			})
		}
		w.connect(w.node("late"), url) // there is room for a node beside them
		cancel()
		dials.Wait()
		close(m.done)
		flood.Close()
		socket.Close()
	})
}

func TestStrangersAreRefusedInOneLine(t *testing.T) {
	book := besideAStream(t, func(w *network, url string) {
		foreign := newNetwork(t)
		for range 5 {
			if err := refusal(t, foreign.node("foreign"), url); err.Code != bus.CloseUntrusted || !strings.Contains(err.Error(), "same CA") {
				t.Errorf("refused with %v", err)
			}
		}
		if err := refusal(t, w.node("elsewhere", func(c *bus.Config) { c.Channel = "other" }), url); err.Code != bus.CloseChannel || !strings.Contains(err.Error(), "other") {
			t.Errorf("refused with %v", err)
		}
	})
	if n := book.count("msg="); n < 2 || n > 6 {
		t.Errorf("%d lines for six refusals:\n%s", n, book.b.String())
	}
}

// A member of the bus that breaks the protocol is closed with the code that says so.
func TestMisbehavingPeer(t *testing.T) {
	for _, c := range []struct {
		name string
		say  []byte
	}{
		{"garbage", []byte("\x20GET / HTTP/1.1\r\nHost: example\r\n\r\n")},
		{"no hello", []byte{1, 5}},
		{"a huge frame", []byte{0xff, 0xff, 0xff, 0xff, 0x7f, 1}},
		{"an empty frame", []byte{0}},
		{"a hello cut short", []byte{5, 1, 1, 1, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			book := besideAStream(t, func(w *network, url string) {
				tr := quictransport.New(quictransport.Config{Identity: w.identity(uuid.Nil, "rogue")})
				defer tr.Close()
				conn, err := tr.Dial(soon(t), strings.TrimPrefix(url, "quic://"), uuid.Nil)
				must(t, err)
				s, err := conn.OpenStream(soon(t))
				must(t, err)
				_, err = s.Write(c.say)
				must(t, err)
				select {
				case <-conn.Context().Done():
				case <-soon(t).Done():
					t.Fatal("the connection was not closed")
				}
				var peer *bus.PeerError
				if cause := context.Cause(conn.Context()); !errors.As(cause, &peer) || peer.Code != bus.CloseViolation || !peer.Remote {
					t.Errorf("closed with %v", cause)
				}
			})
			if book.count("connection not accepted") != 1 {
				t.Errorf("the log says\n%s", book.b.String())
			}
		})
	}
}

func TestVersionMismatch(t *testing.T) {
	besideAStream(t, func(w *network, url string) {
		tr := quictransport.New(quictransport.Config{Identity: w.identity(uuid.Nil, "future")})
		defer tr.Close()
		conn, err := tr.Dial(soon(t), strings.TrimPrefix(url, "quic://"), uuid.Nil)
		must(t, err)
		s, err := conn.OpenStream(soon(t))
		must(t, err)
		_, err = s.Write([]byte{3, 1, 7, 9}) // a hello of versions 7 to 9
		must(t, err)
		<-conn.Context().Done()
		var peer *bus.PeerError
		if cause := context.Cause(conn.Context()); !errors.As(cause, &peer) || peer.Code != bus.CloseVersion || !strings.Contains(peer.Error(), "7 to 9") {
			t.Errorf("closed with %v", cause)
		}
	})
}
